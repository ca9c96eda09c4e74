"""Several people in view, drawn from two portraits and seen by the real pack: the astronaut is enrolled, Hopper is a stranger."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from agent.biometrics.gallery import Gallery
from agent.core.identity import TrackId
from agent.core.inputs import RecognitionInput, SampleFault, SampleRefused, SubjectReplaced, TrackLost
from tests.vision import pack
from tests.vision.scenes import FRAME_NS, LEFT_PX, REGION, RIGHT_PX, At, Scene, Seen, between, show

ENROLLED, STRANGER = "astronaut", "hopper"


@pytest.fixture
def gallery() -> Gallery:
    return pack.gallery_of(ENROLLED)


def who_could_earn(seen: Sequence[Seen], gallery: Gallery) -> set[str]:
    """Whose faces were in the probes that reach the threshold."""
    return {each.of_whom(p).name for each in seen for p in each.probes if p.candidates[0].score >= gallery.threshold}


def compared(seen: Sequence[Seen]) -> set[str]:
    return {each.of_whom(p).name for each in seen for p in each.probes}


def faults(seen: Sequence[Seen]) -> set[SampleFault]:
    return {i.fault for each in seen for i in each.inputs if isinstance(i, SampleRefused)}


def said(seen: Sequence[Seen], kind: type[RecognitionInput]) -> list[tuple[int, TrackId]]:
    return [(each.number, i.track) for each in seen for i in each.inputs if isinstance(i, kind)]  # type: ignore[union-attr]


FRAMES = 36


def crossing() -> list[Scene]:
    """The stranger goes to the left and the enrolled person, who is a little nearer and covers him for a moment, to the right."""
    ways = zip(between(60, 580, FRAMES), between(580, 60, FRAMES), strict=True)
    return [[At(STRANGER, right, 50, y=190), At(ENROLLED, left, 56, y=215)] for left, right in ways]


def both_show(scene: Scene) -> bool:
    """Both in the lane, and neither covers the other."""
    him, her = scene
    inside = all(LEFT_PX + 15 < person.x < RIGHT_PX - 15 for person in scene)
    return inside and abs(him.x - her.x) > 160  # the width of a drawn head, and a whole search later


def test_two_faces_that_cross_are_not_compared_while_both_show(gallery: Gallery) -> None:
    seen = show(crossing(), gallery)
    both = [each for each in seen if both_show(each.scene)]
    assert len(both) > 10
    assert compared(both) == set()
    assert faults(both) == {SampleFault.SEVERAL_FACES}
    assert compared(seen) == {ENROLLED}  # who covers the other is nearer


def test_a_grant_to_one_of_two_who_cross_is_taken_back_when_the_other_one_shows_again(gallery: Gallery) -> None:
    seen = show(crossing(), gallery, watch_after=18)
    (number, track), *more = said(seen, SubjectReplaced)
    assert (track, more) == (granted_track(seen), [])
    assert number < next(each.number for each in seen[19:] if both_show(each.scene)) + 1


def test_a_stranger_who_comes_up_behind_the_enrolled_person_is_never_compared(gallery: Gallery) -> None:
    near = [[At(STRANGER, 420, eye), At(ENROLLED, 250, 64)] for eye in between(24, 50, 24)]
    seen = show(near, gallery)
    assert compared(seen) == {ENROLLED}
    far, close = seen[:8], seen[-8:]
    assert len([p for each in far for p in each.probes]) == 8
    assert compared(close) == set()  # he stands so near that nobody knows who would pass
    assert faults(close) == {SampleFault.SEVERAL_FACES}


def test_the_enrolled_person_behind_a_stranger_does_not_open_for_them(gallery: Gallery) -> None:
    seen = show([[At(ENROLLED, 480, 42), At(STRANGER, 215, 92)]] * 8, gallery)
    assert {each.faces for each in seen} == {2}
    assert compared(seen) == {STRANGER}
    assert who_could_earn(seen, gallery) == set()


def test_the_enrolled_person_behind_is_not_compared_while_the_stranger_before_them_lowers_the_head(gallery: Gallery) -> None:
    behind, before = At(ENROLLED, 480, 44), At(STRANGER, 215, 92)
    seen = show([*[[behind, before]] * 6, *[[behind]] * 4, *[[behind, before]] * 4], gallery)
    assert compared(seen) == {STRANGER}
    assert who_could_earn(seen, gallery) == set()
    assert faults(seen[7:10]) == {SampleFault.SEVERAL_FACES}


def test_somebody_who_hides_their_face_before_the_enrolled_person_is_remembered_for_a_second(gallery: Gallery) -> None:
    behind, before = At(ENROLLED, 480, 44), At(STRANGER, 215, 92)
    seen = show([*[[behind, before]] * 6, *[[behind]] * 20], gallery)
    assert compared(seen[:20]) == {STRANGER}
    assert compared(seen[22:]) == {ENROLLED}  # then she is alone, as far as a camera can tell


def test_whoever_comes_next_does_not_wait_for_somebody_who_walked_out_of_the_picture(gallery: Gallery) -> None:
    leaving = [[At(STRANGER, x, 70)] for x in between(300, 700, 10)]
    seen = show([*leaving, *[[]] * 5, *[[At(ENROLLED, 300, 50)]] * 4], gallery)
    assert who_could_earn(seen[15:17], gallery) == {ENROLLED}


@pytest.mark.parametrize("eye_px", [56, 95], ids=["beside the face", "at arm's length before it"])
def test_a_picture_of_the_enrolled_person_held_at_the_side_is_another_face_in_the_lane(gallery: Gallery, eye_px: float) -> None:
    seen = show([[At(STRANGER, 200, 52), At(ENROLLED, 420, eye_px)]] * 8, gallery)
    assert compared(seen) == set()
    assert faults(seen) == {SampleFault.SEVERAL_FACES}


def test_a_picture_of_the_enrolled_person_outside_the_lane_earns_nothing(gallery: Gallery) -> None:
    seen = show([[At(STRANGER, 300, 56), At(ENROLLED, 575, 50)]] * 8, gallery)
    assert {each.faces for each in seen} == {2}
    assert compared(seen) == {STRANGER}
    assert len([p for each in seen for p in each.probes]) == 8
    assert who_could_earn(seen, gallery) == set()


def test_a_neighbour_does_not_hinder_the_person_in_the_lane(gallery: Gallery) -> None:
    seen = show([[At(ENROLLED, 300, 56), At(STRANGER, 575, 60)]] * 8, gallery)
    assert {each.faces for each in seen} == {2}
    assert who_could_earn(seen, gallery) == {ENROLLED}
    assert len([p for each in seen for p in each.probes]) == 8


def test_the_enrolled_person_beside_the_lane_is_not_compared(gallery: Gallery) -> None:
    seen = show([[At(ENROLLED, 570, 60)]] * 6, gallery)
    assert compared(seen) == set()
    assert faults(seen) == {SampleFault.OUTSIDE_LANE}


def test_a_face_nearer_than_the_distance_band_is_asked_to_step_back(gallery: Gallery) -> None:
    seen = show([[At(ENROLLED, 320, 80)]] * 3, gallery, region=replace(REGION, max_eye_px=70))
    assert faults(seen) == {SampleFault.TOO_CLOSE}
    assert compared(seen) == set()


def granted_track(seen: Sequence[Seen]) -> TrackId:
    return next(p.track for each in seen for p in each.probes)


def granted(scenes: Sequence[Scene], gallery: Gallery) -> list[Seen]:
    """What is said once the enrolled person, alone for six frames, was let through."""
    seen = show([*[[At(ENROLLED, 250, 60)]] * 6, *scenes], gallery, watch_after=5)
    assert said(seen[:6], SubjectReplaced) == []
    assert {p.track for each in seen[:5] for p in each.probes} == {1}
    return seen[6:]


def test_a_granted_person_who_steps_back_while_a_stranger_comes_up_is_replaced(gallery: Gallery) -> None:
    ways = zip(between(60, 34, 24), between(30, 66, 24), strict=True)
    seen = granted([[At(STRANGER, 430, his), At(ENROLLED, 230, hers)] for hers, his in ways], gallery)
    (number, track), *more = said(seen, SubjectReplaced)
    assert (track, more) == (1, [])
    assert seen[number - 6].scene[0].eye_px < seen[number - 6].scene[1].eye_px * 1.2  # before he is past her
    assert said(seen, TrackLost)[0] == (number, 1)


def test_a_granted_person_who_steps_back_is_lost(gallery: Gallery) -> None:
    seen = granted([[At(ENROLLED, 250, eye)] for eye in between(60, 22, 20)], gallery)
    assert [track for _, track in said(seen, TrackLost)][:1] == [1]
    assert said(seen, SubjectReplaced) == []


def test_a_granted_person_who_steps_aside_is_lost_at_the_edge_of_the_lane(gallery: Gallery) -> None:
    seen = granted([[At(ENROLLED, x, 56)] for x in between(250, 600, 20)], gallery)
    (number, track), *more = said(seen, TrackLost)
    assert (track, more) == (1, [])
    assert RIGHT_PX < seen[number - 6].scene[0].x < 600
    assert said(seen, SubjectReplaced) == []


def test_a_granted_person_missed_for_a_moment_and_found_elsewhere_is_the_same_person(gallery: Gallery) -> None:
    seen = granted([*[[]] * 2, *[[At(ENROLLED, 400, 62)]] * 12], gallery)
    assert [each.inputs for each in seen if each.inputs] == []


def test_a_granted_person_who_vanishes_is_gone_from_when_they_were_last_seen(gallery: Gallery) -> None:
    seen = granted([[]] * 8, gallery)
    assert [i.captured_at_ns for each in seen for i in each.inputs if isinstance(i, TrackLost)] == [6 * FRAME_NS]


def test_somebody_else_in_the_place_of_a_granted_person_who_is_out_of_view_replaces_them(gallery: Gallery) -> None:
    seen = granted([*[[]] * 6, *[[At(STRANGER, 400, 58)]] * 8], gallery)
    assert [track for _, track in said(seen, TrackLost)] == [1]
    (number, track), *more = said(seen, SubjectReplaced)
    assert (track, more) == (1, [])
    assert number - 6 <= 6 + 2  # two templates that are unlike


def test_whoever_waits_behind_a_granted_person_does_not_take_their_grant_back(gallery: Gallery) -> None:
    waiting = At(STRANGER, 420, 44)
    seen = granted([*[[waiting, At(ENROLLED, 250, 68)]] * 8, *[[waiting]] * 3, *[[waiting, At(ENROLLED, 250, 72)]] * 4], gallery)
    assert said(seen, SubjectReplaced) == []
    assert said(seen, TrackLost) == []
