"""Files that are whole or absent, whatever happens while they are written."""

import os
import secrets
from pathlib import Path


def write_whole(file: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Write a file so that a reader, and a power cut, finds the old one or the new one. Two may write it at once: the last one stays."""
    file.parent.mkdir(parents=True, exist_ok=True)
    waiting = file.with_name(f".{file.name}.{unique()}.new")
    try:
        descriptor = os.open(waiting, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as sink:
            sink.write(data)
            sink.flush()
            os.fsync(sink.fileno())
        waiting.replace(file)
    except BaseException:
        waiting.unlink(missing_ok=True)
        raise
    sync_folder(file.parent)


def unique() -> str:
    """A part of a name that no other process and no earlier one used."""
    return f"{os.getpid()}-{secrets.token_hex(4)}"


def sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
