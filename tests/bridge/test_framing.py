"""Frames out of a stream: whole, byte by byte, with bytes after, and out of anything at all."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.errors import MessageError, Reject, Rejected
from firmware_bridge.framing import Frame, FrameReader, cobs_decode, cobs_encode, encode_frame
from firmware_bridge.limits import MAX_FRAME_BYTES

LARGEST_BODY = MAX_FRAME_BYTES - 9
FRAMES = st.builds(
    Frame,
    type=st.integers(0, 255),
    sequence=st.integers(0, 2**32 - 1),
    body=st.binary(max_size=LARGEST_BODY) | st.integers(0, LARGEST_BODY).map(bytes),
)


@given(st.binary(max_size=1000))
def test_stuffed_bytes_hold_no_zero_and_come_back_whole(data: bytes) -> None:
    stuffed = cobs_encode(data)
    assert 0 not in stuffed
    assert cobs_decode(stuffed) == data


@pytest.mark.parametrize("size", [253, 254, 255, 508, 509])
def test_a_run_around_the_longest_block_comes_back_whole(size: int) -> None:
    data = b"\x01" * size
    assert cobs_decode(cobs_encode(data)) == data


@given(FRAMES)
def test_a_frame_is_read_whole(frame: Frame) -> None:
    assert FrameReader().feed(encode_frame(frame)) == (frame,)


@given(FRAMES)
def test_a_frame_is_read_byte_by_byte(frame: Frame) -> None:
    reader = FrameReader()
    found = [f for byte in encode_frame(frame) for f in reader.feed(bytes([byte]))]
    assert found == [frame]


@given(FRAMES, FRAMES, st.binary(max_size=20))
def test_a_frame_is_read_with_bytes_after_it(frame: Frame, following: Frame, rest: bytes) -> None:
    found = FrameReader().feed(encode_frame(frame) + encode_frame(following) + rest)
    assert found[:2] == (frame, following)


@given(st.lists(FRAMES, max_size=5), st.randoms(use_true_random=False))
def test_the_cut_of_the_stream_makes_no_difference(frames: list[Frame], draw: random.Random) -> None:
    stream, reader, found = b"".join(map(encode_frame, frames)), FrameReader(), []
    while stream:
        size = draw.randint(1, 40)
        found += reader.feed(stream[:size])
        stream = stream[size:]
    assert found == frames


@given(FRAMES, st.binary(min_size=1, max_size=400).map(lambda noise: noise.replace(b"\0", b"\1")))
def test_noise_before_a_frame_costs_only_itself(frame: Frame, noise: bytes) -> None:
    (*noises, last) = FrameReader().feed(noise + encode_frame(frame))
    assert last == frame
    assert all(isinstance(n, Rejected) for n in noises)


@given(FRAMES, FRAMES, st.data())
def test_half_a_frame_costs_only_itself(frame: Frame, following: Frame, data: st.DataObject) -> None:
    wire = encode_frame(frame)
    half = wire[: data.draw(st.integers(2, len(wire) - 2))]
    (first, second) = FrameReader().feed(half + encode_frame(following))
    assert isinstance(first, Rejected)
    assert second == following


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_any_bytes_give_frames_or_refusals_and_the_buffer_stays_small(pieces: list[bytes]) -> None:
    reader = FrameReader()
    for piece in pieces:
        for found in reader.feed(piece):
            assert isinstance(found, Frame | Rejected)
        assert len(reader._kept) <= MAX_FRAME_BYTES + 1


@given(FRAMES, st.integers(0, 7), st.data())
def test_one_flipped_bit_is_never_taken(frame: Frame, bit: int, data: st.DataObject) -> None:
    wire = bytearray(encode_frame(frame))
    at = data.draw(st.integers(1, len(wire) - 2))
    wire[at] ^= 1 << bit
    assert not [found for found in FrameReader().feed(bytes(wire)) if isinstance(found, Frame)]


def test_a_stream_without_zeros_is_refused_once_and_skipped() -> None:
    reader = FrameReader()
    found = [f for _ in range(100) for f in reader.feed(b"\x55" * 100)]
    assert [f.reason for f in found if isinstance(f, Rejected)] == [Reject.TOO_LONG]
    frame = Frame(1, 2, b"after")
    assert reader.feed(b"\0" + encode_frame(frame)) == (frame,)


def test_zeros_between_frames_are_nothing() -> None:
    assert FrameReader().feed(bytes(500)) == ()


def test_a_frame_that_is_too_long_is_not_written() -> None:
    encode_frame(Frame(1, 1, bytes(LARGEST_BODY)))
    with pytest.raises(MessageError, match="the limit is 200"):
        encode_frame(Frame(1, 1, bytes(LARGEST_BODY + 1)))
