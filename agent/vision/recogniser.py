"""What one frame tells the core: who stands in the lane, as templates fused over their track and compared with the whole roster.

    frame -> faces (searched, or known ones followed) -> tracks -> the subject: the largest face -> aligned -> quality -> template
          -> fused over its track -> gallery.identify -> ProbeCompared

The state of a camera goes in and comes out as a value. A face that is not fit to compare, that is not alone, or that is gone or replaced
becomes an input of its own. Once somebody was let through (`watched`), their track is followed until the passage starts.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np

from agent.biometrics.gallery import Gallery
from agent.core.identity import Direction, TrackId
from agent.core.inputs import (
    Box,
    Pad,
    ProbeCompared,
    RecognitionInput,
    SampleFault,
    SampleQuality,
    SampleRefused,
    SubjectReplaced,
    TrackLost,
)
from agent.vision.evidence import Evidence, Verdict, judged
from agent.vision.frame import F32, U8, Frame
from agent.vision.sampler import Sampler
from agent.vision.tracker import Track, Tracks, advance, overlaps
from models.detector import Detections

SEARCH_EVERY = 5
"""A frame in so many is searched whole even while known faces are followed: who comes into view is seen within a third of a second."""

SAME_FACE_OVERLAP = 0.6
"""Two followed boxes that overlap more have run into one face; the frame is then searched whole."""

FUSED_AT_LEAST = 5
"""Templates fused in a probe, unless the configuration wants more: a third of a second of a walk-up. Measured: docs/adr/0009."""

NEIGHBOUR_SIZE = 0.7
"""A second face of this part of the subject's size stands as near to the barrier as makes no difference: nobody is compared."""

BETWEEN_SIZE = 1.2
"""A face so much larger than the watched one has come between it and the barrier."""

WATCH_EVERY = 3
"""While somebody who was let through is watched, a frame in so many is checked to be still their face."""

UNLIKE = 1.3
"""Distance of a template from its track's own, over the pack's plain threshold, from which another face is suspected."""


@dataclass(frozen=True, slots=True)
class CameraState:
    """What is remembered of one camera between frames."""

    tracks: Tracks = field(default_factory=Tracks)
    evidence: Mapping[TrackId, Evidence] = field(default_factory=lambda: MappingProxyType({}))
    since_search: int = SEARCH_EVERY


@dataclass(frozen=True, slots=True)
class Sight:
    """What came of one frame. inputs: for the core, in order."""

    state: CameraState
    inputs: tuple[RecognitionInput, ...]


@dataclass(frozen=True, slots=True)
class _Face:
    """A face of the frame at hand, on its track."""

    track: Track
    landmarks: F32

    @property
    def eye_px(self) -> float:
        (x0, y0), (x1, y1) = self.landmarks[0].tolist(), self.landmarks[1].tolist()
        return float(np.hypot(x1 - x0, y1 - y0))


class Recogniser:
    """The pipeline of one gate; serves several cameras in turn. Holds models, no state of a camera. Not for two threads at a time."""

    def __init__(self, sampler: Sampler, *, frames: int, pad: Pad) -> None:
        """frames: templates that a grant needs; pad: the verdict that every probe carries as long as no PAD pack runs."""
        self._sampler = sampler
        self._pad = pad
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
        """Returns the camera's next state and what the core is to be told. gallery: None until a roster is in force; nobody is compared."""
        found, searched = self._faces(state, frame)
        moved = advance(state.tracks, found.boxes, frame.captured_at_ns)
        faces = [_Face(track, found.landmarks[i]) for i, track in enumerate(moved.continued)]
        live = {t.id for t in moved.tracks.live}
        state = CameraState(
            tracks=moved.tracks,
            evidence=MappingProxyType({track: kept for track, kept in state.evidence.items() if track in live}),
            since_search=0 if searched else state.since_search + 1,
        )
        about = _About(camera, direction, frame)
        lost = tuple(TrackLost(camera, track.id, frame.captured_at_ns) for track in moved.lost)
        seen = self._subject(state, faces, about=about, gallery=gallery, watched=watched)
        return Sight(seen.state, (*lost, *seen.inputs))

    def _faces(self, state: CameraState, frame: Frame) -> tuple[Detections, bool]:
        """The faces of the frame, and whether it was searched whole."""
        live = state.tracks.live
        if live and state.since_search + 1 < SEARCH_EVERY:
            boxes = np.array([t.expected(frame.captured_at_ns) for t in live], dtype=np.float32)
            found = self._sampler.refine(frame.image, boxes)
            if len(found) == len(live) and not _run_into_one(found.boxes):
                return found, False
        return self._sampler.detect(frame.image), True

    def _subject(
        self, state: CameraState, faces: list[_Face], *, about: "_About", gallery: Gallery | None, watched: TrackId | None
    ) -> Sight:
        if not faces:
            return Sight(state, ())
        largest = max(faces, key=lambda face: face.eye_px)
        subject = next((face for face in faces if face.track.id == watched), None)
        if subject is not None:
            if largest.eye_px > BETWEEN_SIZE * subject.eye_px:
                return self._replaced(state, subject, Evidence(), about=about)
            return self._watched(state, subject, about=about)
        alone = all(face is largest or face.eye_px < NEIGHBOUR_SIZE * largest.eye_px for face in faces)
        return self._compared(state, largest, alone=alone, about=about, gallery=gallery)

    def _watched(self, state: CameraState, subject: _Face, *, about: "_About") -> Sight:
        """Is the person who was let through still the one who stands there?"""
        track = subject.track.id
        evidence = state.evidence.get(track, Evidence())
        if evidence.doubts == 0 and evidence.skipped + 1 < WATCH_EVERY:
            return Sight(_remembering(state, track, replace(evidence, skipped=evidence.skipped + 1)), ())
        chip = self._sampler.aligned(about.image, subject.landmarks[None])
        _, fault = self._sampler.judge(about.image, subject.landmarks, chip[0])
        if fault is not None:
            return Sight(state, ())
        evidence, verdict = self._judged(evidence, self._sampler.pack.embedder.embed(chip)[0])
        if verdict is Verdict.REPLACED:
            return self._replaced(state, subject, evidence, about=about)
        return Sight(_remembering(state, track, evidence), ())

    def _compared(self, state: CameraState, subject: _Face, *, alone: bool, about: "_About", gallery: Gallery | None) -> Sight:
        chip = self._sampler.aligned(about.image, subject.landmarks[None])
        quality, fault = self._sampler.judge(about.image, subject.landmarks, chip[0])
        if fault is None and not alone:
            fault = SampleFault.SEVERAL_FACES
        track = subject.track
        if fault is not None:
            return Sight(state, (SampleRefused(about.camera, about.direction, track.id, about.captured_at_ns, fault),))
        if gallery is None:
            return Sight(state, ())
        evidence, verdict = self._judged(state.evidence.get(track.id, Evidence()), self._sampler.pack.embedder.embed(chip)[0])
        match verdict:
            case Verdict.REPLACED:
                return self._replaced(state, subject, evidence, about=about)
            case Verdict.DOUBTED:
                return Sight(_remembering(state, track.id, evidence), ())
            case Verdict.SAME:
                probe = self._probe(track, evidence, quality, about=about, gallery=gallery)
                return Sight(_remembering(state, track.id, evidence), (probe,))

    def _judged(self, evidence: Evidence, template: F32) -> tuple[Evidence, Verdict]:
        return judged(evidence, template, metric=self._sampler.metric, unlike=self._unlike, most=self._most)

    def _replaced(self, state: CameraState, subject: _Face, evidence: Evidence, *, about: "_About") -> Sight:
        """Another face stands where this track's was: the track ends, and its place goes on under a new id with evidence of its own."""
        tracks, new = state.tracks.renamed(subject.track.id, about.captured_at_ns)
        kept = {track: each for track, each in state.evidence.items() if track != subject.track.id} | {new.id: evidence}
        replaced = SubjectReplaced(about.camera, subject.track.id, about.captured_at_ns)
        gone = TrackLost(about.camera, subject.track.id, about.captured_at_ns)  # nothing more will come under the old id
        return Sight(CameraState(tracks, MappingProxyType(kept), state.since_search), (replaced, gone))

    def _probe(self, track: Track, evidence: Evidence, quality: SampleQuality, *, about: "_About", gallery: Gallery) -> ProbeCompared:
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
            pad=self._pad,
            box=Box(*track.box),
            roster_version=gallery.version,
            pack=gallery.pack,
        )


@dataclass(frozen=True, slots=True)
class _About:
    """What every input about one frame carries."""

    camera: str
    direction: Direction
    frame: Frame

    @property
    def captured_at_ns(self) -> int:
        return self.frame.captured_at_ns

    @property
    def image(self) -> U8:
        return self.frame.image


def _remembering(state: CameraState, track: TrackId, evidence: Evidence) -> CameraState:
    return replace(state, evidence=MappingProxyType({**state.evidence, track: evidence}))


def _run_into_one(boxes: F32) -> bool:
    if len(boxes) < 2:  # noqa: PLR2004  a pair
        return False
    shares = overlaps(boxes, boxes)
    np.fill_diagonal(shares, 0)
    return bool((shares > SAME_FACE_OVERLAP).any())
