"""trust.db: what this gate may trust. One connection, one lock, every write one durable transaction. Beside it, the lane's lock-down.

The document of the release in force is one of two files beside trust.db, which says which: the next document is copied into the other one,
verified there, forced to the disk, and comes into force with its metadata and floors in one transaction. So it never lies in memory whole,
and nobody waits for the store while a large one is written.

A missing trust.db is a first start and is made. One that is there and is not whole is never replaced: it holds the floors that keep an old
roster out. The store then has a `fault`, entry is out of service, and `reopen` succeeds once a person has set the file aside
(docs/ROSTER.md, "When trust.db is damaged").
"""

import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final
from urllib.parse import quote

from agent.drivers.lock_down_file import LockDownFile, sync_folder
from agent.roster.errors import Reason, RosterError
from agent.roster.trust import NO_FLOORS, Floors, Release

APPLICATION_ID: Final = 0x47415445
"""Marks the file as ours in its first hundred bytes: "GATE"."""
SCHEMA_VERSION: Final = 2

_SCHEMA = """
CREATE TABLE metadata (name TEXT PRIMARY KEY, content BLOB NOT NULL) STRICT;
CREATE TABLE roster (id INTEGER PRIMARY KEY CHECK (id = 1), version INTEGER NOT NULL, slot INTEGER NOT NULL CHECK (slot IN (0, 1))) STRICT;
CREATE TABLE floor (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
"""
_DOCUMENTS = ("roster-0.cbor", "roster-1.cbor")
"""The two places of a document, by slot."""
LOCK_DOWN = "lock-down"
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
    document: Path
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
        self._lock_down = LockDownFile(path.with_name(LOCK_DOWN), first_start=not os.path.lexists(path))
        self.reopen()

    def reopen(self) -> bool:
        """Try to open the file, and to store a lock-down that the disk would not take before; True when trust.db can be used."""
        with suppress(OSError):  # still full or failing; the next look tries again
            self._lock_down.store_again()
        with self._lock:
            if self._connection is None:
                try:
                    self._connection = _open(self._path)
                    self.fault = None
                    self._discard_but(_slot(self._connection))
                except (OSError, sqlite3.Error, RosterError) as error:
                    self._shut(error)
            return self._connection is not None

    def _shut(self, error: Exception) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self.fault = _fault(self._path, error)

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
            row = connection.execute("SELECT version, slot FROM roster").fetchone()
            if row is None:
                return None
            return Stored(version=row[0], document=self._document(row[1]), metadata=MappingProxyType(_metadata(connection)))

    @contextmanager
    def incoming(self) -> Iterator[Path]:
        """Where the next release's document may be written while it is verified: gone afterwards, unless `install` put it in force.

        Raises:
            RosterError: DAMAGED_STORE.
        """
        with self._use() as connection:
            free = self._document(_free_slot(connection))
        try:
            yield free
        finally:
            with suppress(RosterError), self._use() as connection:
                self._discard_but(_slot(connection))

    def metadata(self) -> Mapping[str, bytes]:
        """Metadata of the release in force; empty before the first. Raises RosterError (DAMAGED_STORE)."""
        with self._use() as connection:
            return MappingProxyType(_metadata(connection))

    def install(self, release: Release, floors: Floors) -> None:
        """Put a release in force, of which the document lies where `incoming` said: people, metadata and floors in one transaction.

        Raises:
            RosterError: NOT_STORED; nothing has changed.
        """
        try:
            _sync(release.document)
        except OSError as error:
            raise self._not_stored(error) from error
        with self._use() as connection:
            slot = _free_slot(connection)
            assert release.document == self._document(slot)
            try:
                with _transaction(connection):
                    connection.execute("DELETE FROM metadata")
                    connection.executemany("INSERT INTO metadata VALUES (?, ?)", release.metadata.items())
                    connection.execute("DELETE FROM floor")
                    connection.executemany("INSERT INTO floor VALUES (?, ?)", [*floors.versions.items(), (_ISSUED, floors.issued_s)])
                    connection.execute("INSERT OR REPLACE INTO roster VALUES (1, ?, ?)", (release.version, slot))
            except sqlite3.OperationalError as error:  # full, read-only, failing; damage is another class and ends in _use
                raise self._not_stored(error) from error
            # Everything into the main file: a -wal that is lost later must not take the floors back.
            with suppress(sqlite3.OperationalError):
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _not_stored(self, error: Exception) -> RosterError:
        sentence = f"the roster is genuine, but {self._path.parent} would not take it ({error}); make room on the disk"
        return RosterError(Reason.NOT_STORED, sentence)

    def _document(self, slot: int) -> Path:
        return self._path.with_name(_DOCUMENTS[slot])

    def _discard_but(self, slot: int | None) -> None:
        """Remove documents that are not in force: of a release that was refused, replaced, or being copied when the power failed."""
        for other in {0, 1} - {slot}:
            with suppress(OSError):  # it is in nobody's way; the next look tries again
                self._document(other).unlink(missing_ok=True)

    # --- lock-down, by the control thread ---

    def lock_down(self) -> bool:
        """Whether the lane is locked down, also while trust.db cannot be used. What is not known counts as locked down."""
        return self._lock_down.on

    def lock_down_doubt(self) -> str | None:
        """Why the lane counts as locked down although nobody may have said so; None when it is known."""
        return self._lock_down.doubt

    def set_lock_down(self, *, on: bool) -> None:
        """Durable when it returns. Raises RosterError: it acts now, but a restart would forget it until the disk takes it."""
        try:
            self._lock_down.set(on=on)
        except OSError as error:
            sentence = f"{self._path.with_name(LOCK_DOWN)} would not take the lock-down ({error.strerror}); mend the disk"
            raise RosterError(Reason.NOT_STORED, sentence) from error

    @contextmanager
    def _use(self) -> Iterator[sqlite3.Connection]:
        """The connection, alone. Damage that shows only now closes it."""
        with self._lock:
            if self._connection is None:
                raise self.fault or RosterError(Reason.DAMAGED_STORE, f"{self._path} is closed")
            try:
                yield self._connection
            except sqlite3.Error as error:
                self._shut(error)
                raise _fault(self._path, error) from error


def read_stored(path: Path) -> tuple[Stored | None, Floors]:
    """What a trust.db holds, read beside a running agent or without one; changes nothing. (None, NO_FLOORS) where there is no file.

    Raises:
        RosterError: DAMAGED_STORE.
    """
    try:
        path.lstat()
        # Without a -wal nobody has it open; SQLite would lay one there, which a reader without the right to write cannot.
        alone = "" if path.with_name(f"{path.name}-wal").exists() else "&immutable=1"
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro{alone}", uri=True, isolation_level=None)) as connection:
            _check(connection, path)
            connection.execute("BEGIN")  # one consistent view
            row = connection.execute("SELECT version, slot FROM roster").fetchone()
            if row is None:
                return None, _floors(connection)
            document = path.with_name(_DOCUMENTS[row[1]])
            return Stored(version=row[0], document=document, metadata=MappingProxyType(_metadata(connection))), _floors(connection)
    except FileNotFoundError:
        return None, NO_FLOORS
    except (OSError, sqlite3.Error, RosterError) as error:
        raise _fault(path, error) from error


def _slot(connection: sqlite3.Connection) -> int | None:
    """Where the document in force lies; None before the first."""
    row = connection.execute("SELECT slot FROM roster").fetchone()
    return None if row is None else row[0]


def _free_slot(connection: sqlite3.Connection) -> int:
    return 0 if _slot(connection) != 0 else 1


def _sync(file: Path) -> None:
    """Force a file and its place in its folder to the disk. Raises OSError."""
    with file.open("rb") as source:
        os.fsync(source.fileno())
    sync_folder(file.parent)


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
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
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
    sync_folder(path.parent)


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
