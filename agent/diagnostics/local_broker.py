"""A mosquitto of one's own on a free loopback port, for the demo and the tests: started, killed, started again."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from agent.errors import GateError

_PLACES = ("/usr/sbin", "/usr/local/sbin", "/usr/local/bin")  # where packages put it, and PATH of a plain user often does not look
_START_S = 10.0


class BrokerError(GateError):
    """There is no mosquitto here, or it does not start; its own words are in the sentence."""


@dataclass(frozen=True, slots=True)
class ServerFiles:
    """For TLS: the authority of the clients, and the server's own certificate and key (PEM)."""

    ca_file: Path
    cert_file: Path
    key_file: Path


class LocalBroker:
    """One mosquitto; the port stays the same over restarts.

    Args:
        folder: for its configuration, log and (with `persistent`) its database.
        tls: TLS 1.3 with client certificates, whose common name becomes the user's name.
        acl: an ACL file; without it every client may do everything.
        extra: more lines of mosquitto.conf.
    """

    def __init__(
        self,
        folder: Path,
        *,
        tls: ServerFiles | None = None,
        acl: Path | None = None,
        persistent: bool = False,
        extra: Sequence[str] = (),
    ) -> None:
        self.host = "127.0.0.1"
        self.port = free_port()
        self._folder = folder
        self._log = folder / "mosquitto.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._configuration = folder / "mosquitto.conf"
        folder.mkdir(parents=True, exist_ok=True)
        self._configuration.write_text("\n".join([*self._lines(tls, acl, persistent=persistent), *extra, ""]), encoding="utf-8")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    @property
    def log(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace") if self._log.exists() else ""

    def start(self) -> None:
        """Start it and wait until it takes connections.

        Raises:
            BrokerError: it is not installed, or ended at once.
        """
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([program(), "-c", str(self._configuration)], stdout=log, stderr=log)  # noqa: S603  our own file
        deadline = time.monotonic() + _START_S
        while not _listens(self.host, self.port):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise BrokerError(f"mosquitto did not start on port {self.port}: {self.log[-500:].strip() or 'it said nothing'}")
            time.sleep(0.01)

    def kill(self) -> None:
        """As a power cut would: no goodbye to anybody."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(how)
        self._process.wait(_START_S)
        self._process = None

    def _lines(self, tls: ServerFiles | None, acl: Path | None, *, persistent: bool) -> list[str]:
        lines = [f"listener {self.port} {self.host}", "set_tcp_nodelay true", "log_dest stderr", "connection_messages true"]
        if os.geteuid() == 0:
            lines.append("user root")  # else it becomes 'mosquitto', who may not read a private folder
        if tls is None:
            lines.append("allow_anonymous true")
        else:
            lines += [
                f"cafile {tls.ca_file}",
                f"certfile {tls.cert_file}",
                f"keyfile {tls.key_file}",
                "require_certificate true",
                "use_identity_as_username true",
                "tls_version tlsv1.3",
            ]
        if acl is not None:
            lines.append(f"acl_file {acl}")
        if persistent:
            lines += ["persistence true", f"persistence_location {self._folder}/"]
        return lines


def program() -> str:
    """The path of mosquitto.

    Raises:
        BrokerError: it is not installed.
    """
    found = shutil.which("mosquitto") or shutil.which("mosquitto", path=os.pathsep.join(_PLACES))
    if found is None:
        raise BrokerError("mosquitto is not installed; apt-get install mosquitto (or run script/setup)")
    return found


def free_port() -> int:
    """A port of the loopback interface that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _listens(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=1.0).close()
    except OSError:
        return False
    return True
