"""The lane's lock-down on the disk, in a file of its own beside trust.db: it outlives a trust.db that is set aside.

The file holds "on " or "off" and a line feed, and is written in place: four bytes of one sector need no room on a full disk and are not
torn. What is neither, or cannot be read, counts as locked down until somebody says otherwise: closed entry is a nuisance, entry that a
damaged disk has opened is a hole.
"""

import os
import threading
from pathlib import Path
from typing import Final

_ON: Final = b"on \n"
_OFF: Final = b"off\n"


class LockDownFile:
    """What the lane's lock-down is, also after a restart. Used by the control thread, and by the loader thread for what is not stored yet.

    Attributes:
        doubt: why it is not known whether somebody locked the lane down, so that it counts as locked down; None when it is known.
    """

    def __init__(self, file: Path, *, first_start: bool) -> None:
        """first_start: nothing else is there of an earlier run, so that a missing file is no loss."""
        self._file = file
        self._lock = threading.Lock()
        self._on, self.doubt = _found(file, first_start=first_start)
        self._unstored: bool = first_start or self.doubt is not None

    @property
    def on(self) -> bool:
        return self._on

    def set(self, *, on: bool) -> None:
        """Durable when it returns. Raises OSError: it is not stored; `store_again` tries once more."""
        with self._lock:
            self._on, self._unstored, self.doubt = on, True, None
            self._store()

    def store_again(self) -> None:
        """Store what could not be stored before. Raises OSError."""
        with self._lock:
            if self._unstored:
                self._store()

    def _store(self) -> None:
        is_new = not self._file.exists()
        self._file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            os.pwrite(descriptor, _ON if self._on else _OFF, 0)
            os.ftruncate(descriptor, len(_OFF))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if is_new:
            sync_folder(self._file.parent)
        self._unstored = False


def _found(file: Path, *, first_start: bool) -> tuple[bool, str | None]:
    """Whether the lane is locked down, and why that is not known."""
    try:
        with file.open("rb") as source:
            content = source.read(len(_OFF) + 1)
    except FileNotFoundError:
        return (False, None) if first_start else (True, f"{file} is missing")
    except OSError as error:
        return True, f"{file} cannot be read ({error.strerror})"
    if content not in (_ON, _OFF):
        return True, f"{file} says neither on nor off"
    return content == _ON, None


def sync_folder(folder: Path) -> None:
    """Make durable which files a folder holds. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
