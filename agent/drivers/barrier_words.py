"""What the controller says, in the words of the core. Pure tables: the protocol's values on one side, inputs on the other."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, assert_never

from agent.core.effects import Phase
from agent.core.identity import NO_GRANT, Direction, GrantNumber
from agent.core.inputs import (
    BarrierAlarm,
    BarrierAlarmed,
    BarrierConnected,
    BarrierFaulted,
    BarrierInput,
    CancelTooLate,
    ControllerKind,
    EmergencyRaised,
    GrantOutcome,
    PassageCompleted,
    PassageStarted,
    ReleaseAccepted,
    ReleaseEnd,
    ReleaseEnded,
    ReleaseRefused,
    RequestToExitUsed,
)
from firmware_bridge import messages, vocabulary

DIRECTIONS: Final[Mapping[Direction, vocabulary.Direction]] = MappingProxyType(
    {Direction.ENTRY: vocabulary.Direction.ENTRY, Direction.EXIT: vocabulary.Direction.EXIT}
)
_WAYS: Final = {theirs: ours for ours, theirs in DIRECTIONS.items()}

BELIEFS: Final[Mapping[Phase, vocabulary.Belief]] = MappingProxyType(
    {
        Phase.UNREADY: vocabulary.Belief.SECURED,
        Phase.SECURED: vocabulary.Belief.SECURED,
        Phase.RELEASED: vocabulary.Belief.RELEASED,
        Phase.CANCELLING: vocabulary.Belief.RELEASED,
        Phase.PASSING: vocabulary.Belief.PASSING,
        Phase.EMERGENCY: vocabulary.Belief.EMERGENCY,
    }
)


_ENDS: Final = {
    vocabulary.EndReason.WINDOW_PASSED: ReleaseEnd.WINDOW_PASSED,
    vocabulary.EndReason.CANCELLED: ReleaseEnd.CANCELLED,
    vocabulary.EndReason.LEASE_LOST: ReleaseEnd.CANCELLED,
    vocabulary.EndReason.REVERSE_PASSAGE: ReleaseEnd.CANCELLED,
    vocabulary.EndReason.EMERGENCY: ReleaseEnd.CANCELLED,
    vocabulary.EndReason.TURNED_BACK: ReleaseEnd.TURNED_BACK,
}
_OUTCOMES: Final = {
    vocabulary.Outcome.NONE: GrantOutcome.NONE,
    vocabulary.Outcome.REFUSED: GrantOutcome.NOT_PASSED,
    vocabulary.Outcome.RELEASED: GrantOutcome.OPEN,
    vocabulary.Outcome.PASSED: GrantOutcome.PASSED,
    vocabulary.Outcome.ENDED: GrantOutcome.NOT_PASSED,
    vocabulary.Outcome.CANCELLED: GrantOutcome.CANCELLED,
    vocabulary.Outcome.REVERSED: GrantOutcome.NOT_PASSED,
    vocabulary.Outcome.INTERRUPTED: GrantOutcome.INTERRUPTED,
}
EMERGENCY_PHASES: Final = frozenset({vocabulary.Phase.EMERGENCY, vocabulary.Phase.AWAITING_RESET})


def connected(hello: messages.HelloReply, state: messages.State, *, keyed: bool) -> BarrierConnected:
    """The controller as HELLO and STATE describe it."""
    # An emergency ends a release that nobody uses, so one that is still open then has somebody in the lane.
    passing = state.grant_number != 0 and state.phase in (vocabulary.Phase.PASSING, *EMERGENCY_PHASES)
    return BarrierConnected(
        controller=hello.controller_id.rstrip(b"\0").decode("ascii", "replace"),
        firmware=hello.firmware_digest.hex(),
        kind=ControllerKind.HARDWARE if hello.kind is vocabulary.Kind.REAL else ControllerKind.EMULATOR,
        authenticated=keyed,
        highest_grant=GrantNumber(state.last_grant_number),
        last_outcome=GrantOutcome.PASSING if passing else _OUTCOMES[state.last_outcome],
        passage_counter=(state.passages_entry + state.passages_exit) % (1 << 32),
        emergency=state.phase in EMERGENCY_PHASES,
    )


def answered(ack: messages.ReleaseAck) -> BarrierInput:
    """A second answer to a repeated RELEASE (duplicate) says what the first one said."""
    grant = GrantNumber(ack.grant_number)
    refused = ack.result is vocabulary.ReleaseResult.REFUSED or ack.outcome is vocabulary.Outcome.REFUSED
    return ReleaseRefused(grant, ack.refusal.name.lower()) if refused else ReleaseAccepted(grant)


def cancelled(ack: messages.CancelAck, *, unanswered: bool) -> tuple[BarrierInput, ...]:
    """What a cancel came to. `unanswered`: the release itself had got no answer.

    Where the controller had released, the end comes as an event of its own, so nothing is said here.
    """
    grant = GrantNumber(ack.grant_number)
    match ack.result:
        case vocabulary.CancelResult.TOO_LATE:
            return (CancelTooLate(grant),)
        case vocabulary.CancelResult.NEVER_RELEASED:
            return (ReleaseRefused(grant, "no_answer") if unanswered else ReleaseEnded(grant, ReleaseEnd.CANCELLED),)
        case vocabulary.CancelResult.CANCELLED | vocabulary.CancelResult.ALREADY_OVER:
            return ()
        case _:
            assert_never(ack.result)


def happened(event: messages.Fact, happened_ns: int) -> tuple[BarrierInput, ...]:  # noqa: C901, PLR0911  one row for each kind of event
    """The inputs that one event of the controller stands for. Whoever passed without a grant is counted as well as reported."""
    match event:
        case messages.PassageStarted():
            return (PassageStarted(GrantNumber(event.grant_number), _WAYS[event.direction]),)
        case messages.PassageCompleted():
            return (PassageCompleted(GrantNumber(event.grant_number), _WAYS[event.direction], event.passages, happened_ns),)
        case messages.ReleaseEnded():
            return (ReleaseEnded(GrantNumber(event.grant_number), _ENDS[event.reason]),)
        case messages.RequestToExit():
            return (RequestToExitUsed(happened_ns),)
        case messages.EmergencyChanged():
            # The end of an emergency is told once the controller is armed again; see barrier.py.
            return (EmergencyRaised(happened_ns),) if event.emergency is vocabulary.Emergency.ON else ()
        case messages.ForcedOpen():
            return _passed_without_grant(BarrierAlarm.FORCED_OPEN, NO_GRANT, event, happened_ns)
        case messages.Tailgating():
            return _passed_without_grant(BarrierAlarm.TAILGATING, event.grant_number, event, happened_ns)
        case messages.ReversePassage():
            return _passed_without_grant(BarrierAlarm.REVERSE_PASSAGE, event.grant_number, event, happened_ns)
        case messages.HeldOpen():
            held = event.held is vocabulary.Switch.ON
            return (BarrierAlarmed(BarrierAlarm.HELD_OPEN, GrantNumber(event.grant_number), happened_ns),) if held else ()
        case messages.Tamper():
            return (BarrierAlarmed(BarrierAlarm.TAMPER, NO_GRANT, happened_ns),) if event.open is vocabulary.Switch.ON else ()
        case messages.FaultChanged():
            return (BarrierFaulted(event.fault.name.lower(), active=event.active is vocabulary.Switch.ON, happened_ns=happened_ns),)
        case _:
            assert_never(event)


def _passed_without_grant(
    alarm: BarrierAlarm, grant: int, event: messages.ForcedOpen | messages.Tailgating | messages.ReversePassage, happened_ns: int
) -> tuple[BarrierInput, ...]:
    return (
        BarrierAlarmed(alarm, GrantNumber(grant), happened_ns),
        PassageCompleted(NO_GRANT, _WAYS[event.direction], event.passages, happened_ns),
    )
