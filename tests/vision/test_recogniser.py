"""Walk-ups of two portraits, through the real pack: who is named, what is refused, when a track ends."""

from collections.abc import Iterable
from itertools import chain

import numpy as np
import pytest

from agent.biometrics.gallery import Gallery
from agent.core.identity import Direction, TrackId
from agent.core.inputs import Pad, PadVerdict, ProbeCompared, RecognitionInput, SampleFault, SampleRefused, SubjectReplaced, TrackLost
from agent.diagnostics.walkup import Sensor, empty_lane, place, walk_up, wall
from agent.vision.frame import U8, Frame
from agent.vision.recogniser import CameraState, Recogniser
from agent.vision.tracker import Tracks
from tests.vision import pack

FRAME_NS = 66_666_667


def recogniser() -> Recogniser:
    return Recogniser(pack.sampler(), frames=3, pad=Pad(PadVerdict.OFF))


def see(
    images: Iterable[U8], gallery: Gallery | None, *, watch_after: int | None = None, state: CameraState | None = None
) -> list[tuple[RecognitionInput, ...]]:
    """The inputs of each frame. watch_after: from this frame on, the first probe's track is watched."""
    state, looking, found, subject = state or CameraState(), recogniser(), [], None
    for number, image in enumerate(images):
        watched = subject if watch_after is not None and number >= watch_after else None
        sight = looking.see(
            state,
            Frame(number + 1, (number + 1) * FRAME_NS, image),
            camera="entry",
            direction=Direction.ENTRY,
            gallery=gallery,
            watched=watched,
        )
        state = sight.state
        found.append(sight.inputs)
        subject = subject or next((i.track for i in sight.inputs if isinstance(i, ProbeCompared)), None)
    return found


def probes(found: Iterable[tuple[RecognitionInput, ...]]) -> list[ProbeCompared]:
    return [i for i in chain.from_iterable(found) if isinstance(i, ProbeCompared)]


def scene(*people: tuple[str, float, float], seed: int = 0, y: float = 200) -> U8:
    """People (name, x, eye_px), the first one behind."""
    frame = wall((640, 480))
    for name, x, eye_px in people:
        frame = place(frame, pack.person(name), at=(x, y), eye_px=eye_px)
    return Sensor(seed).expose(frame)


def test_an_enrolled_person_is_named_and_a_stranger_is_not() -> None:
    gallery = pack.gallery_of("astronaut")
    known = probes(see(walk_up(pack.person("astronaut"), frames=24, from_eye_px=30, seed=1), gallery))
    stranger = probes(see(walk_up(pack.person("hopper"), frames=24, from_eye_px=30, seed=2), gallery))
    assert len(known) > 8
    assert len(stranger) > 8
    assert {p.candidates[0].record.person for p in known} == {"astronaut"}
    assert min(p.candidates[0].score for p in known) > gallery.threshold + 0.1
    assert max(p.candidates[0].score for p in stranger) < gallery.threshold - 0.1


def test_a_walk_up_is_one_track_told_to_come_closer_and_then_compared_with_more_frames_each_time() -> None:
    found = see(walk_up(pack.person("astronaut"), frames=24, from_eye_px=24, seed=1), pack.gallery_of("astronaut", "hopper"))
    inputs = list(chain.from_iterable(found))
    assert {i.track for i in inputs} == {1}
    kinds = [i.fault if isinstance(i, SampleRefused) else "compared" for i in inputs]
    first = kinds.index("compared")
    assert first > 3
    assert set(kinds[:first]) == {SampleFault.TOO_FAR}
    assert set(kinds[first:]) == {"compared"}
    compared = probes(found)
    assert [p.frames for p in compared[:7]] == [1, 2, 3, 4, 5, 5, 5]
    assert [p.roster_version for p in compared[:1]] == [4]
    assert [len(p.candidates) for p in compared[:1]] == [2]
    assert compared[0].captured_at_ns == (first + 1) * FRAME_NS
    assert compared[0].track_started_ns == FRAME_NS


def test_nobody_is_compared_before_there_is_a_roster() -> None:
    assert probes(see(walk_up(pack.person("astronaut"), frames=6, from_eye_px=50), None)) == []


def test_an_empty_lane_says_nothing() -> None:
    assert set(see(empty_lane(frames=6), pack.gallery_of("astronaut"))) == {()}


def test_a_person_who_leaves_is_lost_once() -> None:
    there = walk_up(pack.person("astronaut"), frames=8, from_eye_px=45)
    found = see(chain(there, empty_lane(frames=8)), pack.gallery_of("astronaut"))
    lost = [(number, i.track) for number, inputs in enumerate(found) for i in inputs if isinstance(i, TrackLost)]
    assert [track for _, track in lost] == [1]
    assert 12 <= lost[0][0] <= 13  # 0.3 s after the eighth frame
    assert [i.captured_at_ns for i in chain.from_iterable(found) if isinstance(i, TrackLost)] == [8 * FRAME_NS]


@pytest.mark.parametrize("watched", [False, True], ids=["before a grant", "after a grant"])
def test_a_stranger_who_takes_the_place_of_a_subject_ends_their_track(*, watched: bool) -> None:
    gallery = pack.gallery_of("astronaut")
    images = [scene(("astronaut", 320, 60), seed=i) for i in range(10)] + [scene(("hopper", 320, 60), seed=i) for i in range(10)]
    found = see(images, gallery, watch_after=6 if watched else None)
    replaced = [(number, i.track) for number, inputs in enumerate(found) for i in inputs if isinstance(i, SubjectReplaced)]
    lost = [i.track for i in chain.from_iterable(found) if isinstance(i, TrackLost)]
    assert [track for _, track in replaced] == [1] == lost
    assert 11 <= replaced[0][0] <= 13  # the second template that is unlike; while watching one frame in three is looked at
    assert [p for p in probes(found[10:]) if p.candidates[0].score >= gallery.threshold] == []
    assert {p.track for p in probes(found[replaced[0][0] + 1 :])} == {2}


def test_nobody_is_compared_while_two_stand_side_by_side() -> None:
    images = [scene(("astronaut", 190, 55), ("hopper", 450, 58), seed=i) for i in range(6)]
    found = see(images, pack.gallery_of("astronaut", "hopper"))
    assert probes(found) == []
    assert {i.fault for i in chain.from_iterable(found) if isinstance(i, SampleRefused)} == {SampleFault.SEVERAL_FACES}


def test_somebody_further_behind_does_not_disturb_the_subject() -> None:
    images = [scene(("hopper", 520, 26), ("astronaut", 250, 62), seed=i) for i in range(8)]
    compared = probes(see(images, pack.gallery_of("astronaut", "hopper")))
    assert len(compared) == 8
    assert {p.candidates[0].record.person for p in compared} == {"astronaut"}


def test_a_face_that_comes_between_a_granted_person_and_the_barrier_replaces_them() -> None:
    alone = [scene(("astronaut", 220, 44), seed=i) for i in range(8)]
    joined = [scene(("astronaut", 220, 44), ("hopper", 470, 70), seed=i) for i in range(8)]
    found = see([*alone, *joined], pack.gallery_of("astronaut"), watch_after=4)
    replaced = [number for number, inputs in enumerate(found) for i in inputs if isinstance(i, SubjectReplaced)]
    assert len(replaced) == 1
    assert 8 <= replaced[0] < 8 + 5  # the next whole search


def test_a_granted_person_who_stands_there_is_watched_in_silence() -> None:
    images = [scene(("astronaut", 320, 60), seed=i) for i in range(20)]
    found = see(images, pack.gallery_of("astronaut"), watch_after=5)
    assert [inputs for inputs in found[5:] if inputs] == []


def test_no_probe_mixes_the_templates_of_two_people() -> None:
    """One takes the other's place from frame to frame: whatever was fused matches one of them as well as their own pictures do."""
    order = "aaaahhhhahahaahhaaaa"
    images = [scene(("astronaut" if who == "a" else "hopper", 320, 60), seed=i) for i, who in enumerate(order)]
    gallery = pack.gallery_of("astronaut", "hopper")
    for number, inputs in enumerate(see(images, gallery)):
        for probe in probes([inputs]):
            assert probe.candidates[0].score > -0.3, (number, probe.candidates)
            assert probe.candidates[0].record.person == {"a": "astronaut", "h": "hopper"}[order[number]]


def test_the_same_frames_give_the_same_inputs() -> None:
    gallery = pack.gallery_of("astronaut", "hopper")
    once, again = (see(walk_up(pack.person("hopper"), frames=10, from_eye_px=35, seed=5), gallery) for _ in range(2))
    assert once == again


def test_tracks_of_two_cameras_do_not_share_ids() -> None:
    gallery = pack.gallery_of("astronaut")
    images = list(walk_up(pack.person("astronaut"), frames=3, from_eye_px=50))
    ids = [probes(see(images, gallery, state=CameraState(tracks=Tracks((), first, 2))))[0].track for first in (1, 2)]
    assert ids == [TrackId(1), TrackId(2)]


def test_frames_are_not_written_to() -> None:
    image = scene(("astronaut", 320, 60))
    image.setflags(write=False)
    before = image.copy()
    assert len(probes(see([image], pack.gallery_of("astronaut")))) == 1
    np.testing.assert_array_equal(image, before)
