"""Runs the machine on a board of files: one loop over the port, the clock, a scripted person and a control line."""

import json
import queue
import select
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from firmware_bridge.emulator.board import Log, Memory, PseudoTerminal
from firmware_bridge.emulator.controller import Controller, LogLine, Machine, Output, PowerOn
from firmware_bridge.emulator.faults import FaultyWire, WireFault
from firmware_bridge.emulator.person import Behaviour, Pace, Person
from firmware_bridge.emulator.settings import ControllerSettings
from firmware_bridge.errors import BridgeError
from firmware_bridge.vocabulary import Drive, Inputs
from firmware_bridge.wake import Bell

_PRESS_MS: Final = 100
_NS_PER_MS: Final = 1_000_000


class ControlError(BridgeError):
    """A line on the control line that means nothing."""


@dataclass(frozen=True, slots=True)
class BoardSettings:
    """Attributes of the board.

    Attributes:
        port: where the symbolic link to the pseudo-terminal is made.
        store: file of the lasting memory; made when absent.
        log: file that log lines are appended to.
        clock_offset_ms: added to the controller's clock, to bring it near its wrap.
    """

    port: Path
    store: Path
    log: Path
    behaviour: Behaviour = Behaviour.NOBODY
    pace: Pace = field(default_factory=Pace)
    fault: WireFault = WireFault.NONE
    fault_rate: float = 0.3
    seed: int = 0
    clock_offset_ms: int = 0


class Emulator:
    """An emulated controller with its port. `run` in a process of its own, or `start`, `do` and `stop` beside a test."""

    def __init__(self, controller: ControllerSettings, board: BoardSettings, *, power_on: PowerOn = Controller) -> None:
        self._settings, self._board = controller, board
        self._machine = power_on
        self._terminal = PseudoTerminal(board.port)
        self._memory = Memory(board.store)
        self._log = Log(board.log)
        self._to_controller = FaultyWire(board.fault, seed=board.seed, rate=board.fault_rate)
        self._to_host = FaultyWire(board.fault, seed=board.seed + 1, rate=board.fault_rate)
        self._person = Person(board.behaviour, board.pace)
        self._by_hand = Inputs(0)
        self._let_go: list[tuple[int, Inputs]] = []
        self._mute = False
        self._asked: queue.Queue[tuple[Mapping[str, Any], Future[dict[str, Any]]]] = queue.Queue()
        self._bell = Bell()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._terminal.plug_in()
        self._controller = self._power_on()

    # --- life -----------------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        self._thread = threading.Thread(target=self.run, name="emulator", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the loop and take the port away."""
        self._stopping.set()
        self._bell.ring()
        if self._thread is not None:
            self._thread.join(5)

    def do(self, command: Mapping[str, Any], *, timeout_s: float = 5) -> dict[str, Any]:
        """Carry out a line of the control line from another thread; gives the state after it.

        Raises:
            ControlError: the command means nothing.
        """
        answer: Future[dict[str, Any]] = Future()
        self._asked.put((command, answer))
        self._bell.ring()
        return answer.result(timeout_s)

    def _power_on(self) -> Machine:
        controller = self._machine(self._settings, self._memory.read(), inputs=self._inputs, now_ms=self._now_ms)
        self._apply(controller.tick(self._now_ms))
        return controller

    @property
    def _now_ms(self) -> int:
        return time.monotonic_ns() // _NS_PER_MS + self._board.clock_offset_ms

    @property
    def _inputs(self) -> Inputs:
        return self._by_hand | self._person.beams

    def run(self) -> None:
        """The loop, until `stop`."""
        try:
            while not self._stopping.is_set():
                self._wait()
                self._turn()
        finally:
            self._terminal.pull_out()
            self._memory.close()
            self._log.close()
            self._bell.close()

    def _wait(self) -> None:
        now = self._now_ms
        due = [self._to_controller.next_ms(), self._to_host.next_ms(), self._person.next_ms(), *(t for t, _ in self._let_go)]
        wait_ms = min([self._controller.next_deadline_ms(), *(max(0, t - now) for t in due if t is not None)])
        fds = [self._bell.fileno()] if self._terminal.fd is None else [self._bell.fileno(), self._terminal.fd]
        select.select(fds, [], [], wait_ms / 1000)
        self._bell.hush()

    def _turn(self) -> None:
        self._answer_questions()
        now = self._now_ms
        self._to_controller.put(self._terminal.read(), now)
        data = self._to_controller.take(now)
        output = self._controller.receive(data, now) if data and not self._mute else self._controller.tick(now)
        self._apply(output)
        self._release_buttons(now)
        if self._person.step(now):
            self._apply(self._controller.sense(self._inputs, now))
        self._terminal.write(self._to_host.take(now))

    def _apply(self, output: Output) -> None:
        """In the order that the machine asks for: keep, move, then speak."""
        if output.store is not None:
            self._memory.write(output.store)
        self._person.see(output.drive, self._now_ms)
        for line in output.log:
            self._log.write(line)
        if not self._mute:
            self._to_host.put(output.data, self._now_ms)

    # --- control line -----------------------------------------------------------------------------------------------------------

    def _answer_questions(self) -> None:
        while True:
            try:
                command, answer = self._asked.get_nowait()
            except queue.Empty:
                return
            try:
                answer.set_result(self._carry_out(command))
            except ControlError as error:
                answer.set_exception(error)

    def _carry_out(self, command: Mapping[str, Any]) -> dict[str, Any]:
        for word, value in command.items():
            act = _WORDS.get(word)
            if act is None:
                raise ControlError(f"unknown word {word!r}; the words are: {', '.join(sorted(_WORDS))}")
            act(self, value)
        return self._state()

    def _state(self) -> dict[str, Any]:
        store = self._controller.store
        return {
            "phase": self._controller.phase.name,
            "armed": self._controller.armed,
            "drive": [bit.name for bit in Drive if self._controller.drive & bit],
            "inputs": [bit.name for bit in Inputs if self._inputs & bit],
            "last_grant": store.last_grant,
            "last_outcome": store.last_outcome.name,
            "passages_entry": store.passages_entry,
            "passages_exit": store.passages_exit,
            "boot_count": store.boot_count,
            "lamp": self._controller.shown[0].name,
            "tone": self._controller.shown[1].name,
        }

    def _set(self, values: Any) -> None:
        if not isinstance(values, dict):
            raise ControlError(f"'set' takes an object such as {{\"fire\": true}}, not {values!r}")
        for name, on in values.items():
            bit = _input(name)
            self._by_hand = self._by_hand | bit if on else self._by_hand & ~bit
        self._sense()

    def _press(self, name: Any) -> None:
        bit = _input(name)
        self._by_hand |= bit
        self._let_go.append((self._now_ms + _PRESS_MS, bit))
        self._sense()

    def _release_buttons(self, now_ms: int) -> None:
        for due_ms, bit in [entry for entry in self._let_go if entry[0] <= now_ms]:
            self._let_go.remove((due_ms, bit))
            self._by_hand &= ~bit
            self._apply(self._controller.sense(self._inputs, now_ms))

    def _sense(self) -> None:
        self._apply(self._controller.sense(self._inputs, self._now_ms))

    def _become(self, name: Any) -> None:
        try:
            self._person.behaviour = Behaviour(name)
        except ValueError:
            raise ControlError(f"unknown person {name!r}; one of: {', '.join(Behaviour)}") from None

    def _leave(self, _: Any) -> None:
        self._person.leave()
        self._sense()

    def _reboot(self, _: Any) -> None:
        self._controller = self._power_on()

    def _pull_out(self, _: Any) -> None:
        self._terminal.pull_out()
        self._log.write(LogLine("unplugged", MappingProxyType({})))

    def _plug_in(self, _: Any) -> None:
        self._terminal.plug_in()
        self._log.write(LogLine("plugged_in", MappingProxyType({})))

    def _set_mute(self, on: Any) -> None:
        self._mute = bool(on)


_WORDS: Final[Mapping[str, Callable[[Emulator, Any], None]]] = MappingProxyType(
    {
        "set": Emulator._set,  # noqa: SLF001  the table of this class's own words
        "press": Emulator._press,  # noqa: SLF001
        "person": Emulator._become,  # noqa: SLF001
        "leave": Emulator._leave,  # noqa: SLF001
        "reboot": Emulator._reboot,  # noqa: SLF001
        "unplug": Emulator._pull_out,  # noqa: SLF001
        "plug": Emulator._plug_in,  # noqa: SLF001
        "mute": Emulator._set_mute,  # noqa: SLF001
        "state": lambda _emulator, _value: None,
    }
)


def _input(name: Any) -> Inputs:
    try:
        return Inputs[str(name).upper()]
    except KeyError:
        raise ControlError(f"unknown input {name!r}; one of: {', '.join(str(bit.name).lower() for bit in Inputs)}") from None


def answer_line(emulator: Emulator, line: str) -> str:
    """One line of the control line, JSON in and out."""
    try:
        answer = {"ok": True, **emulator.do(_command(line))}
    except ControlError as error:
        answer = {"ok": False, "error": str(error)}
    return json.dumps(answer) + "\n"


def _command(line: str) -> dict[str, Any]:
    try:
        command = json.loads(line)
    except json.JSONDecodeError as error:
        raise ControlError(f"{line.strip()!r} is not JSON: {error}") from None
    if not isinstance(command, dict):
        raise ControlError(f'a line is a JSON object such as {{"press": "request_to_exit"}}, not {line.strip()!r}')
    return command
