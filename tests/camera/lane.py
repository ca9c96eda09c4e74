"""What the camera tests share: pictures that differ, a box of posted inputs to wait on, an HTTP camera."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import cv2
import numpy as np

from agent.core.identity import Direction
from agent.core.inputs import CameraCondition, CameraReported, Input
from agent.drivers.camera import Camera, CameraOptions
from agent.drivers.camera_sources import Opener
from agent.drivers.frame_slots import FrameSlots
from agent.vision.frame import U8, Frame

QUICK = CameraOptions(stale_after_ns=300_000_000, abandon_after_ns=700_000_000, pauses_s=(0.02,))
DEADLINE_S = 10.0


def pictures(count: int, *, size: tuple[int, int] = (160, 120), first: int = 0) -> list[U8]:
    """Pictures that all differ: the mean grey level says which is which, and no compression hides it."""
    slope = np.linspace(-40, 40, size[0])[None, :, None]
    return [np.asarray(np.broadcast_to(80 + 4 * (first + i) + slope, (size[1], size[0], 3)), dtype=np.uint8) for i in range(count)]


def number_of(image: U8) -> int:
    """Which of `pictures` this is."""
    return round((float(image.mean()) - 79.5) / 4)


class Posted:
    """Inputs in the order in which they came."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.inputs: list[Input] = []

    def __call__(self, message: Input) -> None:
        with self._changed:
            self.inputs.append(message)
            self._changed.notify_all()

    def wait(self, condition: Callable[[list[Input]], Any], deadline_s: float = DEADLINE_S) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: condition(self.inputs), deadline_s), self.inputs

    @property
    def conditions(self) -> list[CameraCondition]:
        return [i.condition for i in self.inputs if isinstance(i, CameraReported)]

    def wait_for(self, *conditions: CameraCondition) -> None:
        """Until the camera has said exactly these, in this order."""
        self.wait(lambda _: self.conditions[: len(conditions)] == list(conditions))


@contextmanager
def camera_of(
    opener: Opener, *, options: CameraOptions = QUICK, slots: FrameSlots | None = None
) -> Iterator[tuple[Camera, Posted, FrameSlots]]:
    """A running camera; it must stop within its time."""
    posted, slots = Posted(), slots or FrameSlots(["entry"])
    camera = Camera("entry", Direction.ENTRY, open_source=opener, slots=slots, post=posted, options=options)
    camera.start()
    try:
        yield camera, posted, slots
    finally:
        camera.stop()
        assert camera.join(DEADLINE_S)


def take(slots: FrameSlots, count: int) -> list[Frame]:
    """The next frames that come."""
    frames: list[Frame] = []
    until = time.monotonic() + DEADLINE_S
    while len(frames) < count:
        assert time.monotonic() < until, f"{len(frames)} of {count} frames came"
        if taken := slots.take(0.05):
            frames.append(taken[1])
    return frames


@contextmanager
def http_camera(images: list[U8], *, silent_after: int | None = None) -> Iterator[str]:
    """A network camera: motion JPEG over HTTP on a free port. Yields its address; after `silent_after` pictures it says nothing more."""
    over = threading.Event()

    class Stream(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            for number in range(10**6):
                if over.is_set() or (silent_after is not None and number >= silent_after and over.wait(30)):
                    return
                _, jpeg = cv2.imencode(".jpg", images[number % len(images)], [cv2.IMWRITE_JPEG_QUALITY, 95])
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n".encode()
                try:
                    self.wfile.write(head + jpeg.tobytes() + b"\r\n")
                except OSError:
                    return
                over.wait(0.03)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Stream)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/stream.mjpg"
    finally:
        over.set()
        server.shutdown()
        server.server_close()
        thread.join(DEADLINE_S)
