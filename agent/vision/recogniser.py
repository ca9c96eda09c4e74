"""What one frame tells the core: who stands in the lane, as templates fused over their track and compared with the whole roster.

    frame -> faces (searched, or known ones followed) -> tracks -> the subject: the nearest face in the lane's region
          -> aligned -> quality -> template and PAD score -> fused over its track -> gallery.identify -> ProbeCompared

The state of a camera goes in and comes out as a value. A face that is not fit to compare, that is not alone, or that is gone or replaced
becomes an input of its own. Once somebody was let through (`watched`), their track is followed until the passage starts (watching.py).
"""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from agent.biometrics.gallery import Gallery
from agent.core.identity import Direction, TrackId
from agent.core.inputs import (
    Box,
    Pad,
    ProbeCompared,
    SampleFault,
    SampleQuality,
    SampleRefused,
    TrackLost,
)
from agent.errors import GateError
from agent.vision.evidence import Evidence, Verdict, judged
from agent.vision.frame import F32, Frame
from agent.vision.pad import AttackDetection, Fixed
from agent.vision.region import Face, Region, hides_before, hides_somebody, placed, still_hidden
from agent.vision.sampler import Sampler
from agent.vision.sight import SEARCH_EVERY, About, CameraState, Sight, View
from agent.vision.tracker import Track, advance, overlaps
from agent.vision.watching import replaced, watch
from models.detector import Detections
from models.errors import ModelError

__all__ = ["SEARCH_EVERY", "CameraState", "Recogniser", "Sight"]

SAME_FACE_OVERLAP = 0.6
"""Two followed boxes that overlap more have run into one face; the frame is then searched whole."""

FUSED_AT_LEAST = 5
"""Templates fused in a probe, unless the configuration wants more: a third of a second of a walk-up. Measured: docs/adr/0009."""

UNLIKE = 1.3
"""Distance of a template from its track's own, over the pack's plain threshold, from which another face is suspected."""

MAX_EYE_PX = 250.0
"""Greatest distance between the eyes where no region is given: nearer than any lane's camera has its people."""


class Recogniser:
    """The pipeline of one gate; serves several cameras in turn. Holds models, no state of a camera. Not for two threads at a time."""

    def __init__(self, sampler: Sampler, *, frames: int, pad: Pad | AttackDetection, regions: Mapping[str, Region] | None = None) -> None:
        """frames: templates that a grant needs; pad: what detects attacks, or the verdict that every probe carries where nothing does.

        regions: by camera, where in its picture the lane is; a camera without one has the middle of its picture.
        """
        self._sampler = sampler
        self._attacks = Fixed(pad) if isinstance(pad, Pad) else pad
        self._regions = MappingProxyType(dict(regions or {}))
        self._middle = Region(min_eye_px=sampler.bounds.min_eye_distance_px, max_eye_px=MAX_EYE_PX)
        self._most = max(FUSED_AT_LEAST, frames)
        self._unlike = UNLIKE * sampler.pack.manifest.comparison.threshold_plain

    @property
    def pack(self) -> str:
        return self._sampler.pack.id

    def see(
        self,
        state: CameraState,
        frame: Frame,
        *,
        camera: str,
        direction: Direction,
        gallery: Gallery | None,
        watched: TrackId | None,
    ) -> Sight:
        """Returns the camera's next state and what the core is to be told. gallery: None until a roster is in force; nobody is compared.

        Raises:
            GateError: a model fails on the frame.
        """
        try:
            return self._seen(state, frame, camera=camera, direction=direction, gallery=gallery, watched=watched)
        except ModelError as error:
            raise GateError(str(error)) from error

    def _seen(
        self,
        state: CameraState,
        frame: Frame,
        *,
        camera: str,
        direction: Direction,
        gallery: Gallery | None,
        watched: TrackId | None,
    ) -> Sight:
        found, searched = self._faces(state, frame)
        moved = advance(state.tracks, found.boxes, frame.captured_at_ns)
        size = (frame.image.shape[1], frame.image.shape[0])
        faces = tuple(placed(moved.continued, found.landmarks, frame_size=size))
        kept = {t.id for t in moved.tracks.live} | {watched}
        state = CameraState(
            tracks=moved.tracks,
            hidden=still_hidden((*state.hidden, *moved.lost), frame_size=size, now_ns=frame.captured_at_ns),
            evidence=MappingProxyType({track: each for track, each in state.evidence.items() if track in kept}),
            since_search=0 if searched else state.since_search + 1,
        )
        about = About(camera, direction, frame, self._regions.get(camera, self._middle), faces)
        lost = tuple(TrackLost(camera, track.id, track.seen_ns) for track in moved.lost)
        if watched is not None and watched in state.evidence:  # a track of this camera, and nobody has taken its place yet
            seen = watch(state, watched, about=about, sampler=self._sampler, judge=self._judged)
        else:
            seen = self._subject(state, about=about, gallery=gallery)
        return replace(seen, inputs=(*lost, *seen.inputs))

    def _faces(self, state: CameraState, frame: Frame) -> tuple[Detections, bool]:
        """The faces of the frame, and whether it was searched whole."""
        live = state.tracks.live
        if live and state.since_search + 1 < SEARCH_EVERY:
            boxes = np.array([t.expected(frame.captured_at_ns) for t in live], dtype=np.float32)
            found = self._sampler.refine(frame.image, boxes)
            if len(found) == len(live) and not _run_into_one(found.boxes):
                return found, False
        return self._sampler.detect(frame.image), True

    def _subject(self, state: CameraState, *, about: About, gallery: Gallery | None) -> Sight:
        """The nearest face in the lane, if there is one, is the subject; nobody else is compared."""
        subject = max(about.inside, key=lambda face: face.eye_px, default=None)
        if subject is not None:
            return self._compared(state, subject, about=about, gallery=gallery)
        if not about.faces:
            return Sight(state, ())
        nearest = max(about.faces, key=lambda face: face.eye_px)
        outside = SampleRefused(about.camera, about.direction, nearest.track.id, about.captured_at_ns, SampleFault.OUTSIDE_LANE)
        return Sight(state, (outside,), _view(nearest, about, fault=outside.fault))

    def _is_alone(self, state: CameraState, subject: Face, *, about: About) -> bool:
        if any(about.region.crowds(other, subject) for other in about.inside):
            return False
        seen = {face.track.id for face in about.faces}
        unseen = [track for track in state.tracks.live if track.id not in seen]
        size = (about.image.shape[1], about.image.shape[0])
        if hides_before(about.region, subject, state.hidden, frame_size=size):
            return False
        return not hides_somebody(about.region, subject, unseen, frame_size=size, now_ns=about.captured_at_ns)

    def _compared(self, state: CameraState, subject: Face, *, about: About, gallery: Gallery | None) -> Sight:
        chip = self._sampler.aligned(about.image, subject.landmarks[None])
        quality, fault = self._sampler.judge(about.image, subject.landmarks, chip[0])
        if subject.eye_px > about.region.max_eye_px or not self._attacks.has_room(about.image, Box(*subject.track.box)):
            fault = SampleFault.TOO_CLOSE
        if fault is None and not self._is_alone(state, subject, about=about):
            fault = SampleFault.SEVERAL_FACES
        track, view = subject.track, _view(subject, about, quality=quality, fault=fault)
        if fault is not None:
            return Sight(state, (SampleRefused(about.camera, about.direction, track.id, about.captured_at_ns, fault),), view)
        if gallery is None:
            return Sight(state, (), view)
        template = self._sampler.pack.embedder.embed(chip)[0]
        evidence, verdict = self._judged(state.evidence.get(track.id, Evidence()), template, subject.eye_px)
        match verdict:
            case Verdict.REPLACED:
                return replace(replaced(state, subject, evidence, about=about), view=view)
            case Verdict.DOUBTED:
                return Sight(state.remembering(track.id, evidence), (), view)
            case Verdict.SAME:
                evidence = replace(evidence, pad_scores=self._attacks.scored(evidence.pad_scores, about.image, Box(*track.box)))
                probe = self._probe(track, evidence, quality, about=about, gallery=gallery)
                return Sight(state.remembering(track.id, evidence), (probe,), view)

    def _judged(self, evidence: Evidence, template: F32, eye_px: float) -> tuple[Evidence, Verdict]:
        return judged(evidence, template, metric=self._sampler.metric, unlike=self._unlike, most=self._most, eye_px=eye_px)

    def _probe(self, track: Track, evidence: Evidence, quality: SampleQuality, *, about: About, gallery: Gallery) -> ProbeCompared:
        return ProbeCompared(
            camera=about.camera,
            direction=about.direction,
            track=track.id,
            captured_at_ns=about.captured_at_ns,
            track_started_ns=track.started_ns,
            frames=len(evidence.templates),
            candidates=gallery.identify(evidence.probe(self._sampler.metric)),
            threshold=gallery.threshold,
            margin=gallery.margin,
            quality=quality,
            pad=self._attacks.verdict(evidence.pad_scores),
            box=Box(*track.box),
            roster_version=gallery.version,
            pack=gallery.pack,
        )


def _view(face: Face, about: About, *, fault: SampleFault | None, quality: SampleQuality | None = None) -> View:
    return View(faces=len(about.faces), at=face.at, in_lane=about.region.holds(face.at), eye_px=face.eye_px, quality=quality, fault=fault)


def _run_into_one(boxes: F32) -> bool:
    if len(boxes) < 2:  # noqa: PLR2004  a pair
        return False
    shares = overlaps(boxes, boxes)
    np.fill_diagonal(shares, 0)
    return bool((shares > SAME_FACE_OVERLAP).any())
