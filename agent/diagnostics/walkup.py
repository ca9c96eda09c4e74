"""Frames of a person who walks up to a gate, made from one portrait: for the demo, the tests and the benchmarks. Always a simulation.

A portrait is moved, scaled and turned over a plain wall, with a sway, a slow change of light and the noise of a sensor, so that no two
frames are equal. The same seed gives the same frames. The two portraits come as files with packages of the `demo` extra; neither package
is imported.
"""

import importlib.util
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from math import cos, pi, radians, sin
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from agent.errors import GateError

U8 = npt.NDArray[np.uint8]
F32 = npt.NDArray[np.float32]
Point = tuple[float, float]


class PortraitMissingError(GateError):
    """The file that a portrait is taken from is not installed."""


@dataclass(frozen=True, slots=True, eq=False)
class Portrait:
    """One person's picture. image: uint8 (h, w, 3) BGR; eyes: as seen in the picture, pixels."""

    name: str
    image: U8
    left_eye: Point
    right_eye: Point

    @property
    def middle(self) -> Point:
        return (self.left_eye[0] + self.right_eye[0]) / 2, (self.left_eye[1] + self.right_eye[1]) / 2

    @property
    def eye_distance_px(self) -> float:
        return float(np.hypot(self.right_eye[0] - self.left_eye[0], self.right_eye[1] - self.left_eye[1]))


@dataclass(frozen=True, slots=True)
class _Source:
    package: str
    file: str
    left_eye: Point
    right_eye: Point
    credit: str


_SOURCES = {
    "astronaut": _Source("skimage", "data/astronaut.png", (204.0, 101.1), (246.9, 103.4), "Eileen Collins, NASA, public domain"),
    "hopper": _Source(
        "matplotlib", "mpl-data/sample_data/grace_hopper.jpg", (222.3, 193.6), (308.0, 188.1), "Grace Hopper, US Navy, public domain"
    ),
}

PORTRAITS = tuple(_SOURCES)
"""Names of the portraits that `portrait` knows."""

EDGE = 0.12
"""Part of a portrait's side over which it fades into the wall."""

WALL_GREY = (150, 158, 162)
"""Colour of the wall behind the person, BGR."""

NOISE_GREY = 2.5
"""Standard deviation of the sensor's noise, grey levels: a small camera in an indoor lane."""


def portrait(name: str) -> Portrait:
    """Returns one of PORTRAITS.

    Raises:
        PortraitMissingError: no such name, or the package that carries the file is not installed.
    """
    source = _SOURCES.get(name)
    if source is None:
        raise PortraitMissingError(f"no portrait '{name}'; there are: {', '.join(PORTRAITS)}")
    spec = importlib.util.find_spec(source.package)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        image = cv2.imread(str(Path(folder) / source.file))
        if image is not None:
            return Portrait(name, np.asarray(image, dtype=np.uint8), source.left_eye, source.right_eye)
    raise PortraitMissingError(
        f"the portrait '{name}' ({source.credit}) comes with the package {source.package}, which is not installed; install gate-agent[demo]"
    )


def wall(size: tuple[int, int]) -> U8:
    """Returns an empty lane, size = (width, height): a plain wall, lighter above."""
    width, height = size
    light = np.linspace(1.12, 0.82, height, dtype=np.float32)[:, None, None]
    grey = np.broadcast_to(np.array(WALL_GREY, np.float32), (height, width, 3)) * light
    return np.asarray(grey, dtype=np.uint8)


def place(frame: U8, person: Portrait, *, at: Point, eye_px: float, lean_deg: float = 0.0) -> U8:
    """Returns a copy of the frame with the person in it.

    at: where the middle of the eyes comes, pixels; eye_px: pixels between the eyes; lean_deg: of the head to its left, seen in the picture.
    """
    scale = eye_px / person.eye_distance_px
    turn = np.array([[cos(radians(lean_deg)), -sin(radians(lean_deg))], [sin(radians(lean_deg)), cos(radians(lean_deg))]]) * scale
    matrix = np.column_stack([turn, np.array(at) - turn @ np.array(person.middle)])
    size = (frame.shape[1], frame.shape[0])
    source = person.image
    if scale < 0.5:  # noqa: PLR2004  a linear warp below one half aliases
        source = np.asarray(cv2.GaussianBlur(source, (0, 0), 0.4 / scale), dtype=np.uint8)
    cover = cv2.warpAffine(_fading(source.shape[0], source.shape[1]), matrix, size, flags=cv2.INTER_LINEAR)[:, :, None]
    figure = cv2.warpAffine(source, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(frame + cover * (figure.astype(np.float32) - frame), dtype=np.uint8)


@lru_cache(maxsize=8)
def _fading(height: int, width: int) -> F32:
    def ramp(length: int) -> F32:
        along = np.minimum(np.arange(length), np.arange(length)[::-1]) / (EDGE * length)
        smooth: F32 = np.sin(np.clip(along, 0, 1) * pi / 2).astype(np.float32) ** 2
        return smooth

    rows, columns = ramp(height), ramp(width)
    rows[height // 2 :] = 1  # the person stands: the lower edge runs out of the picture
    return rows[:, None] * columns[None, :]


class Sensor:
    """Adds light and noise as a camera would; each frame differs."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._noise = self._rng.normal(0, NOISE_GREY, (256, 256, 3)).astype(np.float32)

    def expose(self, frame: U8, *, gain: float = 1.0) -> U8:
        """Returns the frame at `gain` times its light, with noise that differs each time."""
        height, width = frame.shape[:2]
        rolled = np.roll(self._noise, tuple(self._rng.integers(0, 256, 2)), axis=(0, 1))
        noise = np.tile(rolled, (height // 256 + 1, width // 256 + 1, 1))[:height, :width]
        return np.asarray(np.clip(frame * np.float32(gain) + noise + np.float32(0.5), 0, 255), dtype=np.uint8)


def walk_up(
    person: Portrait, *, frames: int, size: tuple[int, int] = (640, 480), from_eye_px: float = 20, to_eye_px: float = 60, seed: int = 0
) -> Iterator[U8]:
    """Yields frames uint8 (h, w, 3) BGR of a person who comes nearer at a steady walk. size: width and height, pixels.

    from_eye_px, to_eye_px: pixels between the eyes in the first and the last frame.
    """
    rng = np.random.default_rng(seed)
    sway, bob, light = rng.uniform(0, 2 * pi, 3)
    sensor, empty = Sensor(seed), wall(size)
    for i in range(frames):
        done = i / max(frames - 1, 1)
        # At a steady walk the distance falls evenly, so its inverse does: the size in the picture.
        eye_px = 1 / ((1 - done) / from_eye_px + done / to_eye_px)
        step = 2 * pi * i / 15  # one step a second at 15 frames/s
        at = (size[0] * 0.5 + 0.12 * eye_px * sin(step / 2 + sway), size[1] * 0.42 + 0.06 * eye_px * sin(step + bob))
        seen = place(empty, person, at=at, eye_px=eye_px, lean_deg=1.5 * sin(step / 2 + sway))
        yield sensor.expose(seen, gain=1 + 0.06 * sin(0.15 * i + light))


def empty_lane(*, frames: int, size: tuple[int, int] = (640, 480), seed: int = 0) -> Iterator[U8]:
    """Yields frames of a lane in which nobody is."""
    sensor, empty = Sensor(seed), wall(size)
    for _ in range(frames):
        yield sensor.expose(empty)


def enrolment_pictures(person: Portrait, count: int, *, seed: int = 0) -> list[U8]:
    """Returns pictures (480, 480, 3) BGR as an enrolment desk would take them: a little shifted, scaled, leaning and re-lit each time."""
    rng = np.random.default_rng(seed)
    sensor, empty = Sensor(seed), wall((480, 480))
    pictures = []
    for _ in range(count):
        at = (240 + rng.uniform(-20, 20), 200 + rng.uniform(-20, 20))
        seen = place(empty, person, at=at, eye_px=rng.uniform(58, 78), lean_deg=rng.uniform(-4, 4))
        pictures.append(sensor.expose(seen, gain=rng.uniform(0.85, 1.15)))
    return pictures


def write_folder(frames: Iterable[U8], folder: Path) -> int:
    """Writes frames as numbered pictures without loss; returns how many."""
    folder.mkdir(parents=True, exist_ok=True)
    count = 0
    for count, frame in enumerate(frames, start=1):
        file = folder / f"{count:05d}.png"
        if not cv2.imwrite(str(file), frame, [cv2.IMWRITE_PNG_COMPRESSION, 1]):
            raise GateError(f"{file} cannot be written; is the disk full, or the folder read-only?")
    return count


def write_video(frames: Iterable[U8], file: Path, *, frames_per_s: float = 15.0) -> int:
    """Writes frames as motion JPEG (an .avi file); returns how many."""
    writer: cv2.VideoWriter | None = None
    count = 0
    try:
        for frame in frames:
            if writer is None:
                writer = cv2.VideoWriter(str(file), cv2.VideoWriter.fourcc(*"MJPG"), frames_per_s, (frame.shape[1], frame.shape[0]))
                if not writer.isOpened():
                    raise GateError(f"{file} cannot be written; give a folder that exists and a name that ends in .avi")
            writer.write(frame)
            count += 1
    finally:
        if writer is not None:
            writer.release()
    return count
