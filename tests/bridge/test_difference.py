"""The emulator and the reference firmware side by side: the same bytes, inputs and times into both, the same out of both, step by step.

A difference is a mistake in one of the two, or a hole in PROTOCOL.md. A real host drives the emulator; the firmware hears what it hears.
"""

import ctypes
from pathlib import Path
from typing import ClassVar, get_args

import pytest

from firmware_bridge.emulator.controller import Controller, LogLine, Output, snake
from firmware_bridge.emulator.faults import WireFault
from firmware_bridge.emulator.settings import ControllerSettings
from firmware_bridge.emulator.store import Store
from firmware_bridge.errors import Reject
from firmware_bridge.messages import Fact
from firmware_bridge.vocabulary import CancelResult, Drive, EndReason, Inputs, Lamp, Phase, Refusal, Tone
from tests.bridge.commands import Commands
from tests.bridge.firmware import Firmware, load
from tests.bridge.test_safety import STEPS, Life


class Both:
    """Two machines that must not differ. Implements `Machine`; what it gives is the emulator's."""

    lib: ClassVar[ctypes.CDLL]

    def __init__(self, settings: ControllerSettings, store: Store | None, *, inputs: Inputs, now_ms: int) -> None:
        self._one = Controller(settings, store, inputs=inputs, now_ms=now_ms)
        self._damaged = store is None  # then nothing is kept
        self._other = Firmware(self.lib, settings, store, inputs=inputs, now_ms=now_ms)

    def receive(self, data: bytes, now_ms: int) -> Output:
        return self._same(self._one.receive(data, now_ms), self._other.receive(data, now_ms))

    def sense(self, inputs: Inputs, now_ms: int) -> Output:
        return self._same(self._one.sense(inputs, now_ms), self._other.sense(inputs, now_ms))

    def tick(self, now_ms: int) -> Output:
        return self._same(self._one.tick(now_ms), self._other.tick(now_ms))

    def _same(self, one: Output, other: Output) -> Output:
        assert other.data.hex() == one.data.hex()
        assert other.drive == one.drive
        assert self._damaged or self._other.store == self._one.store
        assert not (self._damaged and other.store)
        assert _account(other.log) == _account(one.log)
        mine, theirs = self._one, self._other
        assert (theirs.phase, theirs.armed, theirs.grant, theirs.shown) == (mine.phase, mine.armed, mine.grant, mine.shown)
        assert theirs.next_deadline_ms() == mine.next_deadline_ms()
        return one

    def next_deadline_ms(self) -> int:
        return self._one.next_deadline_ms()

    @property
    def phase(self) -> Phase:
        return self._one.phase

    @property
    def drive(self) -> Drive:
        return self._one.drive

    @property
    def armed(self) -> bool:
        return self._one.armed

    @property
    def grant(self) -> int:
        return self._one.grant

    @property
    def shown(self) -> tuple[Lamp, Tone]:
        return self._one.shown

    @property
    def store(self) -> Store:
        return self._one.store


def _account(log: tuple[LogLine, ...]) -> list[tuple[str, dict[str, object]]]:
    """What the machine says that happened. Outputs are judged at the end of the step: the firmware moves after each frame."""
    return [
        (
            line.kind,
            {k: v for k, v in line.fields.items() if k not in ("detail", "happened_ms") and (line.kind, k) != ("session", "boot_count")},
        )
        for line in log
        if line.kind not in ("drive", "indicate")
    ]


@pytest.fixture(autouse=True)
def both(library: Path) -> None:
    Both.lib = load(library)


def live(seed: int, steps: int) -> Life:
    life = Life(seed, list(WireFault)[seed % len(WireFault)], machine=Both)
    try:
        life.live(steps)
    except AssertionError as error:
        raise AssertionError(f"seed {seed}, at {life.world.now_ms} ms: {error}") from error
    return life


@pytest.mark.parametrize("seed", range(1000, 1006))
def test_emulator_and_firmware_do_not_differ(seed: int) -> None:
    live(seed, STEPS)


def command(seed: int, steps: int) -> Commands:
    try:
        return Commands(seed, Both).run(steps)
    except AssertionError as error:
        raise AssertionError(f"seed {seed}: {error}") from error


@pytest.mark.parametrize("seed", range(40))
def test_emulator_and_firmware_do_not_differ_on_any_commands(seed: int) -> None:
    command(seed, 150)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(10_000, 12_000, 100))
def test_emulator_and_firmware_do_not_differ_on_thousands_of_commands(first: int) -> None:
    for seed in range(first, first + 100):
        command(seed, 300)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2000, 2060))
def test_emulator_and_firmware_do_not_differ_in_long_lives(seed: int) -> None:
    live(seed, 3 * STEPS)


def test_the_commands_reach_every_event_answer_and_refusal() -> None:
    """Guards the checks above: two machines that do nothing do not differ."""
    lines = [line for seed in range(60) for output in Commands(seed, Controller).run(150).outputs for line in output.log]
    told = {line.kind for line in lines}
    assert {snake(fact.__name__) for fact in get_args(Fact)} <= told
    reached = {line.fields["refusal"] for line in lines if line.kind == "release"}
    assert reached == {refusal.name for refusal in Refusal} - {"STALE_STATE", "UNSUPPORTED"}
    assert {line.fields["reason"] for line in lines if line.kind == "release_ended"} == {reason.name for reason in EndReason}
    assert {line.fields["result"] for line in lines if line.kind == "cancel"} == {result.name for result in CancelResult}
    assert {line.fields["reason"] for line in lines if line.kind == "frame_refused"} == {reason.value for reason in Reject}
