"""What SQLite's errors mean to a person, and which of them mean that the file itself is damaged."""

import sqlite3
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

_PRIMARY = 0xFF  # the low byte of an extended result code


class Cure(Enum):
    WAIT = "wait"  # the connection is sound: the same call may succeed later
    REOPEN = "reopen"  # what the connection believes of the file is in doubt
    REPLACE = "replace"  # the file is damaged


@dataclass(frozen=True, slots=True)
class Fault:
    cure: Cure
    words: str


_FAULTS = {
    sqlite3.SQLITE_FULL: Fault(Cure.WAIT, "the disk is full; nothing is overwritten: free some space, or deliver and prune"),
    sqlite3.SQLITE_BUSY: Fault(Cure.WAIT, "another program holds it locked; close whatever has it open for writing"),
    sqlite3.SQLITE_LOCKED: Fault(Cure.WAIT, "another program holds it locked; close whatever has it open for writing"),
    sqlite3.SQLITE_READONLY: Fault(
        Cure.REOPEN, "it cannot be written; check its owner, its permissions and that the disk is not read-only"
    ),
    sqlite3.SQLITE_PERM: Fault(Cure.REOPEN, "it may not be opened; check its owner and its permissions"),
    sqlite3.SQLITE_AUTH: Fault(Cure.REOPEN, "it may not be opened; check its owner and its permissions"),
    sqlite3.SQLITE_CANTOPEN: Fault(Cure.REOPEN, "it cannot be opened; check that its folder is there and may be written"),
    sqlite3.SQLITE_IOERR: Fault(Cure.REOPEN, "the disk reports an error; check it (dmesg) and replace it"),
    sqlite3.SQLITE_CORRUPT: Fault(Cure.REPLACE, "its contents are damaged"),
    sqlite3.SQLITE_NOTADB: Fault(Cure.REPLACE, "it is not a database, or its first page is damaged"),
    sqlite3.SQLITE_FORMAT: Fault(Cure.REPLACE, "its format is damaged"),
}


def fault_of(error: sqlite3.Error) -> Fault:
    """The meaning of an error; an unknown one keeps SQLite's own words and asks for a new connection."""
    code = getattr(error, "sqlite_errorcode", None)
    known = None if code is None else _FAULTS.get(code & _PRIMARY)
    return known or Fault(Cure.REOPEN, f"SQLite says: {error}")


def sentence(path: Path, error: sqlite3.Error) -> str:
    fault = fault_of(error)
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    return f"the journal {path} takes no event: {fault.words} ({name})"
