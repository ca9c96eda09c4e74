"""A lane under test: told what happens in milliseconds, it keeps the state, the effects and the records."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from agent.core import controller
from agent.core import inputs as i
from agent.core.controller import CameraPlace, Rules, State
from agent.core.effects import Effect, Phase, Record, ReleaseBarrier
from agent.core.events import Event, EventType
from agent.core.identity import AccessRecord, Area, Candidate, Direction, GrantNumber, TrackId
from agent.core.known import LastKnown
from agent.core.moment import ClockQuality, Moment
from tests.core.inputs import ALWAYS_S, BOX, MS, QUALITY, member

RULES = Rules(
    version="0.1.0",
    simulation=False,
    pad_required=True,
    cameras=(CameraPlace("entry", Direction.ENTRY), CameraPlace("exit", Direction.EXIT)),
    outside=Area("park-a"),
    inside=Area("bridge"),
    closed=False,
    anti_passback=True,
    anti_passback_reset_min=240,
    frames=3,
    release_window_ms=5_000,
    attempt_ms=5_000,
    cool_down_ms=2_000,
    subject_lost_ms=700,
    commit_budget_ms=50.0,
)
BEGIN_NS = 1_000_000 * MS
BEGIN_S = 1_763_974_800  # Monday 2025-11-24 09:00 UTC, 17:00 in Hong Kong
EPOCH = "00ff" * 4


def moment(at_ms: float = 0, *, quality: ClockQuality = ClockQuality.SYNCHRONISED, wall_s: int | None = None) -> Moment:
    ns = BEGIN_NS + int(at_ms * MS)
    wall_ns = BEGIN_S * 1_000_000_000 + int(at_ms * MS) if wall_s is None else wall_s * 1_000_000_000
    return Moment(ns, wall_ns, quality, "boot")


ROSTER = i.RosterLoaded(
    version=7,
    people=3,
    pack="pack",
    calibration=i.CalibrationKind.PACK_DEFAULT,
    threshold=5.0,
    stale_after_s=ALWAYS_S,
    expires_s=ALWAYS_S,
)
CONNECTED = i.BarrierConnected(
    controller="turnstile-1",
    firmware="00" * 32,
    kind=i.ControllerKind.HARDWARE,
    authenticated=True,
    highest_grant=GrantNumber(0),
    last_outcome=i.GrantOutcome.NONE,
    passage_counter=10,
    emergency=False,
)
UP: Sequence[i.Input] = (
    i.CameraReported("entry", Direction.ENTRY, i.CameraCondition.OK),
    i.CameraReported("exit", Direction.EXIT, i.CameraCondition.OK),
    i.RecognitionReported(ready=True),
    ROSTER,
    CONNECTED,
)


def person(record: AccessRecord | None = None, *, score: float = 9.0) -> Candidate:
    return Candidate(score, record or member())


def probe(at_ns: int, *candidates: Candidate, direction: Direction = Direction.ENTRY, **other: Any) -> i.ProbeCompared:
    """A probe that would be granted, unless `other` says otherwise; captured 40 ms ago."""
    fields: dict[str, Any] = {
        "camera": str(direction),
        "direction": direction,
        "track": TrackId(1),
        "captured_at_ns": at_ns - 40 * MS,
        "track_started_ns": at_ns - 500 * MS,
        "frames": 3,
        "candidates": candidates,
        "threshold": 5.0,
        "margin": 1.0,
        "quality": QUALITY,
        "pad": i.Pad(i.PadVerdict.BONA_FIDE, 0.9),
        "box": BOX,
        "roster_version": 7,
        "pack": "pack",
    }
    return i.ProbeCompared(**fields | other)


@dataclass
class Play:
    """One lane and its time, which only moves forward."""

    rules: Rules = RULES
    known: LastKnown = field(default_factory=LastKnown)
    up: Sequence[i.Input] = UP
    quality: ClockQuality = ClockQuality.SYNCHRONISED
    wall_s: int | None = None
    at_ms: float = 0

    def __post_init__(self) -> None:
        self.state: State
        self.state, effects = controller.start(self.rules, self.known, self.moment())
        self.all: list[Effect] = list(effects)
        self.last: tuple[Effect, ...] = effects
        for given in self.up:
            self.hears(given)

    def moment(self) -> Moment:
        return moment(self.at_ms, quality=self.quality, wall_s=self.wall_s)

    @property
    def now_ns(self) -> int:
        return self.moment().monotonic_ns

    @property
    def phase(self) -> Phase:
        return self.state.lane.phase

    def hears(self, *given: i.Input, after_ms: float = 0) -> tuple[Effect, ...]:
        """Feed inputs; the answer is the effects of the last one."""
        self.at_ms += after_ms
        for one in given:
            self.state, self.last = controller.step(self.state, one, self.moment())
            self.all += self.last
        return self.last

    def waits(self, ms: float) -> tuple[Effect, ...]:
        """Time passes; a Tick comes at each deadline, as the runtime would have it. Answers with all effects of that time."""
        end_ms, effects = self.at_ms + ms, ()
        while True:
            deadline_ns = controller.next_deadline_ns(self.state)
            due_ms = None if deadline_ns is None else (deadline_ns - BEGIN_NS) / MS
            if due_ms is None or due_ms > end_ms:
                break
            effects += self.hears(i.Tick(), after_ms=max(0, due_ms - self.at_ms))
        self.at_ms = end_ms
        return effects + self.hears(i.Tick())

    def shows(self, *candidates: Candidate, after_ms: float = 0, **other: Any) -> tuple[Effect, ...]:
        """A probe comes from a camera."""
        self.at_ms += after_ms
        return self.hears(probe(self.now_ns, *candidates, **other))

    def grants(self, direction: Direction = Direction.ENTRY, record: AccessRecord | None = None, **other: Any) -> ReleaseBarrier:
        """An identified person is released."""
        effects = self.shows(person(record), direction=direction, **other)
        return next(e for e in effects if isinstance(e, ReleaseBarrier))

    def passes(self, direction: Direction = Direction.ENTRY, record: AccessRecord | None = None, **other: Any) -> GrantNumber:
        """An identified person is released and walks through; then the lane is free and the camera has forgotten the track."""
        grant = self.grants(direction, record, **other).grant
        counter = (self.state.lane.passage_counter or 0) + 1
        self.hears(i.ReleaseAccepted(grant), i.PassageStarted(grant, direction), i.PassageCompleted(grant, direction, counter))
        self.hears(i.TrackLost(str(direction), other.get("track", TrackId(1)), self.now_ns))
        return grant

    def reboots(self, *up: i.Input, known: LastKnown) -> None:
        self.known, self.up = known, up
        self.__post_init__()


def events(effects: Sequence[Effect], kind: EventType | None = None) -> list[Event]:
    found = [e.event for e in effects if isinstance(e, Record)]
    return [e for e in found if kind is None or e.type is kind]


def types(effects: Sequence[Effect]) -> list[EventType]:
    return [event.type for event in events(effects)]


def connected(**other: Any) -> i.BarrierConnected:
    return replace(CONNECTED, **other)
