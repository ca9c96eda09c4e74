"""What libosdp 3.2.9 does that the driver must not rely on, shown on libosdp alone.

Each is a reason for something in firmware_bridge/osdp_*.py and a line of docs/OSDP.md. One that fails after an upgrade is good news:
the library has changed, and what was built around it may go.
"""

import ctypes
import secrets
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import osdp_sys
import pytest

from firmware_bridge.osdp_wire import Block, read_frame
from tests.bridge.osdp_bench import ADDRESS, frame
from tests.sim.osdp_peer import OsdpPeer, Port, Pulse

INPUTS = {"command": osdp_sys.CMD_STATUS, "type": osdp_sys.STATUS_REPORT_INPUT}
PULSE = {"command": osdp_sys.CMD_OUTPUT, "output_no": 0, "control_code": 5, "timer_count": 5}


class BareLine:
    """A channel that does nothing of what ours does; it stands for the board's port as well."""

    id = 0

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.fails = False
        self.piece_bytes = 64
        self._to_board, self._to_gate = bytearray(), bytearray()

    def read(self, most: int) -> bytes:
        return self._cut(self._to_gate, min(most, self.piece_bytes))

    def write(self, data: bytes) -> int:
        if self.fails:
            return 0
        self.written.append(bytes(data))
        self._to_board += data
        return len(data)

    def flush(self) -> None:
        self._to_gate.clear()

    def inject(self, data: bytes) -> None:
        """To the board, from somebody on the wire."""
        self._to_board += data

    @staticmethod
    def _cut(data: bytearray, most: int) -> bytes:
        cut = bytes(data[:most])
        del data[:most]
        return cut


class BarePort(Port):
    def __init__(self, line: BareLine) -> None:
        super().__init__(Path("none"))
        self._line = line

    def read(self) -> bytes:
        return self._line._cut(self._line._to_board, 64)

    def write(self, data: bytes) -> None:
        self._line._to_gate += data


class Bare:
    """libosdp's panel and libosdp's peripheral, in one memory."""

    def __init__(self) -> None:
        osdp_sys.set_loglevel(osdp_sys.LOG_EMERG)
        key = secrets.token_bytes(16)
        self.line = BareLine()
        self.peer = OsdpPeer(BarePort(self.line), key=key, address=ADDRESS)
        about = {"name": "bare", "address": ADDRESS, "flags": osdp_sys.FLAG_ENFORCE_SECURE, "scbk": key, "channel": self.line}
        self.panel: Any = osdp_sys.ControlPanel([about])
        self.completed: list[int] = []
        self.events: list[dict[str, Any]] = []
        self.panel.set_command_completion_callback(lambda _board, _command, status: self.completed.append(status))
        self.panel.set_event_callback(lambda _board, event: self.events.append(event) or 0)

    def until(self, reached: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 5
        while not reached():
            assert time.monotonic() < deadline
            self.panel.refresh()
            self.peer.step()

    def come_online(self) -> None:
        self.until(lambda: bool(self.panel.status() & 1))


@pytest.fixture
def bare() -> Bare:
    return Bare()


def test_a_reply_in_pieces_is_never_understood(bare: Bare) -> None:
    bare.line.piece_bytes = 10
    ends = time.monotonic() + 0.2
    while time.monotonic() < ends:
        bare.panel.refresh()
        bare.peer.step()
    assert [told.code for data in bare.line.written if (told := read_frame(data)) is not None] == [
        0x61
    ]  # it never gets to its second question


def test_a_reply_in_the_dress_of_the_handshake_is_taken_without_the_key(bare: Bare) -> None:
    bare.come_online()

    def forge(said: bytes) -> bytes:
        sequence = said[said.index(0x53) + 4] & 3
        return frame(address=0x80 | ADDRESS, control=0x08 | sequence, rest=bytes([3, Block.CRYPTOGRAM, 1]) + b"\x49\x01\x01\x01\x01")

    bare.peer.faults.change = forge
    assert bare.panel.submit_command(0, INPUTS)
    bare.until(lambda: bool(bare.completed))
    assert bare.events[-1]["report"] == b"\x01\x01\x01\x01"
    assert bare.panel.sc_status() & 1


def test_a_board_built_on_it_obeys_somebody_without_the_key(bare: Bare) -> None:
    bare.come_online()
    for sequence in (1, 2, 3):  # one of them is the next
        bare.line.inject(frame(address=ADDRESS, control=0x08 | sequence, rest=bytes([3, Block.CHALLENGE, 1]) + b"\x68\x00\x05\x09\x00"))
        bare.peer.step()
    assert Pulse(0, 5, 9) in bare.peer.pulses


def test_a_command_that_was_not_written_is_called_completed(bare: Bare) -> None:
    bare.come_online()
    assert bare.panel.submit_command(0, PULSE)
    bare.until(lambda: bool(bare.completed))
    bare.peer.pulses.clear()
    bare.line.fails = True
    assert bare.panel.submit_command(0, PULSE)
    bare.until(lambda: len(bare.completed) == 2)
    assert bare.completed[-1] == osdp_sys.COMPLETION_OK
    assert bare.peer.pulses == []


def test_after_each_start_the_challenge_is_the_same() -> None:
    def challenge() -> bytes:
        ctypes.CDLL(None).srand(1)  # what the C standard makes of a program that never seeds it
        bare = Bare()
        bare.come_online()
        (found,) = [data for data in bare.line.written if (told := read_frame(data)) is not None and told.block == Block.CHALLENGE]
        return found

    assert challenge() == challenge()


def test_an_event_is_never_given_back(bare: Bare) -> None:
    bare.come_online()
    assert bare.panel.submit_command(0, INPUTS)
    bare.until(lambda: bool(bare.events))
    event, alone = bare.events.pop(), dict[str, Any]()
    assert sys.getrefcount(event) == sys.getrefcount(alone) + 1
