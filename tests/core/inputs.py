"""Hypothesis strategies for every input of the core: plausible ones, and what a broken part might send.

Small pools of cameras, tracks, people and grant numbers make inputs meet each other; ages and numbers also come from outside the sane.
`an_input(now_ns)` is any of them; `INPUTS[kind](now_ns)` is one kind.
"""

from collections.abc import Callable, Mapping
from typing import Any, get_args

from hypothesis import strategies as st

from agent.core import inputs as i
from agent.core import orders as o
from agent.core.identity import AccessRecord, AccessRule, Area, Candidate, Direction, GrantNumber, Interval, PersonId, PersonStatus, TrackId

MS = 1_000_000
NEVER_S, ALWAYS_S = 0, 2**40

cameras = st.sampled_from(["entry", "entry", "exit", "exit", "elsewhere"])
directions = st.sampled_from(Direction)
tracks = st.integers(1, 4).map(TrackId)
grants = (st.integers(0, 6) | st.sampled_from([2**64 - 2, 2**64 - 1, 2**70])).map(GrantNumber)
low_grants = st.integers(0, 6).map(GrantNumber)
counters = st.integers(0, 6) | st.integers(0, 2**32)
texts = st.sampled_from(["", "detail", "other words"]) | st.text(max_size=8)
ages_ns = st.sampled_from([0, 1, 40 * MS, 999 * MS, 1_000 * MS - 1, 1_000 * MS, 1_001 * MS, 10_000 * MS, -1, -1_000 * MS])
scores = st.sampled_from([0.0, 3.0, 4.9, 5.0, 6.0, 9.0]) | st.floats()
areas = st.sampled_from([Area("park-a"), Area("bridge"), Area("park-b")])

intervals = st.builds(Interval, weekdays=st.integers(0, 127), start_minute=st.integers(0, 1439), end_minute=st.integers(0, 2880))
ALL_WEEK = (Interval(0b111_1111, 0, 1440),)
access_rules = st.builds(
    AccessRule,
    origin=areas,
    destination=areas,
    schedule=st.just(ALL_WEEK) | st.lists(intervals, max_size=3).map(tuple),
    utc_offset_minutes=st.sampled_from([0, 480, -600, 840]),
)
BOTH_WAYS = (AccessRule(Area("park-a"), Area("bridge"), ALL_WEEK, 480), AccessRule(Area("bridge"), Area("park-a"), ALL_WEEK, 480))


def member(person: str = "ada", **other: Any) -> AccessRecord:
    """Somebody who may go both ways at any time."""
    fields = {"status": PersonStatus.ACTIVE, "not_before_s": NEVER_S, "not_after_s": ALWAYS_S, "rules": BOTH_WAYS} | other
    return AccessRecord(person=PersonId(person), **fields)


people = st.sampled_from(["ada", "ada", "bo", "cy"])
records = people.map(member) | st.builds(
    AccessRecord,
    person=people.map(PersonId),
    status=st.sampled_from(PersonStatus),
    not_before_s=st.sampled_from([NEVER_S, 2_000_000_000]),
    not_after_s=st.sampled_from([ALWAYS_S, 1_000_000_000]),
    rules=st.just(BOTH_WAYS) | st.lists(access_rules, max_size=2).map(tuple),
)
candidate_lists = st.one_of(
    people.map(lambda p: (Candidate(9.0, member(p)),)),
    people.map(lambda p: (Candidate(9.0, member(p)), Candidate(2.0, member("dee")))),
    st.lists(st.builds(Candidate, score=scores, record=records), max_size=3).map(tuple),
)
pads = st.sampled_from(
    [i.Pad(i.PadVerdict.BONA_FIDE, 0.9), i.Pad(i.PadVerdict.OFF), i.Pad(i.PadVerdict.ATTACK, 0.1), i.Pad(i.PadVerdict.INCONCLUSIVE, 0.5)]
)
QUALITY = i.SampleQuality(eye_distance_px=60.0, yaw=0.0, blur=200.0, brightness=120.0, clipped=0.0)
BOX = i.Box(200.0, 120.0, 360.0, 320.0)

Strategy = st.SearchStrategy[Any]


def _at(now_ns: int) -> Strategy:
    return ages_ns.map(lambda age: now_ns - age)


def _probes(now_ns: int) -> Strategy:
    places = st.sampled_from(
        [("entry", Direction.ENTRY)] * 3 + [("exit", Direction.EXIT)] * 2 + [("exit", Direction.ENTRY), ("elsewhere", Direction.EXIT)]
    )
    return st.builds(
        lambda place, **fields: i.ProbeCompared(camera=place[0], direction=place[1], quality=QUALITY, box=BOX, **fields),
        place=places,
        track=tracks,
        captured_at_ns=st.just(now_ns - 40 * MS) | _at(now_ns),
        track_started_ns=_at(now_ns),
        frames=st.just(3) | st.integers(0, 6),
        candidates=candidate_lists,
        threshold=st.just(5.0) | st.floats(),
        margin=st.just(1.0) | st.floats(),
        pad=st.just(i.Pad(i.PadVerdict.BONA_FIDE, 0.9)) | pads,
        roster_version=st.sampled_from([7, 7, 7, 8]),
        pack=st.sampled_from(["pack", "pack", "pack", "other"]),
    )


def _rosters(now_ns: int) -> Strategy:
    del now_ns
    return st.builds(
        i.RosterLoaded,
        version=st.sampled_from([7, 7, 7, 8]),
        people=st.just(3),
        pack=st.just("pack"),
        calibration=st.sampled_from(i.CalibrationKind),
        threshold=st.just(5.0),
        stale_after_s=st.sampled_from([ALWAYS_S, ALWAYS_S, 1_000_000_000]),
        expires_s=st.sampled_from([ALWAYS_S, ALWAYS_S, ALWAYS_S, 1_000_000_000]),
    )


def _connections(now_ns: int) -> Strategy:
    del now_ns
    return st.builds(
        i.BarrierConnected,
        controller=st.just("emulator-1"),
        firmware=st.just("00" * 32),
        kind=st.sampled_from(i.ControllerKind),
        authenticated=st.booleans(),
        highest_grant=low_grants | low_grants | low_grants | grants,
        last_outcome=st.sampled_from(i.GrantOutcome),
        passage_counter=st.none() | counters,
        emergency=st.sampled_from([False, False, False, True]),
    )


def _cameras(now_ns: int) -> Strategy:
    del now_ns
    conditions = st.just(i.CameraCondition.OK) | st.sampled_from(i.CameraCondition)
    return st.builds(i.CameraReported, camera=cameras, direction=directions, condition=conditions, detail=texts)


def _still(strategy: Strategy) -> Callable[[int], Strategy]:
    """A kind of input that carries no time."""
    return lambda _now_ns: strategy


INPUTS: Mapping[type, Callable[[int], Strategy]] = {
    i.ProbeCompared: _probes,
    i.SampleRefused: lambda now_ns: st.builds(
        i.SampleRefused,
        camera=cameras,
        direction=directions,
        track=tracks,
        captured_at_ns=_at(now_ns),
        fault=st.sampled_from(i.SampleFault),
    ),
    i.TrackLost: lambda now_ns: st.builds(i.TrackLost, camera=cameras, track=tracks, captured_at_ns=_at(now_ns)),
    i.SubjectReplaced: lambda now_ns: st.builds(i.SubjectReplaced, camera=cameras, track=tracks, captured_at_ns=_at(now_ns)),
    i.CameraReported: _cameras,
    i.RecognitionReported: _still(st.builds(i.RecognitionReported, ready=st.sampled_from([True, True, False]), detail=texts)),
    i.RosterLoaded: _rosters,
    i.RosterRefused: _still(st.builds(i.RosterRefused, reason=texts, detail=texts)),
    i.BarrierConnected: _connections,
    i.BarrierLost: _still(st.builds(i.BarrierLost, detail=texts)),
    i.ReleaseAccepted: _still(st.builds(i.ReleaseAccepted, grant=grants)),
    i.ReleaseRefused: _still(st.builds(i.ReleaseRefused, grant=grants, reason=texts)),
    i.PassageStarted: _still(st.builds(i.PassageStarted, grant=grants, direction=directions)),
    i.PassageCompleted: _still(st.builds(i.PassageCompleted, grant=grants, direction=directions, passage_counter=counters)),
    i.ReleaseEnded: _still(st.builds(i.ReleaseEnded, grant=grants, cause=st.sampled_from(i.ReleaseEnd))),
    i.CancelTooLate: _still(st.builds(i.CancelTooLate, grant=grants)),
    i.RequestToExitUsed: _still(st.just(i.RequestToExitUsed())),
    i.EmergencyRaised: _still(st.just(i.EmergencyRaised())),
    i.EmergencyCleared: _still(st.just(i.EmergencyCleared())),
    i.BarrierAlarmed: _still(st.builds(i.BarrierAlarmed, alarm=st.sampled_from(i.BarrierAlarm), grant=grants)),
    i.BarrierFaulted: _still(st.builds(i.BarrierFaulted, fault=texts, active=st.booleans())),
    i.JournalReported: _still(
        st.builds(i.JournalReported, ready=st.booleans(), commit_ms=st.sampled_from([0.4, 50.0, 51.0, 900.0]), detail=texts)
    ),
    i.EventsAcknowledged: _still(st.builds(i.EventsAcknowledged, epoch=texts, seq=st.integers(0, 2**63), head=texts)),
    i.UplinkReported: _still(st.builds(i.UplinkReported, connected=st.booleans(), detail=texts)),
    i.LockDownSet: _still(st.builds(i.LockDownSet, on=st.booleans(), by=texts, reason=texts)),
    i.ControlSocketSilent: _still(st.builds(i.ControlSocketSilent, detail=texts)),
    o.StaffRelease: lambda now_ns: st.builds(
        o.StaffRelease,
        staff=texts,
        key=texts,
        user=texts,
        direction=directions,
        reason=texts,
        request=texts,
        expires_at_ns=st.just(now_ns + 30_000 * MS) | _at(now_ns),
    ),
    o.StaffRefused: _still(
        st.builds(
            o.StaffRefused,
            staff=texts,
            user=texts,
            direction=directions,
            reason=texts,
            request=texts,
            denial=st.sampled_from(o.StaffDenial),
        )
    ),
    i.Tick: _still(st.just(i.Tick())),
    i.StopRequested: _still(st.builds(i.StopRequested, reason=texts)),
}
ALL_KINDS = get_args(i.Input)


def an_input(now_ns: int) -> Strategy:
    """Any input at all; each kind is equally likely."""
    return st.sampled_from(ALL_KINDS).flatmap(lambda kind: INPUTS[kind](now_ns))
