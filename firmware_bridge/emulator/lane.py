"""The lane itself: what stands open, who went through, and the inputs that need no host. Time and inputs in, facts out.

One rule is above all others here: `settle` never takes a way back while a body is in the beams.
"""

from dataclasses import dataclass, replace
from typing import Final

from firmware_bridge.emulator.beams import Step, Traverse, begin, follow
from firmware_bridge.emulator.settings import ControllerSettings, way
from firmware_bridge.emulator.store import Store
from firmware_bridge.messages import (
    EmergencyChanged,
    Fact,
    FaultChanged,
    ForcedOpen,
    HeldOpen,
    PassageCompleted,
    PassageStarted,
    ReleaseEnded,
    RequestToExit,
    ReversePassage,
    Tailgating,
    Tamper,
)
from firmware_bridge.ticks import WRAP, reached, wrap
from firmware_bridge.vocabulary import (
    Cause,
    Direction,
    Drive,
    Emergency,
    EndReason,
    Fault,
    Faults,
    Inputs,
    Outcome,
    Phase,
    Switch,
)

_BEAMS: Final = Inputs.BEAM_ENTRY | Inputs.BEAM_EXIT
_WAYS: Final = Drive.ENTRY | Drive.EXIT
_EXIT_PULSE_MS: Final = 500
_OUTCOMES: Final = {
    EndReason.WINDOW_PASSED: Outcome.ENDED,
    EndReason.CANCELLED: Outcome.CANCELLED,
    EndReason.LEASE_LOST: Outcome.ENDED,
    EndReason.REVERSE_PASSAGE: Outcome.REVERSED,
    EndReason.EMERGENCY: Outcome.ENDED,
    EndReason.TURNED_BACK: Outcome.ENDED,
}


@dataclass(frozen=True, slots=True)
class Opening:
    """One release under way, by a host's grant or by a request to exit (grant 0). Deadlines in controller time, ms."""

    grant: int
    direction: Direction
    cause: Cause
    window_end_ms: int
    pulse_end_ms: int | None
    cancelled: bool = False


class Lane:
    """The state of one lane. `facts` and `store` are read by the controller after each step."""

    def __init__(self, settings: ControllerSettings, store: Store, *, inputs: Inputs, now_ms: int) -> None:
        self._settings = settings
        self._now = wrap(now_ms)
        self.store = store
        self.facts: list[Fact] = []
        self.faults = Faults(0)
        self.armed = False
        self.inputs = Inputs(0)
        self.opening: Opening | None = None
        self.traverse: Traverse | None = None
        self._last: Opening | None = None  # what tailgating and reverse passages are put down to
        self._exit_wanted = False
        self._held = False
        self._held_due: int | None = None
        self._stuck_due: int | None = None
        # A restart in the middle of a passage must not close on the body that stands there.
        self._ways = Drive(store.open_ways) & _WAYS if inputs & _BEAMS else settings.rest
        self._closing = Drive(store.open_ways) & _WAYS & ~self._ways
        self._closing_end: int | None = wrap(now_ms + settings.leaf_travel_ms) if self._closing else None
        self.gap_end: int | None = None
        self.sense(inputs, now_ms)

    # --- what others may see ------------------------------------------------------------------------------------------------

    @property
    def phase(self) -> Phase:
        if self.inputs & Inputs.FIRE:
            return Phase.EMERGENCY
        if self.store.emergency:
            return Phase.AWAITING_RESET
        if self.opening is not None:
            return Phase.RELEASED if self.traverse is None else Phase.PASSING
        return Phase.CLOSING if not self.is_shut or self.gap_end is not None else Phase.SECURED

    @property
    def is_shut(self) -> bool:
        """Whether nothing is open that does not rest open, and nothing moves."""
        return not self._ways & ~self._rest and not self._closing

    @property
    def drive(self) -> Drive:
        if self.opening is None or self.opening.pulse_end_ms is None:
            return self._ways
        return self._ways | (Drive.PULSE_ENTRY if self.opening.direction is Direction.ENTRY else Drive.PULSE_EXIT)

    @property
    def passages(self) -> int:
        return (self.store.passages_entry + self.store.passages_exit) % WRAP

    @property
    def _rest(self) -> Drive:
        return Drive(0) if self.armed else self._settings.rest

    def deadlines(self) -> tuple[int | None, ...]:
        opening = self.opening
        window = opening.window_end_ms if opening is not None and self.traverse is None else None
        pulse = opening.pulse_end_ms if opening is not None else None
        return window, pulse, self._closing_end, self.gap_end, self._held_due, self._stuck_due

    # --- inputs and time ------------------------------------------------------------------------------------------------------

    def set_clock(self, now_ms: int) -> None:
        """The moment of all that happens from here on."""
        self._now = wrap(now_ms)

    def sense(self, inputs: Inputs, now_ms: int) -> None:
        """The inputs as they are now, all of them."""
        self._now = wrap(now_ms)
        before, self.inputs = self.inputs, inputs
        rising, falling = inputs & ~before, before & ~inputs
        if rising & Inputs.FIRE:
            self._raise_emergency()
        if falling & Inputs.FIRE:
            self._tell(EmergencyChanged(emergency=Emergency.CLEARED))
        if rising & Inputs.RESET_KEY and self.store.emergency and not inputs & Inputs.FIRE:
            self.store = replace(self.store, emergency=False)
            self._tell(EmergencyChanged(emergency=Emergency.RESET))
        if rising & Inputs.REQUEST_TO_EXIT:
            self._exit_wanted = True
            self._tell(RequestToExit())
        if (rising | falling) & Inputs.TAMPER:
            is_open = bool(inputs & Inputs.TAMPER)
            self._tell(Tamper(open=Switch(is_open)))
            self.set_fault(Fault.TAMPER, active=is_open)
        self._watch_beams(inputs & _BEAMS)
        self.advance(now_ms)

    def advance(self, now_ms: int) -> None:
        """Carry out what has become due."""
        self._now = now = wrap(now_ms)
        if self.opening is not None and reached(now, self.opening.pulse_end_ms):
            self.opening = replace(self.opening, pulse_end_ms=None)
        if self.opening is not None and self.traverse is None and reached(now, self.opening.window_end_ms):
            self.end(EndReason.WINDOW_PASSED)
        if reached(now, self._closing_end):
            self._closing, self._closing_end = Drive(0), None
            self.gap_end = wrap(now + self._settings.minimum_gap_ms)
        if reached(now, self.gap_end):
            self.gap_end = None
        if reached(now, self._held_due):
            self._held, self._held_due = True, None
            self._tell(HeldOpen(grant_number=self._grant_to_blame(), held=Switch.ON))
        if reached(now, self._stuck_due):
            self._stuck_due = None
            self.set_fault(Fault.BEAM_STUCK, active=True)
        self._serve_exit()
        self.settle()

    def _serve_exit(self) -> None:
        """Let somebody out. A latched request waits only while another release is under way or the leaf moves."""
        if not self._exit_wanted:
            return
        blocked_open = self.phase is Phase.CLOSING and self.traverse is not None
        if self.opening is None and not self.store.emergency and (self.is_shut or blocked_open):
            self._exit_wanted = False
            end, pulse = wrap(self._now + self._settings.exit_window_ms), wrap(self._now + _EXIT_PULSE_MS)
            self.opening = Opening(0, Direction.EXIT, Cause.REQUEST_TO_EXIT, end, pulse)
        elif self.phase in (Phase.EMERGENCY, Phase.AWAITING_RESET):
            self._exit_wanted = False  # everything is free already

    def _raise_emergency(self) -> None:
        self.store = replace(self.store, emergency=True)
        self.armed = False
        self._tell(EmergencyChanged(emergency=Emergency.ON))
        if self.opening is not None and self.traverse is None:
            self.end(EndReason.EMERGENCY)

    # --- the leaf ---------------------------------------------------------------------------------------------------------------

    def open(self, opening: Opening) -> None:
        self.opening = opening
        self.settle()

    def end(self, reason: EndReason) -> None:
        """The release is over without its passage."""
        opening = self.opening
        if opening is None:
            return
        self._tell(ReleaseEnded(grant_number=opening.grant, reason=reason))
        self._close(opening, _OUTCOMES[reason])

    def withdraw(self, reason: EndReason) -> None:
        """End a host's release if nobody is in the passage; one under way finishes (safety rule 3)."""
        if self.opening is not None and self.opening.cause is Cause.GRANT and self.traverse is None:
            self.end(reason)
        self.settle()

    def _close(self, opening: Opening, outcome: Outcome) -> None:
        self.opening, self._last = None, opening
        if opening.cause is Cause.GRANT:
            self.store = self.store.with_outcome(outcome)

    def settle(self) -> None:
        """Bring the ways in line with what is wanted. With a body in the beams a way may be added, never taken back."""
        wanted = self._rest
        if self.store.emergency:
            wanted = _WAYS
        elif self.opening is not None:
            wanted |= way(self.opening.direction)
        body = self.traverse is not None
        target = wanted | self._ways | self._closing if body else wanted
        dropped = self._ways & ~target
        if dropped:
            self._closing |= dropped
            self._closing_end = wrap(self._now + self._settings.leaf_travel_ms)
        self._closing &= ~target
        if not self._closing:
            self._closing_end = None
        self._ways = target
        self._watch_held()
        self.store = replace(self.store, open_ways=int(self._ways | self._closing))

    def _watch_held(self) -> None:
        stands = self.traverse is not None and bool(self._ways) and not self.store.emergency
        if not stands:
            self._held_due = None
            if self._held:
                self._held = False
                self._tell(HeldOpen(grant_number=self._grant_to_blame(), held=Switch.OFF))
        elif self._held_due is None and not self._held:
            self._held_due = wrap(self._now + self._settings.held_open_ms)

    # --- bodies -----------------------------------------------------------------------------------------------------------------

    def _watch_beams(self, broken: Inputs) -> None:
        traverse = self.traverse
        if traverse is None:
            if not broken:
                return
            tie = self.opening.direction if self.opening is not None else Direction.ENTRY
            traverse = begin(broken, tie=tie)
            self._stuck_due = wrap(self._now + self._settings.beam_stuck_ms)
        elif broken == traverse.broken:
            return
        traverse, step = follow(traverse, broken)
        self.traverse = traverse if broken else None
        mine = self.opening is not None and self.opening.direction is traverse.heading
        match step:
            case Step.BETWEEN if self.opening is not None and mine:
                self._tell(PassageStarted(grant_number=self.opening.grant, direction=traverse.heading))
            case Step.PASSED:
                self._passed(traverse)
            case Step.RETURNED if self.opening is not None and mine:
                self.end(EndReason.CANCELLED if self.opening.cancelled else EndReason.TURNED_BACK)
            case Step.TOUCHED | Step.RETURNED if self.opening is not None and self.opening.cancelled:
                self.end(EndReason.CANCELLED)
            case _:
                pass
        if self.traverse is None:
            self._stuck_due = None
            self.set_fault(Fault.BEAM_STUCK, active=False)

    def _passed(self, traverse: Traverse) -> None:
        """Somebody went through: count them, and say under which permission, if any."""
        direction, opening = traverse.heading, self.opening
        self._count(direction)
        if opening is not None and opening.direction is direction:
            self._close(opening, Outcome.PASSED)
            self._tell(PassageCompleted(grant_number=opening.grant, direction=direction, cause=opening.cause, passages=self.passages))
            if traverse.followers:
                self._count(direction)
                self._tell(Tailgating(grant_number=opening.grant, direction=direction, passages=self.passages))
        elif opening is not None:
            self._tell(ReversePassage(grant_number=opening.grant, direction=direction, passages=self.passages))
            self.end(EndReason.REVERSE_PASSAGE)
        elif self.store.emergency or way(direction) & self._rest:
            cause = Cause.EMERGENCY if self.store.emergency else Cause.REST_FREE
            self._tell(PassageCompleted(grant_number=0, direction=direction, cause=cause, passages=self.passages))
        elif not self._ways:
            self._tell(ForcedOpen(direction=direction, passages=self.passages))
        elif self._last is not None and self._last.direction is direction:
            self._tell(Tailgating(grant_number=self._last.grant, direction=direction, passages=self.passages))
        else:
            self._tell(ReversePassage(grant_number=self._grant_to_blame(), direction=direction, passages=self.passages))

    def _count(self, direction: Direction) -> None:
        if direction is Direction.ENTRY:
            self.store = replace(self.store, passages_entry=(self.store.passages_entry + 1) % WRAP)
        else:
            self.store = replace(self.store, passages_exit=(self.store.passages_exit + 1) % WRAP)

    def _grant_to_blame(self) -> int:
        opening = self.opening or self._last
        return opening.grant if opening is not None else 0

    # --- telling ------------------------------------------------------------------------------------------------------------------

    def set_fault(self, fault: Fault, *, active: bool) -> None:
        if bool(self.faults & fault.bit) is active:
            return
        self.faults = self.faults | fault.bit if active else self.faults & ~fault.bit
        self._tell(FaultChanged(fault=fault, active=Switch(active)))

    def _tell(self, fact: Fact) -> None:
        self.facts.append(replace(fact, happened_ms=self._now))
