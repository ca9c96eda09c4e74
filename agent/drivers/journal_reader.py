"""Reading a journal while another connection writes it: rows in order, and what is known of their delivery.

The connection is read-only and every read ends at once, so it never holds back the writer and never moves the write-ahead log (one
connection must do that: SQLite below 3.51.3 can lose a transaction when two do).
"""

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from agent.core import envelope
from agent.drivers import journal_opening
from agent.drivers.journal_faults import fault_of
from agent.errors import JournalError

BUSY_S = 1.0


@dataclass(frozen=True, slots=True)
class StoredRow:
    """One row as it is stored."""

    seq: int
    chained: bytes
    head: str

    @property
    def payload(self) -> bytes:
        """The bytes on the wire."""
        return envelope.payload(self.chained, self.head)


@dataclass(frozen=True, slots=True)
class Extent:
    """What a journal holds: rows pruned_seq + 1 to last_seq, delivered up to delivered_seq."""

    epoch: str
    source: str
    pruned_seq: int
    pruned_head: str
    delivered_seq: int
    last_seq: int


class JournalReader:
    """One read-only connection, used by one thread.

    Raises:
        JournalError: there is no journal, or it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        if not path.is_file():
            raise JournalError(f"there is no journal at {path}; is the path right, and did gate-agent run?")
        try:
            self._identity = self._identity_now()
            self._connection = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=BUSY_S, isolation_level=None)
        except (OSError, sqlite3.Error) as error:
            raise JournalError(f"the journal {path} cannot be opened for reading: {error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @property
    def connection(self) -> sqlite3.Connection:
        """For tools that ask questions of their own."""
        return self._connection

    def replaced(self) -> bool:
        """Whether the path now names another file: this one was set aside."""
        try:
            return self._identity_now() != self._identity
        except OSError:
            return True

    def extent(self) -> Extent:
        """One consistent view of how far the journal goes."""
        try:
            self._connection.execute("BEGIN")
            try:
                epoch, source = self._connection.execute("SELECT epoch, source FROM meta").fetchone() or ("", "")
                pruned_seq, pruned_head = journal_opening.mark(self._connection, "pruned")
                delivered_seq, _ = journal_opening.mark(self._connection, "delivered")
                (last,) = self._connection.execute("SELECT max(seq) FROM event").fetchone()
            finally:
                self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise self._unreadable(error) from error
        return Extent(epoch, source, pruned_seq, pruned_head, delivered_seq, pruned_seq if last is None else last)

    def rows(self, after: int, limit: int) -> list[StoredRow]:
        """Up to `limit` rows with seq > after, in order."""
        try:
            found = self._connection.execute(
                "SELECT seq, CAST(body AS BLOB), head FROM event WHERE seq > ? ORDER BY seq LIMIT ?", (after, limit)
            ).fetchall()
        except sqlite3.Error as error:
            raise self._unreadable(error) from error
        return [StoredRow(seq, chained, head) for seq, chained, head in found]

    def head_at(self, seq: int, extent: Extent) -> str | None:
        """The head after a row; None where the journal does not hold it."""
        try:
            return journal_opening.head_at(self._connection, seq, pruned=(extent.pruned_seq, extent.pruned_head))
        except sqlite3.Error as error:
            raise self._unreadable(error) from error

    def close(self) -> None:
        self._connection.close()

    def _identity_now(self) -> tuple[int, int]:
        status = self._path.stat()
        return (status.st_dev, status.st_ino)

    def _unreadable(self, error: sqlite3.Error) -> JournalError:
        return JournalError(f"the journal {self._path} cannot be read: {fault_of(error).words}")
