"""Everything that the lane knows, as one immutable value, and its picture for people and programs."""

from dataclasses import dataclass, field
from typing import Any

from agent.core.effects import Effect
from agent.core.evidence import Attempts
from agent.core.health import Health
from agent.core.lane import Lane
from agent.core.rules import Rules
from agent.core.service import Side


@dataclass(frozen=True, slots=True)
class Counts:
    """Since the start; for the control socket."""

    granted: int = 0
    denied: int = 0
    passages: int = 0
    probes_weighed: int = 0
    probes_dropped: int = 0  # stale, of another roster or pack, of a camera that is not ours, or while a grant owns the lane


@dataclass(frozen=True, slots=True)
class State:
    """Everything that the lane knows. Immutable: other threads may read it."""

    rules: Rules
    lane: Lane
    health: Health
    sides: tuple[Side, ...]
    attempts: Attempts = ()
    counts: Counts = field(default_factory=Counts)
    stopping: bool = False


Stepped = tuple[State, tuple[Effect, ...]]


def snapshot(state: State) -> dict[str, Any]:
    """The state for people and programs: JSON-able, without scores and without names."""
    lane, parts = state.lane, state.health
    roster = parts.roster
    return {
        "phase": str(lane.phase),
        "link": str(lane.link),
        "grant": None if lane.pending is None else lane.pending.grant,
        "last_grant": lane.last_grant,
        "passage_counter": lane.passage_counter,
        "service": {str(side.direction): _service(side) for side in state.sides},
        "lock_down": parts.lock_down,
        "roster": None
        if roster is None
        else {
            "version": roster.version,
            "people": roster.people,
            "pack": roster.pack,
            "calibration": str(roster.calibration),
            "stale_after_s": roster.stale_after_s,
            "expires_s": roster.expires_s,
            "stale": parts.stale_warned == roster.version,
        },
        "cameras": {c.name: None if c.condition is None else str(c.condition) for c in parts.cameras},
        "recognition_ready": parts.recognition_ready,
        "journal": {"ready": parts.journal_ready, "commit_ms": parts.commit_ms, "slow": parts.slow_until_ns is not None},
        "uplink": parts.uplink,
        "faults": list(parts.faults),
        "attempts": len(state.attempts),
        "counts": {name: getattr(state.counts, name) for name in Counts.__dataclass_fields__},
        "simulation": state.rules.simulation,
        "pad": "required" if state.rules.pad_required else "off",
    }


def _service(side: Side) -> dict[str, Any]:
    missing = side.lacks or ()
    return {
        "open": not missing,
        "reasons": [{"reason": str(lack), "detail": detail} for lack, detail in missing],
        "prompt": None if side.shown is None else str(side.shown),
    }
