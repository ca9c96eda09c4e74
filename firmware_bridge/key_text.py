"""Keys as a gate's files hold them, and the one test of which can be guessed: for our controller's link and for OSDP boards alike."""

import itertools
import re
from typing import Final

_LEAST_DISTINCT: Final = 0.5
"""Of a key's bytes. A random key of 16 bytes has fewer once in 10^12, one of 32 bytes once in 10^15; what people type has fewer."""

_DIGITS: Final = re.compile(r"[0-9a-fA-F]*")


def read_digits(text: str, *, key_bytes: int) -> bytes | None:
    """The key in a file's text: its hexadecimal digits on one line, and nothing else; None where that is not what stands there."""
    digits = text.strip()
    if len(digits) != 2 * key_bytes or _DIGITS.fullmatch(digits) is None:
        return None
    return bytes.fromhex(digits)


def can_be_guessed(key: bytes) -> bool:
    """Whether anybody would try this key first: one byte repeated, counted up or down (as is the default of OSDP), few bytes in turn."""
    steps = {(after - before) % 256 for before, after in itertools.pairwise(key)}
    return len(steps) == 1 or len(set(key)) < _LEAST_DISTINCT * len(key)
