"""trust.db: what this gate may trust, and the lane's lock-down. One connection, one lock, every write one durable transaction.

A missing file is a first start and is made. A file that is there and is not whole is never replaced: it holds the floors that keep an old
roster out. The store then has a `fault`, entry is out of service, and `reopen` succeeds once a person has set the file aside
(docs/ROSTER.md, "When trust.db is damaged").
"""

import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from agent.roster.errors import Reason, RosterError
from agent.roster.trust import NO_FLOORS, Floors, Release

APPLICATION_ID: Final = 0x47415445
"""Marks the file as ours in its first hundred bytes: "GATE"."""
SCHEMA_VERSION: Final = 1

_SCHEMA = """
CREATE TABLE metadata (name TEXT PRIMARY KEY, content BLOB NOT NULL) STRICT;
CREATE TABLE roster (id INTEGER PRIMARY KEY CHECK (id = 1), version INTEGER NOT NULL, document BLOB NOT NULL) STRICT;
CREATE TABLE floor (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
CREATE TABLE lane (id INTEGER PRIMARY KEY CHECK (id = 1), lock_down INTEGER NOT NULL CHECK (lock_down IN (0, 1))) STRICT;
INSERT INTO lane VALUES (1, 0);
"""
_ISSUED = "time"
"""Name of the row of `floor` that holds the newest signed issue time."""

_BUSY_MS = 1000
"""Another connection is a person with sqlite3, or a backup. Not longer: the control thread waits too, and its lease is 2 s."""

_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)
"""Errors that speak of the file's content; all others are of the disk, its rights or another program, and pass."""

_SET_ASIDE = "move it aside (mv trust.db trust.db.damaged, with its -wal and -shm) and bring a fresh release; see docs/ROSTER.md"


@dataclass(frozen=True, slots=True)
class Stored:
    """The release in force."""

    version: int
    document: bytes
    metadata: Mapping[str, bytes]


class TrustStore:
    """Implements ports.LockDownStore; used by the control thread (lock-down) and the loader thread (rosters).

    Attributes:
        fault: why the file cannot be used; None when it can.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self.fault: RosterError | None = None
        self._unstored_lock_down: bool | None = None  # said while the file could not take it
        self.reopen()

    def reopen(self) -> bool:
        """Try to open the file, and to store a lock-down that it could not take before; True when it can be used."""
        with self._lock:
            try:
                if self._connection is None:
                    self._connection = _open(self._path)
                    self.fault = None
                if self._unstored_lock_down is not None:
                    with suppress(sqlite3.OperationalError):  # still full or locked; the next look tries again
                        _set_lock_down(self._connection, on=self._unstored_lock_down)
                        self._unstored_lock_down = None
            except (OSError, sqlite3.Error, RosterError) as error:
                if self._connection is not None:
                    self._connection.close()
                    self._connection = None
                self.fault = _fault(self._path, error)
            return self._connection is not None

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    # --- the roster, by the loader ---

    def floors(self) -> Floors:
        """Raises RosterError (DAMAGED_STORE)."""
        with self._use() as connection:
            return _floors(connection)

    def load(self) -> Stored | None:
        """The release in force; None before the first. Raises RosterError (DAMAGED_STORE)."""
        with self._use() as connection:
            row = connection.execute("SELECT version, document FROM roster").fetchone()
            if row is None:
                return None
            return Stored(version=row[0], document=row[1], metadata=MappingProxyType(_metadata(connection)))

    def metadata(self) -> Mapping[str, bytes]:
        """Metadata of the release in force; empty before the first. Raises RosterError (DAMAGED_STORE)."""
        with self._use() as connection:
            return MappingProxyType(_metadata(connection))

    def install(self, release: Release, floors: Floors) -> None:
        """Put a release in force: people, metadata and floors in one transaction.

        Raises:
            RosterError: NOT_STORED; nothing has changed.
        """
        with self._use() as connection:
            try:
                with _transaction(connection):
                    connection.execute("DELETE FROM metadata")
                    connection.executemany("INSERT INTO metadata VALUES (?, ?)", release.metadata.items())
                    connection.execute("DELETE FROM floor")
                    connection.executemany("INSERT INTO floor VALUES (?, ?)", [*floors.versions.items(), (_ISSUED, floors.issued_s)])
                    connection.execute("INSERT OR REPLACE INTO roster VALUES (1, ?, ?)", (release.version, release.document))
            except sqlite3.OperationalError as error:  # full, read-only, failing; damage is another class and ends in _use
                sentence = f"the roster is genuine, but {self._path} would not take it ({error}); make room on the disk"
                raise RosterError(Reason.NOT_STORED, sentence) from error
            # Everything into the main file: a -wal that is lost later must not take the floors back.
            with suppress(sqlite3.OperationalError):
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    # --- lock-down, by the control thread ---

    def lock_down(self) -> bool:
        """As stored. A file that cannot be read counts as locked down: entry is out of service then in any case."""
        try:
            with self._use() as connection:
                return bool(connection.execute("SELECT lock_down FROM lane").fetchone()[0])
        except (RosterError, TypeError):
            return True

    def set_lock_down(self, *, on: bool) -> None:
        """Durable when it returns. Raises RosterError: it acts now, but a restart would forget it until the file can be used again."""
        self._unstored_lock_down = on
        with self._use() as connection:
            try:
                _set_lock_down(connection, on=on)
                self._unstored_lock_down = None
            except sqlite3.OperationalError as error:
                raise RosterError(Reason.NOT_STORED, f"{self._path} would not take the lock-down ({error}); mend the disk") from error

    @contextmanager
    def _use(self) -> Iterator[sqlite3.Connection]:
        """The connection, alone. Damage that shows only now closes it."""
        with self._lock:
            if self._connection is None:
                raise self.fault or RosterError(Reason.DAMAGED_STORE, f"{self._path} is closed")
            try:
                yield self._connection
            except sqlite3.Error as error:
                self._connection.close()
                self._connection = None
                self.fault = _fault(self._path, error)
                raise self.fault from error


def _set_lock_down(connection: sqlite3.Connection, *, on: bool) -> None:
    with _transaction(connection):
        connection.execute("UPDATE lane SET lock_down = ?", (int(on),))


def _floors(connection: sqlite3.Connection) -> Floors:
    rows = dict(connection.execute("SELECT name, value FROM floor"))
    if not rows:
        return NO_FLOORS
    issued_s = rows.pop(_ISSUED, 0)
    return Floors(versions=MappingProxyType(rows), issued_s=issued_s)


def _metadata(connection: sqlite3.Connection) -> dict[str, bytes]:
    return dict(connection.execute("SELECT name, content FROM metadata"))


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _open(path: Path) -> sqlite3.Connection:
    if not path.exists():
        _create(path)
    # No statement is kept for the next time: it would keep its values too, of which one is the whole document.
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=0)
    try:
        connection.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
        _check(connection, path)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
    except BaseException:
        connection.close()
        raise
    return connection


def _check(connection: sqlite3.Connection, path: Path) -> None:
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise RosterError(Reason.DAMAGED_STORE, f"{path} is not a trust file of gate-agent; {_SET_ASIDE}")
    found = connection.execute("PRAGMA user_version").fetchone()[0]
    if found != SCHEMA_VERSION:
        sentence = f"{path} has layout {found}, this version knows {SCHEMA_VERSION}; run the gate-agent that wrote it, or {_SET_ASIDE}"
        raise RosterError(Reason.DAMAGED_STORE, sentence)
    verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if verdict != "ok":
        raise RosterError(Reason.DAMAGED_STORE, f"{path} is damaged ({verdict}); {_SET_ASIDE}")
    if connection.execute("SELECT count(*) FROM lane").fetchone()[0] != 1:
        raise RosterError(Reason.DAMAGED_STORE, f"{path} does not say whether the lane is locked down; {_SET_ASIDE}")


def _create(path: Path) -> None:
    """Make the file beside its place and move it there whole: an empty trust.db is damage, never a beginning."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.new")
    beside.unlink(missing_ok=True)
    for suffix in ("-wal", "-shm"):  # of a file that was moved aside without them: SQLite would play them into the new one
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    os.close(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    connection = sqlite3.connect(beside, isolation_level=None)
    try:
        connection.execute("PRAGMA synchronous = FULL")
        connection.executescript(
            f"BEGIN; {_SCHEMA} PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
        )
    finally:
        connection.close()
    beside.rename(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _fault(path: Path, error: Exception) -> RosterError:
    match error:
        case RosterError():
            return error
        case sqlite3.Error() if getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF in _DAMAGE:
            return RosterError(Reason.DAMAGED_STORE, f"{path} is damaged ({error}); {_SET_ASIDE}")
        case _:
            return RosterError(
                Reason.DAMAGED_STORE, f"{path} cannot be used ({error}); mend the disk or its rights: the file itself is whole"
            )
