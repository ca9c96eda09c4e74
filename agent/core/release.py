"""What is done to a release: it is ordered, accepted or refused, and taken back. Each action is a cell of the table in passage.py."""

from dataclasses import replace

from agent.core.effects import CancelRelease, ReleaseBarrier
from agent.core.events import EventType
from agent.core.identity import Direction
from agent.core.inputs import (
    CameraCondition,
    CameraReported,
    JournalReported,
    LockDownSet,
    ReleaseAccepted,
    ReleaseRefused,
    StopRequested,
    SubjectReplaced,
    Tick,
    TrackLost,
)
from agent.core.lane import AccessGranted, Done, Lane, Pending, StaffGranted, cancelled, is_ours, next_grant, not_made, record
from agent.core.moment import NS_PER_MS
from agent.core.rules import Now


def _is_subject(lane: Lane, seen: TrackLost | SubjectReplaced) -> bool:
    return lane.pending is not None and (lane.pending.camera, lane.pending.track) == (seen.camera, seen.track)


# --- the grant's beginning ----------------------------------------------------------------------------------------


def release(lane: Lane, given: AccessGranted, now: Now) -> Done:
    """Record the grant and let the person through; a number that is not new, or a grant too old, releases nothing."""
    grant = given.grant
    if grant.number != next_grant(lane) or now.ns >= grant.expires_at_ns:
        return Done(lane, ok=False)
    granted = record(
        EventType.ACCESS_GRANTED,
        now,
        grant=grant.number,
        direction=grant.direction,
        expires_at_ns=grant.expires_at_ns,
        **given.comparison,
    )
    window_ms = now.rules.release_window_ms
    pending = Pending(grant.number, grant.person, grant.direction, given.camera, given.track, decided_at_ns=now.ns)
    lane = replace(lane, pending=pending, last_grant=grant.number)
    return Done(lane, (granted, ReleaseBarrier(grant.number, grant.direction, window_ms, grant.expires_at_ns)))


def release_for_staff(lane: Lane, given: StaffGranted, now: Now) -> Done:
    """Record the order with who gave it and why, and let one person through; nobody is watched, because nobody was identified."""
    order = given.order
    if given.number != next_grant(lane) or now.ns >= given.expires_at_ns:
        return Done(lane, ok=False)
    granted = record(
        EventType.STAFF_GRANTED,
        now,
        grant=given.number,
        staff=order.staff,
        key=order.key,
        user=order.user,
        direction=order.direction,
        reason=order.reason,
        request=order.request,
        expires_at_ns=given.expires_at_ns,
    )
    lane = replace(lane, pending=Pending(given.number, None, order.direction, decided_at_ns=now.ns), last_grant=given.number)
    return Done(lane, (granted, ReleaseBarrier(given.number, order.direction, now.rules.release_window_ms, given.expires_at_ns)))


def accept(lane: Lane, given: ReleaseAccepted, now: Now) -> Done:
    if lane.pending is None or not is_ours(lane, given.grant):
        return disown(lane, given, now)
    return Done(replace(lane, pending=replace(lane.pending, accepted=True)))


def disown(lane: Lane, given: ReleaseAccepted, _now: Now) -> Done:
    """A release that this lane does not wait for is taken back."""
    return Done(lane) if is_ours(lane, given.grant) else Done(lane, (CancelRelease(given.grant),), ok=False)


def refuse(lane: Lane, given: ReleaseRefused, now: Now) -> Done:
    """No release. The cancel makes sure, should the driver have written it and only missed the answer."""
    if lane.pending is None or not is_ours(lane, given.grant):
        return Done(lane, ok=False)
    refused = record(EventType.RELEASE_REFUSED, now, grant=given.grant, person=lane.pending.person, reason=given.reason)
    return Done(replace(lane, pending=None), (refused, CancelRelease(given.grant)))


# --- the grant is taken back ---------------------------------------------------------------------------------------------------


def take_back(lane: Lane, reason: str, now: Now, *, doubt: str | None = None) -> Done:
    """Cancel the open release; recorded once."""
    pending = lane.pending
    if pending is None:
        return Done(lane, ok=False)
    records = cancelled(pending, reason, now)
    lane = replace(lane, pending=replace(pending, cancelled=True, doubt=doubt or pending.doubt))
    return Done(lane, (*records, CancelRelease(pending.grant)))


def lose_subject(lane: Lane, given: TrackLost, now: Now) -> Done:
    """The released person is out of view; they have a little time to start passing, counted from when they were last seen."""
    if not _is_subject(lane, given):
        return Done(lane, ok=False)
    gone_ns = min(given.captured_at_ns, now.ns) + now.rules.subject_lost_ms * NS_PER_MS
    return Done(replace(lane, gone_ns=min(gone_ns, lane.gone_ns or gone_ns)))


def lose_sight(lane: Lane, given: CameraReported, now: Now) -> Done:
    """A camera that fails cannot say that its subject stepped back: as good as gone. The end of a film is not a failure."""
    sees = given.condition in (CameraCondition.OK, CameraCondition.ENDED)
    if sees or lane.pending is None or lane.pending.camera != given.camera:
        return Done(lane, ok=False)
    gone_ns = now.ns + now.rules.subject_lost_ms * NS_PER_MS
    return Done(replace(lane, gone_ns=min(gone_ns, lane.gone_ns or gone_ns)))


def cancel_replaced(lane: Lane, given: SubjectReplaced, now: Now) -> Done:
    if not _is_subject(lane, given):
        return Done(lane, ok=False)
    return take_back(lane, "subject_replaced", now, doubt="subject_replaced")


def suspect(lane: Lane, given: SubjectReplaced, _now: Now) -> Done:
    """Another person stood there before the passage started: whoever passes may not be the granted one."""
    pending = lane.pending
    if pending is None or not _is_subject(lane, given):
        return Done(lane, ok=False)
    if pending.started_at_ns is not None and given.captured_at_ns > pending.started_at_ns:
        return Done(lane, ok=False)
    return Done(replace(lane, pending=replace(pending, doubt="subject_replaced")))


def cancel_due(lane: Lane, _given: Tick, now: Now) -> Done:
    """The subject is gone, or the controller has not said how the release ended."""
    if lane.gone_ns is not None and now.ns >= lane.gone_ns:
        return take_back(lane, "subject_gone", now, doubt="subject_gone")
    return take_back(lane, "no_answer", now) if is_due(lane, now) else Done(lane, ok=False)


def cancel_entry(lane: Lane, given: LockDownSet, now: Now) -> Done:
    """Lock-down stops an entry that nobody has begun."""
    if not given.on or lane.pending is None or lane.pending.direction is not Direction.ENTRY:
        return Done(lane, ok=False)
    return take_back(lane, "lock_down", now)


def cancel_for_stop(lane: Lane, _given: StopRequested, now: Now) -> Done:
    return take_back(lane, "stopped", now)


def withdraw(lane: Lane, _given: JournalReported, now: Now) -> Done:
    """The grant could not be recorded, so it was never released; the cancel makes sure. A release that was accepted goes on."""
    pending = lane.pending
    if pending is None or pending.accepted:
        return Done(lane, ok=False)
    done = take_back(lane, "journal", now)
    return Done(replace(lane, pending=None), (*done.effects, not_made(pending, "cancelled", now)))


def is_due(lane: Lane, now: Now) -> bool:
    return lane.deadline_ns is not None and now.ns >= lane.deadline_ns


def give_up(lane: Lane, _given: Tick, now: Now) -> Done:
    """The controller's word is overdue: the lane is not believed until it comes, and the grant stays open."""
    return Done(lane, ok=is_due(lane, now))
