"""What is done when somebody passes, and when the controller acts by itself. Each action is a cell of the table in passage.py."""

from dataclasses import replace

from agent.core.antipassback import Passages
from agent.core.events import EventType
from agent.core.inputs import (
    BarrierAlarmed,
    BarrierLost,
    CancelTooLate,
    EmergencyCleared,
    EmergencyRaised,
    GrantOutcome,
    PassageCompleted,
    PassageStarted,
    ReleaseEnd,
    ReleaseEnded,
    RequestToExitUsed,
)
from agent.core.lane import Done, Lane, Link, cancelled, close_passed, count_gap, is_ours, late_ms, not_made, record, unconfirmed
from agent.core.rules import Now

# --- the passage ---------------------------------------------------------------------------------------------------------------


def begin(lane: Lane, given: PassageStarted, now: Now) -> Done:
    if lane.pending is None or not is_ours(lane, given.grant):
        return Done(lane, ok=False)
    started_at_ns = lane.pending.started_at_ns or now.ns
    return Done(replace(lane, pending=replace(lane.pending, accepted=True, started_at_ns=started_at_ns)))


def go_on(lane: Lane, given: CancelTooLate, now: Now) -> Done:
    """The cancel came too late: somebody is passing. A cancel of a release that no longer has its grant concerns any number."""
    if lane.pending is None:
        return Done(lane)
    return begin(lane, PassageStarted(given.grant, lane.pending.direction), now)


def complete(lane: Lane, given: PassageCompleted, now: Now) -> Done:
    """Record who passed. Ok when the lane waits for this passage, or for none in particular."""
    counted = given.passage_counter is not None
    if counted and not is_ours(lane, given.grant) and given.passage_counter == lane.passage_counter:
        return Done(lane, ok=False)  # the same passage, said twice
    phase, waits_for_none = lane.phase, lane.pending is None
    expected = None if lane.passage_counter is None else lane.passage_counter + 1
    gap = count_gap(expected, given.passage_counter, given.grant, GrantOutcome.PASSED, now)
    lane = replace(lane, passage_counter=given.passage_counter)
    if is_ours(lane, given.grant):
        done = close_passed(lane, given.direction, now)
        return Done(done.lane, (*gap, *done.effects))
    ungranted = record(
        EventType.PASSAGE_UNGRANTED,
        now,
        grant=given.grant,
        direction=given.direction,
        passage_counter=given.passage_counter,
        phase=phase,
        late_ms=late_ms(given.happened_ns, now),
    )
    return Done(lane, (*gap, ungranted), ok=waits_for_none)


def end(lane: Lane, given: ReleaseEnded, now: Now) -> Done:
    """Nobody passed, or nobody can say. Ok when the lane waits for this release, or for none in particular."""
    if lane.pending is None or not is_ours(lane, given.grant):
        return Done(lane, ok=lane.pending is None)
    if given.cause is ReleaseEnd.UNSEEN:
        unseen = unconfirmed(lane, lane.pending.direction, lane.pending.doubt or given.cause, now)
        return Done(replace(lane, pending=None), (unseen,))
    return Done(replace(lane, pending=None), (not_made(lane.pending, given.cause, now),))


def begin_late(lane: Lane, given: PassageStarted, now: Now) -> Done:
    return _if_linked(begin(lane, given, now))


def complete_late(lane: Lane, given: PassageCompleted, now: Now) -> Done:
    return _if_linked(complete(lane, given, now))


def end_late(lane: Lane, given: ReleaseEnded, now: Now) -> Done:
    return _if_linked(end(lane, given, now))


def _if_linked(done: Done) -> Done:
    """A word that was overdue makes the lane believed again, unless the link was lost since: then only a new reading does."""
    return replace(done, ok=done.ok and done.lane.link is Link.UP)


# --- what the controller does by itself ----------------------------------------------------------------------------------------


def note_exit(lane: Lane, given: RequestToExitUsed, now: Now) -> Done:
    return Done(lane, (record(EventType.REQUEST_TO_EXIT, now, late_ms=late_ms(given.happened_ns, now)),))


def note_alarm(lane: Lane, given: BarrierAlarmed, now: Now) -> Done:
    late = late_ms(given.happened_ns, now)
    return Done(lane, (record(EventType.BARRIER_ALARM, now, alarm=given.alarm, grant=given.grant, late_ms=late),))


def lose_link(lane: Lane, given: BarrierLost, now: Now) -> Done:
    """The outcome of an open grant is unknown until the controller is read again. Recorded once for each loss."""
    records = () if lane.link is Link.DOWN else (record(EventType.BARRIER_LOST, now, detail=given.detail),)
    return Done(replace(lane, link=Link.DOWN), records)


def raise_emergency(lane: Lane, given: EmergencyRaised, now: Now) -> Done:
    """Free passage. What becomes of an open grant the controller tells: unused, it ends it; used, the passage goes on."""
    raised = record(EventType.EMERGENCY_RAISED, now, phase=lane.phase, late_ms=late_ms(given.happened_ns, now))
    return Done(replace(lane, passages=Passages()), (raised,))


def end_in_emergency(lane: Lane, given: ReleaseEnded, now: Now) -> Done:
    ours = lane.pending is not None and is_ours(lane, given.grant)
    return drop_unused(lane, now) if ours and given.cause is ReleaseEnd.CANCELLED else end(lane, given, now)


def drop_unused(lane: Lane, now: Now) -> Done:
    """Nobody had begun to pass on the open grant when the emergency made it pointless."""
    if lane.pending is None:
        return Done(lane)
    pending = lane.pending
    return Done(replace(lane, pending=None), (*cancelled(pending, "emergency", now), not_made(pending, "emergency", now)))


def note_cleared(lane: Lane, _given: EmergencyCleared, now: Now) -> Done:
    return Done(lane, (record(EventType.EMERGENCY_CLEARED, now),))


def clear_emergency(lane: Lane, given: EmergencyCleared, now: Now) -> Done:
    """Over, and re-armed on site. What became of a passage that the emergency met under way is not known."""
    done = replace(note_cleared(lane, given, now), ok=lane.link is Link.UP)
    if lane.pending is None:
        return done
    unknown = unconfirmed(lane, lane.pending.direction, "emergency", now)
    return replace(done, lane=replace(lane, pending=None), effects=(*done.effects, unknown))
