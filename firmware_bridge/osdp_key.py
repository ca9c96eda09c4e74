"""The key of an OSDP board: which keys are none. No sentence here ever holds a key."""

from typing import Final

from firmware_bridge.errors import BridgeError
from firmware_bridge.key_text import can_be_guessed, read_digits

KEY_BYTES: Final = 16  # OSDP v2.2, secure channel base key (SCBK): AES-128


class OsdpKeyError(BridgeError):
    """A key that protects nothing, or is no key."""


def key_from_hex(text: str) -> bytes:
    """The key from the text of its file: 32 hexadecimal digits.

    Raises:
        OsdpKeyError: no such digits, or a key that anybody would try first.
    """
    key = read_digits(text, key_bytes=KEY_BYTES)
    if key is None:
        raise OsdpKeyError(f"an OSDP key is {2 * KEY_BYTES} hexadecimal digits and nothing else; make one as docs/OSDP.md says")
    check_key(key)
    return key


def check_key(key: bytes) -> None:
    """Refuse a key that anybody would try first: the default of the standard (SCBK-D), one byte repeated, counted up or down.

    Raises:
        OsdpKeyError
    """
    if len(key) != KEY_BYTES:
        raise OsdpKeyError(f"an OSDP key has {KEY_BYTES} bytes, this one has {len(key)}; make one as docs/OSDP.md says")
    if can_be_guessed(key):
        raise OsdpKeyError("this OSDP key can be guessed (a default, a count or a repetition); make one as docs/OSDP.md says")
