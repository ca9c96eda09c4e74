"""Between cameras and recognition: for each camera one place that holds its newest frame. Older frames are dropped and counted."""

import threading
from collections.abc import Sequence

from agent.vision.frame import Frame


class FrameSlots:
    """Many cameras put, one recognition thread takes, in turn from each camera that has something."""

    def __init__(self, cameras: Sequence[str]) -> None:
        self._changed = threading.Condition()
        self._waiting: dict[str, Frame | None] = dict.fromkeys(cameras)
        self._dropped = dict.fromkeys(cameras, 0)
        self._order = list(cameras)  # whose turn it is, first
        self._in_work: str | None = None  # camera of the frame that was taken last

    def put(self, camera: str, frame: Frame) -> None:
        """Leave the newest frame; one that nobody has taken yet is dropped."""
        with self._changed:
            if self._waiting[camera] is not None:
                self._dropped[camera] += 1
            self._waiting[camera] = frame
            self._changed.notify_all()

    def take(self, timeout_s: float) -> tuple[str, Frame] | None:
        """The next frame and its camera, or None when none came in time. The frame taken before counts as done with."""
        with self._changed:
            self._in_work = None
            self._changed.notify_all()
            self._changed.wait_for(lambda: any(self._waiting.values()), timeout_s)
            for camera in self._order:
                frame = self._waiting[camera]
                if frame is not None:
                    self._waiting[camera] = None
                    self._in_work = camera
                    self._order.remove(camera)
                    self._order.append(camera)
                    self._changed.notify_all()
                    return camera, frame
        return None

    def wait_until_taken(self, camera: str, timeout_s: float) -> bool:
        """Wait until the camera's frame was taken (a recording whose every frame counts); False when it still waits."""
        with self._changed:
            return self._changed.wait_for(lambda: self._waiting[camera] is None, timeout_s)

    def wait_until_done(self, camera: str, timeout_s: float) -> bool:
        """Wait until recognition is done with all that the camera gave; False when it is not yet."""
        with self._changed:
            return self._changed.wait_for(lambda: self._waiting[camera] is None and self._in_work != camera, timeout_s)

    def dropped(self, camera: str) -> int:
        """Frames of the camera that a newer one replaced before they were taken."""
        with self._changed:
            return self._dropped[camera]
