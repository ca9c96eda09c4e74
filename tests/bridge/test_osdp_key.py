"""Which keys are taken, and that no refusal shows one."""

import itertools

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from firmware_bridge.osdp import OsdpBoard
from firmware_bridge.osdp_key import OsdpKeyError, check_key, key_from_hex

GUESSED = {
    "the default of the standard": bytes(range(0x30, 0x40)),
    "all zero": bytes(16),
    "one byte": b"\xa5" * 16,
    "counted down": bytes(range(16, 0, -1)),
    "every third": bytes(range(0, 48, 3)),
    "two bytes in turn": b"\x12\x34" * 8,
    "typed": b"1111222233334444",
}


@pytest.mark.parametrize("key", GUESSED.values(), ids=GUESSED)
def test_a_key_that_can_be_guessed_is_refused(key: bytes) -> None:
    with pytest.raises(OsdpKeyError, match="guessed"):
        check_key(key)


def test_no_board_is_made_with_such_a_key() -> None:
    with pytest.raises(OsdpKeyError):
        OsdpBoard(port="/dev/null", baud=9_600, address=0, key=GUESSED["the default of the standard"], simulation=True)


@given(st.binary(min_size=16, max_size=16).filter(lambda key: len(set(key)) >= 14))
def test_a_key_as_secrets_makes_them_is_taken(key: bytes) -> None:
    assume(len({(after - before) % 256 for before, after in itertools.pairwise(key)}) > 1)
    assert key_from_hex(f" {key.hex()}\n") == key


@given(st.text(alphabet="0123456789abcdef", min_size=3, max_size=31) | st.text(alphabet="xyz", min_size=32, max_size=32))
def test_a_refusal_does_not_show_what_stood_in_the_file(text: str) -> None:
    with pytest.raises(OsdpKeyError) as refusal:
        key_from_hex(text)
    assert text not in str(refusal.value)
    assert refusal.value.__suppress_context__ or refusal.value.__context__ is None
