"""The key of the barrier's line, from its file: of the link to our controller, or of a board's secure channel. No sentence holds it."""

from pathlib import Path
from typing import Final

from agent.barrier_config import BarrierKind
from agent.errors import UsageError
from agent.roster.plain_file import read_plain
from firmware_bridge.errors import BridgeError
from firmware_bridge.key_text import can_be_guessed, read_digits
from firmware_bridge.limits import KEY_BYTES
from firmware_bridge.osdp_key import key_from_hex

_FILE_BYTES_MAX: Final = 4096  # room for the digits and blank lines


def read_barrier_key(kind: BarrierKind, file: Path) -> bytes:
    """The key as the driver of this kind takes it: 32 bytes, or 16 for an OSDP board.

    Raises:
        UsageError: unreadable, no such key, or one that anybody would try first.
    """
    try:
        text = read_plain(file, bytes_max=_FILE_BYTES_MAX).decode("ascii", "replace")
    except OSError as error:
        why = f"{error.strerror}; see barrier.key_file, and run as root or as the agent's user"
        raise UsageError(f"{file}: the key cannot be read ({why})") from error
    if kind is BarrierKind.OSDP:
        try:
            return key_from_hex(text)
        except BridgeError as error:
            raise UsageError(f"{file}: {error}") from error
    return _controller_key(text, file)


def _controller_key(text: str, file: Path) -> bytes:
    make = "make one as systemd/README.md says, and give it to the controller too"
    key = read_digits(text, key_bytes=KEY_BYTES)
    if key is None:
        raise UsageError(f"{file}: is no key of a controller; it must be {2 * KEY_BYTES} hexadecimal digits and nothing else; {make}")
    if can_be_guessed(key):
        raise UsageError(f"{file}: this key can be guessed (zeros, a count or a repetition); {make}")
    return key
