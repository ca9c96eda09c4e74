"""What a store holds: counts, high waters, gaps, and the proof of its chains. Reads only."""

import sqlite3
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from agent.collector.schema import VERSION
from agent.collector.store import StoreError
from agent.core import chain, envelope

NOTHING_WRONG = ""


@dataclass(frozen=True, slots=True)
class EpochReport:
    """One epoch of one gate.

    Attributes:
        high_water: everything up to this row is held, but for the gaps.
        rows: rows held, counted.
        gaps: (first, last) of rows that the gate had no more.
        missing: rows that are neither held nor in a gap; 0 unless the store was damaged.
        redelivered: deliveries of rows that were held already; each was ignored.
        ahead: deliveries that came before the rows between; each was sent again later.
    """

    site: str
    gate: str
    epoch: str
    high_water: int
    rows: int
    gaps: tuple[tuple[int, int], ...]
    missing: int
    redelivered: int
    ahead: int


@dataclass(frozen=True, slots=True)
class Report:
    """The whole store.

    Attributes:
        duplicates: events that are held more than once, by their own identifiers; not by the keys that should make it impossible.
        refused: messages refused since the store began.
        reasons: of the refused messages that are still kept, how often each reason.
    """

    events: dict[str, int]
    total: int
    duplicates: int
    refused: int
    reasons: dict[str, int]
    epochs: tuple[EpochReport, ...]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def open_store(path: Path) -> sqlite3.Connection:
    """A read-only connection.

    Raises:
        StoreError: there is no store, or it cannot be read.
    """
    if not path.is_file():
        raise StoreError(f"there is no store at {path}; gate-collector run makes it")
    try:
        connection = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=5.0, isolation_level=None)
        (version,) = connection.execute("PRAGMA user_version").fetchone()
    except sqlite3.Error as error:
        raise StoreError(f"the store {path} cannot be read: {error}") from error
    if version != VERSION:
        connection.close()
        raise StoreError(f"{path} has format {version}, this software reads {VERSION}")
    return connection


def report(connection: sqlite3.Connection) -> Report:
    """One consistent view."""
    connection.execute("BEGIN")
    try:
        events = dict(connection.execute("SELECT type, count(*) FROM event GROUP BY type ORDER BY type").fetchall())
        (names,) = connection.execute(
            "SELECT count(DISTINCT json_extract(payload, '$.source') || ' ' || json_extract(payload, '$.id')) FROM event"
        ).fetchone()
        (refused,) = connection.execute("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'refused'").fetchone()
        reasons = dict(connection.execute("SELECT reason, count(*) FROM refused GROUP BY reason ORDER BY count(*) DESC LIMIT 20"))
        epochs = tuple(_epochs(connection))
    finally:
        connection.execute("COMMIT")
    total = sum(events.values())
    return Report(events, total, total - names, refused, reasons, epochs)


def _epochs(connection: sqlite3.Connection) -> Iterator[EpochReport]:
    rows = connection.execute("SELECT site, gate, epoch, seq, redelivered, ahead FROM epoch ORDER BY rowid").fetchall()
    for site, gate, epoch, seq, redelivered, ahead in rows:
        key = (site, gate, epoch)
        (held,) = connection.execute("SELECT count(*) FROM event WHERE site = ? AND gate = ? AND epoch = ?", key).fetchone()
        gaps = tuple(connection.execute("SELECT first, last FROM gap WHERE site = ? AND gate = ? AND epoch = ? ORDER BY first", key))
        missing = seq - held - sum(last - first + 1 for first, last in gaps)
        yield EpochReport(site, gate, epoch, seq, held, gaps, missing, redelivered, ahead)


def verify(connection: sqlite3.Connection) -> Iterator[tuple[str, int, str]]:
    """Follow the chain of every epoch: (its name, rows that fit, what is wrong or nothing)."""
    for site, gate, epoch, seq, head in connection.execute("SELECT site, gate, epoch, seq, head FROM epoch ORDER BY rowid").fetchall():
        key = (site, gate, epoch)
        starts = dict(connection.execute("SELECT last + 1, head FROM gap WHERE site = ? AND gate = ? AND epoch = ?", key))
        rows = connection.execute("SELECT seq, payload, head FROM event WHERE site = ? AND gate = ? AND epoch = ? ORDER BY seq", key)
        count, last, end, wrong = _follow(rows, starts)
        if not wrong and (last, end) != (seq, head):
            wrong = f"the chain ends at row {last}, the high water is {seq}"
        yield f"{site}/{gate} epoch {epoch}", count, wrong


def _follow(rows: sqlite3.Cursor, starts: dict[int, str]) -> tuple[int, int, str, str]:
    """(rows that fit, the last of them, its head, what is wrong)."""
    count, last, head = 0, 0, chain.GENESIS
    for seq, payload, stored_head in rows:
        previous = starts.get(seq, head)
        if seq != last + 1 and seq not in starts:
            return count, last, head, f"row {last + 1} is missing"
        try:
            row = envelope.read(payload.encode("utf-8"))
        except envelope.EnvelopeError as error:
            return count, last, head, f"row {seq} cannot be read: {error}"
        if row.seq != seq or row.head != stored_head or chain.link(previous, row.chained) != row.head:
            return count, last, head, f"row {seq} is not what was written"
        count, last, head = count + 1, seq, stored_head
    return count, last, head, NOTHING_WRONG
