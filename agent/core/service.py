"""What follows from the state after each input: service opened or closed, the prompt, the belief, whom to watch. Told on change only."""

from dataclasses import dataclass, replace

from agent.core.effects import Believe, Effect, Phase, Prompt, ShowPrompt, WatchSubject
from agent.core.events import EventType
from agent.core.health import Health, Lack, Lacks, is_stale, lacks
from agent.core.identity import Direction, TrackId
from agent.core.lane import Lane, record
from agent.core.prompts import Guidance, fade, prompt_for
from agent.core.rules import Now


@dataclass(frozen=True, slots=True)
class Side:
    """One direction that a camera serves.

    Attributes:
        lacks: what it is missing, as last told; empty: in service. None: nothing was told yet.
        shown: the prompt as last told; None: none yet.
    """

    direction: Direction
    lacks: Lacks | None = None
    guidance: Guidance | None = None
    shown: Prompt | None = None


def told(side: Side, health: Health, lane: Lane, now: Now) -> tuple[Side, tuple[Effect, ...]]:
    """Bring one side up to date, and say what changed."""
    missing = lacks(side.direction, health, lane, now)
    guidance = fade(side.guidance, now.ns)
    shown = prompt_for(side.direction, lane, missing, guidance)
    effects = _service_change(side, missing, now)
    if shown is not side.shown:
        effects = (*effects, ShowPrompt(side.direction, shown))
    return replace(side, lacks=missing, guidance=guidance, shown=shown), effects


def _service_change(side: Side, missing: Lacks, now: Now) -> tuple[Effect, ...]:
    """Closed is said again when something more is missing, not when something is mended and the rest is not.

    Camera, controller and roster have events of their own for their words; recognition has none, so its new words are said here.
    """
    before = dict(side.lacks or ())
    new = {lack for lack, detail in missing if lack not in before or (lack is Lack.RECOGNITION and detail != before[lack])}
    if new:
        reasons = ",".join(lack for lack, _ in missing)
        detail = next(detail for lack, detail in missing if lack in new)
        return (record(EventType.SERVICE_CLOSED, now, direction=side.direction, reasons=reasons, detail=detail),)
    if side.lacks and not missing:
        return (record(EventType.SERVICE_OPENED, now, direction=side.direction),)
    return ()


def watched(lane: Lane) -> TrackId | None:
    """Whom recognition follows: the released person, until the passage starts or the release is taken back."""
    return lane.pending.track if lane.pending is not None and lane.phase is Phase.RELEASED else None


def lane_change(before: Lane, after: Lane) -> tuple[Effect, ...]:
    belief = () if before.phase is after.phase else (Believe(after.phase),)
    watch = () if watched(before) == watched(after) else (WatchSubject(watched(after)),)
    return (*belief, *watch)


def stale_change(health: Health, now: Now) -> tuple[Health, tuple[Effect, ...]]:
    """Warn once for each release that grew stale while in force."""
    roster = health.roster
    if roster is None or health.stale_warned == roster.version or not is_stale(health, now):
        return health, ()
    warning = record(EventType.ROSTER_STALE, now, version=roster.version, expires=roster.expires_s)
    return replace(health, stale_warned=roster.version), (warning,)
