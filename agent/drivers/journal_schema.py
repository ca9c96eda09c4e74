"""The journal's tables, and the one number that says which shape they have.

event     the outbox: what was hashed (`body`) and the chain's head after it. Never changed; deleted only after delivery.
mark      how far the centre has everything ('delivered') and how far rows were pruned ('pruned'), each with the head there.
day       the last row of each day whose wall time could be trusted: what pruning by age goes by.
lane      what the core needs after a restart, kept up in the same transaction as the rows that change it. Numbers of the
passage   controller are text, because they are unsigned 64 bits and SQLite's are signed.
"""

import sqlite3

VERSION = 1

_TABLES = (
    "CREATE TABLE meta (id INTEGER PRIMARY KEY CHECK (id = 1), epoch TEXT NOT NULL, source TEXT NOT NULL) STRICT",
    "CREATE TABLE event (seq INTEGER PRIMARY KEY, body TEXT NOT NULL, head TEXT NOT NULL) STRICT",
    "CREATE TABLE mark (name TEXT PRIMARY KEY, seq INTEGER NOT NULL, head TEXT NOT NULL) STRICT",
    "CREATE TABLE day (day INTEGER PRIMARY KEY, seq INTEGER NOT NULL) STRICT",
    """CREATE TABLE lane (
        id INTEGER PRIMARY KEY CHECK (id = 1), highest_grant TEXT NOT NULL, passage_counter TEXT,
        open_grant TEXT, open_person TEXT, open_direction TEXT) STRICT""",
    "CREATE TABLE passage (person TEXT PRIMARY KEY, direction TEXT NOT NULL) STRICT",
    "CREATE TRIGGER event_is_never_changed BEFORE UPDATE ON event BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END",
    """CREATE TRIGGER event_is_kept_until_delivered BEFORE DELETE ON event
        WHEN OLD.seq > (SELECT seq FROM mark WHERE name = 'delivered')
        BEGIN SELECT RAISE(ABORT, 'the centre does not have this row yet'); END""",
)


def create(connection: sqlite3.Connection, *, epoch: str, source: str, genesis: str) -> None:
    """Make the tables, inside the caller's transaction."""
    for statement in _TABLES:
        connection.execute(statement)
    connection.execute("INSERT INTO meta VALUES (1, ?, ?)", (epoch, source))
    connection.executemany("INSERT INTO mark VALUES (?, 0, ?)", (("delivered", genesis), ("pruned", genesis)))
    connection.execute("INSERT INTO lane (id, highest_grant) VALUES (1, '0')")
    connection.execute(f"PRAGMA user_version = {VERSION}")


def version(connection: sqlite3.Connection) -> int:
    """0 where there is nothing yet."""
    (number,) = connection.execute("PRAGMA user_version").fetchone()
    return int(number)


def is_empty(connection: sqlite3.Connection) -> bool:
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    return bool(tables == 0)
