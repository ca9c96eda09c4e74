"""The hash chain of a journal: each row's head covers its bytes and, through the head before it, every row since the epoch began.

    head(0)   = 64 zeros
    head(seq) = hexadecimal SHA-256( the 32 bytes of head(seq - 1) || the chained bytes of row seq )

Which bytes are chained is said in `agent.core.envelope`; nothing is written out anew to be hashed, so a verifier in any language needs
no rule for the form of numbers or the order of keys.
"""

import json
import math
import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

GENESIS = "0" * 64  # the head before the first row of an epoch
_HEAD = re.compile(r"[0-9a-f]{64}", re.ASCII)


def link(previous_head: str, chained: bytes) -> str:
    """The head after a row: 64 lower-case hexadecimal digits."""
    return sha256(bytes.fromhex(previous_head) + chained).hexdigest()


def is_head(text: object) -> bool:
    return isinstance(text, str) and _HEAD.fullmatch(text) is not None


def canonical(record: Mapping[str, Any]) -> bytes:
    """The record as the journal writes it: JSON in ASCII, no spaces, keys in the order given.

    A number that JSON cannot say (infinite, not a number) is written as null: a strange score must never cost the event.
    """
    try:
        text = json.dumps(record, separators=(",", ":"), allow_nan=False)
    except ValueError:
        text = json.dumps(_finite(record), separators=(",", ":"), allow_nan=False)
    return text.encode("ascii")


def _finite(value: Any) -> Any:
    match value:
        case float():
            return value if math.isfinite(value) else None
        case Mapping():
            return {key: _finite(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_finite(inner) for inner in value]
        case _:
            return value
