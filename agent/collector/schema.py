"""The tables of the centre's store."""

import sqlite3
from pathlib import Path

from agent.errors import GateError

VERSION = 1

_TABLES = (
    """CREATE TABLE event (
        site TEXT NOT NULL, gate TEXT NOT NULL, epoch TEXT NOT NULL, seq INTEGER NOT NULL,
        type TEXT NOT NULL, time TEXT NOT NULL, head TEXT NOT NULL, payload TEXT NOT NULL,
        PRIMARY KEY (site, gate, epoch, seq)) STRICT""",
    # How far each epoch is held without gaps; what came again, and what came before its time.
    """CREATE TABLE epoch (
        site TEXT NOT NULL, gate TEXT NOT NULL, epoch TEXT NOT NULL, seq INTEGER NOT NULL, head TEXT NOT NULL,
        redelivered INTEGER NOT NULL DEFAULT 0, ahead INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (site, gate, epoch)) STRICT""",
    # Rows that a gate had no more when this store asked for them; `head` is the head before the row after the gap.
    """CREATE TABLE gap (
        site TEXT NOT NULL, gate TEXT NOT NULL, epoch TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, head TEXT NOT NULL,
        at INTEGER NOT NULL, PRIMARY KEY (site, gate, epoch, first)) STRICT""",
    """CREATE TABLE refused (
        id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, topic TEXT NOT NULL, reason TEXT NOT NULL, excerpt BLOB NOT NULL
        ) STRICT""",
)


class SchemaError(GateError):
    """The file is not a store of ours, or of a newer software."""


def prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Set the connection up, and make the tables where there are none."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("BEGIN IMMEDIATE")
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > VERSION:
            raise SchemaError(f"the store {path} has format {version}, this software knows {VERSION}; install the newer one again")
        if version == 0:
            if connection.execute("SELECT count(*) FROM sqlite_schema").fetchone() != (0,):
                raise SchemaError(f"{path} is a database, but not a store of gate-collector; give another path")
            for statement in _TABLES:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {VERSION}")
    finally:
        connection.execute("COMMIT")
