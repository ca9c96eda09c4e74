"""A whole gate as it runs in the field, but for the simulated parts: controller and agent are processes, and cameras are on the network."""

import json
import os
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from signal import SIGKILL, SIGTERM, Signals
from typing import Any, Self

from agent.diagnostics.bench.figures import resident_mb
from agent.diagnostics.demo.play import Running, agent_command, controller_command
from agent.diagnostics.demo.site import Site, write_controller_key
from agent.diagnostics.local_broker import LocalBroker
from agent.drivers.control_socket import ControlSocketError, ask
from agent.settings import toml_value
from models.places import DEFAULT_PACK, built_folder
from tests.sim.oracle import ENDS, Line, Row, problems
from tests.sim.scene import Pictures, Scene
from tests.sim.town import PERSON, Town

PATIENCE_S = 60.0  # the longest pause of any part between two tries is 30 s, and the machine may be busy
LOOK_AGAIN_S = 0.05
Settings = Mapping[str, Mapping[str, object]]


class Lane:
    """One gate in one folder.

    Args:
        cameras: by name, which is also the direction.
        settings: tables of the configuration, laid over those of a quiet lane without a broker.
        pace: arguments of the controller's emulator: who walks, and how fast.
        pictures: who can come, by name, where it is not the town's people.
    """

    def __init__(
        self,
        town: Town,
        folder: Path,
        *,
        cameras: Sequence[str] = ("entry",),
        settings: Settings | None = None,
        pace: Sequence[str] = ("--reaction-ms", "100", "--step-ms", "60"),
        pictures: Mapping[str, Pictures] | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.site = Site(folder)
        self.scene = Scene(pictures or town.pictures)
        self.root = Path("/")  # under which the agent's files are seen from here
        self.is_whole = True  # False: a test destroyed rows, and the journal cannot be held against the controller's log any more
        self.kept: list[Row] = []  # rows of a journal that a test is about to damage
        self.agent: Running | None = None
        self.controller: Running | None = None
        self._town = town
        self._cameras = cameras
        self._pace = pace
        self._runs = 0
        self._events_from = 0
        self._log_from = 0
        self._lines_from = 0
        self._rows_from = 0
        self._logs: list[Path] = []
        self._stack = ExitStack()
        self.settings: dict[str, dict[str, object]] = {name: dict(table) for name, table in self._quiet().items()}
        for name, table in (settings or {}).items():
            self.settings.setdefault(name, {}).update(table)

    def __enter__(self) -> Self:
        self._stack.enter_context(self.scene)
        self._stack.callback(self._end)
        write_controller_key(self.site)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    # --- its parts ----------------------------------------------------------------------------------------------------------------

    def start(self, *, wrapper: Sequence[str] = (), program: Sequence[str] = ()) -> Self:
        """Start what is not running: the controller, and the agent (behind `wrapper`; `program` stands for gate-agent)."""
        if self.controller is None:
            self.start_controller()
        self.start_agent(wrapper=wrapper, program=program)
        return self

    def start_controller(self, *more: str) -> None:
        command = [*controller_command(self.site), *self._pace, *more]
        self.controller = self._run("controller", command)
        self.controller.wait_for(lambda line: '"ready"' in line, "ready", PATIENCE_S)

    def start_agent(self, *, wrapper: Sequence[str] = (), program: Sequence[str] = ()) -> None:
        self.write_configuration()
        whole = agent_command(self.site)
        self._events_from = 0
        self.agent = self._run("agent", [*wrapper, *(program or whole[:1]), *whole[1:]])

    def end_agent(self, how: Signals = SIGTERM) -> int:
        assert self.agent is not None
        code, self.agent = self.agent.stop(how), None
        return code

    def ended(self) -> int:
        """The exit code of an agent that ends by itself."""
        agent = self.agent
        assert agent is not None
        self.agent = None
        self.until(lambda: agent.exit_code is not None, "the agent's end")
        return agent.stop()

    def end_controller(self, how: Signals = SIGKILL) -> None:
        """As a power cut, if not told otherwise."""
        assert self.controller is not None
        self.controller.stop(how)
        self.controller = None
        self.site.controller_port.unlink(missing_ok=True)  # it would name the terminal of whichever lane gets that number next

    def tell(self, **command: object) -> dict[str, Any]:
        """A line on the controller's control line: what a hand or a person does there."""
        with socket.socket(socket.AF_UNIX) as line, line.makefile("rw") as stream:
            line.settimeout(PATIENCE_S)
            line.connect(str(self.site.control_line))
            stream.write(json.dumps(command) + "\n")
            stream.flush()
            answer: dict[str, Any] = json.loads(stream.readline())
        assert answer["ok"], answer
        return answer

    def write_configuration(self) -> None:
        cameras = [
            ("[[camera]]", {"name": camera, "direction": camera, "source": self.scene.address(camera), "allow_network_camera": True})
            for camera in self._cameras
        ]
        tables = [*((f"[{name}]", keys) for name, keys in self.settings.items()), *cameras]
        lines = [line for head, keys in tables for line in (head, *(f"{key} = {toml_value(value)}" for key, value in keys.items()))]
        self.site.config.write_text("\n".join([*lines, ""]), encoding="utf-8")

    # --- what they say ------------------------------------------------------------------------------------------------------------

    def said(self, kind: str, **fields: object) -> list[dict[str, Any]]:
        """Events of this kind with these fields, of the running agent, since `forget`; printed when they were durable."""
        assert self.agent is not None
        printed = [json.loads(line) for line in self.agent.lines[self._events_from :]]
        found = [event["data"]["fields"] for event in printed if event["type"] == kind]
        return [each for each in found if fields.items() <= each.items()]

    def agent_log(self) -> str:
        """What the agent wrote on standard error, in all its runs since `forget`."""
        return self._whole_log()[self._log_from :]

    def _whole_log(self) -> str:
        return "\n".join(file.read_text(encoding="utf-8", errors="replace") for file in self._logs if file.name.startswith("agent"))

    def forget(self) -> None:
        """What was said so far is not asked for any more: the lane was used by another test."""
        self._events_from = 0 if self.agent is None else len(self.agent.lines)
        self._log_from = len(self._whole_log())
        self._lines_from = len(self._whole_controller_log())
        self._rows_from = len(self.rows())

    def log(self, kind: str = "", **fields: object) -> list[Line]:
        """The controller's own lines since `forget`, of this kind, with these fields."""
        return [
            line
            for line in self._whole_controller_log()[self._lines_from :]
            if kind in ("", line["kind"]) and fields.items() <= line.items()
        ]

    def _whole_controller_log(self) -> list[Line]:
        text = self.site.controller_log.read_text(encoding="utf-8") if self.site.controller_log.exists() else ""
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]  # a killed emulator may leave half a line

    def releases(self) -> list[Line]:
        return self.log("release", result="ACCEPTED")

    def passages(self) -> list[Line]:
        return self.log("passage_completed")

    def snapshot(self) -> Mapping[str, Any]:
        """As the technician's tools see it; empty while no agent answers."""
        try:
            answer: Mapping[str, Any] = ask(self.control_socket, {"ask": "snapshot"})["snapshot"]
        except ControlSocketError:
            return {}
        return answer

    @property
    def control_socket(self) -> Path:
        return Path(str(self.settings["gate"]["runtime_dir"])) / "control.sock"

    def lacks(self, direction: str = "entry") -> dict[str, str] | None:
        """What keeps a direction out of service, each with its detail; None while nobody says."""
        side = self.snapshot().get("service", {}).get(direction)
        return None if side is None else {each["reason"]: each["detail"] for each in side["reasons"]}

    def is_whole_again(self) -> bool:
        """In service, and the journal has the end of every grant."""
        kinds = [row["type"] for row in self.rows()]
        return self.in_service() and kinds.count("access.granted") == sum(kind in ENDS for kind in kinds)

    def in_service(self, direction: str = "entry") -> bool:
        return self.lacks(direction) == {}

    @property
    def journal(self) -> Path:
        return self.state / "journal.db"

    @property
    def state(self) -> Path:
        return self.root / str(self.settings["gate"]["state_dir"]).lstrip("/")

    def rows(self) -> list[Row]:
        """Everything recorded, in order: what a test kept, files that were set aside as far as they can be read, the journal."""
        rows = list(self.kept)
        for file in [*sorted(self.state.glob("journal.damaged-*.db")), self.journal]:
            with suppress(sqlite3.DatabaseError):
                rows += [row for row in rows_of(file) if row not in rows]
        return rows

    def ends(self) -> list[str]:
        """How the grants ended, in order, since `forget`."""
        return [row["type"] for row in self.rows()[self._rows_from :] if row["type"] in ENDS]

    def resident_mb(self) -> float:
        assert self.agent is not None
        return resident_mb(self.agent.pid)

    # --- waiting and judging ------------------------------------------------------------------------------------------------------

    def until(self, condition: Callable[[], object], what: str, *, within_s: float = PATIENCE_S) -> float:
        """Seconds until the condition held; fails when the agent ends or the time is over."""
        began = time.monotonic()
        while not condition():
            ended = self.agent is not None and self.agent.exit_code is not None
            late = time.monotonic() - began > within_s
            assert not ended, f"the agent ended with {self.agent and self.agent.exit_code} before: {what}\n{self._tail()}"
            assert not late, f"not within {within_s:g} s: {what}; entry lacks {self.lacks()}\n{self._tail()}"
            time.sleep(LOOK_AGAIN_S)
        return time.monotonic() - began

    def come(self, camera: str = "entry", who: str = PERSON) -> None:
        self.scene.show(camera, who)

    def let_in(self, camera: str = "entry") -> float:
        """The enrolled person comes, is let through, and is gone from the picture; seconds until the passage."""
        before = len(self.passages())
        self.come(camera)
        took = self.until(lambda: len(self.passages()) > before, f"a passage, {camera}")
        self.come(camera, "nobody")
        return took

    def let_out_by_hand(self) -> None:
        """The exit button works whatever the host does: pressed, and somebody walks out."""

        def out() -> int:
            return len(self.log("passage_completed", grant_number=0, direction="EXIT"))

        before = out()
        self.tell(press="request_to_exit")
        self.until(lambda: out() > before, "the way out by the exit button", within_s=30)

    def judge(self, *, finished: bool = True) -> None:
        """Hold the controller's log against the journal, and the agent's words to be words."""
        found = problems(self._whole_controller_log(), self.rows(), finished=finished) if self.is_whole else []
        assert not found, "\n".join(found)
        assert "Traceback" not in self._whole_log(), self._whole_log()[-3000:]

    # --- inside -------------------------------------------------------------------------------------------------------------------

    def _quiet(self) -> Settings:
        folder, town = self.site.folder, self._town.site
        return {
            "gate": {"site": "demo", "gate": folder.name, "state_dir": folder / "state", "runtime_dir": folder / "run"},
            "lane": {"attempt_ms": 1000, "cool_down_ms": 300},
            "recognition": {"pack": DEFAULT_PACK, "packs_dir": built_folder(), "pad": "off"},
            "barrier": {"port": self.site.controller_port, "key_file": self.site.controller_key},
            "roster": {
                "source": town.roster,
                "root": town.authority / "root.json",
                "site_key_file": town.authority / "site.key",
                "poll_s": 0.3,
            },
            "journal": {"commit_budget_ms": 1000.0},  # the machine may be busy; how fast a commit is, the benches say
            "uplink": {"enabled": False},
        }

    def _run(self, name: str, command: Sequence[str]) -> Running:
        self._runs += 1
        log = self.site.folder / f"{name}-{self._runs}.log"
        self._logs.append(log)
        return Running(name, command, log)

    def _end(self) -> None:
        for running in (self.agent, self.controller):
            if running is not None and running.exit_code is None:
                running.stop(SIGKILL)  # what is left was judged already

    def _tail(self) -> str:
        return "\n".join(self.agent_log().splitlines()[-25:])


def rows_of(file: Path) -> list[Row]:
    """The rows of one journal file.

    Raises:
        sqlite3.Error: it is damaged.
    """
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as reader:
        return [json.loads(body) for (body,) in reader.execute("SELECT body FROM event ORDER BY seq")]


@contextmanager
def broker_of(lane: Lane) -> Iterator[LocalBroker]:
    """A broker that is not started yet, with the lane's uplink set to it."""
    broker = LocalBroker(lane.site.broker)
    lane.settings["uplink"] = {"enabled": True, "host": broker.host, "port": broker.port, "tls": False}
    try:
        yield broker
    finally:
        broker.stop()


def only_its_own_rights() -> Sequence[str]:
    """A wrapper under which even root may read and write only what the files' modes allow."""
    return () if os.geteuid() else ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--")
