"""The durable record of a lane: one append-only, hash-chained table, which is also the outbox of the uplink.

WAL with synchronous=FULL: what `commit` returned for survives a power cut. One connection writes, owned by the control thread; readers
open the file read-only. When the disk is full nothing is overwritten: the commit fails, entry goes out of service, and the same
commit may be tried again. A damaged file is renamed with its companions, and a new epoch begins in a new file.
"""

import secrets
import sqlite3
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from agent.core import chain, envelope
from agent.core.events import Event, EventType, Value
from agent.core.known import LastKnown
from agent.core.moment import NS_PER_MS, ClockQuality
from agent.core.topics import Lane
from agent.drivers import journal_files, journal_known, journal_opening, journal_schema
from agent.drivers.journal_faults import Cure, fault_of, sentence
from agent.drivers.journal_opening import CHECKED_ROWS, Tail
from agent.errors import AcknowledgementError, JournalError
from agent.ports import Clock, Committed

PRUNED_ROWS = 200  # most rows deleted at once: a few ms, between two inputs of the lane
CHECKPOINT_ROWS = 100  # rows after which an acknowledgement also moves the write-ahead log into the file
DAY_S: Final = 86_400
EPOCH_BYTES = 8


class SqliteJournal:
    """Implements `agent.ports.Journal`.

    Args:
        keep_days: delivered rows older than this are pruned; undelivered ones never.

    Raises:
        JournalError: in use by another process, written by a newer version, of another lane, or not to be opened or created.
    """

    def __init__(self, path: Path, *, site: str, gate: str, simulation: bool, clock: Clock, keep_days: int = 30) -> None:
        self._path = path
        self._lane = Lane(site, gate, simulation)
        self._clock = clock
        self._keep_days = keep_days
        self._since_checkpoint = 0
        self._damage: str | None = None  # why the file has to be replaced when it is opened next
        self._origin: dict[str, Value] = {"reason": "new", "set_aside": None, "detail": ""}  # of the next epoch, should one begin
        self._connection: sqlite3.Connection | None = None
        self._tail = Tail("", 0, chain.GENESIS)
        self._identity = (0, 0)
        self._ownership = journal_files.Ownership(path)
        with ExitStack() as on_failure:
            on_failure.callback(self._ownership.release)
            self.reopen()
            on_failure.pop_all()

    @property
    def path(self) -> Path:
        return self._path

    @property
    def epoch(self) -> str:
        return self._tail.epoch

    @property
    def seq(self) -> int:
        """The newest row."""
        return self._tail.seq

    def reopen(self) -> None:
        """Open the file anew; a damaged one is set aside and a new epoch begins. `commit` does this by itself when it has to.

        Raises:
            JournalError: as the constructor.
        """
        if self._damage is not None:
            self._replace(self._damage)
            return
        self._disconnect()
        if not self._path.exists():
            self._begin()
            return
        try:
            self._connection = journal_opening.connect(self._path)
            journal_opening.settle(self._connection)
            empty = journal_schema.is_empty(self._connection)
            if not empty:
                self._tail = journal_opening.verified_tail(self._connection, self._path, self._lane)
        except sqlite3.Error as error:
            if journal_opening.means_damage(error):
                self._replace(str(error))
                return
            self._disconnect()
            raise JournalError(sentence(self._path, error)) from error
        except JournalError:
            self._disconnect()
            raise
        if empty:  # a start that was cut short before its first commit
            self._begin()
        self._opened()

    def close(self) -> None:
        self._disconnect()
        self._ownership.release()

    def commit(self, events: Sequence[Event]) -> Committed:
        """Append the events in one transaction; durable when it returns.

        Raises:
            JournalError: nothing of it is in the journal. Trying again is right: it opens or replaces the file if that is what helps.
        """
        began_ns = time.monotonic_ns()
        connection = self._ready()
        if events:
            rows = self._rows(events)
            try:
                connection.execute("BEGIN IMMEDIATE")
                self._append(connection, events, rows)
                connection.execute("COMMIT")
            except sqlite3.Error as error:
                raise self._failed(error) from error
            finally:
                self._roll_back()  # an event that cannot be written down must not leave a transaction behind
            self._tail = Tail(self._tail.epoch, rows[-1][0], rows[-1][2])
            self._since_checkpoint += len(rows)
        commit_ms = (time.monotonic_ns() - began_ns) / NS_PER_MS
        return Committed(self._tail.epoch, self._tail.seq, self._tail.head, commit_ms)

    def mark_delivered(self, *, epoch: str, seq: int, head: str) -> None:
        """The consumer holds all rows up to seq. A lower seq than before changes nothing; another epoch is not this file's.

        Raises:
            AcknowledgementError: the head is not ours, or we have no such row; nothing is changed.
            JournalError: the mark could not be written; the rows stay.
        """
        if epoch != self._tail.epoch or seq < 1:
            return
        connection = self._ready()
        try:
            delivered, pruned = journal_opening.mark(connection, "delivered"), journal_opening.mark(connection, "pruned")
            ours = journal_opening.head_at(connection, seq, pruned=pruned)
            if ours != head and seq >= pruned[0]:
                raise AcknowledgementError(seq=seq, ours=ours, theirs=head)
            if seq <= delivered[0]:
                return
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("UPDATE mark SET seq = ?, head = ? WHERE name = 'delivered'", (seq, head))
            self._prune(connection, delivered=seq, pruned=pruned[0])
            connection.execute("COMMIT")
            self._checkpoint(connection)
        except sqlite3.Error as error:
            raise self._failed(error) from error

    def last_known(self) -> LastKnown:
        """What the core begins with. `lock_down` is not the journal's to know and is False."""
        connection = self._ready()
        try:
            return journal_known.last_known(connection)
        except sqlite3.Error as error:
            raise self._failed(error) from error

    # --- opening ------------------------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        """A new file with a new epoch, whose first row says why."""
        journal_files.create(self._path)
        epoch = secrets.token_hex(EPOCH_BYTES)
        event = Event(EventType.JOURNAL_EPOCH, self._clock.now(), self._origin)
        self._tail = Tail(epoch, 0, chain.GENESIS)
        rows = self._rows([event])
        try:
            self._connection = self._connection or journal_opening.connect(self._path)
            journal_opening.settle(self._connection)
            self._connection.execute("BEGIN IMMEDIATE")
            journal_schema.create(self._connection, epoch=epoch, source=self._lane.source, genesis=chain.GENESIS)
            self._append(self._connection, [event], rows)
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._disconnect()
            raise JournalError(sentence(self._path, error)) from error
        self._tail = Tail(epoch, rows[-1][0], rows[-1][2])
        self._opened()

    def _opened(self) -> None:
        self._identity = self._identity_now()
        self._origin = {"reason": "removed", "set_aside": None, "detail": ""}

    def _replace(self, damage: str) -> None:
        """Renamed before it is closed: SQLite removes the write-ahead log of a file that it closes, and rows may be in it."""
        self._damage = damage
        aside = journal_files.set_aside(self._path, self._clock.now()).name if self._path.exists() else None
        self._disconnect()
        self._origin = {"reason": "damaged", "set_aside": aside, "detail": damage}
        self._damage = None
        self._begin()

    # --- writing ------------------------------------------------------------------------------------------------------------------

    def _ready(self) -> sqlite3.Connection:
        if self._connection is not None and self._identity_now() != self._identity:
            self._disconnect()  # somebody removed or replaced the file: what is written now would be lost with it
        if self._connection is None or self._damage is not None:
            self.reopen()
        assert self._connection is not None
        return self._connection

    def _rows(self, events: Sequence[Event]) -> list[tuple[int, str, str]]:
        rows = []
        seq, head = self._tail.seq, self._tail.head
        for event in events:
            seq += 1
            body = envelope.seal(event, self._lane, epoch=self._tail.epoch, seq=seq)
            head = chain.link(head, body)
            rows.append((seq, body.decode("ascii"), head))
        return rows

    @staticmethod
    def _append(connection: sqlite3.Connection, events: Sequence[Event], rows: Sequence[tuple[int, str, str]]) -> None:
        connection.executemany("INSERT INTO event VALUES (?, ?, ?)", rows)
        for event in events:
            journal_known.remember(connection, event)
        newest = events[-1].at
        if newest.quality is not ClockQuality.UNKNOWN:
            connection.execute(
                "INSERT INTO day VALUES (?, ?) ON CONFLICT (day) DO UPDATE SET seq = excluded.seq",
                (newest.wall_s // DAY_S, rows[-1][0]),
            )

    def _prune(self, connection: sqlite3.Connection, *, delivered: int, pruned: int) -> None:
        """Delete a few of the oldest rows that are delivered and older than keep_days; order is the sequence, age the trusted days."""
        now = self._clock.now()
        if now.quality is ClockQuality.UNKNOWN:
            return
        oldest_kept = now.wall_s // DAY_S - self._keep_days
        (aged,) = connection.execute("SELECT coalesce(max(seq), 0) FROM day WHERE day < ?", (oldest_kept,)).fetchone()
        upto = min(aged, delivered, self._tail.seq - CHECKED_ROWS, pruned + PRUNED_ROWS)
        if upto <= pruned:
            return
        (head,) = connection.execute("SELECT head FROM event WHERE seq = ?", (upto,)).fetchone()
        connection.execute("DELETE FROM event WHERE seq <= ?", (upto,))
        connection.execute("DELETE FROM day WHERE seq <= ?", (upto,))
        connection.execute("UPDATE mark SET seq = ?, head = ? WHERE name = 'pruned'", (upto, head))

    def _checkpoint(self, connection: sqlite3.Connection) -> None:
        """Here rather than inside a commit that a release waits for; SQLite's own, after 1,000 pages, stays as a net."""
        if self._since_checkpoint >= CHECKPOINT_ROWS:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            self._since_checkpoint = 0

    def _failed(self, error: sqlite3.Error) -> JournalError:
        """Undo, and leave the journal in a state from which the next call does what helps."""
        self._roll_back()
        match fault_of(error).cure:
            case Cure.WAIT:
                pass
            case Cure.REOPEN:
                self._disconnect()
            case Cure.REPLACE:
                self._damage = str(error)
        return JournalError(sentence(self._path, error))

    def _roll_back(self) -> None:
        try:
            if self._connection is not None and self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error:
            self._disconnect()

    # --- small things -------------------------------------------------------------------------------------------------------------

    def _identity_now(self) -> tuple[int, int]:
        try:
            status = self._path.stat()
        except OSError:
            return (0, 0)
        return (status.st_dev, status.st_ino)

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
