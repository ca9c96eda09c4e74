"""Every message of the protocol: one class each, its fields in wire order, little-endian; TABLE gives the type bytes.

`encode` and `decode` deal in payloads only; sequence, MAC and checksum are the business of session.py and framing.py.
"""

import struct
from dataclasses import dataclass, fields
from enum import IntFlag
from types import MappingProxyType
from typing import Annotated, Any, Final, get_args, get_type_hints

from firmware_bridge.errors import MessageError, Reject, Rejected
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
    Sender,
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

TABLE: Final[MappingProxyType[int, type[Message]]] = MappingProxyType(
    {
        0x01: Hello,
        0x02: StateRequest,
        0x03: Arm,
        0x04: Disarm,
        0x05: Release,
        0x06: Cancel,
        0x07: Heartbeat,
        0x08: Indicate,
        0x09: EventAck,
        0x81: HelloReply,
        0x82: HelloRefused,
        0x83: NoSession,
        0x84: State,
        0x85: ArmAck,
        0x86: ReleaseAck,
        0x87: CancelAck,
        0x88: HeartbeatAck,
        0x89: Health,
        0x8A: Refused,
        0x90: PassageStarted,
        0x91: PassageCompleted,
        0x92: ReleaseEnded,
        0x93: RequestToExit,
        0x94: EmergencyChanged,
        0x95: ForcedOpen,
        0x96: HeldOpen,
        0x97: Tailgating,
        0x98: ReversePassage,
        0x99: Tamper,
        0x9A: FaultChanged,
    }
)
UNTAGGED: Final = frozenset({0x01, 0x82, 0x83})  # HELLO, HELLO_REFUSED, NO_SESSION: there is no session key yet

_CONTROLLER_BIT: Final = 0x80


@dataclass(frozen=True, slots=True)
class _Layout:
    packer: struct.Struct
    names: tuple[str, ...]
    kinds: tuple[type[Any], ...]


def _layout(message: type[Message]) -> _Layout:
    hints = get_type_hints(message, include_extras=True)
    names = tuple(f.name for f in fields(message))
    codes, kinds = [], []
    for name in names:
        kind, *widths = get_args(hints[name]) or (hints[name],)
        codes.append(widths[0] if widths else "B")
        kinds.append(kind)
    return _Layout(struct.Struct("<" + "".join(codes)), names, tuple(kinds))


_LAYOUTS: Final = {code: _layout(message) for code, message in TABLE.items()}
_CODES: Final = {message: code for code, message in TABLE.items()}


def type_byte(message: Message) -> int:
    return _CODES[type(message)]


def sender_of(code: int) -> Sender:
    """Who may send a message of this type."""
    return Sender.CONTROLLER if code & _CONTROLLER_BIT else Sender.HOST


def payload_bytes(code: int) -> int:
    """Length of the payload of a known type."""
    return _LAYOUTS[code].packer.size


def encode(message: Message) -> bytes:
    """The payload of a message.

    Raises:
        MessageError: a value does not fit its field.
    """
    layout = _LAYOUTS[type_byte(message)]
    values = [getattr(message, name) for name in layout.names]
    for name, code, value in zip(layout.names, _codes(layout), values, strict=True):
        if isinstance(value, bytes) and len(value) != struct.calcsize("<" + code):
            raise MessageError(f"{type(message).__name__}.{name} is {len(value)} bytes; it must be {struct.calcsize('<' + code)}")
    try:
        return layout.packer.pack(*values)
    except struct.error as error:
        raise MessageError(f"{message} does not fit its fields: {error}") from error


def _codes(layout: _Layout) -> list[str]:
    text = layout.packer.format.removeprefix("<")
    codes, digits = [], ""
    for character in text:
        digits += character
        if not character.isdigit():
            codes.append(digits)
            digits = ""
    return codes


def decode(code: int, payload: bytes) -> Message | Rejected:
    """The message of a type byte and its payload. Any bytes give a message or a `Rejected`."""
    if code not in TABLE:
        return Rejected(Reject.UNKNOWN_TYPE, f"type 0x{code:02x} is not in the table")
    layout = _LAYOUTS[code]
    if len(payload) != layout.packer.size:
        return Rejected(Reject.WRONG_LENGTH, f"{TABLE[code].__name__} has {len(payload)} bytes; it has {layout.packer.size}")
    values: dict[str, Any] = {}
    for name, kind, raw in zip(layout.names, layout.kinds, layout.packer.unpack(payload), strict=True):
        if kind in (int, bytes) or issubclass(kind, IntFlag):
            values[name] = kind(raw)  # unknown flag bits are kept: a newer peer may know more
            continue
        try:
            values[name] = kind(raw)
        except ValueError:
            return Rejected(Reject.BAD_FIELD, f"{TABLE[code].__name__}.{name} is {raw}; it is one of {[int(v) for v in kind]}")
    return TABLE[code](**values)
