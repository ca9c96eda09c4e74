"""register.db: who is enrolled. References are sealed as in a release; no picture and no name is in it."""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Final

from agent.authority.errors import RegisterError
from agent.biometrics.template import Metric
from agent.core.identity import PersonId, PersonStatus
from agent.core.inputs import SampleQuality
from agent.roster.document import Person, TemplateForm

FILE: Final = "register.db"
APPLICATION_ID: Final = 0x47524F53
"""Marks the file as ours: "GROS"."""
SCHEMA_VERSION: Final = 1

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
        with closing(sqlite3.connect(file)) as connection:
            file.chmod(0o600)
            connection.executescript(
                f"PRAGMA journal_mode = WAL; BEGIN; {_SCHEMA} PRAGMA application_id = {APPLICATION_ID};"
                f"PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
            )
        return cls(file)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(sqlite3.connect(self._file, isolation_level=None)) as connection:
                connection.execute("PRAGMA synchronous = FULL")
                connection.execute("PRAGMA secure_delete = ON")  # a removed template must not linger in a free page
                if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
                    raise RegisterError(f"{self._file} is not a register of gate-roster; restore it from the backup")
                connection.execute("BEGIN IMMEDIATE")
                yield connection
                connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise RegisterError(f"{self._file} cannot be used ({error}); restore it from the backup") from error

    # --- people ---

    def people(self) -> tuple[Person, ...]:
        """Everybody who is not removed, by identifier."""
        with self._transaction() as connection:
            rows = connection.execute(f"{_SELECT} ORDER BY id").fetchall()
        return tuple(_person(row) for row in rows)

    def person(self, name: str) -> Person:
        """Raises RegisterError: unknown."""
        with self._transaction() as connection:
            row = connection.execute(f"{_SELECT} AND id = ?", (name,)).fetchone()
        if row is None:
            raise RegisterError(f"'{name}' is not enrolled; see: gate-roster list")
        return _person(row)

    def next_revision(self, name: str) -> int:
        """The revision that a person's next record carries: never one that was used, also not by a namesake who was removed."""
        with self._transaction() as connection:
            row = connection.execute("SELECT revision FROM person WHERE id = ?", (name,)).fetchone()
        return 1 if row is None else row[0] + 1

    def put(self, person: Person, *, now_s: int) -> None:
        """Enrol a person, or replace their record. Raises RegisterError: the revision does not rise."""
        with self._transaction() as connection:
            changed = connection.execute(
                "INSERT INTO person VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET revision = excluded.revision,"
                " status = excluded.status, not_before = excluded.not_before, not_after = excluded.not_after, levels = excluded.levels,"
                " person_group = excluded.person_group, quality = excluded.quality, sealed = excluded.sealed, enrolled = excluded.enrolled"
                " WHERE excluded.revision > person.revision",
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
            ).rowcount
        if not changed:
            raise RegisterError(f"'{person.id}' was changed meanwhile (revision {person.revision} is used); try again")

    def remove(self, name: str) -> None:
        """Forget a person's references and rights. Raises RegisterError: unknown."""
        self.person(name)
        with self._transaction() as connection:
            connection.execute(
                "UPDATE person SET status = 'removed', revision = revision + 1, sealed = x'', quality = '[]', levels = '[]',"
                " person_group = NULL WHERE id = ?",
                (name,),
            )

    # --- the pack ---

    def bound(self) -> Bound | None:
        """The pack of the references; None before the first."""
        with self._transaction() as connection:
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

    def published(self, version: int) -> None:
        with self._transaction() as connection:
            connection.execute("UPDATE release SET published = 1 WHERE version = ?", (version,))


_SELECT = "SELECT id, revision, status, not_before, not_after, levels, person_group, quality, sealed FROM person WHERE status <> 'removed'"


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
