"""The similarity transform against constructed answers, and chips against known pictures."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.alignment import chips, similarity
from models.errors import ImageError
from models.pack import Pack
from tests.models.portraits import U8

TEMPLATE = np.array([[47, 45], [102, 45], [74, 77], [51, 105], [98, 105]], np.float32)


def moved(points: np.ndarray, *, degrees: float, scale: float, x: float, y: float) -> np.ndarray:
    turn = np.deg2rad(degrees)
    matrix = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return points @ matrix.T + np.array([x, y])


@given(st.floats(-180, 180), st.floats(0.05, 20), st.floats(-2000, 2000), st.floats(-2000, 2000))
def test_a_face_that_is_a_moved_template_is_brought_back_exactly(degrees: float, scale: float, x: float, y: float) -> None:
    landmarks = moved(TEMPLATE.astype(np.float64), degrees=degrees, scale=scale, x=x, y=y)
    matrix = similarity(landmarks[None], TEMPLATE)[0]
    assert np.abs(landmarks @ matrix[:, :2].T + matrix[:, 2] - TEMPLATE).max() < 1e-6


def test_it_is_the_least_squares_answer() -> None:
    generator = np.random.default_rng(5)
    for _ in range(20):
        landmarks = moved(TEMPLATE.astype(np.float64), degrees=20, scale=0.7, x=30, y=-4) + generator.normal(0, 4, (5, 2))
        matrix = similarity(landmarks[None].astype(np.float32), TEMPLATE)[0]
        # Four unknowns a, b, tx, ty of [[a, -b], [b, a]], solved as a plain linear system.
        rows = np.array([row for px, py in landmarks.astype(np.float32) for row in ([px, -py, 1, 0], [py, px, 0, 1])], np.float64)
        a, b, tx, ty = np.linalg.lstsq(rows, TEMPLATE.reshape(-1).astype(np.float64), rcond=None)[0]
        assert np.abs(matrix - np.array([[a, -b, tx], [b, a, ty]])).max() < 1e-4


def test_a_mirrored_face_is_not_mirrored_back() -> None:
    matrix = similarity((TEMPLATE * np.array([-1, 1], np.float32))[None], TEMPLATE)[0]
    assert np.linalg.det(matrix[:, :2]) > 0


def test_each_of_several_faces_gets_its_own_transform() -> None:
    faces = np.stack([moved(TEMPLATE, degrees=d, scale=1, x=d, y=0) for d in (0, 30, 60)]).astype(np.float32)
    together = similarity(faces, TEMPLATE)
    for index, face in enumerate(faces):
        assert together[index].tolist() == similarity(face[None], TEMPLATE)[0].tolist()


@pytest.mark.parametrize("landmarks", [np.full((1, 5, 2), 40.0, np.float32), np.full((1, 5, 2), np.nan, np.float32)])
def test_landmarks_that_span_nothing_are_refused(landmarks: np.ndarray) -> None:
    with pytest.raises(ImageError, match="do not span a face"):
        similarity(landmarks, TEMPLATE)


def dotted(landmarks: np.ndarray, radius: int) -> U8:
    image = np.zeros((900, 1200, 3), np.uint8)
    for x, y in landmarks:
        cv2.circle(image, (round(float(x) * 16), round(float(y) * 16)), radius * 16, (0, 0, 255), -1, cv2.LINE_AA, 4)
    return image


@pytest.mark.parametrize("scale", [0.6, 1.0, 1.9, 2.3, 4.2, 7.0])
def test_dots_at_the_landmarks_come_to_lie_on_the_template_in_rgb(scale: float) -> None:
    landmarks = moved(TEMPLATE.astype(np.float64), degrees=8, scale=scale, x=200, y=20).astype(np.float32)
    chip = chips(dotted(landmarks, max(2, round(4 * scale))), landmarks[None], template=TEMPLATE, chip_px=150)[0]
    assert chip[..., 1:].max() == 0, "red in BGR is the first channel in RGB"
    for x, y in TEMPLATE:
        around = chip[round(y) - 9 : round(y) + 10, round(x) - 9 : round(x) + 10, 0].astype(np.float64)
        rows, columns = np.mgrid[0 : around.shape[0], 0 : around.shape[1]]
        found = np.array([(columns * around).sum(), (rows * around).sum()]) / around.sum()
        assert np.abs(found - 9).max() < 0.3, (scale, x, y, found)


def test_a_large_face_does_not_alias() -> None:
    """Single-pixel stripes, eight times too fine for the chip, come out grey and not as stripes of another width."""
    image = np.zeros((1200, 1200, 3), np.uint8)
    image[:, ::2] = 255
    chip = chips(image, (TEMPLATE * 8)[None], template=TEMPLATE, chip_px=150)[0]
    inner = chip[1:-1, 1:-1]  # the rim mixes with the black outside the picture
    assert int(inner.max()) - int(inner.min()) < 6


def test_a_face_at_the_edge_is_black_outside(pack: Pack, astronaut: U8) -> None:
    cut = astronaut[85:, 190:]
    landmarks = np.array([[[14, 16], [57, 18], [35, 44], [11, 55], [55, 57]]], np.float32)
    chip = chips(cut, landmarks, template=np.array(pack.manifest.embedder.alignment, np.float32), chip_px=150)[0]
    assert chip[:10].max() == 0
    assert chip[60:90, 60:90].min() > 0


def test_no_face_gives_no_chip(astronaut: U8) -> None:
    assert chips(astronaut, np.empty((0, 5, 2), np.float32), template=TEMPLATE, chip_px=150).shape == (0, 150, 150, 3)
