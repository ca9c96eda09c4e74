"""Each fault on a real portrait that was spoilt in that one way."""

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest

from agent.biometrics.quality import fault
from agent.core.inputs import SampleFault
from agent.diagnostics.walkup import Sensor, place, wall
from agent.vision.frame import U8
from tests.vision import pack

SIZE = (640, 480)


def standing(name: str, *, eye_px: float = 60, at: tuple[float, float] = (320, 200), lean_deg: float = 0) -> U8:
    return place(wall(SIZE), pack.person(name), at=at, eye_px=eye_px, lean_deg=lean_deg)


def turned(picture: U8, degrees: float) -> U8:
    """The head turned: its picture on a cylinder with a nose, seen from the side. The eyes are at (290, 200) and (350, 200)."""
    radius, nose = 75.0, 40.0  # pixels
    columns, rows = np.arange(SIZE[0], dtype=np.float64), np.arange(SIZE[1], dtype=np.float32)
    off = columns - 320
    cylinder = np.sqrt(np.clip(radius**2 - off**2, 0, None))
    source = np.empty((SIZE[1], SIZE[0]), np.float32)
    for row in range(SIZE[1]):
        depth = cylinder + nose * np.exp(-((off / 14) ** 2) - ((row - 236) / 22) ** 2)
        seen_at = off * np.cos(np.radians(degrees)) + depth * np.sin(np.radians(degrees))
        source[row] = np.interp(off + radius * np.sin(np.radians(degrees)), np.maximum.accumulate(seen_at), columns)
    return np.asarray(cv2.remap(picture, source, np.repeat(rows[:, None], SIZE[0], axis=1), cv2.INTER_LINEAR), dtype=np.uint8)


def lit(picture: U8, level: float) -> U8:
    """Half the contrast, and so much light that the middle of the picture has this mean grey level."""
    flat = picture * 0.5
    return np.asarray(np.clip(flat + (level - flat[150:280, 280:360].mean()), 0, 255), dtype=np.uint8)


SPOILT: dict[SampleFault | None, Callable[[str], U8]] = {
    None: standing,
    SampleFault.TOO_FAR: lambda name: standing(name, eye_px=32),
    SampleFault.TOO_CLOSE: lambda name: standing(name, at=(320, 25)),
    SampleFault.BLUR: lambda name: np.asarray(cv2.GaussianBlur(standing(name), (0, 0), 4.5), dtype=np.uint8),
    SampleFault.DARK: lambda name: np.asarray(standing(name) * 0.15, dtype=np.uint8),
    SampleFault.BRIGHT: lambda name: lit(standing(name), 232),
}


@pytest.mark.parametrize("name", ["astronaut", "hopper"])
@pytest.mark.parametrize("expected", SPOILT, ids=str)
def test_a_portrait_spoilt_in_one_way_is_refused_for_that(name: str, expected: SampleFault | None) -> None:
    picture = Sensor(3).expose(SPOILT[expected](name)) if expected is not SampleFault.BLUR else SPOILT[expected](name)
    samples = pack.sampler().sample_faces(picture)
    assert [sample.fault for sample in samples] == [expected], samples[0].quality if samples else "no face found"


@pytest.mark.parametrize("name", ["astronaut", "hopper"])
def test_a_turned_head_is_seen_as_turned_and_refused_by_a_bound_that_a_straight_one_keeps(name: str) -> None:
    bounds = replace(pack.BOUNDS, max_yaw=0.2)
    found = {}
    for degrees in (-35, 0, 35):
        (sample,) = pack.sampler().sample_faces(turned(standing(name), degrees))
        found[degrees] = fault(sample.quality, landmarks=sample.landmarks, frame_size=SIZE, bounds=bounds)
        assert np.sign(round(sample.quality.yaw, 1)) == np.sign(degrees)
    assert found == {-35: SampleFault.POSE, 0: None, 35: SampleFault.POSE}


def test_a_head_that_leans_is_no_fault() -> None:
    for lean in (-20, 20):
        (sample,) = pack.sampler().sample_faces(standing("astronaut", lean_deg=lean))
        assert sample.fault is None
        assert abs(sample.quality.yaw) < 0.1


def test_the_eye_distance_is_that_of_the_picture() -> None:
    (sample,) = pack.sampler().sample_faces(standing("astronaut", eye_px=55))
    assert sample.quality.eye_distance_px == pytest.approx(55, abs=2.5)
