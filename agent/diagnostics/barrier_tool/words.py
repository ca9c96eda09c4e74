"""The controller's values in words for a technician. Pure tables."""

from collections.abc import Mapping
from enum import IntFlag
from types import MappingProxyType
from typing import Final, assert_never

from firmware_bridge import messages
from firmware_bridge.vocabulary import Cause, Emergency, EndReason, Fault, Inputs, Outcome, Phase, Refusal, Switch

PHASES: Final[Mapping[Phase, str]] = MappingProxyType(
    {
        Phase.SECURED: "secured",
        Phase.RELEASED: "released, nobody has begun to pass",
        Phase.PASSING: "somebody is passing",
        Phase.CLOSING: "closing",
        Phase.EMERGENCY: "EMERGENCY: both ways are free",
        Phase.AWAITING_RESET: "the emergency is over, and waits for the reset key on site",
    }
)

OUTCOMES: Final[Mapping[Outcome, str]] = MappingProxyType(
    {
        Outcome.NONE: "none was ever used",
        Outcome.REFUSED: "refused",
        Outcome.RELEASED: "released",
        Outcome.PASSED: "somebody passed",
        Outcome.ENDED: "nobody passed",
        Outcome.CANCELLED: "taken back",
        Outcome.REVERSED: "somebody came the other way",
        Outcome.INTERRUPTED: "the controller lost power in the middle",
    }
)

# Why the controller does not do it, and what to do.
REFUSALS: Final[Mapping[Refusal, str]] = MappingProxyType(
    {
        Refusal.NONE: "it gives no reason",
        Refusal.NOT_ARMED: "it is not armed; try again, and if it stays so watch its faults",
        Refusal.LATE: "the release came too late; the line is slow or noisy: gate-agent barrier loopback",
        Refusal.NOT_AFTER_TOO_FAR: "the release's time lies too far ahead; the controller's clock runs wrongly",
        Refusal.GRANT_USED: "the grant number is used already; try again",
        Refusal.BUSY: "another release is under way, or a leaf is still open; wait until it is secured",
        Refusal.MINIMUM_GAP: "the passage before is not over; wait a moment",
        Refusal.TOO_MANY: "it has released too often in this minute; wait a minute",
        Refusal.LANE_OCCUPIED: "somebody or something breaks a beam; clear the lane, clean the sensors",
        Refusal.EMERGENCY: "an emergency is on, or waits for the reset key on site",
        Refusal.FAULT: "it has a fault: a beam that is always broken, or a damaged store; see gate-agent barrier watch",
        Refusal.NO_LEASE: "it hears no heartbeats; the line is bad: gate-agent barrier loopback",
        Refusal.STALE_STATE: "its state changed in between; try again",
        Refusal.UNSUPPORTED: "it cannot do that",
        Refusal.BAD_VALUE: "a value is out of its limits",
        Refusal.CANCELLED: "a cancel came before the release",
    }
)

FAULTS: Final[Mapping[Fault, str]] = MappingProxyType(
    {
        Fault.LEASE_LOST: "heartbeats stopped while it was armed",
        Fault.BELIEF_WRONG: "the host's belief was wrong three times",
        Fault.STORE_DAMAGED: "its lasting store is damaged",
        Fault.BEAM_STUCK: "a beam is always broken: clean or align it",
        Fault.EVENTS_DROPPED: "it had to give up events while no host was there",
        Fault.TAMPER: "the cabinet is open",
    }
)

INPUTS: Final[Mapping[Inputs, str]] = MappingProxyType(
    {
        Inputs.BEAM_ENTRY: "entry beam",
        Inputs.BEAM_EXIT: "exit beam",
        Inputs.REQUEST_TO_EXIT: "button",
        Inputs.FIRE: "fire",
        Inputs.RESET_KEY: "key",
        Inputs.TAMPER: "tamper",
    }
)

_ENDS: Final[Mapping[EndReason, str]] = MappingProxyType(
    {
        EndReason.WINDOW_PASSED: "nobody came in time",
        EndReason.CANCELLED: "it was taken back",
        EndReason.LEASE_LOST: "the heartbeats stopped",
        EndReason.REVERSE_PASSAGE: "somebody came the other way",
        EndReason.EMERGENCY: "an emergency opened the lane",
        EndReason.TURNED_BACK: "somebody began and went back",
    }
)

_CAUSES: Final[Mapping[Cause, str]] = MappingProxyType(
    {
        Cause.GRANT: "on a grant",
        Cause.REQUEST_TO_EXIT: "by the exit button",
        Cause.EMERGENCY: "in an emergency",
        Cause.REST_FREE: "while that way rests free",
    }
)

_EMERGENCIES: Final[Mapping[Emergency, str]] = MappingProxyType(
    {
        Emergency.ON: "the fire input opened the lane",
        Emergency.CLEARED: "the fire input is quiet; the reset key on site is awaited",
        Emergency.RESET: "the emergency was reset on site",
    }
)


def names(flags: IntFlag) -> list[str]:
    """The set bits, as JSON has them."""
    return [str(bit.name).lower() for bit in type(flags) if bit in flags]


def sensors(inputs: Inputs) -> str:
    return ", ".join(f"{word} {'ON' if bit in inputs else '-'}" for bit, word in INPUTS.items())


def faults(flags: IntFlag) -> str:
    found = [f"{fault.name.lower()} ({meaning})" for fault, meaning in FAULTS.items() if fault.bit in flags]
    return "; ".join(found) or "none"


def event(fact: messages.Fact) -> str:  # noqa: C901, PLR0911  one row for each kind of event
    match fact:
        case messages.PassageStarted():
            return f"somebody begins to pass, {_way(fact.direction)}, grant {fact.grant_number}"
        case messages.PassageCompleted():
            return f"somebody passed, {_way(fact.direction)}, {_CAUSES[fact.cause]} (grant {fact.grant_number}); {fact.passages} in all"
        case messages.ReleaseEnded():
            return f"the release for grant {fact.grant_number} ended: {_ENDS[fact.reason]}"
        case messages.RequestToExit():
            return "the exit button was pressed"
        case messages.EmergencyChanged():
            return _EMERGENCIES[fact.emergency]
        case messages.ForcedOpen():
            return f"FORCED OPEN, {_way(fact.direction)}"
        case messages.HeldOpen():
            return "HELD OPEN" if fact.held is Switch.ON else "no longer held open"
        case messages.Tailgating():
            return f"TAILGATING, {_way(fact.direction)}, grant {fact.grant_number}"
        case messages.ReversePassage():
            return f"REVERSE PASSAGE, {_way(fact.direction)}"
        case messages.Tamper():
            return "the cabinet was opened" if fact.open is Switch.ON else "the cabinet was closed"
        case messages.FaultChanged():
            over = "" if fact.active is Switch.ON else "over: "
            return f"fault {over}{fact.fault.name.lower()} ({FAULTS[fact.fault]})"
        case _:
            assert_never(fact)


def _way(direction: object) -> str:
    return str(getattr(direction, "name", direction)).lower()
