"""Takes the rows of a gate's journal file into the store: the way for what a damaged, set-aside journal had not delivered."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from agent.collector.store import Delivery, Store, StoreError
from agent.core import envelope
from agent.core.topics import Lane

BATCH = 500


@dataclass(frozen=True, slots=True)
class Intake:
    """What came of it.

    Attributes:
        read: rows that could be read from the journal.
        high_water: how far the store now holds this epoch.
        fault: why reading ended before the last row; empty where it did not.
    """

    epoch: str
    read: int
    high_water: int
    fault: str


def take_in(journal: Path, store: Store) -> Intake:
    """Read a journal in order and give each row to the store, which verifies it as if it had come from the broker.

    Raises:
        StoreError: no such file, or so damaged that it does not say whose it is.
    """
    if not journal.is_file():
        raise StoreError(f"there is no journal at {journal}")
    read, fault = 0, ""
    with closing(sqlite3.connect(f"file:{quote(str(journal))}?mode=ro", uri=True, isolation_level=None)) as connection:
        try:
            epoch, source = connection.execute("SELECT epoch, source FROM meta").fetchone()
            pruned, before = connection.execute("SELECT seq, head FROM mark WHERE name = 'pruned'").fetchone()
            lane = _lane(source)
        except (sqlite3.Error, TypeError, ValueError) as error:
            raise StoreError(f"{journal} does not say whose journal it is ({error}); try: sqlite3 {journal} .recover") from error
        try:
            for rows in _batches(connection):
                start = {pruned + 1: before} if pruned else {}
                batch = [Delivery(lane.event, envelope.payload(body, head), chain_start=start.get(seq)) for seq, body, head in rows]
                store.take(batch)
                read += len(rows)
        except sqlite3.Error as error:
            fault = str(error)
    water = next((w.seq for w in store.high_waters() if w.epoch == epoch), 0)
    return Intake(epoch, read, water, fault)


def _batches(connection: sqlite3.Connection) -> Iterator[list[tuple[int, bytes, str]]]:
    """All rows in order; where a page cannot be read, what came before it first."""
    cursor = connection.execute("SELECT seq, CAST(body AS BLOB), head FROM event ORDER BY seq")
    rows: list[tuple[int, bytes, str]] = []
    failure = None
    row = None
    while True:
        try:
            row = cursor.fetchone()
        except sqlite3.Error as error:
            row, failure = None, error
        if row is not None:
            rows.append(row)
        if rows and (row is None or len(rows) == BATCH):
            yield rows
            rows = []
        if row is None:
            break
    if failure is not None:
        raise failure


def _lane(source: str) -> Lane:
    match source.split("/"):
        case ["", "gate" | "gate-sim" as root, site, gate]:
            return Lane(site, gate, simulation=root == "gate-sim")
        case _:
            raise ValueError(f"its source is {source!r}")
