"""The centre's end: gate-collector as a process of its own, as it runs in production."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Self, cast

from agent.mqtt.broker import Broker
from tests.sim.waiting import wait_for


class Centre:
    """Start, kill and ask a collector."""

    def __init__(self, folder: Path, broker: Broker, *, simulation: bool = False) -> None:
        self.store = folder / "events.db"
        self._broker = broker
        self._simulation = simulation
        self._out = folder / "collector.out"
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end(signal.SIGTERM)

    def start(self) -> None:
        broker = self._broker
        command = [sys.executable, "-m", "agent.collector.cli", "run", "--store", str(self.store), "--json"]
        command += ["--host", broker.host, "--port", str(broker.port)]
        if broker.tls is None:
            command += ["--no-tls"]
        else:
            command += ["--ca", str(broker.tls.ca_file), "--cert", str(broker.tls.cert_file), "--key", str(broker.tls.key_file)]
        if self._simulation:
            command += ["--simulation"]
        with self._out.open("wb") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)

    def ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.said()
        return '"ready": true' in self.said()

    def wait_until_ready(self) -> None:
        wait_for(self.ready, what="the collector's subscription")

    def said(self) -> str:
        return self._out.read_text()

    def end(self, how: signal.Signals) -> int | None:
        """End it, and give its exit code."""
        if self.process is None:
            return None
        self.process.send_signal(how)
        code = self.process.wait(10)
        self.process = None
        return code

    def report(self) -> dict[str, Any]:
        return cast("dict[str, Any]", json.loads(self._ask("report")))

    def chains_hold(self) -> bool:
        return bool(json.loads(self._ask("verify"))["ok"])

    def _ask(self, command: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "agent.collector.cli", command, "--store", str(self.store), "--json"],
            check=False, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert done.returncode in {0, 1}, done.stderr
        return done.stdout
