"""The recognition thread: owns the models, takes the newest frame of each camera in turn, and tells the core what it shows.

What it compares with (`use`) and whom it watches (`watch`) are single references that other threads replace. Pictures and templates stay
here. A part that fails (no pack, a broken model) is reported and tried again; nobody is recognised meanwhile.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Final

from agent.biometrics.gallery import Gallery
from agent.core.identity import Direction, TrackId
from agent.core.inputs import ProbeCompared, RecognitionReported, TrackLost
from agent.core.moment import NS_PER_MS, NS_PER_S
from agent.drivers.frame_slots import FrameSlots
from agent.errors import GateError
from agent.ports import Post
from agent.vision.frame import U8
from agent.vision.recogniser import CameraState, Recogniser
from agent.vision.sight import View
from agent.vision.tracker import Tracks

_log = logging.getLogger("gate.recognition")

TURN_S: Final = 0.1  # longest wait for a frame: the thread stays fresh
PAUSE_S: Final = 5.0  # before the models are opened again
FIRST_ROSTER_S: Final = 10.0  # frames wait so long for the first roster, so that a recording does not run out unseen

OnProbe = Callable[[ProbeCompared, U8], None]


class Recognition:
    """Implements `agent.ports.Stoppable` and `agent.ports.Watcher`.

    Args:
        cameras: name -> which way the people want to go whom it sees.
        open_recogniser: opens the models; called in this thread, so that the rest of the agent starts meanwhile. Raises GateError for
            what a person can mend.
        on_probe: called with each probe and its frame, for the pictures of a simulation; a gate keeps no pictures.
    """

    name = "gate-recognition"

    def __init__(
        self,
        *,
        cameras: Mapping[str, Direction],
        slots: FrameSlots,
        open_recogniser: Callable[[], Recogniser],
        post: Post,
        on_probe: OnProbe | None = None,
    ) -> None:
        self.frames = 0  # seen so far
        self._cameras = dict(cameras)
        self._slots = slots
        self._open_recogniser = open_recogniser
        self._post = post
        self._on_probe = on_probe
        self._gallery: Gallery | None = None
        self._has_gallery = threading.Event()
        self._watched: TrackId | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
        self._fresh_ns = time.monotonic_ns()
        self._next_ids = {camera: number for number, camera in enumerate(self._cameras, start=1)}
        self._said: RecognitionReported | None = None
        self._views: dict[str, tuple[int, View]] = {}  # of each camera: when it was captured, and what was seen

    def use(self, gallery: Gallery) -> None:
        """Compare with this roster from the next frame on."""
        self._gallery = gallery
        self._has_gallery.set()

    def watch(self, track: TrackId | None) -> None:
        """Who was released: their track is followed until the passage starts."""
        self._watched = track

    def views(self) -> dict[str, dict[str, object]]:
        """By camera, figures of the newest face that was judged, for whoever installs it; JSON-able. Any thread may ask."""
        now_ns = time.monotonic_ns()
        return {camera: _shown(view, age_ms=(now_ns - at_ns) // NS_PER_MS) for camera, (at_ns, view) in list(self._views.items())}

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._has_gallery.set()

    def join(self, timeout_s: float) -> bool:
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def fresh_ns(self) -> int:
        return self._fresh_ns

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._recognise()
            except GateError as error:  # what is missing or broken, in words; it may be mended meanwhile
                self._fail(f"recognition failed and is opened anew: {error}")
            except Exception as error:  # noqa: BLE001  the top of the thread: it is said, and everything begins anew
                _log.exception("recognition met an error of its own")
                self._fail(f"recognition met an error of its own and is opened anew: {error!r}")

    def _recognise(self) -> None:
        """Open the models and look at frames until it is asked to stop, or fails."""
        recogniser = self._open_recogniser()
        self._fitting(recogniser)  # ready, from here on
        self._await_roster()
        # A new run of the models numbers its tracks on, so that an id never means two faces.
        states = {camera: CameraState(tracks=Tracks((), self._next_ids[camera], len(self._cameras))) for camera in self._cameras}
        while not self._stopping.is_set():
            self._fresh_ns = time.monotonic_ns()
            taken = self._slots.take(TURN_S)
            gallery = self._fitting(recogniser)  # after the wait: a frame is never compared with the roster before the one in force
            if taken is None:
                continue
            camera, frame = taken
            sight = recogniser.see(
                states[camera], frame, camera=camera, direction=self._cameras[camera], gallery=gallery, watched=self._watched
            )
            states[camera] = sight.state
            self._next_ids[camera] = sight.state.tracks.next_id
            self.frames += 1
            if sight.view is not None:
                self._views[camera] = (frame.captured_at_ns, sight.view)
            for each in sight.inputs:
                if self._on_probe is not None and isinstance(each, ProbeCompared):
                    self._on_probe(each, frame.image)
                self._post(each)

    def _fitting(self, recogniser: Recogniser) -> Gallery | None:
        """The roster in force, if its templates are of this pack."""
        gallery = self._gallery
        if gallery is not None and gallery.pack != recogniser.pack:
            wrong = f"the roster's templates are of pack {gallery.pack}, this gate runs {recogniser.pack}; release one for this pack"
            self._say(RecognitionReported(ready=False, detail=wrong))
            return None
        self._say(RecognitionReported(ready=True, detail=f"pack {recogniser.pack}"))
        return gallery

    def _await_roster(self) -> None:
        until_ns = time.monotonic_ns() + int(FIRST_ROSTER_S * NS_PER_S)
        while not self._has_gallery.is_set() and time.monotonic_ns() < until_ns:
            self._fresh_ns = time.monotonic_ns()
            self._has_gallery.wait(TURN_S)

    def _fail(self, detail: str) -> None:
        self._say(RecognitionReported(ready=False, detail=detail))
        if (watched := self._watched) is not None:  # nobody sees any more who passes
            for camera in self._cameras:
                self._post(TrackLost(camera, watched, time.monotonic_ns()))
        self._rest(PAUSE_S)

    def _say(self, report: RecognitionReported) -> None:
        if report != self._said:
            if not report.ready:
                _log.warning("%s", report.detail)
            self._said = report
            self._post(report)

    def _rest(self, seconds: float) -> None:
        until_ns = time.monotonic_ns() + int(seconds * NS_PER_S)
        while not self._stopping.is_set() and time.monotonic_ns() < until_ns:
            self._fresh_ns = time.monotonic_ns()
            self._stopping.wait(TURN_S)


def _shown(view: View, *, age_ms: int) -> dict[str, object]:
    quality = view.quality
    figures = None if quality is None else {f.name: round(getattr(quality, f.name), 3) for f in fields(quality)}
    return {
        "age_ms": age_ms,
        "faces": view.faces,
        "at": [round(share, 3) for share in view.at],
        "in_lane": view.in_lane,
        "eye_distance_px": round(view.eye_px, 1),
        "quality": figures,
        "fault": None if view.fault is None else str(view.fault),
    }
