"""Scores of a track become one verdict beside the match; a grant is not made from less than the pack's number of frames."""

import numpy as np
import pytest

from agent.core.identity import Direction
from agent.core.inputs import Box, Pad, PadVerdict, ProbeCompared, SampleFault, SampleRefused
from agent.diagnostics.walkup import walk_up
from agent.vision.frame import Frame
from agent.vision.pad import Detection
from agent.vision.recogniser import CameraState, Recogniser
from models.errors import GraphFailedError
from models.picture import F32, U8
from tests.vision import pack

BOX = Box(10, 10, 60, 70)
FRAME_NS = 66_666_667


class Written:
    """A network whose scores are written down; what it was shown is kept."""

    def __init__(self, *scores: float) -> None:
        self.left, self.shown = list(scores), []

    def score(self, image: U8, boxes: F32) -> F32:
        self.shown.append((image.shape, boxes.tolist()))
        return np.array([self.left.pop(0)], np.float32)


def detection(*scores: float, frames: int = 3, most: int = 5) -> tuple[Detection, Written]:
    network = Written(*scores)
    return Detection(network, bona_fide_min=0.6, attack_max=0.3, frames=frames, most=most, crop=2.0), network


def after(*scores: float) -> Pad:
    running, _ = detection(*scores)
    seen: tuple[float, ...] = ()
    for _ in scores:
        seen = running.scored(seen, np.zeros((100, 100, 3), np.uint8), BOX)
    return running.verdict(seen)


@pytest.mark.parametrize(
    ("scores", "verdict", "score"),
    [
        ((), PadVerdict.INCONCLUSIVE, None),
        ((1.0,), PadVerdict.INCONCLUSIVE, 1.0),
        ((0.0, 0.0), PadVerdict.INCONCLUSIVE, 0.0),
        ((0.9, 0.8, 0.7), PadVerdict.BONA_FIDE, 0.8),
        ((0.5, 0.25, 0.0), PadVerdict.ATTACK, 0.25),
        ((0.5, 0.5, 0.5), PadVerdict.INCONCLUSIVE, 0.5),
        ((0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0), PadVerdict.BONA_FIDE, 0.8),
        ((float("nan"), 1.0, 1.0), PadVerdict.INCONCLUSIVE, None),
    ],
)
def test_the_newest_frames_decide_together(scores: tuple[float, ...], verdict: PadVerdict, score: float | None) -> None:
    found = after(*scores)
    assert found.verdict is verdict
    assert found.score == pytest.approx(score)


def test_the_whole_frame_and_the_faces_box_are_shown_to_the_network() -> None:
    running, network = detection(0.5)
    running.scored((), np.zeros((480, 640, 3), np.uint8), BOX)
    assert network.shown == [((480, 640, 3), [[10, 10, 60, 70]])]


def test_a_walk_up_is_scored_on_the_frames_of_its_probes_and_inconclusive_before_the_third() -> None:
    running, network = detection(*[0.9] * 100)
    looking, state, found = Recogniser(pack.sampler(), frames=3, pad=running), CameraState(), []
    gallery = pack.gallery_of("astronaut")
    for number, image in enumerate(walk_up(pack.person("astronaut"), frames=20, from_eye_px=50, seed=4), start=1):
        sight = looking.see(
            state, Frame(number, number * FRAME_NS, image), camera="entry", direction=Direction.ENTRY, gallery=gallery, watched=None
        )
        state = sight.state
        found += [each.pad for each in sight.inputs if isinstance(each, ProbeCompared)]
    assert len(found) > 5
    assert len(network.shown) == len(found), "no frame is scored that makes no probe"
    assert [pad.verdict for pad in found[:3]] == [PadVerdict.INCONCLUSIVE, PadVerdict.INCONCLUSIVE, PadVerdict.BONA_FIDE]
    assert {pad.verdict for pad in found[2:]} == {PadVerdict.BONA_FIDE}


@pytest.mark.parametrize(("box", "fits"), [((10, 10, 110, 130), True), ((10, 10, 111, 130), False), ((10, 10, 110, 131), False)])
def test_a_face_so_near_that_the_frame_shows_too_little_around_it_cannot_be_told(box: tuple[int, int, int, int], *, fits: bool) -> None:
    assert detection()[0].has_room(np.zeros((240, 200, 3), np.uint8), Box(*box)) is fits


def test_a_face_without_room_around_it_is_asked_to_step_back_and_makes_no_probe() -> None:
    running, network = detection(*[0.9] * 100)
    looking = Recogniser(pack.sampler(), frames=3, pad=running)
    found = []
    for number, image in enumerate(walk_up(pack.person("astronaut"), frames=5, from_eye_px=99, to_eye_px=100, size=(640, 480)), start=1):
        sight = looking.see(
            CameraState(),
            Frame(number, number * FRAME_NS, image),
            camera="entry",
            direction=Direction.ENTRY,
            gallery=pack.gallery_of("astronaut"),
            watched=None,
        )
        found += sight.inputs
    assert [type(each) for each in found] == [SampleRefused] * 5
    assert {each.fault for each in found if isinstance(each, SampleRefused)} == {SampleFault.TOO_CLOSE}
    assert network.shown == []


def test_networks_that_give_no_number_do_not_warm_up() -> None:
    running, _ = detection(float("nan"))
    with pytest.raises(GraphFailedError, match="give nan for a black picture"):
        running.warm_up()
