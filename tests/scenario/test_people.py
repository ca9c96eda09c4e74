"""Several people before a whole lane: the program as it runs, its cameras on the network, an emulated controller."""

from collections.abc import Iterable
from dataclasses import replace

import cv2
import pytest

from tests.scenario.conftest import NewLane
from tests.sim.scene import NOBODY, Pictures
from tests.sim.town import PERSON, Town
from tests.vision.scenes import At, Scene, between, draw

ENROLLED, STRANGER = "astronaut", "hopper"  # names of the portraits; PERSON is the first one on the roster
BEHIND = [At(ENROLLED, 480, 42), At(STRANGER, 215, 92)]
PICTURE_HELD = [At(STRANGER, 200, 52), At(ENROLLED, 420, 60)]
CHANGE_PLACES = [
    [At(STRANGER, 430, his), At(ENROLLED, 230, hers)] for hers, his in zip(between(60, 34, 16), between(30, 66, 16), strict=True)
]
ALONE = [At(ENROLLED, 250, 60)]


@pytest.fixture(scope="module")
def town(town: Town) -> Town:
    scenes = {
        NOBODY: shown([[]] * 10),  # in the size of the others: a stream keeps the size that it begins with
        "behind": shown([BEHIND] * 10),
        "picture": shown([PICTURE_HELD] * 10),
        "alone": shown([ALONE] * 10),
        "change": shown([[At(STRANGER, 400, 66)]] * 10, come=CHANGE_PLACES),
    }
    return replace(town, pictures={**town.pictures, **scenes})


def shown(stand: Iterable[Scene], *, come: Iterable[Scene] = ()) -> Pictures:
    drawn = [tuple(draw(scene, seed=seed) for seed, scene in enumerate(scenes)) for scenes in (come, stand)]
    come_jpegs, stand_jpegs = (tuple(cv2.imencode(".jpg", image)[1].tobytes() for image in images) for images in drawn)
    return Pictures(come_jpegs, stand_jpegs)


@pytest.mark.slow
@pytest.mark.parametrize("scene", ["behind", "picture"])
def test_an_enrolled_face_that_is_not_the_subject_opens_for_nobody(new_lane: NewLane, scene: str) -> None:
    lane = new_lane().start()
    lane.until(lane.in_service, "in service")
    lane.come("entry", scene)
    lane.until(lambda: len(lane.said("access.denied")) >= 2, "two attempts denied")
    view = lane.snapshot()["views"]["entry"]
    assert (view["faces"], view["in_lane"]) == (2, True)
    assert lane.said("access.granted") == []
    assert lane.releases() == []
    lane.come("entry", "alone")
    lane.until(lane.passages, "the enrolled person alone is let in")
    assert [event["person"] for event in lane.said("access.granted")] == [PERSON]


def test_a_release_is_taken_back_when_the_granted_person_steps_back_and_a_stranger_comes_up(new_lane: NewLane) -> None:
    lane = new_lane(pace=("--person", "nobody"), settings={"lane": {"release_window_ms": 10_000}}).start()
    lane.until(lane.in_service, "in service")
    lane.come("entry", "alone")
    lane.until(lane.releases, "a release")
    lane.come("entry", "change")
    lane.until(lambda: lane.said("grant.cancelled"), "the release is taken back", within_s=9)
    assert [event["reason"] for event in lane.said("grant.cancelled")] == ["subject_replaced"]
    lane.until(lambda: lane.said("passage.not_made"), "the end of the grant", within_s=5)
    assert lane.passages() == []
    assert len(lane.releases()) == 1
