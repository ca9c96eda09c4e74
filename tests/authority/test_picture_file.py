"""Pictures as anybody may send them: every format's size is known before it is decoded, and nothing stops the reader."""

import os
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent.authority.errors import PictureError
from agent.authority.picture_file import PIXELS_MAX, SIDE_MAX_PX, read_picture
from models.picture_header import sides
from tests.authority.conftest import U8, one_bit_png

FORMATS = (".bmp", ".jpg", ".png", ".tiff", ".webp")
START = (b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8", b"BM", b"II*\0", b"MM\0*", b"RIFF....WEBP", b"RIFF....WEBPVP8X")


def encoded(suffix: str, image: U8, *flags: int) -> bytes:
    return cv2.imencode(suffix, image, flags)[1].tobytes()


@given(st.sampled_from(FORMATS), st.integers(1, 300), st.integers(1, 300), st.booleans())
@example(".jpg", 1, 1, False)
def test_a_files_sides_are_those_that_a_decoder_finds(suffix: str, width: int, height: int, grey: bool) -> None:
    image = np.zeros((height, width) if grey else (height, width, 3), np.uint8)
    assert sides(encoded(suffix, image)) == (width, height)


def test_lossless_and_transparent_pictures_have_sides_too() -> None:
    image = np.zeros((20, 33, 4), np.uint8)
    image[::2, :, 3] = 255
    assert sides(encoded(".webp", image, cv2.IMWRITE_WEBP_QUALITY, 101)) == (33, 20)
    assert sides(encoded(".webp", image, cv2.IMWRITE_WEBP_QUALITY, 50)) == (33, 20)
    assert sides(encoded(".png", image)) == (33, 20)
    assert sides(encoded(".jpg", image[:, :, :3], cv2.IMWRITE_JPEG_PROGRESSIVE, 1)) == (33, 20)


def test_the_preview_inside_of_a_photo_is_not_taken_for_it() -> None:
    photo, preview = encoded(".jpg", np.zeros((90, 120, 3), np.uint8)), encoded(".jpg", np.zeros((9, 12, 3), np.uint8))
    segment = b"\xff\xe1" + struct.pack(">H", 2 + len(preview)) + preview
    assert sides(photo[:2] + segment + b"\xff" + photo[2:]) == (120, 90)


@given(st.sampled_from(START), st.binary(max_size=200))
def test_whatever_the_bytes_say_they_have_sides_or_none(start: bytes, rest: bytes) -> None:
    found = sides(start + rest)
    assert found is None or min(found) > 0


@given(suffix=st.sampled_from(FORMATS), cut=st.floats(0, 1), place=st.floats(0, 1), value=st.integers(0, 255))
def test_a_torn_or_damaged_file_is_a_picture_or_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, cut: float, place: float, value: int
) -> None:
    data = bytearray(encoded(suffix, np.arange(20 * 30 * 3, dtype=np.uint8).reshape(20, 30, 3)))
    data[int(place * (len(data) - 1))] = value
    file = tmp_path_factory.getbasetemp() / f"torn{suffix}"
    file.write_bytes(data[: int(cut * len(data))])
    try:
        image = read_picture(file)
    except PictureError:
        return
    assert image.ndim == 3
    assert max(image.shape[:2]) <= SIDE_MAX_PX


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_picture_with_too_long_a_side_is_shrunk(tmp_path: Path, suffix: str) -> None:
    wide = 9_000
    image = np.zeros((60, wide, 3), np.uint8)
    image[:, wide // 2 :] = 255
    file = tmp_path / f"wide{suffix}"
    file.write_bytes(encoded(suffix, image))
    read = read_picture(file)
    assert read.shape == (30, wide // 2, 3)
    assert (read[15, 100].max(), read[15, -100].min()) == (0, 255)


def test_a_picture_of_too_many_pixels_is_shrunk_upright(tmp_path: Path) -> None:
    photo = encoded(".jpg", np.zeros((6_000, 8_000, 3), np.uint8))
    exif = b"Exif\0\0MM\0*\0\0\0\x08" + struct.pack(">HHHIHHI", 1, 0x0112, 3, 1, 6, 0, 0)  # turned by a quarter
    file = tmp_path / "photo.jpg"
    file.write_bytes(photo[:2] + b"\xff\xe1" + struct.pack(">H", 2 + len(exif)) + exif + photo[2:])
    read = read_picture(file)
    assert read.shape == (4_000, 3_000, 3)
    assert read.shape[0] * read.shape[1] <= PIXELS_MAX


def test_what_is_no_plain_file_of_a_fair_size_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    (tmp_path / "sparse.png").touch()
    os.truncate(tmp_path / "sparse.png", 2**36)
    (tmp_path / "huge.png").write_bytes(one_bit_png(32_000, 32_000))
    (tmp_path / "film.png").write_bytes(b"GIF89a\x01\0\x01\0")
    said = {}
    for file in sorted(tmp_path.iterdir()):
        with pytest.raises(PictureError) as error:
            read_picture(file)
        said[file.name] = str(error.value)
    assert said == {
        "film.png": "the file is no picture that can be read; save it again as JPEG or PNG",
        "huge.png": "32000x32000 pixels are too many; save it with at most 268 million",
        "loop.png": "the file cannot be read (Too many levels of symbolic links)",
        "pipe.png": "the file cannot be read (it is not a regular file)",
        "sparse.png": "the file is larger than 64 MB; save it smaller",
        "zero.png": "the file cannot be read (it is not a regular file)",
    }
