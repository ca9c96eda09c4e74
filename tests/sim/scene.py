"""The cameras of a lane as network cameras: who stands before each, and what ails it, is said while it runs."""

import itertools
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

import cv2
import numpy as np

from agent.diagnostics import walkup
from agent.diagnostics.walkup import U8, Portrait

SIZE = (320, 240)  # a quarter of a gate's usual picture: several lanes share the machine
FRAMES_PER_S = 10.0
NEAR_EYE_PX = 60.0
WALK_FRAMES = 8
STAND_FRAMES = 30  # one period of the sway
NOBODY = "nobody"

OK, ABSENT, SILENT, FROZEN, DARK = "ok", "absent", "silent", "frozen", "dark"


@dataclass(frozen=True, slots=True)
class Pictures:
    """JPEG pictures of one person: they come, and then they stand."""

    come: tuple[bytes, ...]
    stand: tuple[bytes, ...]


def draw(people: Mapping[str, Portrait], *, size: tuple[int, int] = SIZE) -> Mapping[str, Pictures]:
    """The pictures of each person, and of nobody."""
    nobody = Pictures((), jpegs(walkup.empty_lane(frames=10, size=size)))
    return {name: _of(person, size) for name, person in people.items()} | {NOBODY: nobody}


def _of(person: Portrait, size: tuple[int, int]) -> Pictures:
    come = walkup.walk_up(person, frames=WALK_FRAMES, size=size, from_eye_px=30, to_eye_px=NEAR_EYE_PX)
    stand = walkup.walk_up(person, frames=STAND_FRAMES, size=size, from_eye_px=NEAR_EYE_PX, to_eye_px=NEAR_EYE_PX)
    return Pictures(jpegs(come), jpegs(stand))


def jpegs(frames: Iterator[U8]) -> tuple[bytes, ...]:
    return tuple(cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes() for frame in frames)


_BLACK = jpegs(iter([np.full((SIZE[1], SIZE[0], 3), level, np.uint8) for level in (3, 4)]))


class Scene:
    """Motion JPEG over HTTP for cameras by name, on one free port of the loopback interface."""

    def __init__(self, pictures: Mapping[str, Pictures]) -> None:
        self._pictures = pictures
        self._who: dict[str, str] = {}
        self._ails: dict[str, str] = {}
        self._changed: dict[str, int] = {}  # counts what was said for each camera
        self._over = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._stream())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="scene", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()

    def address(self, camera: str) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/{camera}"

    def show(self, camera: str, who: str) -> None:
        """From now on this person comes to the camera and stands before it."""
        self._who[camera] = who
        self._changed[camera] = self._changed.get(camera, 0) + 1

    def ail(self, camera: str, how: str) -> None:
        """absent: nobody answers, and what was open is closed; silent: it answers and says nothing; ok: as it should be."""
        self._ails[camera] = how

    def _next(self, camera: str) -> Iterator[bytes]:
        """Pictures, for as long as somebody asks."""
        seen = -1
        pictures: Iterator[bytes] = iter(())
        for number in itertools.count():
            if self._changed.get(camera, 0) != seen:
                seen = self._changed.get(camera, 0)
                shown = self._pictures[self._who.get(camera, NOBODY)]
                pictures = itertools.chain(shown.come, itertools.cycle(shown.stand))
                last = next(pictures)
            match self._ails.get(camera, OK):
                case "frozen":
                    yield last
                case "dark":
                    yield _BLACK[number % 2]
                case _:
                    last = next(pictures)
                    yield last

    def _stream(scene: Self) -> type[BaseHTTPRequestHandler]:  # noqa: N805  the handler below has the other self
        class Stream(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                camera = self.path.strip("/")
                if scene._ails.get(camera) == ABSENT:
                    return
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                with suppress(OSError):
                    for picture in scene._next(camera):
                        while scene._ails.get(camera) == SILENT and not scene._over.wait(0.05):
                            pass
                        if scene._over.wait(1 / FRAMES_PER_S) or scene._ails.get(camera) == ABSENT:
                            return
                        head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n".encode()
                        self.wfile.write(head + picture + b"\r\n")

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
                pass

        return Stream
