"""One camera: a thread that reads, and a thread that sees to it that the reading goes on.

`gate-camera-NAME` owns the camera: it opens the source by starting a reader, watches that frames come, says when the camera's condition
changes, and starts another reader when one has failed (with a growing pause) or hangs in a read for longer than any bounded read can
take: that one is abandoned, counted, and whatever it still brings is thrown away. `gate-camera-NAME-reader` only reads.
"""

import logging
import threading
import time
from dataclasses import dataclass
from typing import Final

from agent.core.identity import Direction
from agent.core.inputs import CameraCondition, CameraReported
from agent.core.moment import NS_PER_S
from agent.drivers.camera_sources import CameraError, Opener, Source
from agent.drivers.camera_watch import FrameWatch
from agent.drivers.frame_slots import FrameSlots
from agent.ports import Post
from agent.vision.frame import Frame

_log = logging.getLogger("gate.camera")

STALE_AFTER_NS: Final = NS_PER_S  # without a frame for this long nothing is known of the lane
ABANDON_AFTER_NS: Final = 8 * NS_PER_S  # longer than an open (5 s) or a read (V4L2 3 s, FFmpeg 2 s) may take
PAUSES_S: Final = (0.5, 1.0, 2.0, 5.0)  # before the source is opened again; the last one stays
TURN_S: Final = 0.1  # how often the owner looks
SHOWN_S: Final = 2.0  # a source that worked for this long starts anew with the shortest pause


@dataclass(frozen=True, slots=True)
class CameraOptions:
    """How a camera is read.

    Attributes:
        every_frame: of a recording: each frame is used, none dropped; reading waits for recognition.
    """

    every_frame: bool = False
    stale_after_ns: int = STALE_AFTER_NS
    abandon_after_ns: int = ABANDON_AFTER_NS
    pauses_s: tuple[float, ...] = PAUSES_S


@dataclass(slots=True)
class _Reading:
    """What one reader tells its owner. Each field has one writer, the reader; the owner reads.

    Attributes:
        moved_ns: monotonic time of its last sign of life: before each call that can block, and after it.
        recorded: it reads a file, which keeps its own time and may be held up; it cannot be stale and does not hang.
    """

    moved_ns: int
    opened_ns: int | None = None
    last_frame_ns: int | None = None
    recorded: bool = False
    condition: CameraCondition | None = None
    failure: str | None = None
    ended: bool = False


class Camera:
    """Implements `agent.ports.Stoppable`; puts frames into the slots and posts CameraReported when its condition changes."""

    def __init__(
        self, camera: str, direction: Direction, *, open_source: Opener, slots: FrameSlots, post: Post, options: CameraOptions | None = None
    ) -> None:
        self.name = f"gate-camera-{camera}"
        self.abandoned = 0  # readers left behind in a read that did not come back
        self._camera = camera
        self._direction = direction
        self._open_source = open_source
        self._slots = slots
        self._post = post
        self._options = options or CameraOptions()
        self._seq = 0
        self._stopping = threading.Event()
        self._turn = threading.Event()
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
        self._fresh_ns = time.monotonic_ns()
        self._current: _Reading | None = None
        self._said: tuple[CameraCondition, str] | None = None

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._turn.set()

    def join(self, timeout_s: float) -> bool:
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def fresh_ns(self) -> int:
        return self._fresh_ns

    # --- the owner ---

    def _run(self) -> None:
        try:
            tries = 0
            while not self._stopping.is_set():
                reading = self._begin()
                self._follow(reading)
                if reading.ended:
                    self._pause(float("inf"))  # until it is asked to stop: a recording that ended is no thread that died
                shown = reading.last_frame_ns is not None and reading.last_frame_ns - (reading.opened_ns or 0) > SHOWN_S * NS_PER_S
                tries = 0 if shown else tries
                self._pause(self._options.pauses_s[min(tries, len(self._options.pauses_s) - 1)])
                tries += 1
        except Exception as error:  # noqa: BLE001  the top of a thread
            _log.exception("%s ended", self.name)
            self._say(CameraCondition.ABSENT, f"its thread ended: {error!r}; restart the agent")
        self._current = None

    def _begin(self) -> _Reading:
        reading = _Reading(moved_ns=time.monotonic_ns())
        self._current = reading
        threading.Thread(target=self._read, args=(reading,), name=f"{self.name}-reader", daemon=True).start()
        return reading

    def _follow(self, reading: _Reading) -> None:
        """Watch one reader until it has failed, ended, or hangs."""
        while not self._stopping.is_set():
            self._turn.wait(TURN_S)
            self._turn.clear()
            self._fresh_ns = now_ns = time.monotonic_ns()
            if reading.ended:
                self._say(CameraCondition.ENDED, "the recording came to its last frame")
                return
            if reading.failure is not None:
                self._say(CameraCondition.ABSENT, reading.failure)
                return
            if not reading.recorded and now_ns - reading.moved_ns > self._options.abandon_after_ns:
                self.abandoned += 1
                self._current = None
                seconds = (now_ns - reading.moved_ns) / NS_PER_S
                self._say(CameraCondition.ABSENT, f"it has not answered for {seconds:.0f} s and is opened anew (time {self.abandoned})")
                return
            self._report(reading, now_ns)

    def _report(self, reading: _Reading, now_ns: int) -> None:
        since_ns = reading.last_frame_ns if reading.last_frame_ns is not None else reading.opened_ns
        if since_ns is None:
            return  # it is being opened; what was said last still holds
        if not reading.recorded and now_ns - since_ns > self._options.stale_after_ns:
            self._say(CameraCondition.STALE, f"no frame for {(now_ns - since_ns) / NS_PER_S:.1f} s")
        elif reading.condition is not None:
            self._say(reading.condition, _WORDS[reading.condition])

    def _say(self, condition: CameraCondition, detail: str) -> None:
        # The figures of a stale camera change with every look: it is said once.
        if self._said is None or self._said[0] is not condition or (self._said[1] != detail and condition is CameraCondition.ABSENT):
            self._said = (condition, detail)
            self._post(CameraReported(self._camera, self._direction, condition, detail))

    def _pause(self, seconds: float) -> None:
        until_s = time.monotonic() + seconds
        while not self._stopping.is_set() and (left_s := until_s - time.monotonic()) > 0:
            self._fresh_ns = time.monotonic_ns()
            self._stopping.wait(min(TURN_S, left_s))

    # --- the reader ---

    def _read(self, reading: _Reading) -> None:
        source: Source | None = None
        try:
            source = self._open_source()
            reading.recorded = source.period_s is not None
            reading.opened_ns = reading.moved_ns = time.monotonic_ns()
            self._read_all(reading, source)
        except CameraError as error:
            reading.failure = str(error)
        except Exception as error:  # noqa: BLE001  the top of a thread
            _log.exception("%s: its reader ended", self.name)
            reading.failure = f"reading it failed: {error!r}; it is opened anew"
        finally:
            if source is not None:
                source.close()
            self._turn.set()

    def _read_all(self, reading: _Reading, source: Source) -> None:
        watch = FrameWatch()
        due_ns = time.monotonic_ns()
        while self._is_current(reading):
            image = source.read()
            if source.period_s is not None and image is not None:
                self._keep_time(reading, due_ns)
            now_ns = reading.moved_ns = time.monotonic_ns()
            if not self._is_current(reading):
                return
            if image is None:
                while self._is_current(reading) and not self._slots.wait_until_done(self._camera, TURN_S):
                    pass
                reading.ended = True
                return
            self._seq += 1
            frame = Frame(self._seq, now_ns, image)
            fit = watch.judge(frame)
            if watch.condition is not reading.condition:
                reading.condition = watch.condition
                self._turn.set()
            reading.last_frame_ns = now_ns
            if fit:
                self._slots.put(self._camera, frame)
            due_ns = max(due_ns + int((source.period_s or 0) * NS_PER_S), now_ns)

    def _keep_time(self, reading: _Reading, due_ns: int) -> None:
        """Wait until a recorded picture is due, and where every frame counts until the one before it was taken."""
        self._stopping.wait(max(0, due_ns - time.monotonic_ns()) / NS_PER_S)
        while self._options.every_frame and self._is_current(reading) and not self._slots.wait_until_taken(self._camera, TURN_S):
            pass

    def _is_current(self, reading: _Reading) -> bool:
        return self._current is reading and not self._stopping.is_set()


_WORDS = {
    CameraCondition.OK: "",
    CameraCondition.DARK: "too dark, or covered: nothing can be seen",
    CameraCondition.FROZEN: "it repeats one frame",
}
