"""Runs the demo's processes and plays the scene: the broker is killed while the enrolled person goes back, and comes back afterwards."""

import json
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import IO

from agent.diagnostics.demo.site import Site, program
from agent.diagnostics.local_broker import LocalBroker
from agent.errors import GateError

START_S = 30.0  # for a process to say that it is ready; a slow controller opens its models in 5 s
SCENE_S = 60.0  # for the scene, 20 s of pictures
DELIVERY_S = 40.0  # for the backlog: the gate's longest pause between two tries is 30 s
STOP_S = 10.0


class Running:
    """One process, its standard output read line by line, the rest in a log file."""

    def __init__(self, name: str, command: Sequence[str], log: Path) -> None:
        self.name = name
        self.lines: list[str] = []
        self._log = log
        self._changed = threading.Condition()
        with log.open("wb") as stderr:
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, stdin=subprocess.DEVNULL, text=True)  # noqa: S603
        assert self._process.stdout is not None
        self._reader = threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_for(self, wanted: Callable[[str], bool], what: str, timeout_s: float) -> str:
        """The first line that is wanted.

        Raises:
            GateError: the process ended, or the time passed; with the end of its log.
        """
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while True:
                found = next((line for line in self.lines if wanted(line)), None)
                if found is not None:
                    return found
                left = deadline - time.monotonic()
                if left <= 0 or self._process.poll() is not None:
                    raise GateError(f"{self.name} did not come to '{what}' in {timeout_s:g} s; the end of {self._log}:\n{self._tail()}")
                self._changed.wait(min(left, 0.2))

    @property
    def exit_code(self) -> int | None:
        """None while it runs; below zero: the signal that ended it."""
        return self._process.poll()

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to stop (or do not ask: SIGKILL), and wait; kill it if it does not end. Returns its exit code."""
        self._process.send_signal(how)
        try:
            code = self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._reader.join(STOP_S)
        if self._process.stdout is not None:
            self._process.stdout.close()
        return code

    def _read(self, stream: IO[str]) -> None:
        with suppress(ValueError):  # closed by stop
            for line in stream:
                with self._changed:
                    self.lines.append(line.rstrip("\n"))
                    self._changed.notify_all()

    def _tail(self) -> str:
        return "\n".join(self._log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:])


def play(site: Site, broker: LocalBroker, say: Callable[[str], None]) -> tuple[int, int]:
    """Run it all once; the broker runs already. Returns the monotonic times at which it was killed and was back.

    Raises:
        GateError: a part did not start, or the scene did not come to its end.
    """
    with ExitStack() as stack:
        collector = _start(stack, site, "collector", _collector(site, broker.port))
        collector.wait_for(_is_ready, "ready", START_S)
        _start(stack, site, "controller", controller_command(site)).wait_for(_is_ready, "ready", START_S)
        say("the lane starts")
        agent = _start(stack, site, "agent", agent_command(site, pictures=True))
        agent.wait_for(event_line("access.granted", "entry"), "the entry of the enrolled person", SCENE_S)
        say("somebody was let in")
        agent.wait_for(event_line("access.denied", "entry"), "the refusal of the stranger", SCENE_S)
        say("somebody was refused; the broker is killed")
        broker.kill()
        killed_ns = time.monotonic_ns()
        agent.wait_for(event_line("passage.made", "exit"), "the way back of the enrolled person", SCENE_S)
        say("somebody went back without a broker; the broker returns")
        broker.start()
        back_ns = time.monotonic_ns()
        wait_for_delivery(site, DELIVERY_S)
        agent.stop()
        wait_for_delivery(site, DELIVERY_S)
        return killed_ns, back_ns


def wait_for_delivery(site: Site, timeout_s: float) -> None:
    """Wait until the collector holds the newest row of the journal.

    Raises:
        GateError: it does not in this time.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        recorded, delivered = newest(site.folder / "state" / "journal.db"), newest(site.collector_store)
        if recorded == delivered:
            return
        if time.monotonic() > deadline:
            raise GateError(f"the collector holds {delivered} of {recorded} events after {timeout_s:g} s; see {site.log('collector')}")
        time.sleep(0.1)


def newest(database: Path) -> int:
    """Number of the newest event in a journal or a collector's store, 0 if there is none."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as reader:
        return int(reader.execute("SELECT coalesce(max(seq), 0) FROM event").fetchone()[0])


def _start(stack: ExitStack, site: Site, name: str, command: Sequence[str]) -> Running:
    running = Running(name, command, site.log(name))
    stack.callback(running.stop)
    return running


def _collector(site: Site, port: int) -> list[str]:
    words = ["run", "--store", str(site.collector_store), "--host", "127.0.0.1", "--port", str(port), "--no-tls", "--simulation", "--json"]
    return [program("gate-collector"), *words]


def controller_command(site: Site) -> list[str]:
    files = ["--port", site.controller_port, "--store", site.controller_store, "--log", site.controller_log]
    more = ["--key-file", site.controller_key, "--control", site.control_line, "--person", "walks", "--id", "demo-controller"]
    return [sys.executable, "-m", "firmware_bridge.emulator", *map(str, files), *map(str, more)]


def agent_command(site: Site, *, pictures: bool = False) -> list[str]:
    more = ["--pictures", str(site.pictures)] if pictures else []
    return [program("gate-agent"), "run", "--config", str(site.config), "--simulation", "--json", *more]


def _is_ready(line: str) -> bool:
    return '"ready"' in line


def event_line(kind: str, direction: str) -> Callable[[str], bool]:
    """Says whether a line of `gate-agent run --json` is such an event."""

    def wanted(line: str) -> bool:
        event = json.loads(line)
        return bool(event["type"] == kind and event["data"]["fields"].get("direction") == direction)

    return wanted
