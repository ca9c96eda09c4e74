"""Passphrases of private keys: from a file or the keyboard, never from the command line, which every user of the machine can read."""

import getpass
import sys
from pathlib import Path

from agent.authority.keys import Passphrase
from agent.errors import UsageError


def existing(file: Path | None) -> Passphrase:
    """Asks when an encrypted key is opened that no passphrase so far opens."""

    def ask(what: str) -> bytes:
        return _read(file) if file else _typed(f"Passphrase of {what}: ")

    return ask


def new(file: Path | None, *, ask: bool) -> bytes | None:
    """The passphrase for new keys; None: they are not encrypted."""
    if file:
        return _read(file)
    if not ask:
        return None
    first = _typed("New passphrase of the private keys: ")
    if first != _typed("Again: "):
        raise UsageError("the two passphrases differ; begin again")
    return first


def _typed(prompt: str) -> bytes:
    if not sys.stdin.isatty():
        raise UsageError("a passphrase is needed and there is no keyboard; give --passphrase-file FILE")
    return getpass.getpass(prompt).encode()


def _read(file: Path) -> bytes:
    try:
        mode = file.stat().st_mode
        text = file.read_bytes().rstrip(b"\r\n")
    except OSError as error:
        raise UsageError(f"the passphrase file {file} cannot be read ({error.strerror})") from error
    if mode & 0o077:
        raise UsageError(f"the passphrase file {file} may be read by others; run: chmod 600 {file}")
    if not text:
        raise UsageError(f"the passphrase file {file} is empty")
    return text
