"""The published vectors against the implementation. The vectors come from a script that shares no code with it."""

import subprocess
import sys
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from firmware_bridge.codec import TABLE, UNTAGGED, decode, encode
from firmware_bridge.errors import Rejected
from firmware_bridge.framing import Frame, FrameReader, encode_frame
from firmware_bridge.mac import KEYLESS, derived_nonce, session_key, tag
from firmware_bridge.session import Session, read_open
from firmware_bridge.vocabulary import Sender

FILE = Path(__file__).parents[2] / "firmware_bridge" / "vectors.toml"
VECTORS = tomllib.loads(FILE.read_text(encoding="utf-8"))
KEY = bytes.fromhex(VECTORS["session"]["key"])
SESSION_KEY = bytes.fromhex(VECTORS["session"]["session_key"])
SIDES = {"host": Sender.HOST, "controller": Sender.CONTROLLER}


def named(vectors: list[dict[str, Any]]) -> Any:
    return pytest.mark.parametrize("vector", vectors, ids=lambda v: v["name"])


def receive(wire: bytes, *, receiver: Sender, taken: int = 0) -> list[object]:
    """What one side in the session makes of the bytes."""
    session = Session(SESSION_KEY, me=receiver)
    session._taken = taken
    found: list[object] = []
    for frame in FrameReader().feed(wire):
        if isinstance(frame, Rejected):
            found.append(frame)
        else:
            found.append(read_open(frame, receiver=receiver) if frame.type in UNTAGGED else session.open(frame))
    return found


def message_of(vector: dict[str, Any]) -> Any:
    """The message that the vector's plain fields describe."""
    kind = TABLE[vector["type"]]
    return kind(**{name: bytes.fromhex(value) if isinstance(value, str) else value for name, value in vector["fields"].items()})


@named(VECTORS["message"])
def test_a_message_is_written_as_the_vector_says(vector: dict[str, Any]) -> None:
    message = message_of(vector)
    payload, code, sequence, sender = encode(message), vector["type"], vector["sequence"], SIDES[vector["sender"]]
    assert payload.hex() == vector["payload"]
    made = b"" if code in UNTAGGED else tag(SESSION_KEY, sender=sender, code=code, sequence=sequence, payload=payload)
    assert made.hex() == vector["tag"]
    assert encode_frame(Frame(code, sequence, payload + made)).hex() == vector["wire"]


@named(VECTORS["message"])
def test_a_message_is_read_as_the_vector_says(vector: dict[str, Any]) -> None:
    receiver = Sender.CONTROLLER if vector["sender"] == "host" else Sender.HOST
    assert receive(bytes.fromhex(vector["wire"]), receiver=receiver) == [message_of(vector)]


@named(VECTORS["bad"])
def test_a_bad_frame_is_refused_by_its_name(vector: dict[str, Any]) -> None:
    (found,) = receive(bytes.fromhex(vector["wire"]), receiver=SIDES[vector["receiver"]], taken=vector["taken"])
    assert isinstance(found, Rejected)
    assert found.reason.value == vector["error"]


def test_the_session_keys_come_from_key_hello_and_nonce() -> None:
    for name, key in (("session", KEY), ("keyless_session", KEYLESS)):
        vector = VECTORS[name]
        made = session_key(
            key, hello_payload=bytes.fromhex(vector["hello_payload"]), controller_nonce=bytes.fromhex(vector["controller_nonce"])
        )
        assert made.hex() == vector["session_key"]


def test_a_nonce_without_a_random_source_is_derived_as_the_vector_says() -> None:
    vector = VECTORS["derived_nonce"]
    assert derived_nonce(KEY, boot_count=vector["boot_count"], hello_count=vector["hello_count"]).hex() == vector["nonce"]


def test_every_message_has_a_vector_with_all_its_fields() -> None:
    seen = {vector["type"]: set(vector["fields"]) for vector in VECTORS["message"]}
    assert seen == {code: {f.name for f in fields(kind)} for code, kind in TABLE.items()}


def test_every_reason_to_refuse_a_frame_of_a_session_has_a_vector() -> None:
    reasons = {vector["error"] for vector in VECTORS["bad"]}
    assert reasons == {
        "too long",
        "cobs",
        "too short",
        "checksum",
        "unknown type",
        "wrong direction",
        "wrong length",
        "bad field",
        "wrong mac",
        "stale sequence",
    }


def test_the_vectors_are_what_the_independent_script_prints() -> None:
    script = Path(__file__).with_name("make_vectors.py")
    printed = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True).stdout
    assert FILE.read_text(encoding="utf-8") == printed


def test_a_payload_decodes_to_what_was_encoded() -> None:
    for vector in VECTORS["message"]:
        assert decode(vector["type"], bytes.fromhex(vector["payload"])) == message_of(vector)
