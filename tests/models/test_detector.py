"""The cascade on the two portraits that packages carry, moved and scaled, and on pictures without a face."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from models.detector import Detections, Detector
from models.errors import ImageError
from models.pack import Pack
from tests.models.portraits import U8

EYES = slice(0, 2)
NEAR = 0.06
"""Parts of the eye distance by which landmarks may differ between two looks at one face."""


@pytest.fixture
def detector(pack: Pack) -> Detector:
    return pack.detector


def scaled(image: U8, scale: float) -> U8:
    return np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def on_frame(image: U8, *, x: int, y: int) -> U8:
    frame = np.full((480, 640, 3), 110, dtype=np.uint8)
    part = image[: 480 - y, : 640 - x]
    frame[y : y + part.shape[0], x : x + part.shape[1]] = part
    return frame


def eye_distance(landmarks: NDArray[np.float32]) -> float:
    return float(np.linalg.norm(landmarks[1] - landmarks[0]))


def the_one(found: Detections) -> NDArray[np.float32]:
    """Returns the landmarks (5, 2) of the only face."""
    assert len(found) == 1
    landmarks: NDArray[np.float32] = found.landmarks[0]
    return landmarks


def apart(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """The mean distance of landmarks, in eye distances."""
    return float(np.linalg.norm(one - other, axis=1).mean()) / eye_distance(one)


@pytest.mark.parametrize("scale", [0.35, 0.5, 0.8, 1.0, 1.3])
@pytest.mark.parametrize("portrait", ["astronaut", "hopper"])
def test_exactly_one_face_is_found_at_every_scale_with_its_landmarks_in_place(
    detector: Detector, request: pytest.FixtureRequest, portrait: str, scale: float
) -> None:
    image: U8 = request.getfixturevalue(portrait)
    # The eyes, read off the pictures by hand: (left eye, right eye) in the whole picture.
    by_hand = {"astronaut": [[203, 101], [247, 103]], "hopper": [[223, 191], [309, 189]]}[portrait]
    found = detector.detect(scaled(image, scale), min_face_px=24)
    sure = found.scores > 0.9
    landmarks = the_one(Detections(found.boxes[sure], found.scores[sure], found.landmarks[sure]))
    eyes = np.array(by_hand, np.float32) * scale
    assert np.linalg.norm(landmarks[EYES] - eyes, axis=1).max() < 0.12 * np.linalg.norm(eyes[1] - eyes[0])
    x0, y0, x1, y1 = found.boxes[sure][0]
    assert ((landmarks > (x0, y0)) & (landmarks < (x1, y1))).all(), "the landmarks lie in the box"


def test_landmarks_move_with_the_face(detector: Detector, astronaut: U8) -> None:
    face = scaled(astronaut, 0.9)[:300, 60:360]
    at_rest = the_one(detector.detect(on_frame(face, x=100, y=60), min_face_px=60))
    for dx, dy in ((1, 0), (0, 1), (37, 53), (-90, -50), (200, 110)):
        moved = the_one(detector.detect(on_frame(face, x=100 + dx, y=60 + dy), min_face_px=60))
        assert apart(moved, at_rest + np.array([dx, dy], np.float32)) < NEAR, (dx, dy)


def test_landmarks_scale_with_the_face(detector: Detector, astronaut: U8) -> None:
    whole = the_one(detector.detect(astronaut, min_face_px=60))
    for scale in (0.7, 0.9, 1.15, 1.6):
        image = scaled(astronaut, scale)
        # A pixel's centre lies at +0.5: scaling keeps corners in place, not centres.
        assert apart(the_one(detector.detect(image, min_face_px=50)), whole * scale) < NEAR, scale


def test_refining_a_detection_agrees_with_it(detector: Detector, astronaut: U8, hopper: U8) -> None:
    for image in (astronaut, hopper):
        found = detector.detect(image, min_face_px=60)
        refined = detector.refine(image, found.boxes)
        assert refined.origin.tolist() == [0]
        assert apart(the_one(refined), the_one(found)) < NEAR


def test_refining_follows_a_face_that_moved_and_grew_a_little(detector: Detector, astronaut: U8) -> None:
    face = scaled(astronaut, 0.9)[:300, 60:360]
    before = detector.detect(on_frame(face, x=100, y=60), min_face_px=60)
    later = on_frame(scaled(face, 1.05), x=110, y=66)
    assert apart(the_one(detector.refine(later, before.boxes)), the_one(detector.detect(later, min_face_px=60))) < NEAR


def test_refining_drops_what_is_no_face_and_says_which_boxes_stayed(detector: Detector, astronaut: U8) -> None:
    face = detector.detect(astronaut, min_face_px=60).boxes[0]
    nothing = np.array([10, 400, 90, 480], np.float32)
    outside = np.array([-500, -500, -400, -400], np.float32)
    refined = detector.refine(astronaut, np.stack([nothing, face, outside, face]))
    assert refined.origin.tolist() == [1, 3]
    assert len(refined) == 2
    assert refined.landmarks[0].tolist() == refined.landmarks[1].tolist()
    empty = detector.refine(astronaut, np.empty((0, 4), np.float32))
    assert (len(empty), empty.boxes.shape, empty.landmarks.shape, empty.origin.shape) == (0, (0, 4), (0, 5, 2), (0,))


def test_nothing_is_found_where_nobody_is(detector: Detector) -> None:
    noise = np.random.default_rng(3).integers(0, 256, (240, 320, 3), dtype=np.uint8)
    for image in (np.zeros((480, 640, 3), np.uint8), np.full((480, 640, 3), 255, np.uint8), noise):
        found = detector.detect(image, min_face_px=60)
        assert (len(found), found.boxes.shape, found.scores.shape, found.landmarks.shape) == (0, (0, 4), (0,), (0, 5, 2))


def test_two_people_are_found_best_first(detector: Detector, astronaut: U8, hopper: U8) -> None:
    frame = on_frame(scaled(astronaut, 0.7), x=0, y=40)
    frame[60:420, 330:637] = scaled(hopper, 0.6)
    found = detector.detect(frame, min_face_px=60)
    assert sorted(bool(box[0] > 320) for box in found.boxes) == [False, True]
    assert found.scores.tolist() == sorted(found.scores.tolist(), reverse=True)


def test_a_face_smaller_than_asked_for_costs_nothing(detector: Detector, astronaut: U8) -> None:
    assert len(detector.detect(scaled(astronaut, 0.35), min_face_px=120)) == 0


@pytest.mark.parametrize("size", [(1, 1), (5, 700), (11, 11), (13, 900)])
def test_a_picture_too_small_for_a_face_holds_none(detector: Detector, size: tuple[int, int]) -> None:
    assert len(detector.detect(np.zeros((*size, 3), np.uint8), min_face_px=12)) == 0


@pytest.mark.parametrize(
    ("image", "says"),
    [
        (np.zeros((100, 100), np.uint8), r"shape \(100, 100\)"),
        (np.zeros((100, 100, 4), np.uint8), r"shape \(100, 100, 4\)"),
        (np.zeros((100, 100, 3), np.float32), "type float32"),
        (np.zeros((0, 100, 3), np.uint8), "100x0"),
        (np.zeros((1, 20000, 3), np.uint8), "each side must be 1 to 16384"),
    ],
)
def test_what_is_no_picture_is_refused(detector: Detector, image: U8, says: str) -> None:
    with pytest.raises(ImageError, match=says):
        detector.detect(image, min_face_px=60)
    with pytest.raises(ImageError, match=says):
        detector.refine(image, np.zeros((1, 4), np.float32))


def test_a_face_below_the_networks_window_is_refused(detector: Detector, astronaut: U8) -> None:
    with pytest.raises(ImageError, match="finds faces from 12 pixels"):
        detector.detect(astronaut, min_face_px=11)


def test_boxes_of_another_shape_are_refused(detector: Detector, astronaut: U8) -> None:
    with pytest.raises(ImageError, match=r"must be \(n, 4\)"):
        detector.refine(astronaut, np.zeros(4, np.float32))
