"""From probes to an identification: enough, fresh, consistent, live, and well ahead of every other person.

An attempt is one track. It begins with the track's first sample within reach (an approaching face is no attempt), ends with a finding
after `attempt_ms` at the latest, and then the track rests for `cool_down_ms`. A track that is lost ends its attempt: with a finding if
a probe of enough frames had been compared, silently otherwise, so that a passer-by with one bad frame makes no event.

Each probe is judged alone; what is kept from probe to probe is who the best candidate was. When that changes, templates of two people
may be fused in the probe, so from then on `frames` probes in a row must agree.
"""

import math
from dataclasses import dataclass, replace

from agent.core.identity import AccessRecord, Candidate, Direction, PersonId, TrackId
from agent.core.inputs import PadVerdict, ProbeCompared, SampleFault, SampleRefused
from agent.core.moment import NS_PER_MS
from agent.core.reasons import DenyReason
from agent.core.rules import GRANT_LIFE_NS, Now, Rules

MOST_ATTEMPTS = 16  # followed at once; a lane holds two or three people, and the attempt seen longest ago makes room
OUT_OF_REACH = frozenset({SampleFault.TOO_FAR, SampleFault.OUTSIDE_LANE})  # these people are not trying yet


@dataclass(frozen=True, slots=True)
class Attempt:
    """One track's evidence so far.

    Attributes:
        began_ns: monotonic time of the first sample within reach.
        ends_ns: monotonic time at which the attempt, or the rest after it, is over.
        resting: a decision was made; samples are ignored until ends_ns.
        seen_ns: capture time of the newest sample.
        probe: the newest probe.
        person: best candidate of the newest matching probe.
        agreeing: matching probes in a row with that person.
        mixed: the track has shown two people, so frames fused so far may be of either.
    """

    camera: str
    direction: Direction
    track: TrackId
    began_ns: int
    ends_ns: int
    seen_ns: int
    resting: bool = False
    probe: ProbeCompared | None = None
    person: PersonId | None = None
    agreeing: int = 0
    mixed: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """How an attempt ended.

    Attributes:
        record: whom the evidence names; None unless shortfall is None.
        shortfall: what was missing for an identification.
    """

    attempt: Attempt
    record: AccessRecord | None
    shortfall: DenyReason | None


Attempts = tuple[Attempt, ...]


def is_fresh(probe: ProbeCompared, now_ns: int) -> bool:
    """Whether a grant from this probe would still be alive. A capture time in the future is a fault, not freshness."""
    return 0 <= now_ns - probe.captured_at_ns < GRANT_LIFE_NS


def best_and_runner_up(probe: ProbeCompared) -> tuple[Candidate | None, Candidate | None]:
    """The best candidate and the next other person."""
    if not probe.candidates:
        return None, None
    best = probe.candidates[0]
    return best, next((c for c in probe.candidates[1:] if c.record.person != best.record.person), None)


def observe(attempts: Attempts, probe: ProbeCompared, now: Now) -> tuple[Attempts, Finding | None]:
    """Take a fresh probe; a finding if it identifies the person, or shows an attack."""
    attempt = _attempt_of(attempts, probe, now)
    older = attempt.probe is not None and probe.captured_at_ns <= attempt.probe.captured_at_ns
    if attempt.resting or older:
        return attempts, None
    attempt = _with_probe(attempt, probe)
    shortfall = _shortfall(attempt, now.rules)
    if shortfall in (None, DenyReason.PRESENTATION_ATTACK):
        return _put(attempts, rested(attempt, now)), _finding(attempt, shortfall)
    return _put(attempts, attempt), None


def note_refused(attempts: Attempts, sample: SampleRefused, now: Now) -> Attempts:
    """A sample that could not be compared: it begins an attempt, but proves nothing."""
    if sample.fault in OUT_OF_REACH:
        return attempts
    attempt = _attempt_of(attempts, sample, now)
    return _put(attempts, replace(attempt, seen_ns=max(attempt.seen_ns, sample.captured_at_ns)))


def lose(attempts: Attempts, camera: str, track: TrackId, rules: Rules) -> tuple[Attempts, Finding | None]:
    """The track is gone, and its attempt or rest with it."""
    attempt = _find(attempts, camera, track)
    if attempt is None:
        return attempts, None
    rest = tuple(a for a in attempts if a is not attempt)
    if attempt.resting or attempt.probe is None or attempt.probe.frames < rules.frames:
        return rest, None
    return rest, _finding(attempt, _shortfall(attempt, rules))


def replace_subject(attempts: Attempts, camera: str, track: TrackId, now: Now) -> Attempts:
    """Another face stands there: nothing of the track's evidence counts for it."""
    attempt = _find(attempts, camera, track)
    if attempt is None:
        return attempts
    fresh = replace(attempt, began_ns=now.ns, ends_ns=_attempt_end(now), resting=False, probe=None, person=None, agreeing=0, mixed=True)
    return _put(attempts, fresh)


def end_due(attempts: Attempts, now: Now) -> tuple[Attempts, tuple[Finding, ...]]:
    """Attempts whose time is up end with a finding and rest; rests whose time is up are forgotten."""
    due = [a for a in attempts if now.ns >= a.ends_ns]
    if not due:
        return attempts, ()
    tried = [a for a in due if not a.resting]
    left = tuple(a for a in attempts if now.ns < a.ends_ns) + tuple(rested(a, now) for a in tried)
    return left, tuple(_finding(a, _shortfall(a, now.rules)) for a in tried)


def rested(attempt: Attempt, now: Now) -> Attempt:
    """The attempt after its decision, in its cool-down."""
    return replace(attempt, resting=True, ends_ns=now.ns + now.rules.cool_down_ms * NS_PER_MS, probe=None, person=None, agreeing=0)


def rest_track(attempts: Attempts, camera: str, direction: Direction, track: TrackId, now: Now) -> Attempts:
    """The track's passage, or its failure, is over: it rests before it may ask again."""
    asked = _find(attempts, camera, track) or Attempt(camera, direction, track, began_ns=now.ns, ends_ns=now.ns, seen_ns=now.ns)
    return _put(attempts, rested(asked, now))


def only_resting(attempts: Attempts) -> Attempts:
    """All evidence is void (another roster, or the lane is taken); cool-downs stay."""
    return tuple(a for a in attempts if a.resting)


def _shortfall(attempt: Attempt, rules: Rules) -> DenyReason | None:
    """What the newest probe lacks; None when it identifies its best candidate."""
    probe = attempt.probe
    if probe is None:
        return DenyReason.QUALITY
    if probe.pad.verdict is PadVerdict.ATTACK:
        return DenyReason.PRESENTATION_ATTACK
    best, _ = best_and_runner_up(probe)
    if best is None or not _reaches(best.score, probe.threshold):
        return DenyReason.NO_CANDIDATE
    if not _leads(probe) or (attempt.mixed and attempt.agreeing < rules.frames):
        return DenyReason.AMBIGUOUS
    if not _is_live(probe, rules):
        return DenyReason.PAD_INCONCLUSIVE
    return DenyReason.QUALITY if probe.frames < rules.frames else None


def _reaches(score: float, threshold: float) -> bool:
    return math.isfinite(score) and score >= threshold


def _leads(probe: ProbeCompared) -> bool:
    """Whether the best candidate leads every other person by the margin; nobody else to lead is enough."""
    best, runner_up = best_and_runner_up(probe)
    if best is None:
        return False
    if runner_up is None:
        return True
    lead = best.score - runner_up.score
    return lead >= 0 and lead >= probe.margin


def _is_live(probe: ProbeCompared, rules: Rules) -> bool:
    switched_off = probe.pad.verdict is PadVerdict.OFF and not rules.pad_required
    return probe.pad.verdict is PadVerdict.BONA_FIDE or switched_off


def _with_probe(attempt: Attempt, probe: ProbeCompared) -> Attempt:
    attempt = replace(attempt, probe=probe, seen_ns=max(attempt.seen_ns, probe.captured_at_ns))
    best, _ = best_and_runner_up(probe)
    if best is None or not _reaches(best.score, probe.threshold) or not _leads(probe):
        return attempt
    person = best.record.person
    if attempt.person in (None, person):
        return replace(attempt, person=person, agreeing=attempt.agreeing + 1)
    return replace(attempt, person=person, agreeing=1, mixed=True)


def _finding(attempt: Attempt, shortfall: DenyReason | None) -> Finding:
    record = attempt.probe.candidates[0].record if shortfall is None and attempt.probe is not None else None
    return Finding(attempt, record, shortfall)


def _attempt_end(now: Now) -> int:
    return now.ns + now.rules.attempt_ms * NS_PER_MS


def _find(attempts: Attempts, camera: str, track: TrackId) -> Attempt | None:
    return next((a for a in attempts if a.track == track and a.camera == camera), None)


def _attempt_of(attempts: Attempts, sample: ProbeCompared | SampleRefused, now: Now) -> Attempt:
    """The track's attempt, begun now if there is none."""
    return _find(attempts, sample.camera, sample.track) or Attempt(
        sample.camera, sample.direction, sample.track, began_ns=now.ns, ends_ns=_attempt_end(now), seen_ns=sample.captured_at_ns
    )


def _put(attempts: Attempts, attempt: Attempt) -> Attempts:
    others = tuple(a for a in attempts if a.track != attempt.track or a.camera != attempt.camera)
    if len(others) == MOST_ATTEMPTS:
        oldest = min(others, key=lambda a: a.seen_ns)
        others = tuple(a for a in others if a is not oldest)
    return (*others, attempt)
