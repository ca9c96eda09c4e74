"""What is read of an OSDP frame, and what may pass."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.osdp_wire import Assembler, Block, Code, Frame, answers, may_send, read_frame
from tests.bridge.osdp_bench import frame

CHALLENGE = bytes.fromhex("ff530313000e03110176d764c8cce93255c4760f")  # written by libosdp 3.2.9

replies = st.builds(
    lambda sequence, rest: frame(address=0x83, control=sequence, rest=rest),
    st.integers(0, 3),
    st.binary(min_size=1, max_size=64),
)
noise = st.binary(max_size=20).map(lambda data: data.replace(b"\x53", b"\x54"))


def command(code: int, block: int | None = None, *, own_key: bool = False) -> Frame:
    return Frame(3, from_board=False, block=block, own_key=own_key, code=code)


def reply(code: int, block: int | None = None, *, address: int = 3) -> Frame:
    return Frame(address, from_board=True, block=block, own_key=True, code=code)


def test_the_open_part_of_a_frame_is_read_with_and_without_a_mark() -> None:
    expected = Frame(3, from_board=False, block=Block.CHALLENGE, own_key=True, code=Code.CHALLENGE)
    assert read_frame(CHALLENGE) == expected
    assert read_frame(CHALLENGE[1:]) == expected


@given(st.binary(max_size=300))
def test_any_bytes_are_a_frame_or_none(data: bytes) -> None:
    read_frame(data)
    for found in Assembler(3).push(data):
        assert found[:2] == b"\x53\x83"
        assert int.from_bytes(found[2:4], "little") == len(found)


@given(st.integers(0, 3), st.binary(min_size=1, max_size=20))
def test_a_security_block_of_any_length_is_read_or_refused(sequence: int, rest: bytes) -> None:
    told = read_frame(frame(address=0x83, control=0x08 | sequence, rest=rest))
    assert told is None or told.block == rest[1]


def test_an_opening_with_an_absurd_length_does_not_hide_the_frame_behind_it() -> None:
    whole = frame(address=0x83, control=1, rest=b"\x40")
    assert Assembler(3).push(b"\x53\x83\xff\xff\x00" + whole) == [whole]


@given(st.lists(st.tuples(noise, replies), max_size=6), noise, st.lists(st.integers(1, 40), min_size=1))
def test_whole_frames_come_out_however_they_are_cut_and_whatever_stands_between(
    parts: list[tuple[bytes, bytes]], after: bytes, cuts: list[int]
) -> None:
    stream = b"".join(before + whole for before, whole in parts) + after
    assembler, found = Assembler(3), []
    at, cut = 0, 0
    while at < len(stream):
        step = cuts[cut % len(cuts)]
        found += assembler.push(stream[at : at + step])
        at, cut = at + step, cut + 1
    assert found == [whole for _, whole in parts]


@pytest.mark.parametrize("block", [None, *Block])
def test_an_output_leaves_the_gate_encrypted_and_in_no_other_dress(block: int | None) -> None:
    assert may_send(command(Code.OUTPUT, block, own_key=True)) is (block == Block.COMMAND_ENCRYPTED)


def test_the_default_key_of_the_standard_opens_no_channel() -> None:
    assert may_send(command(Code.CHALLENGE, Block.CHALLENGE, own_key=True))
    assert not may_send(command(Code.CHALLENGE, Block.CHALLENGE, own_key=False))
    assert not may_send(command(Code.SERVER_CRYPTOGRAM, Block.SERVER_CRYPTOGRAM, own_key=False))


def test_nothing_else_leaves_the_gate_in_the_clear() -> None:
    sent = {code for code in range(256) if may_send(command(code))}
    assert sent == {Code.ID, Code.CAPABILITIES}


@given(st.integers(0, 255), st.sampled_from([None, *Block]))
def test_a_protected_command_takes_a_protected_reply_or_a_refusal(code: int, block: int | None) -> None:
    asked = command(Code.INPUT_STATUS, Block.COMMAND_AUTHENTICATED)
    protected = block in (Block.REPLY_AUTHENTICATED, Block.REPLY_ENCRYPTED)
    assert answers(asked, reply(code, block)) is (protected or (block is None and code == Code.NAK))


def test_another_board_answers_nothing() -> None:
    asked = command(Code.INPUT_STATUS, Block.COMMAND_AUTHENTICATED)
    assert not answers(asked, reply(0x49, Block.REPLY_ENCRYPTED, address=4))
