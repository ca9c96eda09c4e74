"""A bench for the barrier tool: an emulated controller on a pseudo-terminal, a configuration, and the command line in this process."""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from agent.cli import main
from agent.core import controller
from agent.core.events import EventType
from agent.diagnostics.barrier_tool import keys
from agent.drivers.control_socket import ControlSocket, ControlSocketError, ask
from agent.drivers.journal_reader import JournalReader
from agent.drivers.staff_desk import StaffDesk
from firmware_bridge.emulator.faults import WireFault
from firmware_bridge.emulator.person import Behaviour, Pace
from firmware_bridge.emulator.settings import ControllerSettings
from firmware_bridge.emulator.shell import BoardSettings, Emulator
from tests.contract.half_lane import KEY, Host
from tests.sim.waiting import wait_for

SETTINGS = ControllerSettings(key=KEY, leaf_travel_ms=30, minimum_gap_ms=20)
QUICK = Pace(20, 20)


@dataclass
class Said:
    """What one command came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return [json.loads(line) for line in self.out.splitlines()][-1]


@dataclass
class Bench:
    """One cabinet. `host`: the agent's half that is not cameras, with its control socket; None: no agent runs."""

    folder: Path
    read: Callable[[], tuple[str, str]]  # what was printed since the last time
    behaviour: Behaviour = Behaviour.WALKS
    settings: ControllerSettings = SETTINGS
    fault: WireFault = WireFault.NONE
    window_ms: int = 500
    host: Host | None = None
    _socket: ControlSocket | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.port, self.key_file, self.config = self.folder / "controller", self.folder / "key", self.folder / "agent.toml"
        self.keys_dir = self.folder / "staff"
        self.keys_dir.mkdir(mode=0o755)
        self.key_file.touch(mode=0o600)
        self.key_file.write_text(KEY.hex())
        self.write_config()
        board = BoardSettings(
            self.port, self.folder / "store", self.folder / "log", self.behaviour, QUICK, fault=self.fault, fault_rate=0.2, seed=3
        )
        self.emulator = Emulator(self.settings, board)
        self.emulator.start()

    def write_config(self, **barrier: object) -> None:
        tables = {
            "gate": {"site": "site", "gate": "gate-1", "state_dir": str(self.folder), "runtime_dir": str(self.folder)},
            "barrier": {"port": str(self.port), "key_file": str(self.key_file)} | barrier,
            "lane": {"release_window_ms": self.window_ms, "subject_lost_ms": 3000},
            "staff": {"keys_dir": str(self.keys_dir)},
        }
        text = "".join(f"[{name}]\n" + "".join(f"{k} = {json.dumps(v)}\n" for k, v in rows.items()) for name, rows in tables.items())
        self.config.write_text(text)

    def close(self) -> None:
        self.stop_agent()
        self.emulator.stop()

    def barrier(self, *words: str, simulation: bool = True) -> Said:
        """`gate-agent barrier ...` of this gate."""
        self.read()
        code = main(["barrier", *words, "--config", str(self.config), *(["--simulation"] if simulation else [])])
        return Said(code, *self.read())

    # --- the agent --------------------------------------------------------------------------------------------------------------------

    def start_agent(self) -> Host:
        """Core, journal, driver and control socket as in the agent; in service once this returns."""
        before = self._connected()
        host = self.host = Host(self.folder, self.port)
        wait_for(lambda: self._connected() > before, within_s=20, what="the journal says that the controller was read and armed")
        path = self.folder / "control.sock"
        desk = StaffDesk(site="site", gate="gate-1", keys_dir=self.keys_dir)
        snapshot = lambda: controller.snapshot(host.runtime.state)  # noqa: E731
        self._socket = ControlSocket(path, snapshot=snapshot, staff=desk, post=host.mailbox.post)
        self._socket.start()
        return host

    def stop_agent(self) -> None:
        if self._socket is not None:
            self._socket.stop()
            with suppress(ControlSocketError):
                ask(self.folder / "control.sock", {"ask": "snapshot"})  # so that it looks at once
            assert self._socket.join(5)
        if self.host is not None:
            self.host.stop()
        self.host = self._socket = None

    def staff(self, name: str = "li") -> list[str]:
        """The words of a right order: a key is made, and its public half installed."""
        private, public, _ = keys.make(name, self.folder)
        public.rename(self.keys_dir / public.name)
        return ["--staff", name, "--key", str(private), "--reason", "a wheelchair", "--yes"]

    # --- what it says -------------------------------------------------------------------------------------------------------------------

    def log(self, kind: str = "", **fields: object) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in (self.folder / "log").read_text().splitlines()]
        return [line for line in lines if kind in ("", line["kind"]) and fields.items() <= line.items()]

    def rows(self) -> list[dict[str, Any]]:
        """The journal's; none where there is none yet."""
        file = self.folder / "journal.db"
        if not file.is_file():
            return []
        with JournalReader(file) as reader:
            return [json.loads(row.chained) for row in reader.rows(0, 1000)]

    def fields(self, kind: EventType) -> list[dict[str, Any]]:
        return [row["data"]["fields"] for row in self.rows() if row["type"] == kind]

    def _connected(self) -> int:
        return len(self.fields(EventType.BARRIER_CONNECTED))

    def releases(self) -> list[int]:
        return [line["grant_number"] for line in self.log("release", result="ACCEPTED")]


def with_key(key: bytes) -> ControllerSettings:
    return replace(SETTINGS, key=key)
