"""A picture from a file that anybody may have put there: never a pipe or a device, never more than fits, and what is too large shrunk."""

import errno
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

import cv2
import numpy as np

from agent.authority.errors import PictureError
from agent.roster.plain_file import read_plain
from agent.vision.frame import U8
from models.picture_header import sides

FILE_BYTES_MAX: Final = 64 * 2**20

FILE_PIXELS_MAX: Final = 2**28
"""As many as the largest cameras of telephones take, and some more; decoded at full size they are 800 MB."""

SIDE_MAX_PX: Final = 8_192
PIXELS_MAX: Final = 40_000_000
"""A picture beyond is shrunk while it is read: a face of 40 pixels between the eyes in so large a one is nobody's portrait. With its rim
it stays below what models.picture takes."""

_SHRUNK: Final[Mapping[int, int]] = MappingProxyType(
    {1: cv2.IMREAD_COLOR, 2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4, 8: cv2.IMREAD_REDUCED_COLOR_8}
)
"""How to decode at a part of the size; of a JPEG without ever making the whole."""


def read_picture(file: Path) -> U8:
    """A picture as uint8 (h, w, 3) BGR, upright as its EXIF says, of at most SIDE_MAX_PX and PIXELS_MAX.

    Raises:
        PictureError: in the words of a report.
    """
    data = _content(file)
    size = sides(data)
    if size is None:
        raise PictureError("the file is no picture that can be read; save it again as JPEG or PNG")
    width, height = size
    if width * height > FILE_PIXELS_MAX:
        raise PictureError(f"{width}x{height} pixels are too many; save it with at most {FILE_PIXELS_MAX // 10**6} million")
    part = next((each for each in _SHRUNK if _fits(width // each, height // each)), max(_SHRUNK))
    try:
        image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), _SHRUNK[part])
    except (cv2.error, MemoryError):  # damaged, or no room for it
        image = None
    if image is None:
        raise PictureError("the file is no picture that can be read; save it again as JPEG or PNG")
    return _shrunk(np.asarray(image, dtype=np.uint8))


def _content(file: Path) -> bytes:
    try:
        return read_plain(file, bytes_max=FILE_BYTES_MAX)
    except OSError as error:
        if error.errno == errno.EFBIG:
            raise PictureError(f"the file is larger than {FILE_BYTES_MAX >> 20} MB; save it smaller") from error
        raise PictureError(f"the file cannot be read ({error.strerror})") from error


def _fits(width: int, height: int) -> bool:
    return max(width, height) <= SIDE_MAX_PX and width * height <= PIXELS_MAX


def _shrunk(image: U8) -> U8:
    """What even an eighth of the size leaves too large."""
    while not _fits(image.shape[1], image.shape[0]):
        half = (max(image.shape[1] // 2, 1), max(image.shape[0] // 2, 1))
        image = np.asarray(cv2.resize(image, half, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    return image
