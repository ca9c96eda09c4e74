"""Bytes of the wire to frames and back: COBS between zero bytes, CRC-32 at the end (PROTOCOL.md section 3).

Whatever comes in, what goes out is frames and named refusals; the buffer never holds more than one longest frame.
"""

import struct
import zlib
from dataclasses import dataclass
from typing import Final

from firmware_bridge.errors import MessageError, Reject, Rejected
from firmware_bridge.limits import MAX_FRAME_BYTES

_HEAD: Final = struct.Struct("<BI")
_CRC: Final = struct.Struct("<I")
_LEAST_BYTES: Final = _HEAD.size + _CRC.size
_LONGEST_RUN: Final = 254  # a COBS block holds at most this many bytes that are not zero


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame with a right checksum. `body` is the payload, with the MAC at its end where the type has one."""

    type: int
    sequence: int
    body: bytes


def cobs_encode(data: bytes) -> bytes:
    """Consistent overhead byte stuffing (Cheshire and Baker, 1997): the result holds no zero byte."""
    out = bytearray()
    for run in data.split(b"\0"):
        rest = run
        while len(rest) >= _LONGEST_RUN:
            out += b"\xff" + rest[:_LONGEST_RUN]
            rest = rest[_LONGEST_RUN:]
        out += bytes([len(rest) + 1]) + rest
    return bytes(out)


def cobs_decode(data: bytes) -> bytes | None:
    """The bytes before stuffing, or None where a block runs past the end. `data` holds no zero byte."""
    out = bytearray()
    at = 0
    while at < len(data):
        code = data[at]
        if at + code > len(data):
            return None
        out += data[at + 1 : at + code]
        at += code
        if code <= _LONGEST_RUN and at < len(data):
            out.append(0)
    return bytes(out)


def encode_frame(frame: Frame) -> bytes:
    """The bytes for the wire, with a zero before and after, so that half a frame before it cannot spoil it.

    Raises:
        MessageError: longer than a frame may be.
    """
    raw = _HEAD.pack(frame.type, frame.sequence) + frame.body
    raw += _CRC.pack(zlib.crc32(raw))
    if len(raw) > MAX_FRAME_BYTES:
        raise MessageError(f"a frame of type 0x{frame.type:02x} is {len(raw)} bytes; the limit is {MAX_FRAME_BYTES}")
    return b"\0" + cobs_encode(raw) + b"\0"


def decode_frame(stuffed: bytes) -> Frame | Rejected:
    """One frame from the bytes between two zeros."""
    if len(stuffed) > MAX_FRAME_BYTES + 1:
        return Rejected(Reject.TOO_LONG, f"more than {MAX_FRAME_BYTES + 1} bytes without a zero")
    raw = cobs_decode(stuffed)
    if raw is None:
        return Rejected(Reject.COBS, f"a block runs past the end of {len(stuffed)} bytes")
    if len(raw) < _LEAST_BYTES:
        return Rejected(Reject.TOO_SHORT, f"{len(raw)} bytes; the least is {_LEAST_BYTES}")
    content, (checksum,) = raw[: -_CRC.size], _CRC.unpack(raw[-_CRC.size :])
    if zlib.crc32(content) != checksum:
        return Rejected(Reject.CHECKSUM, f"CRC-32 is 0x{zlib.crc32(content):08x}; the frame says 0x{checksum:08x}")
    code, sequence = _HEAD.unpack(content[: _HEAD.size])
    return Frame(code, sequence, content[_HEAD.size :])


class FrameReader:
    """Cuts a stream into frames. Holds at most one frame; a longer one is refused once and skipped to the next zero."""

    def __init__(self) -> None:
        self._kept = bytearray()
        self._skipping = False

    def feed(self, data: bytes) -> tuple[Frame | Rejected, ...]:
        found: list[Frame | Rejected] = []
        *whole, rest = data.split(b"\0")
        for piece in whole:
            self._keep(piece, found)
            if self._kept and not self._skipping:
                found.append(decode_frame(bytes(self._kept)))
            self._kept.clear()
            self._skipping = False
        self._keep(rest, found)
        return tuple(found)

    def _keep(self, piece: bytes, found: list[Frame | Rejected]) -> None:
        if self._skipping:
            return
        self._kept += piece[: MAX_FRAME_BYTES + 2]
        if len(self._kept) > MAX_FRAME_BYTES + 1:
            found.append(decode_frame(bytes(self._kept)))
            self._kept.clear()
            self._skipping = True
