"""Opening a journal: the settings of a connection, and the checks that are cheap with a million rows.

The newest rows are verified against the hash chain. The whole file is verified by `gate-agent journal verify`, never at a start.
"""

import itertools
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from agent.core import chain
from agent.core.topics import Lane
from agent.drivers import journal_known, journal_schema
from agent.drivers.journal_faults import Cure, fault_of
from agent.errors import JournalError

BUSY_S = 0.25  # longest wait for somebody else's lock; the controller's lease is 2 s
CHECKED_ROWS = 256  # newest rows whose chain is verified at the start, and the least number that pruning leaves

Row = tuple[int, bytes, str]  # seq, chained bytes, head


@dataclass(frozen=True, slots=True)
class Tail:
    """The newest row of a journal."""

    epoch: str
    seq: int
    head: str


class DamagedError(sqlite3.DatabaseError):
    """The file opened, but it does not hold what a journal holds; treated as SQLite's own report of damage."""

    sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    sqlite_errorname = "SQLITE_CORRUPT"


def connect(path: Path) -> sqlite3.Connection:
    """The one connection that writes; nothing of the file is read yet."""
    # check_same_thread: the composition root opens it, the control thread alone uses it from then on.
    return sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)


def settle(connection: sqlite3.Connection) -> None:
    """The settings that make a commit survive a power cut."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")


def means_damage(error: sqlite3.Error) -> bool:
    """Whether an error met while opening speaks of the file's contents: damage, a table that is missing, text that is none."""
    code = getattr(error, "sqlite_errorcode", None)
    return fault_of(error).cure is Cure.REPLACE or code in {None, sqlite3.SQLITE_ERROR}


def verified_tail(connection: sqlite3.Connection, path: Path, lane: Lane) -> Tail:
    """Read what every start needs, and verify the chain of the newest rows.

    Raises:
        sqlite3.Error: something is missing or does not fit (see `means_damage`).
        JournalError: the file is sound but not for us.
    """
    version = journal_schema.version(connection)
    if version > journal_schema.VERSION:
        raise JournalError(
            f"the journal {path} has format {version}, this software knows {journal_schema.VERSION}; install the newer one again"
        )
    meta = connection.execute("SELECT epoch, source FROM meta").fetchone() if version else None
    if meta is None:
        raise DamagedError("it does not say which epoch it holds")
    epoch, source = meta
    if source != lane.source:
        raise JournalError(
            f"the journal {path} belongs to {source}, this lane is {lane.source}; correct the configuration or move the journal away"
        )
    journal_known.last_known(connection)
    connection.execute("SELECT max(day) FROM day").fetchone()
    mark(connection, "delivered")
    rows = connection.execute("SELECT seq, CAST(body AS BLOB), head FROM event ORDER BY seq DESC LIMIT ?", (CHECKED_ROWS + 1,)).fetchall()[
        ::-1
    ]
    if not rows:
        raise DamagedError("it holds no row")
    pruned_seq, pruned_head = mark(connection, "pruned")
    if len(rows) <= CHECKED_ROWS:  # all of them: the first one must follow what was pruned
        rows.insert(0, (pruned_seq, b"", pruned_head))
    for before, after in itertools.pairwise(rows):
        check_link(before, after)
    return Tail(epoch, rows[-1][0], rows[-1][2])


def check_link(before: Row, after: Row) -> None:
    """Raise DamagedError where a row does not follow the one before it."""
    if after[0] != before[0] + 1:
        raise DamagedError(f"row {before[0] + 1} is missing")
    if not chain.is_head(before[2]) or chain.link(before[2], after[1]) != after[2]:
        raise DamagedError(f"row {after[0]} is not what was written")


def mark(connection: sqlite3.Connection, name: str) -> tuple[int, str]:
    """How far the rows are 'delivered' or 'pruned': the last such row and the head after it; row 0 when none is."""
    row = connection.execute("SELECT seq, head FROM mark WHERE name = ?", (name,)).fetchone()
    if row is None:
        raise DamagedError(f"its mark '{name}' is missing")
    return int(row[0]), str(row[1])


def head_at(connection: sqlite3.Connection, seq: int, *, pruned: tuple[int, str]) -> str | None:
    """The head after a row; None where there is no such row."""
    if seq == pruned[0]:
        return pruned[1]
    row = connection.execute("SELECT head FROM event WHERE seq = ?", (seq,)).fetchone()
    return None if row is None else str(row[0])
