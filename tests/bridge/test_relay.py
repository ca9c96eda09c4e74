"""The plain relay: what it is told, and when. It says nothing itself, so the other end of a pseudo-terminal is all there is."""

import os
import pty
import select
import time
import tty
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from firmware_bridge.board import BoardOffline, BoardOnline, PulseRefused, PulseUnknown
from firmware_bridge.relay import PlainRelay, frame

MS = 1_000_000
ON, OFF, OFF_2 = bytes.fromhex("A0 01 01 A2"), bytes.fromhex("A0 01 00 A1"), bytes.fromhex("A0 02 00 A2")


@dataclass
class Cable:
    """The relay's end. Time is passed in, so no test waits."""

    link: Path

    def __post_init__(self) -> None:
        self.plug()
        self.host = PlainRelay(port=str(self.link), baud=9600, outputs=2, simulation=True)

    def plug(self) -> None:
        self._ends = pty.openpty()
        for end in self._ends:
            tty.setraw(end)
            self.link.unlink(missing_ok=True)
        self.link.symlink_to(os.ttyname(self._ends[1]))

    def cut(self) -> None:
        for end in self._ends:
            os.close(end)

    def hears(self, expected: bytes) -> bool:
        """Whether just this comes next. What else was written comes with the next look, at the latest with that at the test's end."""
        heard = b""
        end = time.monotonic() + 5
        while len(heard) < len(expected) and time.monotonic() < end:
            if select.select([self._ends[0]], [], [], 0.1)[0]:
                heard += os.read(self._ends[0], len(expected) - len(heard))
        assert heard == expected, f"{heard.hex(' ')} instead of {expected.hex(' ')}"
        return True


@pytest.fixture
def cable(tmp_path: Path) -> Iterator[Cable]:
    cable = Cable(tmp_path / "relay")
    assert cable.host.turn(0) == (BoardOnline("plain relay", "unknown", authenticated=False),)
    assert cable.hears(OFF + OFF_2), "an earlier run may have left one on"
    yield cable
    cable.host.close()
    assert cable.hears(OFF + OFF_2)
    cable.cut()


def pulse(cable: Cable, *, token: int = 1, expires_ms: int = 1000, now_ms: int = 0) -> None:
    cable.host.pulse(output=0, pulse_ms=300, token=token, expires_ns=expires_ms * MS, now_ns=now_ms * MS)


@pytest.mark.parametrize(("output", "on", "expected"), [(0, True, ON), (0, False, OFF), (1, False, OFF_2)])
def test_an_order_is_the_frame_of_the_maker(output: int, on: bool, expected: bytes) -> None:
    assert frame(output, on=on) == expected


def test_a_pulse_is_on_then_off_and_off_again_and_nothing_is_ever_confirmed(cable: Cable) -> None:
    pulse(cable)
    assert cable.host.turn(10 * MS) == (PulseUnknown(1, "a plain relay confirms nothing"),)
    assert cable.hears(ON)
    assert cable.host.next_turn_ns(10 * MS) == 310 * MS
    for at_ms, expected, next_ms in ((309, b"", 310), (310, OFF, 360), (360, OFF, 460), (460, OFF, 710)):
        cable.host.turn(at_ms * MS)
        assert cable.hears(expected), f"at {at_ms} ms"
        assert cable.host.next_turn_ns(at_ms * MS) == next_ms * MS, f"nothing more is due at {at_ms} ms"


def test_a_pulse_that_is_too_late_is_not_written(cable: Cable) -> None:
    pulse(cable, expires_ms=10)
    assert cable.host.turn(10 * MS) == (PulseRefused(1, "it came too late to be written"),)


def test_a_relay_that_the_end_of_the_program_meets_on_is_told_to_be_off(cable: Cable) -> None:
    pulse(cable)
    cable.host.turn(10 * MS)
    assert cable.hears(ON)
    cable.host.close()  # the fixture hears what it says


def test_a_port_that_is_lost_and_back_begins_with_off_and_opens_nothing(cable: Cable) -> None:
    pulse(cable)
    cable.host.turn(10 * MS)
    cable.cut()
    (lost,) = cable.host.turn(320 * MS)
    assert isinstance(lost, BoardOffline)
    pulse(cable, token=2, expires_ms=9000)
    assert cable.host.turn(330 * MS) == (PulseRefused(2, "the port is lost"),)
    cable.plug()
    assert cable.host.turn(9000 * MS) == (BoardOnline("plain relay", "unknown", authenticated=False),)
    assert cable.hears(OFF + OFF_2)
