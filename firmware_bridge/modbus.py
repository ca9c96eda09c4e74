"""A Modbus relay board: it times each pulse itself, shows its outputs as coils, and its contacts as discrete inputs.

A pulse is written once and never again: not after a lost reply, not after a doubtful one. That the output is on is read back within the
pulse, and that it is off again after it; an output that stays on is a fault, and is told to be off until it is.
pymodbus makes and reads the packets; its client is not used, because it repeats requests, blocks for replies and opens ports by itself.
"""

from collections import deque
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from firmware_bridge.assurance import MODBUS
from firmware_bridge.board import BoardEvent, BoardFaulted, BoardOffline, BoardOnline, InputsRead, PulseRefused, PulseTaken, PulseUnknown
from firmware_bridge.board_line import BoardLine
from firmware_bridge.errors import PortError
from firmware_bridge.modbus_words import FLASHES, PULSE_STEP_MS, Dialogue, Request, Said, SaidNo, read_inputs, read_outputs, switch_off

_NS_PER_MS: Final = 1_000_000
_NS_PER_S: Final = 1_000_000_000
_BITS_PER_BYTE: Final = 10  # 8N1
_LONGEST_EXCHANGE_BYTES: Final = 13 + 8  # function 16 and its reply
_TURN_ROUND_NS: Final = 100 * _NS_PER_MS  # longest that a board in good health thinks before it answers
_GAP_NS: Final = 5 * _NS_PER_MS  # between two frames: 3.5 characters at 9600 bits/s, and a little
_POLL_NS: Final = 40 * _NS_PER_MS  # inputs
_LOOK_NS: Final = _NS_PER_S  # outputs, while nothing is expected of them
_SOON_NS: Final = 100 * _NS_PER_MS  # between two looks at outputs of which one is on
_LATE_NS: Final = 300 * _NS_PER_MS  # longest that an output may be on after its pulse
_LONGEST_PULSE_NS: Final = _NS_PER_S  # safety rule 1: one that an earlier run has begun is over by then
_MARGIN_NS: Final = 50 * _NS_PER_MS  # a pulse of which less is left is not expected to be seen
_MOST_SILENCES: Final = 3  # in a row; then the board is gone
_MOST_BYTES: Final = 256  # of answers that are none


class _Ask(Enum):
    INPUTS = auto()
    OUTPUTS = auto()
    PULSE = auto()
    OFF = auto()


@dataclass(frozen=True, slots=True)
class _Pulse:
    output: int
    pulse_ms: int
    token: int
    expires_ns: int


@dataclass(slots=True)
class _Exchange:
    ask: _Ask
    request: Request
    due_ns: int
    heard: bytes = b""


@dataclass(frozen=True, slots=True)
class _Written:
    """A pulse between its writing and its confirmation."""

    pulse: _Pulse
    ends_ns: int
    echoed: bool = False


class ModbusBoard:
    """Implements `firmware_bridge.board.Board`.

    Args:
        address: of the board on its line, 1..247.
        flash: which family of boards it is; a key of FLASHES.
        outputs, inputs: how many of each are looked at, from number 0 on; `inputs` may be 0.
    """

    assurance = MODBUS

    def __init__(self, *, port: str, baud: int, address: int, flash: str, outputs: int, inputs: int, simulation: bool) -> None:
        self._line = BoardLine(port, baud=baud, simulation=simulation)
        self._name = f"{flash} at address {address}"
        self._address = address
        self._flash = FLASHES[flash]
        self._outputs = outputs
        self._inputs = inputs
        self._patience_ns = _TURN_ROUND_NS + 2 * _LONGEST_EXCHANGE_BYTES * _BITS_PER_BYTE * _NS_PER_S // baud
        self._dialogue = Dialogue()
        self._queue: deque[_Pulse] = deque()
        self._news: list[BoardEvent] = []
        self._offline_told: str | None = None
        self._reset(0)

    def _reset(self, now_ns: int) -> None:
        self._exchange: _Exchange | None = None
        self._written: _Written | None = None
        self._online = False
        self._silences = 0
        self._quiet_until_ns = now_ns
        self._inputs_due_ns = now_ns
        self._outputs_due_ns = now_ns
        self._on_until_ns: dict[int, int] = {}  # outputs that are on, or are about to be: from when that is a fault
        self._stuck: set[int] = set()
        self._to_switch_off: set[int] = set()

    # --- what the owner asks ------------------------------------------------------------------------------------------------------

    def pulse(self, *, output: int, pulse_ms: int, token: int, expires_ns: int, now_ns: int) -> None:
        del now_ns
        self._queue.append(_Pulse(output, pulse_ms, token, expires_ns))

    def turn(self, now_ns: int) -> tuple[BoardEvent, ...]:
        try:
            if self._line.transport is None and now_ns >= self._line.due_ns:
                self._line.open()
                self._reset(now_ns)
            self._receive(now_ns)
            self._send(now_ns)
        except PortError as error:
            self._lose(str(error), now_ns)
        news, self._news = tuple(self._news), []
        return news

    def next_turn_ns(self, now_ns: int) -> int:
        if self._line.transport is None:
            return now_ns if self._queue else self._line.due_ns
        if self._exchange is not None:
            return self._exchange.due_ns
        if self._queue or self._to_switch_off or self._written is not None:
            return self._quiet_until_ns
        due_ns = min(self._inputs_due_ns, self._outputs_due_ns) if self._inputs else self._outputs_due_ns
        return max(due_ns, self._quiet_until_ns)

    def fileno(self) -> int | None:
        return None if self._line.transport is None else self._line.transport.fileno()

    def close(self) -> None:
        self._line.close()

    # --- one request at a time ----------------------------------------------------------------------------------------------------

    def _send(self, now_ns: int) -> None:
        if not self._online:
            self._refuse_all("the board does not answer")
        if self._line.transport is None or self._exchange is not None or now_ns < self._quiet_until_ns:
            return
        found = self._next(now_ns)
        if found is None:
            return
        ask, request = found
        self._line.transport.read()  # what still comes belongs to nothing that is asked from now on
        self._exchange = _Exchange(ask, request, now_ns + self._patience_ns)
        self._line.transport.write(self._dialogue.packet(request))

    def _next(self, now_ns: int) -> tuple[_Ask, Request] | None:
        if self._written is not None:
            return _Ask.OUTPUTS, read_outputs(self._address, self._outputs)
        if (pulse := self._next_pulse(now_ns)) is not None:
            ends_ns = now_ns + pulse.pulse_ms * _NS_PER_MS
            self._written = _Written(pulse, ends_ns)
            self._on_until_ns[pulse.output] = ends_ns + _LATE_NS
            return _Ask.PULSE, self._flash(self._address, pulse.output, pulse.pulse_ms // PULSE_STEP_MS)
        if self._to_switch_off:
            return _Ask.OFF, switch_off(self._address, self._to_switch_off.pop())
        if now_ns >= self._outputs_due_ns:
            return _Ask.OUTPUTS, read_outputs(self._address, self._outputs)
        if self._inputs and now_ns >= self._inputs_due_ns:
            self._inputs_due_ns = now_ns + _POLL_NS
            return _Ask.INPUTS, read_inputs(self._address, self._inputs)
        return None

    def _next_pulse(self, now_ns: int) -> _Pulse | None:
        """The pulse that is to be written now. Those that are too late, or whose output is on already, are refused."""
        while self._queue:
            pulse = self._queue.popleft()
            if now_ns >= pulse.expires_ns:
                self._news.append(PulseRefused(pulse.token, "it came too late to be written"))
            elif pulse.output in self._on_until_ns:
                self._news.append(PulseRefused(pulse.token, f"output {pulse.output} is on already"))
            else:
                return pulse
        return None

    # --- answers ------------------------------------------------------------------------------------------------------------------

    def _receive(self, now_ns: int) -> None:
        if self._line.transport is None:
            return
        data = self._line.transport.read()
        exchange = self._exchange
        if exchange is None:
            return
        exchange.heard = (exchange.heard + data)[-_MOST_BYTES:]
        answer = self._dialogue.answer(exchange.request, exchange.heard) if data else None
        if answer is not None:
            self._exchange, self._silences = None, 0
            self._quiet_until_ns = now_ns + _GAP_NS
            self._line.answered()
            self._hear(exchange.ask, answer, now_ns)
        elif now_ns >= exchange.due_ns:
            self._exchange = None
            self._quiet_until_ns = now_ns + _GAP_NS
            self._miss(now_ns)

    def _miss(self, now_ns: int) -> None:
        """No answer. A pulse that was written is not written again; whether it is on is looked at while it lasts."""
        self._silences += 1
        if self._written is not None and now_ns >= self._written.ends_ns:
            self._unknown("the board did not confirm it")
        if self._silences >= _MOST_SILENCES:
            self._lose(f"no answer from the board at address {self._address}; check cable, power, address and baud rate", now_ns)

    def _hear(self, ask: _Ask, answer: Said | SaidNo, now_ns: int) -> None:
        match ask, answer:
            case _Ask.PULSE, SaidNo(reason) if self._written is not None:
                self._news.append(PulseRefused(self._written.pulse.token, reason))
                self._on_until_ns.pop(self._written.pulse.output, None)
                self._written = None
            case _Ask.PULSE, Said() if self._written is not None:
                self._written = _Written(self._written.pulse, self._written.ends_ns, echoed=True)
            case _Ask.OUTPUTS, Said(bits):
                self._hear_outputs(bits, now_ns)
            case _Ask.INPUTS, Said(bits):
                self._news.append(InputsRead(bits))
            case ((_Ask.OUTPUTS | _Ask.INPUTS), SaidNo(reason)):
                what = f"{self._outputs} outputs" if ask is _Ask.OUTPUTS else f"{self._inputs} inputs"
                self._lose(f"the board at address {self._address} does not show {what}: {reason}; compare [board] with the board", now_ns)
            case _:
                pass  # the next look at the outputs shows whether it is off

    def _hear_outputs(self, on: tuple[bool, ...], now_ns: int) -> None:
        for output, is_on in enumerate(on):
            self._judge_output(output, is_on=is_on, now_ns=now_ns)
        if not self._online:
            self._online, self._offline_told = True, None
            self._news.append(BoardOnline(self._name, "unknown", authenticated=False))
        self._tell_faults(on)
        if self._written is not None:
            self._confirm(self._written, is_on=on[self._written.pulse.output], now_ns=now_ns)
        self._outputs_due_ns = min([now_ns + _LOOK_NS, *self._looks_ns(now_ns)])

    def _looks_ns(self, now_ns: int) -> list[int]:
        """When to look whether the outputs that are on have gone off; one that is known to stay on is looked at as all others are.

        Soon: one that was found on, such as the pulse of an agent that was killed, must not keep the next person out.
        """
        return [
            max(min(until_ns, now_ns + _SOON_NS), now_ns + _POLL_NS)
            for out, until_ns in self._on_until_ns.items()
            if out not in self._stuck
        ]

    def _judge_output(self, output: int, *, is_on: bool, now_ns: int) -> None:
        if not is_on:
            if self._written is None or output != self._written.pulse.output:
                self._on_until_ns.pop(output, None)
            return
        until_ns = self._on_until_ns.setdefault(output, now_ns + _LONGEST_PULSE_NS + _LATE_NS)
        if now_ns >= until_ns:
            self._to_switch_off.add(output)

    def _tell_faults(self, on: tuple[bool, ...]) -> None:
        for output, is_on in enumerate(on):
            if output in self._to_switch_off and output not in self._stuck:
                self._stuck.add(output)
                self._news.append(BoardFaulted(f"output_{output}_stays_on", active=True))
            elif not is_on and output in self._stuck:
                self._stuck.discard(output)
                self._news.append(BoardFaulted(f"output_{output}_stays_on", active=False))

    def _confirm(self, written: _Written, *, is_on: bool, now_ns: int) -> None:
        if is_on or (written.echoed and now_ns >= written.ends_ns - _MARGIN_NS):
            self._news.append(PulseTaken(written.pulse.token))
            self._written = None
        elif written.echoed:
            self._unknown("the board took it, and its output is not on")
        else:
            self._unknown("the board did not confirm it, and its output is not on")

    def _unknown(self, reason: str) -> None:
        if self._written is not None:
            self._news.append(PulseUnknown(self._written.pulse.token, reason))
            self._written = None

    # --- the line is lost -----------------------------------------------------------------------------------------------------------

    def _lose(self, reason: str, now_ns: int) -> None:
        """Tell it, and begin anew: with a new port where the port failed, after a wait in any case."""
        self._unknown(f"the line was lost: {reason}")
        self._refuse_all("the board does not answer")
        self._line.drop(now_ns)
        if self._online or reason != self._offline_told:
            self._offline_told = reason
            self._news.append(BoardOffline(reason))
        self._reset(now_ns)

    def _refuse_all(self, reason: str) -> None:
        while self._queue:
            self._news.append(PulseRefused(self._queue.popleft().token, reason))
