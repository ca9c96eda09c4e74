"""Payloads: the table, round trips of any values, and any bytes at all."""

import re
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge import codec, messages
from firmware_bridge.codec import TABLE, UNTAGGED, decode, encode, payload_bytes, sender_of
from firmware_bridge.errors import MessageError, Reject, Rejected
from firmware_bridge.limits import MAX_FRAME_BYTES, TAG_BYTES
from firmware_bridge.messages import Message, Release
from firmware_bridge.vocabulary import Direction, Sender

PROTOCOL = Path(messages.__file__).with_name("PROTOCOL.md")


BITS = {"B": 8, "H": 16, "I": 32, "Q": 64}


def value_of(hint: Any) -> st.SearchStrategy[Any]:
    """Any value of a field: an enumeration has no width of its own, all else is a number, flags or bytes of a width."""
    kind, *width = get_args(hint) or (hint,)
    if not width:
        return st.sampled_from(list(kind))
    if kind is bytes:
        size = int(width[0].removesuffix("s"))
        return st.binary(min_size=size, max_size=size)
    return st.integers(0, 2 ** BITS[width[0]] - 1).map(kind)


@st.composite
def any_message(draw: st.DrawFn) -> Message:
    kind = draw(st.sampled_from(list(TABLE.values())))
    hints = get_type_hints(kind, include_extras=True)
    return kind(**{field.name: draw(value_of(hints[field.name])) for field in fields(kind)})


@given(any_message())
def test_every_message_comes_back_as_it_was(message: Message) -> None:
    code = codec.type_byte(message)
    assert decode(code, encode(message)) == message


@given(st.integers(0, 255), st.binary(max_size=150))
def test_any_payload_gives_a_message_or_a_refusal(code: int, payload: bytes) -> None:
    found = decode(code, payload)
    assert isinstance(found, Rejected | Message)
    if isinstance(found, Rejected):
        assert found.reason in (Reject.UNKNOWN_TYPE, Reject.WRONG_LENGTH, Reject.BAD_FIELD)
    else:
        assert encode(found) == payload


def test_the_type_byte_tells_who_sends() -> None:
    senders = {kind: sender_of(code) for code, kind in TABLE.items()}
    assert {kind for kind, sender in senders.items() if sender is Sender.HOST} == set(get_args(messages.HostMessage))


def test_every_message_fits_a_frame() -> None:
    assert [kind.__name__ for code, kind in TABLE.items() if payload_bytes(code) + TAG_BYTES + 9 > MAX_FRAME_BYTES] == []


def test_only_what_comes_before_a_session_carries_no_mac() -> None:
    assert {TABLE[code] for code in UNTAGGED} == {messages.Hello, messages.HelloRefused, messages.NoSession}


@pytest.mark.parametrize("value", [-1, 2**16])
def test_a_value_that_does_not_fit_is_our_own_error(value: int) -> None:
    with pytest.raises(MessageError, match="does not fit"):
        encode(Release(1, Direction.ENTRY, value, 0, 0))


def test_a_byte_string_of_another_length_is_our_own_error() -> None:
    with pytest.raises(MessageError, match=r"host_nonce is 3 bytes; it must be 16"):
        encode(messages.Hello(1, 1, messages.LinkMode.KEYED, b"gate-001", b"abc"))


def test_the_document_names_every_message_with_its_type_and_fields() -> None:
    """PROTOCOL.md is written for people without the source: each message's table row is compared with the code."""
    text = PROTOCOL.read_text(encoding="utf-8")
    for code, kind in TABLE.items():
        name = re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).upper()
        row = re.search(rf"^\| 0x{code:02X} \| {name} \| (.*) \|$", text, re.MULTILINE)
        assert row, f"no row for 0x{code:02X} {name}"
        numbered = issubclass(kind, messages.NumberedEvent)
        listed = [entry.split()[0] for entry in row.group(1).replace("`", "").split(", ") if entry != "(empty)"]
        wanted = [field.name for field in fields(kind)][3 if numbered else 0 :]
        assert listed == wanted, name
        hints = get_type_hints(kind, include_extras=True)
        widths = {"B": "u8", "H": "u16", "I": "u32", "Q": "u64", "8s": "8", "16s": "16", "32s": "32"}
        types = {entry.split()[0]: entry.split()[1] for entry in row.group(1).replace("`", "").split(", ") if entry != "(empty)"}
        for field in wanted:
            (_, *width) = get_args(hints[field]) or (None,)
            assert types[field] == widths[width[0] if width else "B"], f"{name}.{field}"
