import cv2
import numpy as np
import pytest

from agent.core.inputs import Box
from agent.vision.picture import BANNER_PX, DENIED, GRANTED, NOTICE, SIMULATION, WIDTH_PX, ScoreBar, draw_decision, png

FRAME = np.full((480, 640, 3), 128, np.uint8)


def shows(picture: np.ndarray, colour: tuple[int, int, int]) -> int:
    """How many pixels have a colour."""
    return int((picture == np.array(colour, np.uint8)).all(axis=2).sum())


@pytest.mark.parametrize(("granted", "colour", "other"), [(True, GRANTED, DENIED), (False, DENIED, GRANTED)])
def test_a_decision_is_drawn_in_its_own_colour_on_a_copy_of_the_frame(
    *, granted: bool, colour: tuple[int, int, int], other: tuple[int, int, int]
) -> None:
    frame = FRAME.copy()
    picture = draw_decision(frame, Box(200, 100, 300, 230), ["somebody"], granted=granted, banner=SIMULATION, bar=ScoreBar(0.2, 0.1, -0.1))
    assert shows(picture, colour) > 500
    assert shows(picture, other) == 0
    np.testing.assert_array_equal(frame, FRAME)


def test_a_simulation_says_so_over_the_whole_width_and_a_face_at_the_edge_does_not_hide_it() -> None:
    picture = draw_decision(FRAME, Box(-20, -30, 100, 90), ["somebody"], granted=True, banner=SIMULATION)
    assert shows(picture[:BANNER_PX], NOTICE) > 0.9 * BANNER_PX * WIDTH_PX
    assert shows(picture[:BANNER_PX], GRANTED) == 0
    assert shows(draw_decision(FRAME, None, [], granted=True, banner=None), NOTICE) == 0


def test_each_line_has_room_and_a_long_one_stays_inside() -> None:
    short = draw_decision(FRAME, None, ["a"], granted=True, banner=SIMULATION)
    long = draw_decision(FRAME, None, ["a", "x" * 300, "b"], granted=True, banner=SIMULATION)
    assert long.shape[0] > short.shape[0]
    assert np.ptp(long[long.shape[0] - 100 :, -10:].reshape(-1, 3), axis=0).tolist() == [0, 0, 0]


def test_a_picture_becomes_a_png_that_reads_back_the_same() -> None:
    picture = draw_decision(FRAME, None, ["a"], granted=False, banner=SIMULATION)
    again = cv2.imdecode(np.frombuffer(png(picture), np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(again, picture)
