"""The line itself: question and answer many times over, or a bare cable whose ends are bridged."""

import random
import select
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from agent.core.moment import NS_PER_MS, NS_PER_S
from agent.diagnostics.barrier_tool.line import BITS_PER_BYTE, Line, exchange_wire_ns
from firmware_bridge.messages import Health
from firmware_bridge.transport import SerialTransport

BLOCK_BYTES: Final = 256
_SEED: Final = 1
_SLACK_NS: Final = 200 * NS_PER_MS  # of a USB adapter, beyond the wire time
Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What the exchanges came to.

    Attributes:
        lost: questions without an answer.
        repeated: questions that had to be written again.
        frames_refused: bad frames that came here; checksum_errors: those that the controller counted meanwhile.
        wire_ms: what the bytes of one exchange take at this speed; the least that is possible.
        complete: False: somebody stopped it before its end.
    """

    complete: bool
    exchanges: int
    lost: int
    repeated: int
    frames_refused: int
    checksum_errors: int
    refused_by_controller: int
    sessions_lost: int
    p50_ms: float | None
    p99_ms: float | None
    worst_ms: float | None
    wire_ms: float
    waiting_events: int

    @property
    def faults(self) -> int:
        return self.lost + self.repeated + self.frames_refused + self.checksum_errors + self.refused_by_controller + self.sessions_lost

    @property
    def ratio(self) -> float | None:
        return None if self.p50_ms is None else round(self.p50_ms / self.wire_ms, 2)


class Tally:
    """Counts exchanges on one line from now on."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._times_ns: list[int] = []
        self._lost = self._repeated = self.exchanges = 0
        self._refused, self._sessions, self._health = line.frames_refused, line.sessions_lost, line.health

    def ask(self) -> None:
        """One more exchange. A line that is down is waited for and counts as one session lost, not as thousands of questions."""
        if not self._line.link.up:
            self._line.turn(time.monotonic_ns() + 50 * NS_PER_MS)
            return
        self.exchanges += 1
        trip = self._line.ask()
        if trip is None:
            self._lost += 1
            return
        self._repeated += trip.writes > 1
        self._times_ns.append(trip.ns)
        if self._health is None:
            self._health = self._line.health

    def figures(self, *, complete: bool) -> Figures:
        times, state = sorted(self._times_ns), self._line.state
        wire_ns = exchange_wire_ns(state, self._line.baud) if state is not None else 0
        before, after = self._health, self._line.health
        return Figures(
            complete=complete,
            exchanges=self.exchanges,
            lost=self._lost,
            repeated=self._repeated,
            frames_refused=self._line.frames_refused - self._refused,
            checksum_errors=_grown(before, after, "checksum_errors"),
            refused_by_controller=_grown(before, after, "refused_frames"),
            sessions_lost=self._line.sessions_lost - self._sessions,
            p50_ms=_ms(statistics.median(times)) if times else None,
            p99_ms=_ms(_quantile(times, 0.99)) if times else None,
            worst_ms=_ms(times[-1]) if times else None,
            wire_ms=_ms(wire_ns),
            waiting_events=self._line.waiting_events or 0,
        )


def _grown(before: Health | None, after: Health | None, field: str) -> int:
    """By how much a counter of the controller rose; a restart begins it anew."""
    if before is None or after is None:
        return 0
    grown = int(getattr(after, field)) - int(getattr(before, field))
    return grown if grown >= 0 else int(getattr(after, field))


def _quantile(ordered: Sequence[int], share: float) -> int:
    return ordered[max(0, -(-int(share * 1000) * len(ordered) // 1000) - 1)]


def _ms(ns: float) -> float:
    return round(ns / NS_PER_MS, 3)


def measure(line: Line, exchanges: int, progress: Progress) -> Figures:
    """Ask this often, one after the other, or until Ctrl-C."""
    line.greet()
    line.ask()  # the first one also settles the session
    tally = Tally(line)
    end_ns = time.monotonic_ns() + 60 * NS_PER_S + exchanges * 100 * NS_PER_MS
    complete = True
    try:
        while tally.exchanges < exchanges and time.monotonic_ns() < end_ns:
            tally.ask()
            progress(tally.exchanges)
    except KeyboardInterrupt:
        complete = False
    return tally.figures(complete=complete)


# --- a bare cable -----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Plugged:
    """What came back through the bridge.

    Attributes:
        wrong: bytes that came back changed; missing: that did not come back; stray: that nobody sent.
        first: where and how the first difference is; empty: none.
        complete: False: somebody stopped it before its end.
    """

    complete: bool
    sent: int
    wrong: int
    missing: int
    stray: int
    first: str
    bytes_per_s: int


def blocks(count: int) -> Iterator[bytes]:
    """Patterns that lines are known to spoil, then bytes at random: always the same ones."""
    dice = random.Random(_SEED)  # noqa: S311  a test pattern
    fixed = (*(bytes([byte]) * BLOCK_BYTES for byte in (0x00, 0xFF, 0x55, 0xAA)), bytes(range(256)), b"\x11\x13" * (BLOCK_BYTES // 2))
    for number in range(count):
        yield fixed[number] if number < len(fixed) else dice.randbytes(BLOCK_BYTES)


def through_plug(port: str, baud: int, count: int, progress: Progress) -> Plugged:
    """Send blocks and compare what comes back, or until Ctrl-C.

    Raises:
        PortError: the port cannot be opened, or went away.
    """
    transport = SerialTransport(port, baud=baud)
    block_ns = BLOCK_BYTES * BITS_PER_BYTE * NS_PER_S // baud
    sent = wrong = missing = stray = 0
    first, begun_ns, complete = "", time.monotonic_ns(), True
    try:
        for number, block in enumerate(blocks(count), start=1):
            transport.write(block)
            back = _read(transport, len(block), time.monotonic_ns() + 3 * block_ns + _SLACK_NS)
            sent += len(block)
            differing = [at for at, (a, b) in enumerate(zip(block, back, strict=False)) if a != b]
            wrong += len(differing)
            missing += max(0, len(block) - len(back))
            stray += max(0, len(back) - len(block))
            if not first and back != block:
                at = differing[0] if differing else min(len(back), len(block))
                first = f"block {number}, byte {at}: sent {_byte(block, at)}, came back {_byte(back, at)}"
            progress(number)
            if missing == sent and number == 2:  # noqa: PLR2004  two blocks without a single byte: there is no bridge
                break
    except KeyboardInterrupt:
        complete = False
    finally:
        transport.close()
    elapsed_ns = max(1, time.monotonic_ns() - begun_ns)
    return Plugged(complete, sent, wrong, missing, stray, first, (sent - missing) * NS_PER_S // elapsed_ns)


def _byte(data: bytes, at: int) -> str:
    return f"0x{data[at]:02x}" if at < len(data) else "nothing"


def _read(transport: SerialTransport, wanted: int, until_ns: int) -> bytes:
    back = b""
    poll = select.poll()
    poll.register(transport.fileno(), select.POLLIN)
    while len(back) < wanted and (left_ns := until_ns - time.monotonic_ns()) > 0:
        poll.poll(-(-left_ns // NS_PER_MS))
        back += transport.read()
    return back
