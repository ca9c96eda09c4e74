"""The files around the journal: who owns it, how it is created, and how a damaged one is set aside with everything that belongs to it."""

import fcntl
import os
from pathlib import Path

from agent.core.moment import Moment
from agent.errors import JournalError

_COMPANIONS = ("", "-wal", "-shm")  # SQLite finds a write-ahead log by the name of its database


class Ownership:
    """Holds the journal for this process alone: two writers would give the same number to two events."""

    def __init__(self, path: Path) -> None:
        lock = path.with_name(path.name + ".lock")
        try:
            self._file = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise JournalError(f"the journal {path} cannot be opened: {lock}: {error.strerror}; check folder and owner") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = os.pread(self._file, 20, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._file)
            raise JournalError(f"the journal {path} is in use by process {owner}; stop that one first") from error
        os.truncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode("ascii"), 0)

    def release(self) -> None:
        os.close(self._file)


def create(path: Path) -> None:
    """An empty file that only its owner may read, durable in its folder; SQLite gives its companions the same permissions."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        sync_folder(path.parent)
    except OSError as error:
        raise JournalError(f"the journal {path} cannot be created: {error.strerror}; check its folder, owner and space") from error


def sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def set_aside(path: Path, moment: Moment) -> Path:
    """Rename a damaged journal and its companions; nothing of it is deleted or overwritten.

    Raises:
        JournalError: the folder does not allow it.
    """
    stamp = moment.rfc3339()[:19].replace("-", "").replace(":", "")
    target = path.with_name(f"{path.stem}.damaged-{stamp}Z{path.suffix}")
    tries = 1
    while target.exists():
        tries += 1
        target = path.with_name(f"{path.stem}.damaged-{stamp}Z-{tries}{path.suffix}")
    try:
        for companion in _COMPANIONS:
            source = path.with_name(path.name + companion)
            if source.exists():
                source.rename(target.with_name(target.name + companion))
        sync_folder(path.parent)
    except OSError as error:
        raise JournalError(f"the damaged journal {path} cannot be set aside as {target.name}: {error.strerror}") from error
    return target
