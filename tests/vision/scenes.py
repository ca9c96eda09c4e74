"""Drawn scenes with several people, of which the truth is known: who is where in each frame, and which face a probe was of."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from agent.biometrics.gallery import Gallery
from agent.core.identity import Direction, TrackId
from agent.core.inputs import Pad, PadVerdict, ProbeCompared, RecognitionInput
from agent.diagnostics.walkup import Portrait, Sensor, place, wall
from agent.vision.frame import U8, Frame
from agent.vision.recogniser import CameraState, Recogniser
from agent.vision.region import Region
from tests.vision import pack

FRAME_NS = 66_666_667
SIZE = (640, 480)
REGION = Region(min_eye_px=40, max_eye_px=100)
LEFT_PX, RIGHT_PX = 128, 512  # where REGION ends


@dataclass(frozen=True, slots=True)
class At:
    """Somebody's head in one frame: the middle of the eyes, and the pixels between them."""

    name: str
    x: float
    eye_px: float
    y: float = 200.0


Scene = Sequence[At]
"""The people of one frame, the one behind first."""


def head(name: str) -> Portrait:
    """A portrait cut down to the head, so that people can stand side by side and behind each other."""
    whole = pack.person(name)
    (x, y), eyes = whole.middle, whole.eye_distance_px
    x0, y0 = max(int(x - 2.2 * eyes), 0), max(int(y - 2.2 * eyes), 0)
    image = np.ascontiguousarray(whole.image[y0 : int(y + 2.8 * eyes), x0 : int(x + 2.2 * eyes)])
    moved = [(eye[0] - x0, eye[1] - y0) for eye in (whole.left_eye, whole.right_eye)]
    return replace(whole, image=image, left_eye=moved[0], right_eye=moved[1])


def draw(scene: Scene, *, seed: int, size: tuple[int, int] = SIZE) -> U8:
    frame = wall(size)
    for each in scene:
        frame = place(frame, head(each.name), at=(each.x, each.y), eye_px=each.eye_px)
    return Sensor(seed).expose(frame)


def between(start: float, end: float, frames: int) -> list[float]:
    return [start + (end - start) * i / (frames - 1) for i in range(frames)]


@dataclass(frozen=True, slots=True)
class Seen:
    """One frame: who was there, what was said, and how many faces were found (0 where none was judged)."""

    number: int
    scene: Scene
    inputs: tuple[RecognitionInput, ...]
    faces: int

    @property
    def probes(self) -> list[ProbeCompared]:
        return [i for i in self.inputs if isinstance(i, ProbeCompared)]

    def of_whom(self, probe: ProbeCompared) -> At:
        """Whose face a probe was made of, by where it was found."""
        x, y = (probe.box.x0 + probe.box.x1) / 2, (probe.box.y0 + probe.box.y1) / 2
        return min(self.scene, key=lambda each: np.hypot(each.x - x, each.y - y))


def show(scenes: Iterable[Scene], gallery: Gallery, *, watch_after: int | None = None, region: Region = REGION) -> list[Seen]:
    """The real recogniser on each frame. watch_after: from this frame on, the first probe's track is watched."""
    looking = Recogniser(pack.sampler(), frames=3, pad=Pad(PadVerdict.OFF), regions={"entry": region})
    state, found, subject = CameraState(), [], None
    for number, scene in enumerate(scenes):
        watched: TrackId | None = subject if watch_after is not None and number >= watch_after else None
        frame = Frame(number + 1, (number + 1) * FRAME_NS, draw(scene, seed=number))
        sight = looking.see(state, frame, camera="entry", direction=Direction.ENTRY, gallery=gallery, watched=watched)
        state = sight.state
        found.append(Seen(number, scene, sight.inputs, 0 if sight.view is None else sight.view.faces))
        subject = subject or next((probe.track for probe in found[-1].probes), None)
    return found
