"""Where the lane is in the picture: from the configuration's words to who is in it."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent import parts
from agent.config import load
from agent.settings import ConfigError
from agent.vision.region import LEFT_SPARE, Region

SHARES = st.floats(0, 1)


def written(folder: Path, camera: str = "", recognition: str = "") -> Path:
    file = folder / "agent.toml"
    file.write_text(f"[[camera]]\n{camera}\n[recognition]\n{recognition}\n", encoding="utf-8")
    return file


def test_a_cameras_region_and_the_distance_band_come_from_the_configuration(tmp_path: Path) -> None:
    config = load(written(tmp_path, "lane_left = 0.1\nlane_bottom = 0.9", "min_eye_distance_px = 30\nmax_eye_distance_px = 90"))
    region = parts.region(config.camera[0], config.recognition)
    assert region == Region(left=0.1, right=0.8, top=0.0, bottom=0.9, min_eye_px=30, max_eye_px=90)


def test_the_middle_of_the_frame_is_the_lane_unless_told_otherwise(tmp_path: Path) -> None:
    config = load(written(tmp_path))
    region = parts.region(config.camera[0], config.recognition)
    assert [region.holds((x, 0.5)) for x in (0.1, 0.3, 0.5, 0.7, 0.9)] == [False, True, True, True, False]


@pytest.mark.parametrize(
    ("camera", "recognition", "words"),
    [
        ("lane_left = 0.8\nlane_right = 0.4", "", "'camera.lane_left' of 'entry' is 0.8; it must be less than lane_right, which is 0.4"),
        ("lane_top = 1.0", "", "'camera.lane_top' of 'entry' is 1; it must be less than lane_bottom, which is 1"),
        ("lane_right = 1.2", "", "the greatest value is 1"),
        ("", "min_eye_distance_px = 80\nmax_eye_distance_px = 60", "is 80; it must be less than max_eye_distance_px, which is 60"),
    ],
)
def test_a_region_that_cannot_hold_anybody_is_refused(tmp_path: Path, camera: str, recognition: str, words: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load(written(tmp_path, camera, recognition))
    assert words in str(refused.value)


@given(x=SHARES, y=SHARES, left=st.floats(0, 0.49), right=st.floats(0.5, 1))
def test_who_is_in_the_lane_is_in_it_with_room_to_spare_too(x: float, y: float, left: float, right: float) -> None:
    region = Region(left=left, right=right, min_eye_px=40, max_eye_px=250)
    assert region.holds((x, y)) == (left <= x <= right)
    assert region.holds((x, y), spare=LEFT_SPARE) or not region.holds((x, y))
