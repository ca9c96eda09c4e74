"""The life of one passage as one table: for each signal and phase, what is done and which phase comes next.

Nothing about transitions stands anywhere else. A row names what is done in any phase, then the phases in which it is otherwise. A
cell names the action, the next phase when the action was for this lane and grant, and the next phase when it was not ("otherwise");
no phase means that the lane stays as it is. The diagram and the table in the documents are printed from here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from agent.core import crossing, inputs, orders, reconcile, release
from agent.core.effects import Effect, Phase
from agent.core.inputs import BarrierConnected, GrantOutcome, Input, JournalReported
from agent.core.lane import AccessGranted, Done, Lane, StaffGranted, nothing
from agent.core.rules import ANSWER_NS, PASSING_LIMIT_NS, Now, Rules

Action = Callable[[Lane, Any, Now], Done]


class Signal(StrEnum):
    """What the lane hears: the kind of each input, with the three that mean different things told apart."""

    ACCESS_GRANTED = "AccessGranted"
    STAFF_GRANTED = "StaffGranted"
    PROBE_COMPARED = "ProbeCompared"
    SAMPLE_REFUSED = "SampleRefused"
    TRACK_LOST = "TrackLost"
    SUBJECT_REPLACED = "SubjectReplaced"
    CAMERA_REPORTED = "CameraReported"
    RECOGNITION_REPORTED = "RecognitionReported"
    ROSTER_LOADED = "RosterLoaded"
    ROSTER_REFUSED = "RosterRefused"
    CONNECTED_AT_REST = "BarrierConnected, at rest"
    CONNECTED_RELEASED = "BarrierConnected, released"
    CONNECTED_PASSING = "BarrierConnected, passing"
    CONNECTED_IN_EMERGENCY = "BarrierConnected, emergency"
    BARRIER_LOST = "BarrierLost"
    RELEASE_ACCEPTED = "ReleaseAccepted"
    RELEASE_REFUSED = "ReleaseRefused"
    PASSAGE_STARTED = "PassageStarted"
    PASSAGE_COMPLETED = "PassageCompleted"
    RELEASE_ENDED = "ReleaseEnded"
    CANCEL_TOO_LATE = "CancelTooLate"
    REQUEST_TO_EXIT_USED = "RequestToExitUsed"
    EMERGENCY_RAISED = "EmergencyRaised"
    EMERGENCY_CLEARED = "EmergencyCleared"
    BARRIER_ALARMED = "BarrierAlarmed"
    BARRIER_FAULTED = "BarrierFaulted"
    JOURNAL_WELL = "JournalReported, ready"
    JOURNAL_FAILED = "JournalReported, not ready"
    EVENTS_ACKNOWLEDGED = "EventsAcknowledged"
    UPLINK_REPORTED = "UplinkReported"
    LOCK_DOWN_SET = "LockDownSet"
    STAFF_RELEASE = "StaffRelease"
    STAFF_REFUSED = "StaffRefused"
    CONTROL_SOCKET_SILENT = "ControlSocketSilent"
    TICK = "Tick"
    STOP_REQUESTED = "StopRequested"


@dataclass(frozen=True, slots=True)
class Cell:
    """What one signal does in one phase.

    Attributes:
        then: next phase if the action is ok; None: the same.
        otherwise: next phase if it is not; None: the same.
    """

    action: Action
    then: Phase | None = None
    otherwise: Phase | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One signal in every phase."""

    default: Cell
    but: Mapping[Phase, Cell] = field(default_factory=lambda: MappingProxyType({}))


UNREADY, SECURED, RELEASED = Phase.UNREADY, Phase.SECURED, Phase.RELEASED
CANCELLING, PASSING, EMERGENCY = Phase.CANCELLING, Phase.PASSING, Phase.EMERGENCY
_STAYS = Cell(nothing)

TABLE: Mapping[Signal, Row] = MappingProxyType(
    {
        # a grant begins and is taken back
        Signal.ACCESS_GRANTED: Row(_STAYS, {SECURED: Cell(release.release, RELEASED, SECURED)}),
        Signal.STAFF_GRANTED: Row(_STAYS, {SECURED: Cell(release.release_for_staff, RELEASED, SECURED)}),
        Signal.RELEASE_ACCEPTED: Row(Cell(release.disown), {RELEASED: Cell(release.accept), UNREADY: _STAYS, EMERGENCY: _STAYS}),
        Signal.RELEASE_REFUSED: Row(
            _STAYS,
            {
                RELEASED: Cell(release.refuse, SECURED, RELEASED),
                CANCELLING: Cell(release.refuse, SECURED, CANCELLING),
            },
        ),
        Signal.TRACK_LOST: Row(_STAYS, {RELEASED: Cell(release.lose_subject)}),
        Signal.CAMERA_REPORTED: Row(_STAYS, {RELEASED: Cell(release.lose_sight)}),
        Signal.SUBJECT_REPLACED: Row(
            _STAYS,
            {
                RELEASED: Cell(release.cancel_replaced, CANCELLING, RELEASED),
                CANCELLING: Cell(release.suspect),
                PASSING: Cell(release.suspect),
            },
        ),
        Signal.LOCK_DOWN_SET: Row(_STAYS, {RELEASED: Cell(release.cancel_entry, CANCELLING, RELEASED)}),
        Signal.JOURNAL_FAILED: Row(_STAYS, {RELEASED: Cell(release.withdraw, SECURED, RELEASED)}),
        Signal.STOP_REQUESTED: Row(_STAYS, {RELEASED: Cell(release.cancel_for_stop, CANCELLING, RELEASED)}),
        Signal.TICK: Row(
            _STAYS,
            {
                RELEASED: Cell(release.cancel_due, CANCELLING, RELEASED),
                CANCELLING: Cell(release.give_up, UNREADY, CANCELLING),
                PASSING: Cell(release.give_up, UNREADY, PASSING),
            },
        ),
        # somebody passes, or nobody does
        Signal.PASSAGE_STARTED: Row(
            _STAYS,
            {
                RELEASED: Cell(crossing.begin, PASSING, RELEASED),
                CANCELLING: Cell(crossing.begin, PASSING, CANCELLING),
                UNREADY: Cell(crossing.begin_late, PASSING, UNREADY),
            },
        ),
        Signal.CANCEL_TOO_LATE: Row(_STAYS, {CANCELLING: Cell(crossing.go_on, PASSING, CANCELLING)}),
        Signal.PASSAGE_COMPLETED: Row(
            Cell(crossing.complete),
            {
                RELEASED: Cell(crossing.complete, SECURED, RELEASED),
                CANCELLING: Cell(crossing.complete, SECURED, CANCELLING),
                PASSING: Cell(crossing.complete, SECURED, PASSING),
                UNREADY: Cell(crossing.complete_late, SECURED, UNREADY),
            },
        ),
        Signal.RELEASE_ENDED: Row(
            _STAYS,
            {
                RELEASED: Cell(crossing.end, SECURED, RELEASED),
                CANCELLING: Cell(crossing.end, SECURED, CANCELLING),
                PASSING: Cell(crossing.end, SECURED, PASSING),
                EMERGENCY: Cell(crossing.end_in_emergency),
                UNREADY: Cell(crossing.end_late, SECURED, UNREADY),
            },
        ),
        # the controller acts by itself
        Signal.REQUEST_TO_EXIT_USED: Row(Cell(crossing.note_exit)),
        Signal.BARRIER_ALARMED: Row(Cell(crossing.note_alarm)),
        Signal.EMERGENCY_RAISED: Row(Cell(crossing.raise_emergency, EMERGENCY), {EMERGENCY: _STAYS}),
        Signal.EMERGENCY_CLEARED: Row(Cell(crossing.note_cleared), {EMERGENCY: Cell(crossing.clear_emergency, SECURED, UNREADY)}),
        # the link to the controller comes and goes
        Signal.BARRIER_LOST: Row(Cell(crossing.lose_link, UNREADY)),
        Signal.CONNECTED_AT_REST: Row(Cell(reconcile.read_at_rest, SECURED)),
        Signal.CONNECTED_RELEASED: Row(Cell(reconcile.read_released, CANCELLING)),
        Signal.CONNECTED_PASSING: Row(Cell(reconcile.read_passing, PASSING)),
        Signal.CONNECTED_IN_EMERGENCY: Row(Cell(reconcile.read_in_emergency, EMERGENCY)),
        # what does not move the lane: evidence.py, staff.py and health.py hear it
        Signal.PROBE_COMPARED: Row(_STAYS),
        Signal.SAMPLE_REFUSED: Row(_STAYS),
        Signal.RECOGNITION_REPORTED: Row(_STAYS),
        Signal.ROSTER_LOADED: Row(_STAYS),
        Signal.ROSTER_REFUSED: Row(_STAYS),
        Signal.BARRIER_FAULTED: Row(_STAYS),
        Signal.JOURNAL_WELL: Row(_STAYS),
        Signal.EVENTS_ACKNOWLEDGED: Row(_STAYS),
        Signal.UPLINK_REPORTED: Row(_STAYS),
        Signal.STAFF_RELEASE: Row(_STAYS),
        Signal.STAFF_REFUSED: Row(_STAYS),
        Signal.CONTROL_SOCKET_SILENT: Row(_STAYS),
    }
)

_SIGNALS: Mapping[type, Signal] = MappingProxyType(
    {
        AccessGranted: Signal.ACCESS_GRANTED,
        StaffGranted: Signal.STAFF_GRANTED,
        inputs.ProbeCompared: Signal.PROBE_COMPARED,
        inputs.SampleRefused: Signal.SAMPLE_REFUSED,
        inputs.TrackLost: Signal.TRACK_LOST,
        inputs.SubjectReplaced: Signal.SUBJECT_REPLACED,
        inputs.CameraReported: Signal.CAMERA_REPORTED,
        inputs.RecognitionReported: Signal.RECOGNITION_REPORTED,
        inputs.RosterLoaded: Signal.ROSTER_LOADED,
        inputs.RosterRefused: Signal.ROSTER_REFUSED,
        inputs.BarrierLost: Signal.BARRIER_LOST,
        inputs.ReleaseAccepted: Signal.RELEASE_ACCEPTED,
        inputs.ReleaseRefused: Signal.RELEASE_REFUSED,
        inputs.PassageStarted: Signal.PASSAGE_STARTED,
        inputs.PassageCompleted: Signal.PASSAGE_COMPLETED,
        inputs.ReleaseEnded: Signal.RELEASE_ENDED,
        inputs.CancelTooLate: Signal.CANCEL_TOO_LATE,
        inputs.RequestToExitUsed: Signal.REQUEST_TO_EXIT_USED,
        inputs.EmergencyRaised: Signal.EMERGENCY_RAISED,
        inputs.EmergencyCleared: Signal.EMERGENCY_CLEARED,
        inputs.BarrierAlarmed: Signal.BARRIER_ALARMED,
        inputs.BarrierFaulted: Signal.BARRIER_FAULTED,
        inputs.EventsAcknowledged: Signal.EVENTS_ACKNOWLEDGED,
        inputs.UplinkReported: Signal.UPLINK_REPORTED,
        inputs.LockDownSet: Signal.LOCK_DOWN_SET,
        orders.StaffRelease: Signal.STAFF_RELEASE,
        orders.StaffRefused: Signal.STAFF_REFUSED,
        inputs.ControlSocketSilent: Signal.CONTROL_SOCKET_SILENT,
        inputs.Tick: Signal.TICK,
        inputs.StopRequested: Signal.STOP_REQUESTED,
    }
)


def signal_of(given: Input | AccessGranted | StaffGranted) -> Signal:
    """The row that an input belongs to."""
    if isinstance(given, BarrierConnected):
        return _connected(given)
    if isinstance(given, JournalReported):
        return Signal.JOURNAL_WELL if given.ready else Signal.JOURNAL_FAILED
    return _SIGNALS[type(given)]


def _connected(given: BarrierConnected) -> Signal:
    if given.emergency:
        return Signal.CONNECTED_IN_EMERGENCY
    match given.last_outcome:
        case GrantOutcome.OPEN:
            return Signal.CONNECTED_RELEASED
        case GrantOutcome.PASSING:
            return Signal.CONNECTED_PASSING
        case _:
            return Signal.CONNECTED_AT_REST


def cell(phase: Phase, signal: Signal) -> Cell:
    row = TABLE[signal]
    return row.but.get(phase, row.default)


def advance(lane: Lane, given: Input | AccessGranted | StaffGranted, now: Now) -> tuple[Lane, tuple[Effect, ...]]:
    """Do what the table says. The one place where a phase changes; its deadline begins here."""
    here = cell(lane.phase, signal_of(given))
    done = here.action(lane, given, now)
    phase = (here.then if done.ok else here.otherwise) or lane.phase
    if phase is lane.phase:
        return done.lane, done.effects
    return replace(done.lane, phase=phase, deadline_ns=_deadline_ns(phase, now), gone_ns=None), done.effects


def _deadline_ns(phase: Phase, now: Now) -> int | None:
    """By when the phase must be over, so that a silent controller cannot hold the lane for ever."""
    limit = _LIMITS.get(phase)
    return None if limit is None else now.ns + limit(now.rules)


_LIMITS: Mapping[Phase, Callable[[Rules], int]] = MappingProxyType(
    {
        RELEASED: lambda rules: rules.release_limit_ns,
        CANCELLING: lambda _: ANSWER_NS,
        PASSING: lambda _: PASSING_LIMIT_NS,
    }
)


# --- for the documents ------------------------------------------------------------------------------------------------------------------


def mermaid() -> str:
    """The state diagram for docs/ARCHITECTURE.md: every change of phase that the table holds, and nothing that stays."""
    edges: dict[tuple[Phase, Phase], list[str]] = {}
    for signal in TABLE:
        for phase in Phase:
            here = cell(phase, signal)
            for after in (here.then, here.otherwise):
                if after not in (None, phase):
                    edges.setdefault((phase, after), []).append(signal.value)
    lines = ["stateDiagram-v2", f"    [*] --> {Lane().phase}"]
    lines += [f"    {before} --> {after}: {'<br>'.join(signals)}" for (before, after), signals in edges.items()]
    return "\n".join(lines) + "\n"


def markdown() -> str:
    """The whole table for docs/ARCHITECTURE.md: action, next phase, and after a slash the next phase when the action does not apply."""
    head = (f"| signal | {' | '.join(Phase)} |", "|---|" + "---|" * len(Phase))
    rows = (f"| {signal.value} | {' | '.join(_described(phase, cell(phase, signal)) for phase in Phase)} |" for signal in TABLE)
    return "\n".join((*head, *rows)) + "\n"


def _described(phase: Phase, here: Cell) -> str:
    if here.action is nothing:
        return ""
    name = here.action.__name__.replace("_", " ")
    after = [p for p in (here.then, here.otherwise) if p is not None]
    return name if after in ([], [phase]) else f"{name} → {' / '.join(after)}"
