"""Inputs that bring a lane into service and a person before its camera; for tests of what surrounds the core."""

from dataclasses import replace

from agent.core.controller import CameraPlace, Rules
from agent.core.identity import AccessRecord, AccessRule, Area, Candidate, Direction, GrantNumber, Interval, PersonId, PersonStatus, TrackId
from agent.core.inputs import (
    BarrierConnected,
    Box,
    CalibrationKind,
    CameraCondition,
    CameraReported,
    ControllerKind,
    GrantOutcome,
    Input,
    Pad,
    PadVerdict,
    ProbeCompared,
    RecognitionReported,
    RosterLoaded,
    SampleQuality,
)
from agent.core.moment import NS_PER_S, ClockQuality, Moment

PARK, BRIDGE = Area("park-a"), Area("bridge")
NOW = Moment(monotonic_ns=1000 * NS_PER_S, wall_ns=1_800_000_000 * NS_PER_S, quality=ClockQuality.HELD, boot_id="test")

RULES = Rules(
    version="test",
    simulation=True,
    pad_required=False,
    cameras=(CameraPlace("in", Direction.ENTRY), CameraPlace("out", Direction.EXIT)),
    outside=PARK,
    inside=BRIDGE,
    closed=False,
    anti_passback=True,
    anti_passback_reset_min=0,
    frames=3,
    release_window_ms=5000,
    attempt_ms=5000,
    cool_down_ms=2000,
    subject_lost_ms=700,
    commit_budget_ms=1e6,
)

ALWAYS = (Interval(127, 0, 1440),)
ADA = AccessRecord(
    person=PersonId("ada"),
    status=PersonStatus.ACTIVE,
    not_before_s=0,
    not_after_s=2_000_000_000,
    rules=(AccessRule(PARK, BRIDGE, ALWAYS, 480), AccessRule(BRIDGE, PARK, ALWAYS, 480)),
)

IN_SERVICE: tuple[Input, ...] = (
    RosterLoaded(1, 1, "pack", CalibrationKind.PACK_DEFAULT, -0.5, stale_after_s=1_900_000_000, expires_s=1_900_000_000),
    CameraReported("in", Direction.ENTRY, CameraCondition.OK),
    CameraReported("out", Direction.EXIT, CameraCondition.OK),
    RecognitionReported(ready=True),
    BarrierConnected(
        controller="c",
        firmware="f",
        kind=ControllerKind.EMULATOR,
        authenticated=True,
        highest_grant=GrantNumber(0),
        last_outcome=GrantOutcome.NONE,
        passage_counter=0,
        emergency=False,
    ),
)


def probe(now: Moment = NOW, *, track: int = 1, score: float = -0.3, person: AccessRecord = ADA, frames: int = 3) -> ProbeCompared:
    """A probe of a good face before the entry camera, captured 20 ms ago."""
    return ProbeCompared(
        camera="in",
        direction=Direction.ENTRY,
        track=TrackId(track),
        captured_at_ns=now.monotonic_ns - NS_PER_S // 50,
        track_started_ns=now.monotonic_ns - NS_PER_S // 5,
        frames=frames,
        candidates=(Candidate(score, person),),
        threshold=-0.5,
        margin=0.05,
        quality=SampleQuality(eye_distance_px=60, yaw=0, blur=100, brightness=120, clipped=0),
        pad=Pad(PadVerdict.OFF),
        box=Box(200, 100, 400, 350),
        roster_version=1,
        pack="pack",
    )


def later(now: Moment, ms: int) -> Moment:
    return replace(now, monotonic_ns=now.monotonic_ns + ms * 1_000_000, wall_ns=now.wall_ns + ms * 1_000_000)
