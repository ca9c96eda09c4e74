"""What a host may order, and when not: lease, belief, arming, and one passage per grant number (HOUSE section 6, rules 1 to 3)."""

from collections import deque
from dataclasses import replace
from typing import Final

from firmware_bridge.emulator.beams import near
from firmware_bridge.emulator.lane import Lane, Opening
from firmware_bridge.emulator.settings import ControllerSettings
from firmware_bridge.limits import (
    HEARTBEAT_MS,
    LEASE_MS,
    MAX_NOT_AFTER_AHEAD_MS,
    MAX_PULSE_MS,
    MAX_WINDOW_MS,
    MIN_PULSE_MS,
    MIN_WINDOW_MS,
    WRONG_BELIEFS,
)
from firmware_bridge.messages import Arm, Cancel, CancelAck, Heartbeat, Release, ReleaseAck
from firmware_bridge.ticks import reached, span_ms, wrap
from firmware_bridge.vocabulary import (
    Belief,
    CancelResult,
    Cause,
    EndReason,
    Fault,
    Faults,
    Outcome,
    Phase,
    Refusal,
    ReleaseResult,
)

_MINUTE_MS: Final = 60_000
_BLOCKING: Final = Faults.STORE_DAMAGED | Faults.BEAM_STUCK
_CANCEL_RESULTS: Final = {
    Outcome.REFUSED: CancelResult.NEVER_RELEASED,
    Outcome.PASSED: CancelResult.TOO_LATE,
    Outcome.CANCELLED: CancelResult.CANCELLED,
}


class Permission:
    """Judges the host's orders against the lane."""

    def __init__(self, settings: ControllerSettings, lane: Lane) -> None:
        self._settings = settings
        self._lane = lane
        self._lease_end: int | None = None
        self._last_heartbeat: int | None = None
        self._wrong = 0
        self._recent: deque[int] = deque()  # times of the host releases of the last minute
        self.missed_heartbeats = 0

    # --- lease and belief ---------------------------------------------------------------------------------------------------------

    def lease_left_ms(self, now_ms: int) -> int:
        return 0 if self._lease_end is None else max(0, span_ms(self._lease_end, now_ms))

    def deadlines(self) -> tuple[int | None, ...]:
        return (self._lease_end, wrap(self._recent[0] + _MINUTE_MS) if self._recent else None)

    def advance(self, now_ms: int) -> None:
        while self._recent and reached(now_ms, wrap(self._recent[0] + _MINUTE_MS)):
            self._recent.popleft()
        if reached(now_ms, self._lease_end):
            self._lease_end = self._last_heartbeat = None
            self._lane.withdraw(EndReason.LEASE_LOST)
            if self._lane.armed:
                self._disarm(Fault.LEASE_LOST)

    def heartbeat(self, message: Heartbeat, now_ms: int) -> None:
        if self._last_heartbeat is not None:
            beats = (span_ms(now_ms, self._last_heartbeat) + HEARTBEAT_MS // 2) // HEARTBEAT_MS
            self.missed_heartbeats += max(0, beats - 1)
        self._last_heartbeat = now_ms
        self._lease_end = wrap(now_ms + LEASE_MS)
        if self._believes_rightly(message):
            self._wrong = 0
            return
        self._wrong += 1
        if self._wrong >= WRONG_BELIEFS and self._lane.armed:
            self._disarm(Fault.BELIEF_WRONG)

    def _believes_rightly(self, message: Heartbeat) -> bool:
        """Whether the host knows of an emergency, and of its own grant under way. What the controller lets out by itself is not asked."""
        in_emergency = self._lane.phase in (Phase.EMERGENCY, Phase.AWAITING_RESET)
        if in_emergency or message.belief is Belief.EMERGENCY:
            return in_emergency and message.belief is Belief.EMERGENCY
        believed = 0 if message.belief is Belief.SECURED else message.grant_number
        return believed == (self._lane.opening.grant if self._lane.opening is not None else 0)

    def _disarm(self, fault: Fault) -> None:
        self._lane.armed = False
        self._lane.set_fault(fault, active=True)
        self._lane.settle()

    # --- orders -------------------------------------------------------------------------------------------------------------------

    def begin_session(self) -> None:
        """Another session, or the same host again: it has to read the state and arm."""
        self._wrong = 0
        self.disarm()

    def disarm(self) -> None:
        self._lane.armed = False
        self._lane.settle()

    def arm(self, message: Arm, *, revision: int, now_ms: int) -> Refusal:
        lane = self._lane
        if lane.armed:
            return Refusal.NONE  # a repeated ARM
        if lane.store.emergency:
            return Refusal.EMERGENCY
        if lane.faults & Faults.STORE_DAMAGED:
            return Refusal.FAULT
        if self.lease_left_ms(now_ms) == 0:
            return Refusal.NO_LEASE
        if message.state_revision != revision:
            return Refusal.STALE_STATE
        lane.armed = True
        self._wrong = 0
        for fault in (Fault.LEASE_LOST, Fault.BELIEF_WRONG, Fault.EVENTS_DROPPED):
            lane.set_fault(fault, active=False)
        lane.settle()
        return Refusal.NONE

    def release(self, order: Release, now_ms: int) -> ReleaseAck:
        """The first answer to a grant number is its only answer; after it the number is used up, whatever the answer was."""
        window = min(order.window_ms, MAX_WINDOW_MS)
        pulse = max(MIN_PULSE_MS, min(order.pulse_ms, MAX_PULSE_MS)) if order.pulse_ms else 0
        store = self._lane.store
        result, refusal, outcome = ReleaseResult.REFUSED, Refusal.NONE, Outcome.NONE
        if self._lane.faults & Faults.STORE_DAMAGED:
            refusal = Refusal.FAULT  # no number can be marked as used
        elif order.grant_number == 0:
            refusal = Refusal.BAD_VALUE
        elif order.grant_number == store.last_grant:
            result, refusal, outcome = ReleaseResult.DUPLICATE, store.last_refusal, store.last_outcome
        elif order.grant_number < store.last_grant:
            refusal = Refusal.GRANT_USED
        else:
            refusal = self._why_not(order, now_ms)
            result = ReleaseResult.REFUSED if refusal else ReleaseResult.ACCEPTED
            outcome = Outcome.REFUSED if refusal else Outcome.RELEASED
            self._lane.store = replace(store, last_grant=order.grant_number, last_outcome=outcome, last_refusal=refusal)
        if result is ReleaseResult.ACCEPTED:
            self._recent.append(now_ms)
            pulse_end = wrap(now_ms + pulse) if pulse else None
            self._lane.open(Opening(order.grant_number, order.direction, Cause.GRANT, wrap(now_ms + window), pulse_end))
        return ReleaseAck(order.grant_number, result, refusal, outcome, window, pulse, now_ms)

    def _why_not(self, order: Release, now_ms: int) -> Refusal:
        """The first reason against this release, in the order of PROTOCOL.md section 7.4."""
        lane, ahead = self._lane, span_ms(order.not_after_ms, now_ms)
        body = lane.traverse
        in_the_way = body is not None and (body.both or body.broken != near(order.direction))
        reasons = (
            (Refusal.FAULT, bool(lane.faults & _BLOCKING)),
            (Refusal.EMERGENCY, lane.store.emergency),
            (Refusal.NO_LEASE, self.lease_left_ms(now_ms) == 0),
            (Refusal.NOT_ARMED, not lane.armed),
            (Refusal.LATE, ahead < 0),
            (Refusal.NOT_AFTER_TOO_FAR, ahead > MAX_NOT_AFTER_AHEAD_MS),
            (Refusal.BAD_VALUE, order.window_ms < MIN_WINDOW_MS),
            (Refusal.BUSY, lane.opening is not None or not lane.is_shut),
            (Refusal.MINIMUM_GAP, lane.phase is not Phase.SECURED),
            (Refusal.TOO_MANY, len(self._recent) >= self._settings.releases_per_minute),
            (Refusal.LANE_OCCUPIED, in_the_way),
        )
        return next((refusal for refusal, holds in reasons if holds), Refusal.NONE)

    def cancel(self, order: Cancel) -> CancelAck:
        lane, store, grant = self._lane, self._lane.store, order.grant_number
        result = CancelResult.ALREADY_OVER
        if lane.opening is not None and grant and lane.opening.grant == grant:
            if lane.traverse is None:
                lane.end(EndReason.CANCELLED)
                lane.settle()
                result = CancelResult.CANCELLED
            else:
                lane.opening = replace(lane.opening, cancelled=True)  # who goes back finds it closed
                result = CancelResult.TOO_LATE
        elif grant > store.last_grant and not lane.faults & Faults.STORE_DAMAGED:
            lane.store = replace(store, last_grant=grant, last_outcome=Outcome.REFUSED, last_refusal=Refusal.CANCELLED)
            result = CancelResult.NEVER_RELEASED
        elif grant == store.last_grant:
            result = _CANCEL_RESULTS.get(store.last_outcome, CancelResult.ALREADY_OVER)
        return CancelAck(grant, result)
