"""The table of type bytes, and payloads to messages and back. Sequence, MAC and checksum are the business of session.py and framing.py."""

import struct
from dataclasses import dataclass, fields
from enum import IntFlag
from types import MappingProxyType
from typing import Any, Final, get_args, get_type_hints

from firmware_bridge import messages
from firmware_bridge.errors import MessageError, Reject, Rejected
from firmware_bridge.messages import Message
from firmware_bridge.vocabulary import Sender

TABLE: Final[MappingProxyType[int, type[Message]]] = MappingProxyType(
    {
        0x01: messages.Hello,
        0x02: messages.StateRequest,
        0x03: messages.Arm,
        0x04: messages.Disarm,
        0x05: messages.Release,
        0x06: messages.Cancel,
        0x07: messages.Heartbeat,
        0x08: messages.Indicate,
        0x09: messages.EventAck,
        0x81: messages.HelloReply,
        0x82: messages.HelloRefused,
        0x83: messages.NoSession,
        0x84: messages.State,
        0x85: messages.ArmAck,
        0x86: messages.ReleaseAck,
        0x87: messages.CancelAck,
        0x88: messages.HeartbeatAck,
        0x89: messages.Health,
        0x8A: messages.Refused,
        0x90: messages.PassageStarted,
        0x91: messages.PassageCompleted,
        0x92: messages.ReleaseEnded,
        0x93: messages.RequestToExit,
        0x94: messages.EmergencyChanged,
        0x95: messages.ForcedOpen,
        0x96: messages.HeldOpen,
        0x97: messages.Tailgating,
        0x98: messages.ReversePassage,
        0x99: messages.Tamper,
        0x9A: messages.FaultChanged,
    }
)
UNTAGGED: Final = frozenset({0x01, 0x82, 0x83})  # HELLO, HELLO_REFUSED, NO_SESSION: there is no session key yet

_CONTROLLER_BIT: Final = 0x80


@dataclass(frozen=True, slots=True)
class _Layout:
    packer: struct.Struct
    names: tuple[str, ...]
    kinds: tuple[type[Any], ...]
    sizes: tuple[int, ...]


def _layout(message: type[Message]) -> _Layout:
    hints = get_type_hints(message, include_extras=True)
    names = tuple(f.name for f in fields(message))
    codes, kinds = [], []
    for name in names:
        kind, *widths = get_args(hints[name]) or (hints[name],)
        codes.append(widths[0] if widths else "B")
        kinds.append(kind)
    return _Layout(struct.Struct("<" + "".join(codes)), names, tuple(kinds), tuple(struct.calcsize("<" + code) for code in codes))


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
    for name, size, value in zip(layout.names, layout.sizes, values, strict=True):
        if isinstance(value, bytes) and len(value) != size:  # struct would fill up or cut
            raise MessageError(f"{type(message).__name__}.{name} is {len(value)} bytes; it must be {size}")
    try:
        return layout.packer.pack(*values)
    except struct.error as error:
        raise MessageError(f"{message} does not fit its fields: {error}") from error


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
