"""The key of an OSDP board: which keys are none. No sentence here ever holds a key."""

import itertools
from typing import Final

from firmware_bridge.errors import BridgeError

KEY_BYTES: Final = 16  # OSDP v2.2, secure channel base key (SCBK): AES-128
_LEAST_DISTINCT_BYTES: Final = 8  # a random key has fewer once in 10^12; what people type by hand has fewer


class OsdpKeyError(BridgeError):
    """A key that protects nothing, or is no key."""


def key_from_hex(text: str) -> bytes:
    """The key from the text of its file: 32 hexadecimal digits.

    Raises:
        OsdpKeyError: no such digits, or a key that anybody would try first.
    """
    try:
        key = bytes.fromhex(text.strip())
    except ValueError:
        raise OsdpKeyError(f"an OSDP key is {2 * KEY_BYTES} hexadecimal digits and nothing else; make one as docs/OSDP.md says") from None
    check_key(key)
    return key


def check_key(key: bytes) -> None:
    """Refuse a key that anybody would try first: the default of the standard (SCBK-D), one byte repeated, counted up or down.

    Raises:
        OsdpKeyError
    """
    if len(key) != KEY_BYTES:
        raise OsdpKeyError(f"an OSDP key has {KEY_BYTES} bytes, this one has {len(key)}; make one as docs/OSDP.md says")
    steps = {(after - before) % 256 for before, after in itertools.pairwise(key)}
    if len(steps) == 1 or len(set(key)) < _LEAST_DISTINCT_BYTES:
        raise OsdpKeyError("this OSDP key can be guessed (a default, a count or a repetition); make one as docs/OSDP.md says")
