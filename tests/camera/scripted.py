"""A camera that does as it is told: pictures at their times, and every fault a camera has shown. Implements camera_sources.Source."""

import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agent.drivers.camera_sources import CameraError, Source
from agent.vision.frame import U8


@dataclass(frozen=True, slots=True, eq=False)
class Show:
    """A picture, after a time."""

    image: U8
    after_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Fail:
    """The source is unplugged."""

    words: str = "unplugged"


@dataclass(frozen=True, slots=True, eq=False)
class Hang:
    """The read does not come back until somebody sets the event; then it brings a picture."""

    let_go: threading.Event
    image: U8


Step = Show | Fail | Hang


class ScriptedSource:
    """One opened source. After its last step it is silent without an end, or at its end where it is a recording."""

    def __init__(self, steps: Iterable[Step], *, period_s: float | None = None) -> None:
        self.period_s = period_s
        self._steps = iter(steps)
        self.closed = threading.Event()

    def read(self) -> U8 | None:
        match next(self._steps, None):
            case Show(image, after_s):
                time.sleep(after_s)
                return image
            case Fail(words):
                raise CameraError(words)
            case Hang(let_go, image):
                let_go.wait(30)
                return image
        if self.period_s is None:
            self.closed.wait(30)
            raise CameraError("the script is over")
        return None

    def close(self) -> None:
        self.closed.set()


class ScriptedCamera:
    """What opens: each time the next of these; after the last one nothing opens any more."""

    def __init__(self, *openings: Sequence[Step] | CameraError, period_s: float | None = None) -> None:
        self._openings = iter(openings)
        self._period_s = period_s
        self.opened: list[ScriptedSource] = []

    def __call__(self) -> Source:
        opening = next(self._openings, CameraError("the script is over"))
        if isinstance(opening, CameraError):
            raise opening
        self.opened.append(ScriptedSource(opening, period_s=self._period_s))
        return self.opened[-1]
