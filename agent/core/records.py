"""Events that an input is worth by itself, and the fields that tell what was compared."""

from agent.core.effects import Record
from agent.core.events import EventType, Value
from agent.core.evidence import Attempt, best_and_runner_up
from agent.core.health import Health
from agent.core.inputs import (
    BarrierFaulted,
    CameraReported,
    ControlSocketSilent,
    Input,
    LockDownSet,
    RosterLoaded,
    RosterRefused,
    UplinkReported,
)
from agent.core.lane import late_ms, record
from agent.core.moment import NS_PER_MS
from agent.core.rules import Now


def of_input(before: Health, given: Input, now: Now) -> tuple[Record, ...]:  # noqa: PLR0911  one case for each kind of input
    """What a part says is recorded when it is news; what staff and the roster say, always."""
    match given:
        case CameraReported(camera, _, condition, detail):
            news = any(c.name == camera and c.condition is not condition for c in before.cameras)
            row = record(EventType.CAMERA_CONDITION, now, camera=camera, condition=condition, detail=detail)
            return (row,) if news else ()
        case RosterLoaded():
            return (
                record(
                    EventType.ROSTER_LOADED,
                    now,
                    version=given.version,
                    people=given.people,
                    pack=given.pack,
                    calibration=given.calibration,
                    threshold=given.threshold,
                    expires=given.expires_s,
                ),
            )
        case RosterRefused(reason, detail):
            return () if given == before.roster_refused else (record(EventType.ROSTER_REFUSED, now, reason=reason, detail=detail),)
        case BarrierFaulted(fault, active, happened_ns):
            row = record(EventType.BARRIER_FAULT, now, fault=fault, active=active, late_ms=late_ms(happened_ns, now))
            return (row,) if active is not (fault in before.faults) else ()
        case UplinkReported(connected, detail):
            return () if connected is before.uplink else (record(EventType.UPLINK_CHANGED, now, connected=connected, detail=detail),)
        case LockDownSet(on, by, reason):
            return (record(EventType.LOCK_DOWN, now, on=on, by=by, reason=reason),)
        case ControlSocketSilent(detail):
            return (record(EventType.STAFF_UNHEARD, now, detail=detail),)
        case _:
            return ()


def comparison(attempt: Attempt, now: Now) -> dict[str, Value]:
    """The fields of access.granted and access.denied that tell what was compared; null where nothing was."""
    probe = attempt.probe
    if probe is None:
        return {
            **dict.fromkeys(
                ("person", "score", "runner_up", "threshold", "margin", "frames", "pad", "pad_score", "roster_version", "pack")
            ),
            "track": attempt.track,
            "camera": attempt.camera,
            "captured_at_ns": attempt.seen_ns,
            "seen_ms": _since_ms(attempt.began_ns, now),
            "latency_ms": _since_ms(attempt.seen_ns, now),
        }
    best, runner_up = best_and_runner_up(probe)
    return {
        "person": None if best is None else best.record.person,
        "score": None if best is None else best.score,
        "runner_up": None if runner_up is None else runner_up.score,
        "threshold": probe.threshold,
        "margin": probe.margin,
        "frames": probe.frames,
        "pad": probe.pad.verdict,
        "pad_score": probe.pad.score,
        "track": probe.track,
        "camera": probe.camera,
        "captured_at_ns": probe.captured_at_ns,
        "seen_ms": _since_ms(probe.track_started_ns, now),
        "latency_ms": _since_ms(probe.captured_at_ns, now),
        "roster_version": probe.roster_version,
        "pack": probe.pack,
    }


def _since_ms(then_ns: int, now: Now) -> float:
    return round(max(0, now.ns - then_ns) / NS_PER_MS, 3)
