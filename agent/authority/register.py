"""register.db: who is enrolled. References are sealed as in a release; no picture and no name is in it."""

import json
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final
from urllib.parse import quote

from agent.authority.errors import RegisterError
from agent.biometrics.template import Metric
from agent.core.identity import PersonId, PersonStatus
from agent.core.inputs import SampleQuality
from agent.roster.document import Person, TemplateForm
from agent.roster.fields import IDENTIFIER

FILE: Final = "register.db"
APPLICATION_ID: Final = 0x47524F53
"""Marks the file as ours: "GROS"."""
SCHEMA_VERSION: Final = 2

BUSY_S: Final = 30.0
"""How long a command waits for another one's transaction. Each is a matter of milliseconds."""

_FACTS = "CREATE TABLE fact (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;"  # since schema 2

_SCHEMA = """
CREATE TABLE person (
    id TEXT PRIMARY KEY,
    revision INTEGER NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('active', 'suspended', 'removed')),
    not_before INTEGER NOT NULL,
    not_after INTEGER NOT NULL,
    levels TEXT NOT NULL,
    person_group TEXT,
    quality TEXT NOT NULL,
    sealed BLOB NOT NULL,
    enrolled INTEGER NOT NULL
) STRICT;
CREATE TABLE form (
    id INTEGER PRIMARY KEY CHECK (id = 1), pack TEXT NOT NULL, length INTEGER NOT NULL, metric TEXT NOT NULL, dtype TEXT NOT NULL
) STRICT;
CREATE TABLE release (version INTEGER PRIMARY KEY, issued INTEGER NOT NULL, people INTEGER NOT NULL, published INTEGER NOT NULL) STRICT;
"""

_ADVICE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "SQLITE_BUSY": "another gate-roster is writing in it; try again in a minute",
        "SQLITE_LOCKED": "another gate-roster is writing in it; try again in a minute",
        "SQLITE_FULL": "the disk is full: make room, then try again; the register is as it was before",
        "SQLITE_IOERR": "the disk is full or fails: make room or look at the disk, then try again; the register is as it was before",
        "SQLITE_READONLY": "it may not be written: mend the rights of file and folder, or mount the disk for writing",
        "SQLITE_CANTOPEN": "it cannot be opened: mend the rights of file and folder, make room, or mount the disk for writing",
        "SQLITE_PERM": "it cannot be opened: mend the rights of file and folder",
        "SQLITE_AUTH": "it cannot be opened: mend the rights of file and folder",
        "SQLITE_CORRUPT": "the file is damaged: keep it, restore it from the backup, then suspend and remove again who was since",
        "SQLITE_NOTADB": "the file is damaged: keep it, restore it from the backup, then suspend and remove again who was since",
    }
)
"""What to do, by SQLite's primary code. Only a damaged file is to be replaced: a backup brings back who was suspended or removed since."""


@dataclass(frozen=True, slots=True)
class Bound:
    """The pack that every reference of the register was made with."""

    pack: str
    form: TemplateForm


class Register:
    """The register in a file. A person who was removed leaves a number behind, so that no revision is used twice, and nothing else."""

    def __init__(self, file: Path) -> None:
        self._file = file
        if not file.exists():
            raise RegisterError(f"{file} is not there; is this the folder of an authority? Make one: gate-roster init")

    @classmethod
    def create(cls, file: Path) -> "Register":
        try:
            with closing(sqlite3.connect(file)) as connection:
                file.chmod(0o600)
                connection.executescript(
                    f"PRAGMA journal_mode = WAL; BEGIN; {_SCHEMA} {_FACTS} PRAGMA application_id = {APPLICATION_ID};"
                    f"PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
                )
        except sqlite3.Error as error:
            raise RegisterError(f"{file} cannot be made ({error}); make room, or mend the rights of its folder") from error
        return cls(file)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """To write, alone."""
        with _explained(self._file), closing(sqlite3.connect(self._file, isolation_level=None, timeout=BUSY_S)) as connection:
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA secure_delete = ON")  # a removed template must not linger in a free page
            self._check(connection)
            connection.execute("BEGIN IMMEDIATE")
            if _schema(connection) < SCHEMA_VERSION:
                connection.execute(_FACTS)
                connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            yield connection
            connection.execute("COMMIT")

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """To read one state of it, also from a disk that cannot be written, such as a backup's."""
        with _explained(self._file), closing(self._opened()) as connection:
            self._check(connection)
            connection.execute("BEGIN")
            yield connection

    def _opened(self) -> sqlite3.Connection:
        if os.access(self._file, os.W_OK) and os.access(self._file.parent, os.W_OK):
            return sqlite3.connect(self._file, isolation_level=None, timeout=BUSY_S)
        log = self._file.with_name(f"{self._file.name}-wal")
        if log.exists() and log.stat().st_size:
            raise RegisterError(
                f"{log} holds changes that were not yet put into {self._file.name}; copy the folder to where it may be written"
            )
        return sqlite3.connect(f"file:{quote(str(self._file.absolute()))}?immutable=1", uri=True, isolation_level=None)

    def _check(self, connection: sqlite3.Connection) -> None:
        if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
            raise RegisterError(f"{self._file} is not a register of gate-roster; restore it from the backup")
        if (found := _schema(connection)) > SCHEMA_VERSION:
            raise RegisterError(
                f"{self._file} was written by a newer version (schema {found}); this one reads up to {SCHEMA_VERSION}: update"
            )

    # --- people ---

    def people(self) -> tuple[Person, ...]:
        """Everybody who is not removed, by identifier."""
        with self._reading() as connection:
            rows = connection.execute(f"{_SELECT} ORDER BY id").fetchall()
        return tuple(_person(row) for row in rows)

    def person(self, name: str) -> Person:
        """Raises RegisterError: unknown."""
        if not IDENTIFIER.fullmatch(name):
            raise _unknown(name)
        with self._reading() as connection:
            row = connection.execute(f"{_SELECT} AND id = ?", (name,)).fetchone()
        if row is None:
            raise _unknown(name)
        return _person(row)

    def revisions(self) -> Mapping[str, int]:
        """The revision of everybody who ever was enrolled, also of who was removed since."""
        with self._reading() as connection:
            return MappingProxyType(dict(connection.execute("SELECT id, revision FROM person").fetchall()))

    def change(self, name: str, make: Callable[[Person | None, int], Person], *, now_s: int) -> Person:
        """Write a person's next record, in one transaction with the reading of the one before, so that no other change is lost.

        make: the new record, from the one in force (None: there is none), and the revision that it carries, which no record ever carried
            before, also not of a namesake who was removed. What it raises leaves the register as it was.
        """
        with self._transaction() as connection:
            row = connection.execute(f"{_SELECT} AND id = ?", (name,)).fetchone()
            used = connection.execute("SELECT coalesce(max(revision), 0) FROM person WHERE id = ?", (name,)).fetchone()[0]
            person = make(None if row is None else _person(row), used + 1)
            _write(connection, person, now_s=now_s)
        return person

    def remove(self, name: str) -> None:
        """Forget a person's references and rights. Raises RegisterError: unknown."""
        if not IDENTIFIER.fullmatch(name):
            raise _unknown(name)
        with self._transaction() as connection:
            removed = connection.execute(
                "UPDATE person SET status = 'removed', revision = revision + 1, sealed = x'', quality = '[]', levels = '[]',"
                " person_group = NULL WHERE id = ? AND status <> 'removed'",
                (name,),
            ).rowcount
            if not removed:
                raise _unknown(name)

    # --- what the authority was made with ---

    def fact(self, name: str) -> str | None:
        """What was kept under a name; None: nothing."""
        with self._reading() as connection:
            if _schema(connection) < 2:  # noqa: PLR2004  of the table
                return None
            row = connection.execute("SELECT value FROM fact WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def keep(self, name: str, value: str | None) -> None:
        """Keep a value under a name; None: forget it."""
        with self._transaction() as connection:
            if value is None:
                connection.execute("DELETE FROM fact WHERE name = ?", (name,))
            else:
                connection.execute("INSERT OR REPLACE INTO fact VALUES (?, ?)", (name, value))

    # --- the pack ---

    def bound(self) -> Bound | None:
        """The pack of the references; None before the first."""
        with self._reading() as connection:
            row = connection.execute("SELECT pack, length, metric, dtype FROM form").fetchone()
        return None if row is None else Bound(pack=row[0], form=TemplateForm(length=row[1], metric=Metric(row[2]), dtype=row[3]))

    def bind(self, bound: Bound) -> None:
        """Bind the register to a pack. Raises RegisterError: it is bound to another, whose templates cannot be compared with these."""
        held = self.bound()
        if held is None or (held != bound and not self.people()):
            with self._transaction() as connection:
                connection.execute(
                    "INSERT OR REPLACE INTO form VALUES (1, ?, ?, ?, ?)",
                    (bound.pack, bound.form.length, bound.form.metric, bound.form.dtype),
                )
        elif held != bound:
            raise RegisterError(
                f"the register's references are made with pack '{held.pack}', these with '{bound.pack}'; they cannot be compared: "
                "enrol with the first, or begin a new authority"
            )

    # --- releases ---

    def allocate_version(self, *, above: int, issued_s: int, people: int) -> int:
        """The number of the next release, used once for ever, also if publishing fails. above: the newest that is known to be published."""
        with self._transaction() as connection:
            highest = connection.execute("SELECT coalesce(max(version), 0) FROM release").fetchone()[0]
            version: int = max(highest, above) + 1
            connection.execute("INSERT INTO release VALUES (?, ?, ?, 0)", (version, issued_s, people))
        return version

    def last_issued_s(self) -> int | None:
        """When the newest release that was published was issued, by this machine's clock then; None before the first."""
        with self._reading() as connection:
            row = connection.execute("SELECT issued FROM release WHERE published = 1 ORDER BY version DESC LIMIT 1").fetchone()
        return None if row is None else int(row[0])

    def published(self, version: int) -> None:
        with self._transaction() as connection:
            connection.execute("UPDATE release SET published = 1 WHERE version = ?", (version,))


_SELECT = "SELECT id, revision, status, not_before, not_after, levels, person_group, quality, sealed FROM person WHERE status <> 'removed'"


@contextmanager
def _explained(file: Path) -> Iterator[None]:
    """SQLite's errors in words: what it was, and what to do for it."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorname", "")
        advice = next(
            (advice for name, advice in _ADVICE.items() if code.startswith(name)), "try again; if it stays so, restore the backup"
        )
        raise RegisterError(f"{file} cannot be used ({error}); {advice}") from error


def _schema(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _unknown(name: str) -> RegisterError:
    return RegisterError(f"{name!r} is not enrolled; see: gate-roster list")


def _write(connection: sqlite3.Connection, person: Person, *, now_s: int) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO person VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            person.id,
            person.revision,
            person.status,
            person.not_before_s,
            person.not_after_s,
            json.dumps(person.levels),
            person.group,
            json.dumps([astuple(q) for q in person.quality]),
            person.sealed,
            now_s,
        ),
    )


def _person(row: Sequence[object]) -> Person:
    name, revision, status, not_before, not_after, levels, group, quality, sealed = row
    try:
        return Person(
            id=PersonId(str(name)),
            revision=int(str(revision)),
            status=PersonStatus(str(status)),
            not_before_s=int(str(not_before)),
            not_after_s=int(str(not_after)),
            levels=tuple(json.loads(str(levels))),
            group=None if group is None else str(group),
            quality=tuple(SampleQuality(*figures) for figures in json.loads(str(quality))),
            sealed=sealed if isinstance(sealed, bytes) else b"",
        )
    except (ValueError, TypeError) as error:
        raise RegisterError(f"the register's record of '{name}' is damaged ({error}); restore it from the backup") from error
