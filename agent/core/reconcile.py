"""After a start or a lost link: the controller's memory says what became of the open grant, and whether the counts agree.

This is what makes a killed agent's journal whole. Killed between commit and release, the controller has never heard of the number;
killed between release and passage, it remembers the outcome. Each action is a cell of the table in passage.py.
"""

from dataclasses import replace

from agent.core import crossing, release
from agent.core.antipassback import Passages
from agent.core.effects import CancelRelease, Phase, Record
from agent.core.events import EventType
from agent.core.identity import NO_GRANT, GrantNumber
from agent.core.inputs import BarrierConnected, GrantOutcome, PassageStarted
from agent.core.lane import Done, Lane, Link, close_passed, count_gap, is_ours, not_made, record, unconfirmed
from agent.core.rules import Now

_UNFINISHED = (GrantOutcome.OPEN, GrantOutcome.PASSING)


def read_at_rest(lane: Lane, given: BarrierConnected, now: Now) -> Done:
    """Nothing is released: the open grant, if any, is closed."""
    return _read(lane, given, now)


def read_released(lane: Lane, given: BarrierConnected, now: Now) -> Done:
    """Something is released that nobody watched meanwhile: it is taken back."""
    done = _read(lane, given, now)
    if done.lane.pending is None:
        return Done(done.lane, (*done.effects, CancelRelease(given.highest_grant)))
    taken = release.take_back(done.lane, "barrier_lost", now)
    return Done(taken.lane, done.effects + taken.effects)


def read_passing(lane: Lane, given: BarrierConnected, now: Now) -> Done:
    """Somebody is in the lane; if it is on the open grant, the passage goes on."""
    done = _read(lane, given, now)
    if done.lane.pending is None:
        return done
    begun = crossing.begin(done.lane, PassageStarted(given.highest_grant, done.lane.pending.direction), now)
    return Done(begun.lane, done.effects)


def read_in_emergency(lane: Lane, given: BarrierConnected, now: Now) -> Done:
    """The emergency came while the link was down, or still lasts."""
    done = _read(lane, given, now)
    unused = crossing.drop_unused(done.lane, now) if given.last_outcome is GrantOutcome.OPEN else Done(done.lane)
    raised = () if lane.phase is Phase.EMERGENCY else (record(EventType.EMERGENCY_RAISED, now, phase=lane.phase, late_ms=None),)
    return Done(replace(unused.lane, passages=Passages()), done.effects + raised + unused.effects)


def _read(lane: Lane, given: BarrierConnected, now: Now) -> Done:
    """Record the controller, compare the counts, and close the open grant unless the controller says that it is not finished."""
    connected = record(
        EventType.BARRIER_CONNECTED,
        now,
        controller=given.controller,
        firmware=given.firmware,
        kind=given.kind,
        authenticated=given.authenticated,
        highest_grant=given.highest_grant,
        passage_counter=given.passage_counter,
    )
    known = is_ours(lane, given.highest_grant)
    counted_ours = 1 if known and given.last_outcome is GrantOutcome.PASSED else 0
    expected = None if lane.passage_counter is None else lane.passage_counter + counted_ours
    gap = count_gap(expected, given.passage_counter, given.highest_grant, given.last_outcome, now)
    foreign = _foreign(lane, given, now)
    highest = GrantNumber(max(lane.last_grant, given.highest_grant))
    read = replace(lane, link=Link.UP, last_grant=highest, passage_counter=given.passage_counter)
    done = (
        Done(read)
        if known and given.last_outcome in _UNFINISHED
        else _close(read, given, now, counts_agree=None not in (expected, given.passage_counter) and not gap)
    )
    return Done(done.lane, (connected, *foreign, *gap, *done.effects))


def _foreign(lane: Lane, given: BarrierConnected, now: Now) -> tuple[Record, ...]:
    """The audit event where the controller took numbers from somebody else; a journal that has seen no controller has none to compare."""
    new = lane.last_grant == NO_GRANT and lane.passage_counter is None
    if new or given.highest_grant <= lane.last_grant:
        return ()
    return (record(EventType.GRANT_GAP, now, expected=lane.last_grant, found=given.highest_grant),)


def _close(lane: Lane, given: BarrierConnected, now: Now, *, counts_agree: bool) -> Done:
    pending = lane.pending
    if pending is None:
        return Done(lane)
    closed = replace(lane, pending=None)
    if pending.grant == given.highest_grant and given.last_outcome is GrantOutcome.PASSED:
        return close_passed(lane, pending.direction, now)
    if pending.grant == given.highest_grant and given.last_outcome is GrantOutcome.INTERRUPTED:
        # It counts a passage once it is over, so its count cannot say whether somebody was in the lane when the power went.
        return Done(closed, (unconfirmed(lane, pending.direction, "power_lost", now),))
    if pending.grant == given.highest_grant and given.last_outcome is GrantOutcome.UNKNOWN:
        return Done(closed, (unconfirmed(lane, pending.direction, "unknown_outcome", now),))
    if pending.grant < given.highest_grant and not counts_agree:  # the controller has since taken a number that this journal never gave
        return Done(closed, (unconfirmed(lane, pending.direction, "unknown_outcome", now),))
    # A release that has not reached the controller yet must not reach it now: the cancel uses the number up.
    unsent = (CancelRelease(pending.grant),) if pending.grant > given.highest_grant else ()
    return Done(closed, (not_made(pending, "reconciled", now), *unsent))
