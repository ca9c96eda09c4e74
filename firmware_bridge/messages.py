"""Every message of the protocol: one class each, its fields in wire order, little-endian. codec.py gives the type bytes."""

from dataclasses import dataclass
from typing import Annotated

from firmware_bridge.vocabulary import (
    Belief,
    CancelResult,
    Capability,
    Cause,
    Direction,
    Drive,
    Emergency,
    EndReason,
    FailMode,
    Fault,
    Faults,
    HelloRefusal,
    Inputs,
    Kind,
    Lamp,
    LinkMode,
    Mechanics,
    Outcome,
    Phase,
    Refusal,
    ReleaseResult,
    Switch,
    Tone,
)

# Widths on the wire, as `struct` writes them. An enumeration without a width is one byte.
U8 = Annotated[int, "B"]
U16 = Annotated[int, "H"]
U32 = Annotated[int, "I"]
U64 = Annotated[int, "Q"]
Bytes8 = Annotated[bytes, "8s"]
Bytes16 = Annotated[bytes, "16s"]
Bytes32 = Annotated[bytes, "32s"]
Capabilities32 = Annotated[Capability, "I"]
Faults16 = Annotated[Faults, "H"]
Inputs16 = Annotated[Inputs, "H"]
Drive8 = Annotated[Drive, "B"]


# --- host to controller ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Hello:
    min_version: U8
    max_version: U8
    link_mode: LinkMode
    host_id: Bytes8
    host_nonce: Bytes16


@dataclass(frozen=True, slots=True)
class StateRequest:
    pass


@dataclass(frozen=True, slots=True)
class Arm:
    state_revision: U32  # of the STATE that the host has read


@dataclass(frozen=True, slots=True)
class Disarm:
    pass


@dataclass(frozen=True, slots=True)
class Release:
    grant_number: U64
    direction: Direction
    window_ms: U16
    pulse_ms: U16
    not_after_ms: U32  # controller time


@dataclass(frozen=True, slots=True)
class Cancel:
    grant_number: U64


@dataclass(frozen=True, slots=True)
class Heartbeat:
    echo: U32  # comes back in HEARTBEAT_ACK
    belief: Belief
    grant_number: U64  # of the release that the host believes to be under way, or 0


@dataclass(frozen=True, slots=True)
class Indicate:
    lamp: Lamp
    tone: Tone
    duration_ms: U16


@dataclass(frozen=True, slots=True)
class EventAck:
    event_number: U32  # this one and all before it are taken


# --- controller to host ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class HelloReply:
    version: U8
    kind: Kind
    mechanics: Mechanics
    fail_entry: FailMode
    fail_exit: FailMode
    capabilities: Capabilities32
    controller_id: Bytes16  # ASCII, filled up with zero bytes
    firmware_digest: Bytes32  # SHA-256 of the firmware image
    controller_nonce: Bytes16
    boot_count: U32
    controller_time_ms: U32
    last_grant_number: U64  # the highest ever used
    last_outcome: Outcome
    passages_entry: U32
    passages_exit: U32
    oldest_event: U32  # first event number that the controller still holds
    max_window_ms: U16
    max_pulse_ms: U16
    lease_ms: U16


@dataclass(frozen=True, slots=True)
class HelloRefused:
    reason: HelloRefusal
    min_version: U8
    max_version: U8
    host_nonce: Bytes16  # of the HELLO that is refused


@dataclass(frozen=True, slots=True)
class NoSession:
    boot_count: U32


@dataclass(frozen=True, slots=True)
class State:
    revision: U32  # rises with each change of phase, armed or faults
    controller_time_ms: U32
    phase: Phase
    armed: Switch
    inputs: Inputs16
    drive: Drive8
    faults: Faults16
    grant_number: U64  # release under way, or 0
    last_grant_number: U64
    last_outcome: Outcome
    passages_entry: U32
    passages_exit: U32
    newest_event: U32  # number of the last event so far; take all up to it before ARM


@dataclass(frozen=True, slots=True)
class ArmAck:
    refusal: Refusal  # NONE: armed
    state_revision: U32  # of the ARM that is answered


@dataclass(frozen=True, slots=True)
class ReleaseAck:
    grant_number: U64
    result: ReleaseResult
    refusal: Refusal
    outcome: Outcome  # of this grant number so far
    window_ms: U16  # as clamped
    pulse_ms: U16  # as clamped
    controller_time_ms: U32


@dataclass(frozen=True, slots=True)
class CancelAck:
    grant_number: U64
    result: CancelResult


@dataclass(frozen=True, slots=True)
class HeartbeatAck:
    echo: U32
    controller_time_ms: U32
    lease_left_ms: U16
    phase: Phase
    armed: Switch


@dataclass(frozen=True, slots=True)
class Health:
    controller_time_ms: U32
    boot_count: U32
    uptime_s: U32
    faults: Faults16
    good_frames: U32
    checksum_errors: U32  # framing and checksum
    refused_frames: U32  # right checksum; wrong MAC, sequence, length, field, type or direction
    missed_heartbeats: U32
    dropped_events: U32
    firmware_digest: Bytes8  # first eight bytes


@dataclass(frozen=True, slots=True)
class Refused:
    """Answer to a command that is understood but not carried out and has no answer of its own."""

    type: U8
    refusal: Refusal


# --- numbered events: repeated until acknowledged -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberedEvent:
    event_number: U32 = 0  # set when it is queued
    oldest_event: U32 = 0  # set when it is sent
    happened_ms: U32 = 0  # controller time


@dataclass(frozen=True, slots=True, kw_only=True)
class PassageStarted(NumberedEvent):
    grant_number: U64
    direction: Direction


@dataclass(frozen=True, slots=True, kw_only=True)
class PassageCompleted(NumberedEvent):
    grant_number: U64
    direction: Direction
    cause: Cause
    passages: U32  # entry + exit, this one included


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseEnded(NumberedEvent):
    grant_number: U64
    reason: EndReason


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestToExit(NumberedEvent):
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class EmergencyChanged(NumberedEvent):
    emergency: Emergency


@dataclass(frozen=True, slots=True, kw_only=True)
class ForcedOpen(NumberedEvent):
    direction: Direction
    passages: U32


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOpen(NumberedEvent):
    grant_number: U64
    held: Switch


@dataclass(frozen=True, slots=True, kw_only=True)
class Tailgating(NumberedEvent):
    grant_number: U64
    direction: Direction
    passages: U32


@dataclass(frozen=True, slots=True, kw_only=True)
class ReversePassage(NumberedEvent):
    grant_number: U64
    direction: Direction  # in which the person went
    passages: U32


@dataclass(frozen=True, slots=True, kw_only=True)
class Tamper(NumberedEvent):
    open: Switch


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultChanged(NumberedEvent):
    fault: Fault
    active: Switch


HostMessage = Hello | StateRequest | Arm | Disarm | Release | Cancel | Heartbeat | Indicate | EventAck
Fact = (
    PassageStarted
    | PassageCompleted
    | ReleaseEnded
    | RequestToExit
    | EmergencyChanged
    | ForcedOpen
    | HeldOpen
    | Tailgating
    | ReversePassage
    | Tamper
    | FaultChanged
)
ControllerReply = HelloReply | HelloRefused | NoSession | State | ArmAck | ReleaseAck | CancelAck | HeartbeatAck | Health | Refused
ControllerMessage = ControllerReply | Fact
Message = HostMessage | ControllerMessage
