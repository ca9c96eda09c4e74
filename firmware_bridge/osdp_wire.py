"""What of an OSDP frame lies open on the wire, and which reply may answer which command.

libosdp 3.2.9 needs both to be done before it (docs/OSDP.md tells what was measured): it loses a reply that arrives in pieces, and while
its secure channel is up it takes a reply that wears the block of the handshake without looking for the authentication code.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

_MARK: Final = 0xFF  # may stand before a frame; counts for nothing
_START: Final = 0x53
_REPLY: Final = 0x80  # in the address: the board speaks
_HAS_CRC: Final = 0x04  # in the control byte: two bytes of CRC at the end, else one of a sum
_HAS_BLOCK: Final = 0x08  # in the control byte: a security block follows
_HEADER_BYTES: Final = 5  # start, address, length (2), control
_SHORTEST: Final = 7  # header, code, checksum
_LONGEST: Final = 256  # the buffer of libosdp
_OWN_KEY: Final = 1  # third byte of a handshake block: the gate's key; 0 would be the default key of the standard


class Code(IntEnum):
    """The codes that the gate sends and takes (IEC 60839-11-5, tables of commands and replies)."""

    POLL = 0x60
    ID = 0x61
    CAPABILITIES = 0x62
    INPUT_STATUS = 0x65
    OUTPUT_STATUS = 0x66
    OUTPUT = 0x68
    CHALLENGE = 0x76  # and the reply to it
    SERVER_CRYPTOGRAM = 0x77
    NAK = 0x41
    IDENTITY = 0x45
    CAPABILITY_LIST = 0x46
    INITIAL_MAC = 0x78


class Block(IntEnum):
    """Security block types: how a frame is protected."""

    CHALLENGE = 0x11
    CRYPTOGRAM = 0x12
    SERVER_CRYPTOGRAM = 0x13
    INITIAL_MAC = 0x14
    COMMAND_AUTHENTICATED = 0x15
    REPLY_AUTHENTICATED = 0x16
    COMMAND_ENCRYPTED = 0x17
    REPLY_ENCRYPTED = 0x18


@dataclass(frozen=True, slots=True)
class Frame:
    """The open part of one frame. `block` is None without protection; `own_key` says which key a handshake uses."""

    address: int
    from_board: bool
    block: int | None
    own_key: bool
    code: int


_PROTECTED: Final = frozenset({Block.COMMAND_AUTHENTICATED, Block.COMMAND_ENCRYPTED})
_OPEN_COMMANDS: Final[Mapping[int | None, frozenset[int]]] = {
    None: frozenset({Code.ID, Code.CAPABILITIES}),
    Block.CHALLENGE: frozenset({Code.CHALLENGE}),
    Block.SERVER_CRYPTOGRAM: frozenset({Code.SERVER_CRYPTOGRAM}),
}
_OPEN_REPLIES: Final[Mapping[int, tuple[int | None, int]]] = {
    Code.ID: (None, Code.IDENTITY),
    Code.CAPABILITIES: (None, Code.CAPABILITY_LIST),
    Code.CHALLENGE: (Block.CRYPTOGRAM, Code.CHALLENGE),
    Code.SERVER_CRYPTOGRAM: (Block.INITIAL_MAC, Code.INITIAL_MAC),
}


def may_send(command: Frame) -> bool:
    """Whether this leaves the gate: in the clear only what opens the secure channel with the gate's own key, an output only encrypted."""
    if command.from_board:
        return False
    if command.code == Code.OUTPUT:
        return command.block == Block.COMMAND_ENCRYPTED
    if command.block in _PROTECTED:
        return True
    return command.code in _OPEN_COMMANDS.get(command.block, frozenset()) and (command.block is None or command.own_key)


def answers(command: Frame, reply: Frame) -> bool:
    """Whether this reply may be shown to libosdp: it is as protected as the command was, or it is a NAK, which only ends the session."""
    if not reply.from_board or reply.address != command.address:
        return False
    if reply.block is None and reply.code == Code.NAK:
        return True
    if command.block in _PROTECTED:
        return reply.block in (Block.REPLY_AUTHENTICATED, Block.REPLY_ENCRYPTED)
    return _OPEN_REPLIES.get(command.code) == (reply.block, reply.code)


def read_frame(data: bytes) -> Frame | None:
    """The open part of one whole frame; None where it is none. Its check sum is libosdp's to judge."""
    data = data[1:] if data[:1] == bytes([_MARK]) else data
    if len(data) < _SHORTEST or data[0] != _START or _length(data) != len(data):
        return None
    block, own_key, code_at = None, False, _HEADER_BYTES
    data = data[: -2 if data[4] & _HAS_CRC else -1]
    if data[4] & _HAS_BLOCK:
        block_bytes = data[5]
        code_at += block_bytes
        if block_bytes < 2 or code_at >= len(data):  # noqa: PLR2004  its length and its type at least
            return None
        block, own_key = data[6], block_bytes > 2 and data[7] == _OWN_KEY  # noqa: PLR2004  the third byte is there
    elif code_at >= len(data):
        return None
    return Frame(data[1] & ~_REPLY, bool(data[1] & _REPLY), block, own_key, data[code_at])


def _length(data: bytes | bytearray) -> int:
    return data[2] | data[3] << 8


class Assembler:
    """Bytes in any pieces in, whole frames of one board out. What is no frame of that board is passed over."""

    def __init__(self, address: int) -> None:
        self._opening = bytes([_START, address | _REPLY])
        self._bytes = bytearray()

    def clear(self) -> None:
        self._bytes.clear()

    def push(self, data: bytes) -> list[bytes]:
        self._bytes += data
        frames = []
        while (frame := self._next()) is not None:
            frames.append(frame)
        return frames

    def _next(self) -> bytes | None:
        while True:
            start = self._bytes.find(self._opening)
            if start < 0:
                del self._bytes[: -1 if self._bytes.endswith(self._opening[:1]) else len(self._bytes)]
                return None
            del self._bytes[:start]
            if len(self._bytes) < _HEADER_BYTES:
                return None
            length = _length(self._bytes)
            if not _SHORTEST <= length <= _LONGEST:
                del self._bytes[:1]
                continue
            if len(self._bytes) < length:
                return None
            frame = bytes(self._bytes[:length])
            del self._bytes[:length]
            return frame
