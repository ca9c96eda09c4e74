"""An OSDP output board behind the port `Board`: secure channel always, pulses timed by the board, silence noticed in a third of a second.

docs/OSDP.md tells what was measured of libosdp, and why a session that falters is thrown away instead of mended.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

from firmware_bridge.assurance import OSDP
from firmware_bridge.board import BoardEvent, BoardFaulted, BoardOffline, BoardOnline, InputsRead, PulseRefused, PulseTaken, PulseUnknown
from firmware_bridge.board_line import BoardLine
from firmware_bridge.errors import MessageError, PortError
from firmware_bridge.limits import MAX_PULSE_MS, MIN_PULSE_MS
from firmware_bridge.osdp_key import check_key
from firmware_bridge.osdp_line import OsdpLine
from firmware_bridge.osdp_outputs import OwnOutputs
from firmware_bridge.osdp_session import (
    InputsReported,
    Nameplate,
    OsdpSession,
    OutputsReported,
    Report,
    Status,
    StatusDone,
    SwitchingDone,
    libosdp,
)
from firmware_bridge.osdp_trouble import not_opened, refused

_NS_PER_MS: Final = 1_000_000
_POLL_NS: Final = 40 * _NS_PER_MS  # the port `Board` asks for 50 ms at least
_WATCH_NS: Final = 10 * _NS_PER_MS  # between two looks while a reply is due; its arrival wakes us earlier
_STALL_NS: Final = 300 * _NS_PER_MS  # OSDP lets a board take 200 ms to begin its reply; at 9,600 baud the frames take 50 more
_UNHEARD_TOLD_NS: Final = 1_000 * _NS_PER_MS  # until then a board that was never heard may still be answering the first question
_UNHEARD_NS: Final = 8_000 * _NS_PER_MS  # libosdp asks once a second, eight times, and then would rest for 300 s
_GRACE_NS: Final = 700 * _NS_PER_MS  # one lost reply ends a session; the next is up in 150 ms, and nobody need hear of it
_LEAST_WAIT_NS: Final = 100 * _NS_PER_MS
_MOST_WAIT_NS: Final = 2_000 * _NS_PER_MS
_STEADY_NS: Final = 5_000 * _NS_PER_MS  # a session that lasted as long was no mistake: the next one may begin at once
_STEPS: Final = 4  # of libosdp for one exchange: take the reply, choose the next command, send it, look for its reply
_MOST_ADDRESS: Final = 126  # 127 is everybody


@dataclass(frozen=True, slots=True)
class _Order:
    output: int
    pulse_ms: int
    token: int
    expires_ns: int


class OsdpBoard:
    """Implements `firmware_bridge.board.Board` over libosdp.

    Args:
        port: the serial port, best by a name under /dev/serial/by-id.
        address: of the board on its line, 0 to 126.
        key: its secure channel base key, 16 bytes.
        simulation: True opens pseudo-terminals only, False none of them.

    Raises:
        OsdpKeyError: the key is none, or can be guessed.
        PackageAbsentError: libosdp is not installed.
        MessageError: an address that no board can have.
    """

    assurance = OSDP

    def __init__(self, *, port: str, baud: int, address: int, key: bytes, simulation: bool) -> None:
        check_key(key)
        if not 0 <= address <= _MOST_ADDRESS:
            raise MessageError(f"an OSDP board has an address from 0 to {_MOST_ADDRESS}, not {address}")
        self._core = libosdp()
        self._address, self._key = address, key
        self._where = f"on {port} at address {address} and {baud} baud"
        self._port = BoardLine(port, baud=baud, simulation=simulation)
        self._line = OsdpLine(address)
        self._session: OsdpSession | None = None
        self._nameplate: Nameplate | None = None  # of the board that is online
        self._orders: deque[_Order] = deque()
        self._pulse: _Order | None = None  # given to libosdp, and not yet told
        self._outputs = OwnOutputs()
        self._switching_off = self._asking = False
        self._begun_ns = self._online_ns = self._ask_due_ns = self._begin_due_ns = 0
        self._wait_ns = _LEAST_WAIT_NS
        self._told: str | None = None  # the newest reason for being offline
        self._known: Nameplate | None = None  # of the board that was told to be online
        self._lost: str | None = None  # why its session ended, while that is not told
        self._lost_due_ns = 0  # when to tell it

    # --- the port `Board` -----------------------------------------------------------------------------------------------------

    def turn(self, now_ns: int) -> tuple[BoardEvent, ...]:
        events: list[BoardEvent] = []
        self._line.now_ns = now_ns
        if self._session is None and now_ns >= self._begin_due_ns:
            self._begin(now_ns, events)
        if self._session is not None:
            self._exchange(self._session, now_ns, events)
        if self._lost is not None and now_ns >= self._lost_due_ns:
            self._tell_offline(self._lost, events)
        if self._known is None:
            self._refuse_all(events)
        return tuple(events)

    def pulse(self, *, output: int, pulse_ms: int, token: int, expires_ns: int, now_ns: int) -> None:  # noqa: ARG002  the port's
        """See `Board`. The time goes to the next 100 ms above.

        Raises:
            MessageError: a pulse shorter or longer than safety rule 1 allows.
        """
        if not MIN_PULSE_MS <= pulse_ms <= MAX_PULSE_MS:
            raise MessageError(f"a pulse lasts {MIN_PULSE_MS} to {MAX_PULSE_MS} ms, not {pulse_ms}")
        self._orders.append(_Order(output, pulse_ms, token, expires_ns))

    def next_turn_ns(self, now_ns: int) -> int:
        if self._lost is not None:
            return min(now_ns + _WATCH_NS, self._lost_due_ns)
        if self._session is None:
            return now_ns if self._orders else self._begin_due_ns
        if self._nameplate is None or not self._line.quiet:
            return now_ns + (_WATCH_NS if self._line.heard else _POLL_NS)
        return now_ns if self._orders else self._ask_due_ns

    def fileno(self) -> int | None:
        return None if self._port.transport is None else self._port.transport.fileno()

    def close(self) -> None:
        self._end_session()
        self._port.close()

    # --- one session ----------------------------------------------------------------------------------------------------------

    def _begin(self, now_ns: int, events: list[BoardEvent]) -> None:
        try:
            transport = self._port.transport or self._port.open()
        except PortError as error:
            self._tell_offline(str(error), events)
            self._port.drop(now_ns)
            self._begin_due_ns = self._port.due_ns
            return
        self._line.begin(transport)
        self._session = OsdpSession(self._core, line=self._line, address=self._address, key=self._key)
        self._begun_ns = now_ns

    def _exchange(self, session: OsdpSession, now_ns: int, events: list[BoardEvent]) -> None:
        for _ in range(_STEPS):
            if self._nameplate is not None and self._line.quiet:
                self._command(session, self._nameplate, now_ns, events)
            for report in session.step():
                self._take(report, now_ns, events)
            if self._nameplate is None and session.online:
                self._come_online(session, now_ns, events)
        reason = self._end_reason(session, now_ns)
        if reason is not None:
            self._lose(reason, now_ns, events)
        elif not self._line.heard and now_ns - self._begun_ns > _UNHEARD_TOLD_NS:
            self._tell_offline(self._unheard(), events)

    def _come_online(self, session: OsdpSession, now_ns: int, events: list[BoardEvent]) -> None:
        about = session.nameplate()
        self._nameplate, self._online_ns, self._ask_due_ns = about, now_ns, now_ns
        self._port.answered()
        if self._known not in (None, about):
            self._tell_offline("another board answers in its place", events)
        if self._known is None:
            events.append(BoardOnline(about.identity, about.firmware, authenticated=True))
        self._known, self._lost, self._told = about, None, None

    def _command(self, session: OsdpSession, about: Nameplate, now_ns: int, events: list[BoardEvent]) -> None:
        """Give libosdp the next command: a pulse before a question. Only while nothing is under way, so that it goes out at once."""
        while self._idle and self._orders:
            order = self._orders.popleft()
            refusal = self._refusal(order, about, now_ns)
            if refusal is None and session.pulse(output=order.output, pulse_ms=order.pulse_ms):
                self._line.allow_output(order.expires_ns)
                self._outputs.begin(order.output, now_ns + order.pulse_ms * _NS_PER_MS)
                self._pulse = order
            else:
                events.append(PulseRefused(order.token, refusal or "libosdp did not take it"))
        if self._idle and (stuck := self._outputs.next_stuck()) is not None:
            self._line.allow_output(now_ns + _STALL_NS)
            self._switching_off = session.switch_off(stuck)
        if self._idle and now_ns >= self._ask_due_ns:
            status = Status.OUTPUTS if not about.inputs or self._outputs.look_due(now_ns) else Status.INPUTS
            self._asking = session.ask(status)
            self._ask_due_ns = now_ns + (_POLL_NS if status is Status.INPUTS or not about.inputs else 0)

    @property
    def _idle(self) -> bool:
        return self._pulse is None and not self._switching_off and not self._asking

    @staticmethod
    def _refusal(order: _Order, about: Nameplate, now_ns: int) -> str | None:
        if now_ns >= order.expires_ns:
            return f"it expired {(now_ns - order.expires_ns) // _NS_PER_MS} ms before it could be written"
        if not 0 <= order.output < about.outputs:
            return f"the board has outputs 0 to {about.outputs - 1}, not {order.output}" if about.outputs else "the board has no outputs"
        if not about.outputs_timed:
            return "the board cannot time its outputs (compliance level 1 of output control; 2 is needed)"
        return None

    def _take(self, report: Report, now_ns: int, events: list[BoardEvent]) -> None:
        match report:
            case InputsReported(active=active):
                events.append(InputsRead(active))
            case OutputsReported(active=active):
                for output, stuck in self._outputs.seen(active, now_ns):
                    events.append(BoardFaulted(f"output_{output}_stays_on", active=stuck))
            case StatusDone():
                self._asking = False
            case SwitchingDone() if self._switching_off:
                self._switching_off = False
            case SwitchingDone(positive=positive):
                self._tell_pulse(positive=positive, reason="the board did not say yes to it", events=events)

    def _tell_pulse(self, *, positive: bool, reason: str, events: list[BoardEvent]) -> None:
        """What became of the pulse that libosdp was given. Its yes counts only with a reply: it calls a failed write completed, too."""
        order, self._pulse = self._pulse, None
        if order is None:
            return
        if positive and self._line.output_answered:
            events.append(PulseTaken(order.token))
        elif self._line.output_written:
            events.append(PulseUnknown(order.token, reason))
        else:
            events.append(PulseRefused(order.token, f"nothing was written: its time ran out, or {reason}"))

    # --- its end --------------------------------------------------------------------------------------------------------------

    def _end_reason(self, session: OsdpSession, now_ns: int) -> str | None:
        """Why this session is over; None while it is not."""
        if self._line.trouble is not None:
            return str(self._line.trouble)
        if self._nameplate is not None and not session.online:
            return refused(self._line.command, self._line.reply) or "the secure channel broke: a reply was damaged or not the board's"
        if not self._line.heard:
            patience_ns = _UNHEARD_NS if self._lost is None else _STALL_NS  # a board that was there a moment ago is asked more often
            return self._unheard() if now_ns - self._begun_ns > patience_ns else None
        if now_ns - self._line.moved_ns <= _STALL_NS:
            return None
        if self._line.quiet:
            return refused(self._line.command, self._line.reply) or not_opened(self._line.command)
        return f"the board at address {self._address} has stopped answering"

    def _unheard(self) -> str:
        return f"nothing answers {self._where}; check cable, power, address and baud rate"

    def _lose(self, reason: str, now_ns: int, events: list[BoardEvent]) -> None:
        if self._nameplate is not None and now_ns - self._online_ns >= _STEADY_NS:
            self._wait_ns = _LEAST_WAIT_NS
        heard, port_lost = self._line.heard, self._line.trouble is not None
        self._tell_pulse(positive=False, reason=reason, events=events)
        online = self._nameplate is not None
        self._end_session()
        if self._known is None or port_lost:
            self._tell_offline(reason, events)
        elif online and self._lost is None:
            self._lost, self._lost_due_ns = reason, now_ns + _GRACE_NS
        if port_lost:
            self._port.drop(now_ns)
            self._begin_due_ns = self._port.due_ns
        elif heard:
            self._begin_due_ns = now_ns + self._wait_ns
            self._wait_ns = min(2 * self._wait_ns, _MOST_WAIT_NS)
        else:
            self._begin_due_ns = now_ns

    def _refuse_all(self, events: list[BoardEvent]) -> None:
        events += [PulseRefused(order.token, "the board is offline") for order in self._orders]
        self._orders.clear()

    def _tell_offline(self, reason: str, events: list[BoardEvent]) -> None:
        self._refuse_all(events)
        if reason != self._told:
            events.append(BoardOffline(reason))
        self._told, self._known, self._lost = reason, None, None

    def _end_session(self) -> None:
        session, self._session = self._session, None
        self._nameplate = None
        self._switching_off = self._asking = False
        self._line.end()
        if session is not None:
            session.close()
