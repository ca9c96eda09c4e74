"""From what the cameras show to a decision: which samples count, what they add to the evidence, and what the access rules make of it."""

from collections.abc import Iterable
from dataclasses import replace

from agent.core import access, evidence, health, passage, prompts, records
from agent.core.effects import Effect, Phase
from agent.core.events import EventType
from agent.core.evidence import Finding
from agent.core.identity import Direction
from agent.core.inputs import Input, ProbeCompared, RosterLoaded, SampleRefused, SubjectReplaced, TrackLost
from agent.core.lane import AccessGranted, next_grant, record
from agent.core.reasons import REASONS
from agent.core.rules import Now
from agent.core.state import State, Stepped

FREE = frozenset({Phase.SECURED, Phase.UNREADY})  # phases in which attempts are weighed; without a controller they end in a denial


def weigh(state: State, given: Input, now: Now) -> Stepped:
    """What an input adds to the evidence, and the decision if that ends an attempt."""
    match given:
        case ProbeCompared():
            return _weigh_probe(state, given, now)
        case SampleRefused() if _is_weighed(state, given):
            attempts = evidence.note_refused(state.attempts, given, now)
            sides = tuple(
                replace(s, guidance=prompts.guide(s.guidance, given.fault, now.ns)) if s.direction is given.direction else s
                for s in state.sides
            )
            return replace(state, attempts=attempts, sides=sides), ()
        case TrackLost(camera, track, _):
            attempts, finding = evidence.lose(state.attempts, camera, track, now.rules)
            return decide(replace(state, attempts=attempts), (finding,) if finding else (), now)
        case SubjectReplaced(camera, track, _):
            return replace(state, attempts=evidence.replace_subject(state.attempts, camera, track, now)), ()
        case RosterLoaded():
            return replace(state, attempts=evidence.only_resting(state.attempts)), ()
        case _:
            return state, ()


def _weigh_probe(state: State, probe: ProbeCompared, now: Now) -> Stepped:
    roster = state.health.roster
    current = roster is not None and (probe.roster_version, probe.pack) == (roster.version, roster.pack)
    if not (current and _is_weighed(state, probe) and evidence.is_fresh(probe, now.ns)):
        return replace(state, counts=replace(state.counts, probes_dropped=state.counts.probes_dropped + 1)), ()
    attempts, finding = evidence.observe(state.attempts, probe, now)
    counts = replace(state.counts, probes_weighed=state.counts.probes_weighed + 1)
    return decide(replace(state, attempts=attempts, counts=counts), (finding,) if finding else (), now)


def _is_weighed(state: State, sample: ProbeCompared | SampleRefused) -> bool:
    """Whether the lane is free for another attempt, and the camera is one of ours and looks that way."""
    return state.lane.phase in FREE and not state.stopping and state.rules.direction_of(sample.camera) is sample.direction


def decide(state: State, findings: Iterable[Finding], now: Now) -> Stepped:
    effects: tuple[Effect, ...] = ()
    for finding in findings:
        state, more = _decide_one(state, finding, now)
        effects += more
    return state, effects


def _decide_one(state: State, finding: Finding, now: Now) -> Stepped:
    direction, fields = finding.attempt.direction, records.comparison(finding.attempt, now)
    context = access.Context(
        now=now,
        lock_down=state.health.lock_down,
        roster=state.health.roster,
        in_service=not health.lacks(direction, state.health, state.lane, now),
        passages=state.lane.passages,
        next_grant=next_grant(state.lane) if state.lane.phase is Phase.SECURED else None,
    )
    match access.decide(finding, context):
        case access.Grant() as grant:
            granted = AccessGranted(grant, finding.attempt.camera, finding.attempt.track, fields)
            lane, effects = passage.advance(state.lane, granted, now)
            return _guided(replace(state, lane=lane), direction, None), effects
        case access.Deny(reason):
            denied = record(EventType.ACCESS_DENIED, now, reason=reason, direction=direction, **fields)
            shown = prompts.Guidance(REASONS[reason].prompt, now.ns + prompts.DENIED_NS, firm=True)
            return _guided(state, direction, shown), (denied,)


def _guided(state: State, direction: Direction, guidance: prompts.Guidance | None) -> State:
    return replace(state, sides=tuple(replace(s, guidance=guidance) if s.direction is direction else s for s in state.sides))
