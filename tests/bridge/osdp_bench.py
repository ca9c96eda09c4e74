"""A board driver and libosdp's peripheral on one pseudo-terminal, taken turn by turn in the test's own thread."""

import secrets
import select
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from firmware_bridge.board import BoardEvent, BoardOffline, BoardOnline, InputsRead, PulseRefused, PulseTaken, PulseUnknown
from firmware_bridge.osdp import OsdpBoard
from tests.sim.osdp_peer import OsdpPeer, Port

NS_PER_MS = 1_000_000
ADDRESS = 3
Event = TypeVar("Event")
Outcome = PulseTaken | PulseRefused | PulseUnknown


_HURRY = 25  # of the driver's time against real time, where a test only waits for the driver's own watch to run out


class Bench:
    """`peer` may be changed for another one, or be None: then nobody is at the other end of the line.

    The driver's time is real time, and faster while `hurry`: a slow machine must not look like a silent board where that is judged.
    """

    def __init__(self, folder: Path, *, key: bytes | None = None) -> None:
        self.key = key if key is not None else secrets.token_bytes(16)
        self.port = Port(folder / "board")
        self.port.plug()
        self._ahead_ns = 0
        self.peer: OsdpPeer | None = self.new_peer(key=self.key)
        self.board = self.new_board()
        self.events: list[BoardEvent] = []
        self.noise: Callable[[], bytes] = bytes

    def new_board(self, key: bytes | None = None) -> OsdpBoard:
        return OsdpBoard(port=str(self.port.link), baud=115_200, address=ADDRESS, key=key or self.key, simulation=True)

    def new_peer(self, *, key: bytes | None, address: int = ADDRESS, timed: bool = True, inputs: int = 4) -> OsdpPeer:
        return OsdpPeer(self.port, key=key, address=address, timed=timed, inputs=inputs, clock=lambda: self.now_ns / 1e9)

    @property
    def there(self) -> OsdpPeer:
        assert self.peer is not None
        return self.peer

    def close(self) -> None:
        self.board.close()
        self.port.unplug()

    @property
    def now_ns(self) -> int:
        return time.monotonic_ns() + self._ahead_ns

    def turn(self, *, hurry: bool = False) -> None:
        begun_ns = time.monotonic_ns()
        self.events += self.board.turn(self.now_ns)
        if self.peer is not None:
            self.peer.step()
        if noise := self.noise():
            self.port.write(noise)
        ends = [end for end in (self.board.fileno(), self.port.fileno()) if end is not None]
        wait_ns = self.board.next_turn_ns(self.now_ns) - self.now_ns
        select.select(ends, [], [], min(max(wait_ns, 0), NS_PER_MS) / 1e9)
        if hurry:
            self._ahead_ns += (_HURRY - 1) * (time.monotonic_ns() - begun_ns)

    def run(self, *, for_ms: int, hurry: bool = False) -> None:
        """So long on the driver's clock."""
        ends_ns = self.now_ns + for_ms * NS_PER_MS
        while self.now_ns < ends_ns:
            self.turn(hurry=hurry)

    def pass_by(self, *, for_ms: int) -> None:
        """Time in which nobody is called."""
        self._ahead_ns += for_ms * NS_PER_MS

    def until(self, reached: Callable[[], bool], *, within_s: float = 5.0, hurry: bool = False) -> None:
        """Turn by turn until it is so.

        Raises:
            AssertionError: not in time; it lists what was told.
        """
        deadline = time.monotonic() + within_s
        while not reached():
            assert time.monotonic() < deadline, f"told: {[event for event in self.events if not isinstance(event, InputsRead)]}"
            self.turn(hurry=hurry)

    def come_online(self) -> BoardOnline:
        before = len(self.told(BoardOnline))
        self.until(lambda: len(self.told(BoardOnline)) > before, hurry=True)
        return self.told(BoardOnline)[-1]

    def go_offline(self) -> BoardOffline:
        before = len(self.told(BoardOffline))
        self.until(lambda: len(self.told(BoardOffline)) > before, hurry=True)
        return self.told(BoardOffline)[-1]

    def pulse(self, token: int, *, output: int = 0, pulse_ms: int = 500, lasts_ms: int = 1_000) -> None:
        now_ns = self.now_ns
        self.board.pulse(output=output, pulse_ms=pulse_ms, token=token, expires_ns=now_ns + lasts_ms * NS_PER_MS, now_ns=now_ns)

    def outcome(self, token: int, *, hurry: bool = False) -> Outcome:
        self.until(lambda: bool(self.outcomes(token)), hurry=hurry)
        (outcome,) = self.outcomes(token)
        return outcome

    def outcomes(self, token: int) -> list[Outcome]:
        return [event for event in self.events if isinstance(event, PulseTaken | PulseRefused | PulseUnknown) and event.token == token]

    def told(self, kind: type[Event]) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]


def crc16(data: Iterable[int]) -> bytes:
    """The check sum of OSDP (CRC-16, polynomial 0x1021, start 0x1D0F), as it stands in a frame."""
    crc = 0x1D0F
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc.to_bytes(2, "little")


def frame(*, address: int, control: int, rest: bytes) -> bytes:
    """A frame made by hand; `control` carries the sequence number and the flags, but for that of the CRC."""
    body = bytes([0x53, address]) + (7 + len(rest)).to_bytes(2, "little") + bytes([control | 0x04]) + rest
    return body + crc16(body)
