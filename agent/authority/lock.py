"""One command at a time changes what an authority has signed. Who waits is told for whom.

The lock is the kernel's (flock), so it is gone with the process that had it, however that ended. People who are enrolled, suspended or
removed do not wait for it: the register has transactions of its own, and nobody shall wait for an hour to stop somebody from passing.
"""

import fcntl
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from agent.authority.errors import AuthorityError

FILE: Final = ".lock"
WAIT_S: Final = 300.0
"""Longer than the longest release takes, of 100,000 people. No command waits for a person while it holds the lock."""

_LOOK_EVERY_S: Final = 0.1
_HOLDER_BYTES_MAX: Final = 200


def on_terminal(sentence: str) -> None:
    print(f"gate-roster: {sentence}", file=sys.stderr, flush=True)


@contextmanager
def locked(
    folder: Path, what: str, *, name: str = FILE, wait_s: float = WAIT_S, say: Callable[[str], None] | None = None
) -> Iterator[None]:
    """Hold the lock of a folder. what: the command, for who waits. say: is told once, where it has to wait; None: the terminal.

    Raises:
        AuthorityError: another process had it all the time, or the folder cannot be written.
    """
    file = folder / name
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise AuthorityError(f"{folder} cannot be written ({error.strerror}); {what} needs to") from error
    try:
        _wait(descriptor, file, what=what, wait_s=wait_s, say=say or on_terminal)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"'gate-roster {what}' (process {os.getpid()})".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _wait(descriptor: int, file: Path, *, what: str, wait_s: float, say: Callable[[str], None]) -> None:
    give_up, told = time.monotonic() + wait_s, False
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, _HOLDER_BYTES_MAX, 0).decode(errors="replace") or "another process"
            if time.monotonic() >= give_up:
                waited = f" after {wait_s:g} s" if wait_s else ""
                raise AuthorityError(
                    f"{holder} still works in {file.parent}{waited}; '{what}' has changed nothing, try again when the other is done"
                ) from None
            if not told:
                say(f"waiting for {holder}, which works in {file.parent}")
                told = True
            time.sleep(_LOOK_EVERY_S)
        except OSError as error:
            raise AuthorityError(f"{file} cannot be locked ({error.strerror}); keep the authority on a local disk") from error
        else:
            return
