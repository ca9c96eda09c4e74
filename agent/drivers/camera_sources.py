"""Where pictures come from: a device, a network address, a recording. Each opens, gives picture after picture, and says why it cannot.

Every blocking call is bounded by the library: V4L2 by its select timeout (agent/__init__.py), FFmpeg by its open and read timeouts. A
call that outlives them blocks only a reader thread, which its camera abandons (camera.py).
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from agent.errors import GateError, UsageError
from agent.vision.frame import U8

OPEN_TIMEOUT_MS = 5000
READ_TIMEOUT_MS = 2000
"""Of FFmpeg, for a network address. A camera that gives no frame for a second is out of use anyway; this is when it is opened anew."""

RATES_PER_S = (1.0, 240.0)
"""Frame rates that a recording may claim; another figure in its header is nonsense, and the configured one is used."""

PICTURES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".webp"})
_ADDRESS = re.compile(r"(rtsp|rtsps|http|https)://", re.IGNORECASE)


class CameraError(GateError):
    """A source gives no pictures: absent, unplugged, unreadable. The camera goes on trying."""


class Source(Protocol):
    """An open source of pictures; used by one reader thread.

    Attributes:
        period_s: time between two frames of a recording; None for a live source, which keeps its own time.
    """

    period_s: float | None

    def read(self) -> U8 | None:
        """The next picture, uint8 (h, w, 3) BGR; None after the last one of a recording.

        Raises:
            CameraError: a live source gives none any more.
        """

    def close(self) -> None: ...


Opener = Callable[[], Source]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSettings:
    """Where a camera's pictures come from; the keys of the configuration's [[camera]].

    Attributes:
        source: a device, a network address, a video file or a folder of pictures.
        simulation: recordings are possible only then.
    """

    source: str
    allow_network_camera: bool
    simulation: bool
    width: int
    height: int
    frames_per_s: float


def opener(settings: SourceSettings) -> Opener:
    """Returns what opens the source.

    Raises:
        UsageError: this source is not permitted.
    """
    source = settings.source
    if _ADDRESS.match(source):
        if not settings.allow_network_camera:
            raise UsageError(f"camera.source '{without_secret(source)}' is a network address; set allow_network_camera = true to permit it")
        return lambda: _Capture.network(source)
    if source.startswith("/dev/"):
        return lambda: _Capture.device(settings)
    if not settings.simulation:
        raise UsageError(f"camera.source '{source}' is a recording; it is possible with --simulation only, a lane needs a device")
    return lambda: _recording(Path(source), settings.frames_per_s)


def without_secret(address: str) -> str:
    """The address as it may be shown: without a user's name and password."""
    return re.sub(r"//[^/@]*@", "//", address)


def _recording(place: Path, frames_per_s: float) -> Source:
    if place.is_dir():
        return _Folder(place, frames_per_s)
    if not place.is_file():
        raise CameraError(f"{place} does not exist; give a video file or a folder of pictures")
    return _Capture.file(place, frames_per_s)


class _Capture:
    """cv2.VideoCapture as a Source."""

    def __init__(self, capture: cv2.VideoCapture, *, what: str, period_s: float | None) -> None:
        if not capture.isOpened():
            capture.release()
            raise CameraError(f"{what} cannot be opened; is it plugged in, permitted, and not in use by another program?")
        self._capture = capture
        self._what = what
        self.period_s = period_s

    @classmethod
    def device(cls, settings: SourceSettings) -> "_Capture":
        if not Path(settings.source).exists():  # asked first: OpenCV would print a page of warnings at every try
            raise CameraError(f"{settings.source} does not exist; is the camera plugged in? (systemd/ has a rule for its name)")
        asked = {
            cv2.CAP_PROP_FRAME_WIDTH: settings.width,
            cv2.CAP_PROP_FRAME_HEIGHT: settings.height,
            cv2.CAP_PROP_FPS: round(settings.frames_per_s),
            cv2.CAP_PROP_BUFFERSIZE: 1,  # the newest frame, not the oldest of a queue
        }
        capture = cv2.VideoCapture(settings.source, cv2.CAP_V4L2, [number for pair in asked.items() for number in pair])
        return cls(capture, what=settings.source, period_s=None)

    @classmethod
    def network(cls, address: str) -> "_Capture":
        bounds = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, OPEN_TIMEOUT_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, READ_TIMEOUT_MS]
        return cls(cv2.VideoCapture(address, cv2.CAP_FFMPEG, bounds), what=without_secret(address), period_s=None)

    @classmethod
    def file(cls, file: Path, frames_per_s: float) -> "_Capture":
        capture = cv2.VideoCapture(str(file), cv2.CAP_FFMPEG)
        rate = float(capture.get(cv2.CAP_PROP_FPS))
        low, high = RATES_PER_S
        return cls(capture, what=str(file), period_s=1 / (rate if low <= rate <= high else frames_per_s))

    def read(self) -> U8 | None:
        done, image = self._capture.read()
        if done:
            return np.asarray(image, dtype=np.uint8)
        if self.period_s is None:
            raise CameraError(f"{self._what} gives no pictures any more; it is opened anew")
        return None

    def close(self) -> None:
        self._capture.release()


class _Folder:
    """A folder of pictures as a Source, in the order of their names."""

    def __init__(self, folder: Path, frames_per_s: float) -> None:
        files = sorted(file for file in folder.iterdir() if file.suffix.lower() in PICTURES)
        if not files:
            raise CameraError(f"{folder} holds no pictures ({', '.join(sorted(PICTURES))})")
        self._files: Iterator[Path] = iter(files)
        self.period_s: float | None = 1 / frames_per_s

    def read(self) -> U8 | None:
        file = next(self._files, None)
        if file is None:
            return None
        image = cv2.imread(str(file))
        if image is None:
            raise CameraError(f"{file} is not a picture that can be read; take it out of the folder")
        return np.asarray(image, dtype=np.uint8)

    def close(self) -> None:
        self._files = iter(())
