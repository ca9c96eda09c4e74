"""From probes to an identification: enough, fresh, consistent, live, and ahead of every other person."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core import inputs as i
from agent.core.effects import ReleaseBarrier
from agent.core.events import Event, EventType
from agent.core.evidence import MOST_ATTEMPTS
from agent.core.identity import Candidate, Direction, TrackId
from agent.core.reasons import DenyReason
from tests.core.inputs import INPUTS, MS, member
from tests.core.play import BEGIN_NS, ROSTER, RULES, Play, events, person, probe, types

ADA, BO = person(), person(member("bo"))
STRANGER = person(member("bo"), score=4.9)
INCONCLUSIVE = i.Pad(i.PadVerdict.INCONCLUSIVE, 0.5)
OFF = i.Pad(i.PadVerdict.OFF)


def released(lane: Play) -> bool:
    return any(isinstance(e, ReleaseBarrier) for e in lane.last)


def denials(effects: Any) -> list[DenyReason]:
    return [DenyReason(e.data["reason"]) for e in events(effects, EventType.ACCESS_DENIED)]


# --- enough, fresh, of this roster -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("frames", "expected"), [(2, False), (3, True), (9, True)])
def test_enough_frames_must_be_fused(frames: int, *, expected: bool) -> None:
    lane = Play()
    lane.shows(ADA, frames=frames)
    assert released(lane) is expected


@pytest.mark.parametrize(("age_ns", "expected"), [(0, True), (1_000 * MS - 1, True), (1_000 * MS, False), (-1, False)])
def test_a_probe_decides_only_within_a_second_of_its_capture(age_ns: int, *, expected: bool) -> None:
    lane = Play()
    lane.shows(ADA, captured_at_ns=lane.now_ns - age_ns)
    assert released(lane) is expected


@pytest.mark.parametrize(
    "other",
    [
        {"roster_version": 6},
        {"pack": "other"},
        {"camera": "exit"},
        {"camera": "elsewhere"},
        {"direction": Direction.EXIT, "camera": "entry"},
    ],
)
def test_a_probe_of_another_roster_pack_or_camera_is_dropped(other: dict[str, Any]) -> None:
    lane = Play()
    assert lane.shows(ADA, **other) == ()
    assert lane.state.counts.probes_dropped == 1


def test_a_new_roster_voids_what_was_compared_with_the_old_one() -> None:
    lane = Play()
    lane.shows(STRANGER)
    lane.hears(replace(ROSTER, version=8))
    assert lane.shows(ADA) == ()
    lane.shows(ADA, roster_version=8)
    assert released(lane)


# --- alike enough, and ahead -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("candidates", "expected"),
    [
        ((person(score=5.0),), True),
        ((person(score=4.999),), False),
        ((), False),
        ((person(score=7.0), person(member("bo"), score=6.0)), True),
        ((person(score=7.0), person(member("bo"), score=6.001)), False),
        ((person(score=7.0), person(score=6.9), person(member("bo"), score=2.0)), True),
        ((person(score=6.0), person(member("bo"), score=9.0)), False),
        ((person(score=float("nan")),), False),
        ((person(score=float("inf")),), False),
        ((person(score=7.0), person(member("bo"), score=float("nan"))), False),
    ],
)
def test_the_best_candidate_must_reach_the_threshold_and_lead_every_other_person(
    candidates: tuple[Candidate, ...], *, expected: bool
) -> None:
    lane = Play()
    lane.shows(*candidates)
    assert released(lane) is expected


@pytest.mark.parametrize("broken", [{"threshold": float("nan")}, {"margin": float("nan")}])
def test_a_threshold_or_margin_that_is_not_a_number_grants_nothing(broken: dict[str, float]) -> None:
    lane = Play()
    lane.shows(ADA, person(member("bo"), score=1.0), **broken)
    assert not released(lane)


def test_a_negative_margin_does_not_let_the_second_best_through() -> None:
    lane = Play()
    lane.shows(person(score=6.0), person(member("bo"), score=9.0), margin=-10.0)
    assert not released(lane)


@given(data=st.data())
def test_no_probe_whatever_is_granted_without_all_of_it(data: st.DataObject) -> None:
    lane = Play()
    shown = data.draw(INPUTS[i.ProbeCompared](BEGIN_NS))
    lane.hears(shown)
    if not released(lane):
        return
    best = shown.candidates[0]
    others = [c.score for c in shown.candidates if c.record.person != best.record.person]
    assert shown.frames >= 3
    assert shown.pad.verdict is i.PadVerdict.BONA_FIDE
    assert best.score >= shown.threshold
    assert all(best.score - score >= shown.margin for score in others[:1])
    assert 0 <= BEGIN_NS - shown.captured_at_ns < 1_000 * MS
    assert (shown.camera, shown.roster_version, shown.pack) == (str(shown.direction), 7, "pack")


# --- consistent --------------------------------------------------------------------------------------------------------------------------


def test_a_change_of_the_best_candidate_begins_the_evidence_anew() -> None:
    lane = Play()
    lane.shows(BO, frames=2)
    lane.shows(ADA, frames=3, after_ms=66)
    assert not released(lane), "frames of both may be in the probe"
    lane.shows(ADA, frames=4, after_ms=66)
    assert not released(lane)
    lane.shows(ADA, frames=5, after_ms=66)
    assert released(lane)


def test_a_track_that_keeps_changing_its_mind_is_ambiguous() -> None:
    lane = Play()
    for _ in range(10):
        lane.shows(BO, frames=2, after_ms=66)
        lane.shows(ADA, after_ms=66)
    assert denials(lane.waits(5_000)) == [DenyReason.AMBIGUOUS]


def test_a_probe_that_comes_twice_counts_once() -> None:
    lane = Play()
    lane.shows(BO, frames=2)
    again = probe(lane.now_ns + 66 * MS, ADA)
    lane.at_ms += 66
    lane.hears(again, again, again, again)
    assert not any(isinstance(e, ReleaseBarrier) for e in lane.all)


def test_a_replaced_subject_needs_evidence_of_their_own() -> None:
    lane = Play()
    lane.shows(ADA, frames=2)
    lane.hears(i.SubjectReplaced("entry", TrackId(1), lane.now_ns))
    for expected in (False, False, True):
        lane.shows(BO, frames=5, after_ms=66)
        assert released(lane) is expected


# --- presentation attack detection ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pad", [INCONCLUSIVE, OFF, i.Pad(i.PadVerdict.ATTACK, 0.1)])
def test_nothing_but_bona_fide_is_granted_where_pad_is_required(pad: i.Pad) -> None:
    for simulation in (False, True):
        lane = Play(rules=replace(RULES, simulation=simulation))
        lane.shows(ADA, pad=pad)
        assert not released(lane)


def test_an_attack_is_denied_at_once() -> None:
    assert denials(Play().shows(ADA, frames=1, pad=i.Pad(i.PadVerdict.ATTACK, 0.1))) == [DenyReason.PRESENTATION_ATTACK]


def test_inconclusive_means_retry_until_the_attempt_ends() -> None:
    lane = Play()
    lane.shows(ADA, pad=INCONCLUSIVE)
    lane.shows(ADA, after_ms=66)
    assert released(lane)
    lane = Play()
    lane.shows(ADA, pad=INCONCLUSIVE)
    assert denials(lane.waits(5_000)) == [DenyReason.PAD_INCONCLUSIVE]


@pytest.mark.parametrize("required", [True, False])
def test_a_probe_without_pad_is_granted_only_where_the_configuration_says_off(*, required: bool) -> None:
    lane = Play(rules=replace(RULES, pad_required=required))
    lane.shows(ADA, pad=OFF)
    assert released(lane) is not required
    assert denials(lane.all) == []


# --- attempts ----------------------------------------------------------------------------------------------------------------------------


def test_a_stranger_is_denied_after_the_attempt_and_then_rests() -> None:
    lane = Play()
    for _ in range(10):
        lane.shows(STRANGER, after_ms=66)
    began_ms = 66
    assert denials(lane.waits(began_ms + 4_999 - lane.at_ms)) == []
    assert denials(lane.waits(1)) == [DenyReason.NO_CANDIDATE]
    assert lane.shows(ADA, after_ms=1_999) == ()
    lane.waits(1)
    lane.shows(ADA)
    assert released(lane)


def test_a_stranger_who_walks_away_was_denied() -> None:
    lane = Play()
    lane.shows(STRANGER)
    effects = lane.hears(i.TrackLost("entry", TrackId(1), lane.now_ns))
    assert [(e.data["reason"], e.data["person"], e.data["score"]) for e in events(effects)] == [("no_candidate", "bo", 4.9)]
    assert types(lane.waits(9_000)) == []


@pytest.mark.parametrize("frames", [1, 2])
def test_a_passer_by_with_few_bad_frames_makes_no_event(frames: int) -> None:
    lane = Play()
    lane.shows(STRANGER, frames=frames)
    assert types(lane.hears(i.TrackLost("entry", TrackId(1), lane.now_ns))) == []
    assert types(lane.waits(9_000)) == []


def refused(fault: i.SampleFault, lane: Play) -> i.SampleRefused:
    return i.SampleRefused("entry", Direction.ENTRY, TrackId(1), lane.now_ns, fault)


def test_somebody_who_tries_without_one_fit_sample_is_denied_for_quality() -> None:
    lane = Play()
    lane.hears(refused(i.SampleFault.BLUR, lane))
    (denied,) = events(lane.waits(5_000), EventType.ACCESS_DENIED)
    compared = {
        name: denied.data[name] for name in ("reason", "person", "score", "threshold", "frames", "roster_version", "track", "camera")
    }
    nothing = dict.fromkeys(("person", "score", "threshold", "frames", "roster_version"))
    assert compared == {"reason": "quality", "track": 1, "camera": "entry", **nothing}


def test_too_few_fused_frames_within_the_attempt_are_a_matter_of_quality() -> None:
    lane = Play()
    lane.shows(ADA, frames=2)
    assert denials(lane.waits(5_000)) == [DenyReason.QUALITY]


@pytest.mark.parametrize("fault", [i.SampleFault.TOO_FAR, i.SampleFault.OUTSIDE_LANE])
def test_an_approaching_face_is_no_attempt_yet(fault: i.SampleFault) -> None:
    lane = Play()
    lane.hears(refused(fault, lane))
    assert denials(lane.waits(20_000)) == []
    lane.shows(STRANGER)
    assert denials(lane.waits(4_999)) == []


def test_a_denial_tells_the_scores_the_threshold_and_the_times() -> None:
    lane = Play()
    lane.shows(person(score=4.0), person(member("bo"), score=3.5))
    (denied,) = events(lane.hears(i.TrackLost("entry", TrackId(1), lane.now_ns), after_ms=160))
    assert denied.data == {
        "reason": "no_candidate",
        "direction": "entry",
        "person": "ada",
        "score": 4.0,
        "runner_up": 3.5,
        "threshold": 5.0,
        "margin": 1.0,
        "frames": 3,
        "pad": "bona_fide",
        "pad_score": 0.9,
        "track": 1,
        "camera": "entry",
        "captured_at_ns": BEGIN_NS - 40 * MS,
        "seen_ms": 660.0,
        "latency_ms": 200.0,
        "roster_version": 7,
        "pack": "pack",
    }


def test_two_people_in_the_lane_are_two_attempts() -> None:
    lane = Play()
    lane.shows(BO, frames=2, track=TrackId(1))
    lane.shows(ADA, track=TrackId(2))
    assert released(lane)


def test_a_crowd_does_not_grow_the_state() -> None:
    lane = Play()
    for track in range(500):
        lane.shows(STRANGER, track=TrackId(track), after_ms=1)
    assert len(lane.state.attempts) == MOST_ATTEMPTS
    assert max(a.track for a in lane.state.attempts) == 499


def granted(effects: Any) -> list[Event]:
    return events(effects, EventType.ACCESS_GRANTED)


def test_who_was_let_through_and_stays_is_not_let_through_again_at_once() -> None:
    lane = Play()
    grant = lane.grants().grant
    lane.hears(i.ReleaseEnded(grant, i.ReleaseEnd.WINDOW_PASSED), after_ms=5_000)
    assert granted(lane.shows(ADA, after_ms=66)) == []
    lane.waits(2_000)
    assert len(granted(lane.shows(ADA))) == 1
