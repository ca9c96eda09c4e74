"""A plain relay on a serial line (LCUS: A0, number, state, sum). It answers nothing, times nothing and reads nothing.

This program times the pulse: ON, and OFF when it is over, repeated. Whatever happens in between, from a pulled cable to the end of this
program, leaves the relay on. It is only for a bench, or where somebody has decided so with `allow_unsafe_actuator = true`.
"""

import contextlib
from collections import deque
from dataclasses import dataclass
from typing import Final

from firmware_bridge.assurance import RELAY
from firmware_bridge.board import BoardEvent, BoardOffline, BoardOnline, PulseRefused, PulseUnknown
from firmware_bridge.board_line import BoardLine
from firmware_bridge.errors import PortError

_NS_PER_MS: Final = 1_000_000
_OFF_AGAIN_NS: Final = (0, 50 * _NS_PER_MS, 150 * _NS_PER_MS)  # an OFF that noise has damaged is followed by one that it has not
_IDLE_NS: Final = 250 * _NS_PER_MS


@dataclass(frozen=True, slots=True)
class _Pulse:
    output: int
    pulse_ms: int
    token: int
    expires_ns: int


class PlainRelay:
    """Implements `firmware_bridge.board.Board`. Nothing is ever confirmed, so a pulse ends as PulseUnknown or PulseRefused.

    Args:
        outputs: how many relays are looked after, from number 0 on.
    """

    assurance = RELAY

    def __init__(self, *, port: str, baud: int, outputs: int, simulation: bool) -> None:
        self._line = BoardLine(port, baud=baud, simulation=simulation)
        self._outputs = outputs
        self._queue: deque[_Pulse] = deque()
        self._off_ns: list[tuple[int, int]] = []  # when which output is to be told to be off
        self._offline_told: str | None = None

    def pulse(self, *, output: int, pulse_ms: int, token: int, expires_ns: int, now_ns: int) -> None:
        del now_ns
        self._queue.append(_Pulse(output, pulse_ms, token, expires_ns))

    def turn(self, now_ns: int) -> tuple[BoardEvent, ...]:
        news: list[BoardEvent] = []
        try:
            if self._line.transport is None and now_ns >= self._line.due_ns:
                self._line.open()
                self._all_off()  # an earlier run may have left one on
                self._line.answered()
                self._offline_told = None
                news.append(BoardOnline("plain relay", "unknown", authenticated=False))
            self._switch_off(now_ns)
            self._switch_on(now_ns, news)
        except PortError as error:
            self._line.drop(now_ns)
            self._off_ns.clear()  # all are told to be off when the port is back
            if str(error) != self._offline_told:
                self._offline_told = str(error)
                news.append(BoardOffline(str(error)))
        if self._line.transport is None:
            news += [PulseRefused(pulse.token, "the port is lost") for pulse in self._queue]
            self._queue.clear()
        return tuple(news)

    def next_turn_ns(self, now_ns: int) -> int:
        if self._queue:
            return now_ns
        if self._line.transport is None:
            return self._line.due_ns
        return min((due_ns for due_ns, _ in self._off_ns), default=now_ns + _IDLE_NS)

    def fileno(self) -> int | None:
        return None

    def close(self) -> None:
        if self._line.transport is not None:
            with contextlib.suppress(PortError):  # it is gone; there is nobody left to tell
                self._all_off()
        self._line.close()

    def _switch_off(self, now_ns: int) -> None:
        for due in sorted(due for due in self._off_ns if due[0] <= now_ns):
            self._off_ns.remove(due)
            self._write(due[1], on=False)

    def _switch_on(self, now_ns: int, news: list[BoardEvent]) -> None:
        while self._queue and self._line.transport is not None:
            pulse = self._queue.popleft()
            if now_ns >= pulse.expires_ns:
                news.append(PulseRefused(pulse.token, "it came too late to be written"))
                continue
            news.append(PulseUnknown(pulse.token, "a plain relay confirms nothing"))
            off_ns = now_ns + pulse.pulse_ms * _NS_PER_MS
            self._off_ns += [(off_ns + again_ns, pulse.output) for again_ns in _OFF_AGAIN_NS]
            self._write(pulse.output, on=True)

    def _all_off(self) -> None:
        for output in range(self._outputs):
            self._write(output, on=False)

    def _write(self, output: int, *, on: bool) -> None:
        if self._line.transport is not None:
            self._line.transport.write(frame(output, on=on))


def frame(output: int, *, on: bool) -> bytes:
    """The four bytes of one order; relays are counted from 1 on the wire."""
    body = bytes((0xA0, output + 1, int(on)))
    return body + bytes((sum(body) & 0xFF,))
