"""The keyed MAC of the link: HMAC-SHA256 cut to 16 bytes (PROTOCOL.md section 5 says why this one)."""

import hmac
import struct
from typing import Final

from firmware_bridge.errors import MessageError
from firmware_bridge.limits import KEY_BYTES, NONCE_BYTES, TAG_BYTES
from firmware_bridge.vocabulary import LinkMode, Sender

KEYLESS: Final = bytes(KEY_BYTES)
"""What stands in for the key of a keyless link: known to all, so the tag then guards against accidents only."""

_SESSION: Final = b"gate-native-1 session"
_NONCE: Final = b"gate-native-1 nonce"
_HEAD: Final = struct.Struct("<BBI")


def check_key(key: bytes | None) -> tuple[LinkMode, bytes]:
    """The mode of the link and its key. None is a keyless link.

    Raises:
        MessageError: wrong length, or a key that is all zero bytes.
    """
    if key is None:
        return LinkMode.KEYLESS, KEYLESS
    if len(key) != KEY_BYTES:
        raise MessageError(f"the link's key is {len(key)} bytes; it must be {KEY_BYTES} (64 hexadecimal digits)")
    if key == KEYLESS:
        raise MessageError("the link's key is all zeros, which stands for a link without a key; make one from a random source")
    return LinkMode.KEYED, key


def session_key(key: bytes, *, hello_payload: bytes, controller_nonce: bytes) -> bytes:
    """The key of one session. Both nonces are in it (the host's in its HELLO), and so is all else that the HELLO says."""
    return hmac.digest(key, _SESSION + hello_payload + controller_nonce, "sha256")


def tag(key: bytes, *, sender: Sender, code: int, sequence: int, payload: bytes) -> bytes:
    """The MAC of one message under the session's key."""
    return hmac.digest(key, _HEAD.pack(sender, code, sequence) + payload, "sha256")[:TAG_BYTES]


def derived_nonce(key: bytes, *, boot_count: int, hello_count: int) -> bytes:
    """A nonce for a controller without a random source: never repeats while the boot count is kept over power loss."""
    return hmac.digest(key, _NONCE + struct.pack("<II", boot_count, hello_count), "sha256")[:NONCE_BYTES]


def same(one: bytes, other: bytes) -> bool:
    """Whether two tags are equal, in a time that does not tell where they differ."""
    return hmac.compare_digest(one, other)
