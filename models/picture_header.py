"""How large a picture says it is, read from the first bytes of its file: before a decoder is asked for so much memory."""

import struct
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_JPEG: Final = b"\xff\xd8"
_JPEG_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0 to SOF15, without tables and arithmetic conditioning
_JPEG_WITHOUT_LENGTH: Final = frozenset({0x01, *range(0xD0, 0xD8)})
_TIFF_ORDERS: Final[Mapping[bytes, str]] = MappingProxyType({b"II*\0": "<", b"MM\0*": ">"})
_TIFF_WIDTH, _TIFF_HEIGHT, _TIFF_SHORT = 256, 257, 3


def sides(data: bytes) -> tuple[int, int] | None:
    """Returns (width, height) of a PNG, JPEG, BMP, TIFF or WebP file, unturned; None where it is none of them, or is cut short."""
    try:
        width, height = _sides(data)
    except (struct.error, IndexError):  # the file ends within its header
        return None
    return (width, height) if width > 0 and height > 0 else None


def _sides(data: bytes) -> tuple[int, int]:
    if data.startswith(_PNG):
        return _pair(">II", data, 16)
    if data.startswith(_JPEG):
        return _jpeg(data)
    if data.startswith(b"BM"):
        width, height = _pair("<HH", data, 18) if data[14] == 12 else _pair("<ii", data, 18)  # noqa: PLR2004  length of the oldest header
        return width, abs(height)  # negative: stored from the top
    if data[:4] in _TIFF_ORDERS:
        return _tiff(data, _TIFF_ORDERS[data[:4]])
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return _webp(data)
    return 0, 0


def _pair(layout: str, data: bytes, offset: int) -> tuple[int, int]:
    first, second = struct.unpack_from(layout, data, offset)
    return int(first), int(second)


def _jpeg(data: bytes) -> tuple[int, int]:
    """From segment to segment to the frame's header; a preview inside of a segment is stepped over."""
    place = 2
    while data[place] == 0xFF:  # noqa: PLR2004  begins every marker
        marker = data[place + 1]
        if marker == 0xFF or marker in _JPEG_WITHOUT_LENGTH:  # noqa: PLR2004  a filling byte
            place += 1 if marker == 0xFF else 2  # noqa: PLR2004
            continue
        if marker in _JPEG_FRAMES:
            height, width = _pair(">HH", data, place + 5)
            return width, height
        (length,) = struct.unpack_from(">H", data, place + 2)
        place += 2 + int(length)
    return 0, 0


def _tiff(data: bytes, order: str) -> tuple[int, int]:
    """From the first directory, whose picture is the one that is decoded."""
    (directory,) = struct.unpack_from(f"{order}I", data, 4)
    (entries,) = struct.unpack_from(f"{order}H", data, directory)
    found = {}
    for entry in range(directory + 2, directory + 2 + 12 * entries, 12):
        tag, kind = _pair(f"{order}HH", data, entry)
        (found[tag],) = struct.unpack_from(f"{order}{'H' if kind == _TIFF_SHORT else 'I'}", data, entry + 8)
    return int(found.get(_TIFF_WIDTH, 0)), int(found.get(_TIFF_HEIGHT, 0))


def _webp(data: bytes) -> tuple[int, int]:
    match data[12:16]:
        case b"VP8 ":
            width, height = _pair("<HH", data, 26)
            return width & 0x3FFF, height & 0x3FFF
        case b"VP8L":
            (bits,) = struct.unpack_from("<I", data, 21)
            return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        case b"VP8X":
            return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    return 0, 0
