"""The whole core in one function: `step(state, input, moment) -> (state, effects)`. No clock, no thread, nothing but values.

One grant owns the lane until its passage ends; until then no probe of any camera is weighed. In the effects of a step the records come
first, because the runtime makes them durable before it does anything else.
"""

from collections.abc import Iterable
from dataclasses import replace
from types import MappingProxyType

from agent.core import antipassback, evidence, health, passage, records, service, staff
from agent.core.effects import (
    Believe,
    CancelRelease,
    Effect,
    MarkDelivered,
    Record,
    ReleaseBarrier,
    ShowPrompt,
    Stop,
    StoreLockDown,
    WatchSubject,
)
from agent.core.events import EventType
from agent.core.health import CameraHealth, Health
from agent.core.identity import Direction
from agent.core.inputs import EventsAcknowledged, Input, LockDownSet, StopRequested, Tick
from agent.core.known import LastKnown
from agent.core.lane import Lane, Pending, record
from agent.core.moment import Moment
from agent.core.rules import CameraPlace, Now, Rules
from agent.core.service import Side
from agent.core.state import State, Stepped, snapshot
from agent.core.weighing import FREE, decide, weigh

__all__ = ["CameraPlace", "Rules", "State", "next_deadline_ns", "snapshot", "start", "step"]

_ORDER = MappingProxyType(
    {kind: place for place, kind in enumerate((Record, StoreLockDown, ReleaseBarrier, CancelRelease, Believe, WatchSubject))}
    | {ShowPrompt: 6, MarkDelivered: 7, Stop: 8}
)


_COUNTED = MappingProxyType(
    {EventType.ACCESS_GRANTED: "granted", EventType.ACCESS_DENIED: "denied", EventType.PASSAGE_MADE: "passages"},
)


def start(rules: Rules, known: LastKnown, moment: Moment) -> Stepped:
    """The lane at the start: out of service until its parts have reported, an open grant of an earlier run still open."""
    now = Now(rules, moment)
    left = known.open_grant
    lane = Lane(
        pending=None if left is None else Pending(left.grant, left.person, left.direction),
        last_grant=known.highest_grant if left is None else max(known.highest_grant, left.grant),
        passage_counter=known.passage_counter,
        passages=antipassback.known(known.last_passage, now_ns=now.ns),
    )
    state = State(
        rules=rules,
        lane=lane,
        health=Health(tuple(CameraHealth(c.name, c.direction) for c in rules.cameras), lock_down=known.lock_down),
        sides=tuple(Side(direction) for direction in Direction if rules.serves(direction)),
    )
    started = record(
        EventType.AGENT_STARTED,
        now,
        version=rules.version,
        simulation=rules.simulation,
        pad="required" if rules.pad_required else "off",
    )
    state, effects = _tell_sides(state, now)
    return state, _ordered((started, *effects, Believe(lane.phase), WatchSubject(None)))


def step(state: State, given: Input, moment: Moment) -> Stepped:
    """Take one input. The same state, input and moment always give the same state and effects."""
    now = Now(state.rules, moment)
    noted = records.of_input(state.health, given, now)
    after = replace(state, health=health.turn(health.take(state.health, given, now), now))
    after, moved = _advance(after, given, now)
    after, weighed = weigh(after, given, now)
    after, ordered = staff.answer(after, given, now)
    after, due = _end_what_is_due(after, now)
    after = _after_change(state.lane, after, now)
    after, told = _tell_sides(after, now)
    warned_health, warned = service.stale_change(after.health, now)
    after, answered = _answer(replace(after, health=warned_health), given, now)
    effects = (*noted, *moved, *weighed, *ordered, *due, *service.lane_change(state.lane, after.lane), *told, *warned, *answered)
    return _counted(after, effects), _ordered(effects)


def next_deadline_ns(state: State) -> int | None:
    """Monotonic time at which a Tick is needed; None: nothing is waiting. The wall clock is looked at on every Tick."""
    guidance = (side.guidance.until_ns for side in state.sides if side.guidance is not None)
    deadlines = (state.lane.deadline_ns, state.lane.gone_ns, state.health.slow_until_ns, *(a.ends_ns for a in state.attempts), *guidance)
    return min((ns for ns in deadlines if ns is not None), default=None)


# --- the parts of a step ----------------------------------------------------------------------------------------------------------------


def _advance(state: State, given: Input, now: Now) -> Stepped:
    lane, effects = passage.advance(state.lane, given, now)
    return replace(state, lane=lane), effects


def _end_what_is_due(state: State, now: Now) -> Stepped:
    """Deadlines are looked at after every input, and after it: what the barrier has just said comes before what is overdue."""
    state, moved = _advance(state, Tick(), now)
    attempts, findings = evidence.end_due(state.attempts, now)
    state, decided = decide(replace(state, attempts=attempts), findings, now)
    return state, moved + decided


def _after_change(before: Lane, state: State, now: Now) -> State:
    """A lane that is taken voids all evidence; a lane that is free again lets the subject rest first."""
    if state.lane.phase not in FREE:
        return replace(state, attempts=evidence.only_resting(state.attempts))
    left = before.pending
    if left is None or left.camera is None or left.track is None or state.lane.pending is not None:
        return state
    return replace(state, attempts=evidence.rest_track(state.attempts, left.camera, left.direction, left.track, now))


def _tell_sides(state: State, now: Now) -> Stepped:
    told = [service.told(side, state.health, state.lane, now) for side in state.sides]
    return replace(state, sides=tuple(side for side, _ in told)), tuple(effect for _, effects in told for effect in effects)


def _answer(state: State, given: Input, now: Now) -> Stepped:
    match given:
        case EventsAcknowledged(epoch, seq, head):
            return state, (MarkDelivered(epoch, seq, head),)
        case LockDownSet(on, _, _):
            return state, (StoreLockDown(on),)
        case StopRequested(reason):
            return replace(state, stopping=True), (record(EventType.AGENT_STOPPED, now, reason=reason), Stop())
        case _:
            return state, ()


def _counted(state: State, effects: tuple[Effect, ...]) -> State:
    names = [_COUNTED[e.event.type] for e in effects if isinstance(e, Record) and e.event.type in _COUNTED]
    if not names:
        return state
    return replace(state, counts=replace(state.counts, **{name: getattr(state.counts, name) + names.count(name) for name in names}))


def _ordered(effects: Iterable[Effect]) -> tuple[Effect, ...]:
    """Records first, the end last; otherwise as they came."""
    return tuple(sorted(effects, key=lambda effect: _ORDER[type(effect)]))
