"""Until their passage starts: is the person who was let through still the one who stands there?

Told are only the ends of it: somebody else stands in the lane (SubjectReplaced), or the person has stepped aside or back (TrackLost, which
leaves them a moment to start passing).
"""

from dataclasses import replace
from types import MappingProxyType

from agent.core.identity import TrackId
from agent.core.inputs import RecognitionInput, SubjectReplaced, TrackLost
from agent.vision.evidence import Evidence, Judge, Verdict
from agent.vision.frame import F32
from agent.vision.region import BESIDE_SIZE, Face
from agent.vision.sampler import Sampler
from agent.vision.sight import About, CameraState, Sight

WATCH_EVERY = 3
"""A frame in so many is checked to be still their face."""


def watch(state: CameraState, watched: TrackId, *, about: About, sampler: Sampler, judge: Judge) -> Sight:
    """Returns what one frame says of the watched track, of which the state holds evidence."""
    subject = about.face(watched)
    if subject is None:
        return _missed(state, watched, about=about, sampler=sampler, judge=judge)
    beside = [face for face in about.inside if face is not subject and face.eye_px >= BESIDE_SIZE * subject.eye_px]
    if beside:
        return replaced(state, subject, Evidence(), about=about)
    if about.region.has_left(subject):
        return _ended(state, subject, Evidence(), inputs=(), about=about)
    return _checked(state, subject, about=about, sampler=sampler, judge=judge)


def _checked(state: CameraState, subject: Face, *, about: About, sampler: Sampler, judge: Judge) -> Sight:
    """The watched track goes on where it should. Is its face still the one that it was?"""
    watched = subject.track.id
    evidence = state.evidence[watched]
    if evidence.doubts == 0 and evidence.skipped + 1 < WATCH_EVERY:
        return Sight(state.remembering(watched, replace(evidence, skipped=evidence.skipped + 1)), ())
    template = _template(subject, about=about, sampler=sampler)
    if template is None:
        return Sight(state, ())
    evidence, verdict = judge(evidence, template, subject.eye_px)
    if verdict is Verdict.REPLACED:
        return replaced(state, subject, evidence, about=about)
    return Sight(state.remembering(watched, evidence), ())


def _template(face: Face, *, about: About, sampler: Sampler) -> F32 | None:
    """The template (d,) of a face of the frame; None where it is not fit."""
    chip = sampler.aligned(about.image, face.landmarks[None])
    _, fault = sampler.judge(about.image, face.landmarks, chip[0])
    template: F32 | None = sampler.pack.embedder.embed(chip)[0] if fault is None else None
    return template


def replaced(state: CameraState, subject: Face, evidence: Evidence, *, about: About) -> Sight:
    """Another face stands where this track's was: the track ends, and its place goes on under a new id with evidence of its own."""
    said = SubjectReplaced(about.camera, subject.track.id, about.captured_at_ns)
    return _ended(state, subject, evidence, inputs=(said,), about=about)


def _ended(state: CameraState, subject: Face, evidence: Evidence, *, inputs: tuple[RecognitionInput, ...], about: About) -> Sight:
    """Nothing more comes under the track's id; the face goes on under a new one."""
    tracks, new = state.tracks.renamed(subject.track.id, about.captured_at_ns)
    state = replace(state.forgetting(subject.track.id), tracks=tracks).remembering(new.id, evidence)
    return Sight(state, (*inputs, TrackLost(about.camera, subject.track.id, about.captured_at_ns)))


def _missed(state: CameraState, watched: TrackId, *, about: About, sampler: Sampler, judge: Judge) -> Sight:
    """The watched face is not in this frame. Who stands in its place is the same person, lost for a moment, or somebody else.

    Whoever is further away waits behind; the loss itself takes the release back when it lasts.
    """
    evidence = state.evidence[watched]
    here = max(about.inside, key=lambda face: face.eye_px, default=None)
    if here is None or here.eye_px < BESIDE_SIZE * evidence.eye_px:
        return Sight(state, ())
    template = _template(here, about=about, sampler=sampler)
    if template is None:
        return Sight(state, ())
    evidence, verdict = judge(evidence, template, here.eye_px)
    match verdict:
        case Verdict.SAME:
            state = replace(state, tracks=state.tracks.adopted(here.track.id, watched)).forgetting(here.track.id)
            return Sight(state.remembering(watched, evidence), ())
        case Verdict.DOUBTED:
            return Sight(state.remembering(watched, evidence), ())
        case Verdict.REPLACED:
            kept = {track: each for track, each in state.evidence.items() if track != watched} | {here.track.id: evidence}
            said = SubjectReplaced(about.camera, watched, about.captured_at_ns)
            return Sight(replace(state, evidence=MappingProxyType(kept)), (said,))
