"""The emulator and the reference firmware side by side: the same bytes, inputs and times into both, the same out of both, step by step.

A difference is a mistake in one of the two, or a hole in PROTOCOL.md. A real host drives the emulator; the firmware hears what it hears.
"""

import ctypes
from pathlib import Path
from typing import ClassVar

import pytest

from firmware_bridge.emulator.controller import Controller, LogLine, Output
from firmware_bridge.emulator.faults import WireFault
from firmware_bridge.emulator.settings import ControllerSettings
from firmware_bridge.emulator.store import Store
from firmware_bridge.vocabulary import Drive, Inputs, Lamp, Phase, Tone
from tests.bridge.firmware import Firmware, load
from tests.bridge.test_safety import STEPS, Life


class Both:
    """Two machines that must not differ. Implements `Machine`; what it gives is the emulator's."""

    lib: ClassVar[ctypes.CDLL]

    def __init__(self, settings: ControllerSettings, store: Store | None, *, inputs: Inputs, now_ms: int) -> None:
        self._one = Controller(settings, store, inputs=inputs, now_ms=now_ms)
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
        assert (other.store is None) == (one.store is None) or self._other.store == self._one.store
        assert self._other.store == self._one.store
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
    """What the machine says that happened. `drive` is judged at the end of the step: the firmware moves after each frame."""
    return [
        (
            line.kind,
            {k: v for k, v in line.fields.items() if k not in ("detail", "happened_ms") and (line.kind, k) != ("session", "boot_count")},
        )
        for line in log
        if line.kind != "drive"
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
