"""The centre's record: every gate's rows, each once, verified against its chain, with the contiguous high water of each epoch.

A row is taken only when it is the next one of its epoch and its head follows from the row before. A row that is there already is counted
and, where it differs, refused. A row from further on is passed over: the gate goes back and sends what is between. What is refused is
kept, bounded, for whoever looks into it.
"""

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from agent.collector import schema
from agent.core import chain, envelope
from agent.core.topics import Lane, lane_of
from agent.errors import GateError

BUSY_S = 5.0
REFUSED_KEPT = 10_000  # refused messages; beyond it the oldest go, their number stays counted
EXCERPT = 2_048  # bytes kept of a refused message


class StoreError(GateError):
    """The store cannot be opened or written; nothing of the batch was acknowledged."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message as it came.

    Attributes:
        chain_start: the head before the row, where the gate says that it has no older one.
    """

    topic: str
    payload: bytes
    retained: bool = False
    chain_start: str | None = None


@dataclass(frozen=True, slots=True)
class HighWater:
    """Everything of an epoch up to seq is durable here, and its chain ends in head."""

    lane: Lane
    epoch: str
    seq: int
    head: str


class Store:
    """One connection that writes, used by one thread.

    Args:
        simulation: True takes simulated lanes and refuses real ones; False the other way round.

    Raises:
        StoreError: it cannot be opened, or was written by a newer software.
    """

    def __init__(self, path: Path, *, simulation: bool) -> None:
        self._path = path
        self._simulation = simulation
        try:
            self._connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)
            schema.prepare(self._connection, path)
        except sqlite3.Error as error:
            raise StoreError(f"the store {path} cannot be opened: {error}") from error

    def close(self) -> None:
        self._connection.close()

    def take(self, deliveries: Sequence[Delivery]) -> list[HighWater]:
        """Take a batch in one transaction; durable when it returns. Gives the high water of each epoch that was spoken of.

        Raises:
            StoreError: nothing of the batch was stored.
        """
        spoken: dict[tuple[Lane, str], HighWater] = {}
        with self._in_words(), self._transaction():
            for delivery in deliveries:
                water = self._take_one(delivery)
                if water is not None:
                    spoken[(water.lane, water.epoch)] = water
        return list(spoken.values())

    def high_waters(self) -> list[HighWater]:
        """The newest epoch of every gate, for telling all of them where they stand."""
        with self._in_words():
            rows = self._connection.execute("SELECT site, gate, epoch, seq, head FROM epoch ORDER BY rowid").fetchall()
        newest = {(site, gate): (epoch, seq, head) for site, gate, epoch, seq, head in rows}
        return [HighWater(Lane(site, gate, self._simulation), *water) for (site, gate), water in newest.items()]

    def high_water(self, lane: Lane, epoch: str) -> HighWater:
        """How far this epoch is held; row 0 where nothing of it is."""
        key = (lane.site, lane.gate, epoch)
        with self._in_words():
            found = self._connection.execute("SELECT seq, head FROM epoch WHERE site = ? AND gate = ? AND epoch = ?", key).fetchone()
        return HighWater(lane, epoch, *(found or (0, chain.GENESIS)))

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StoreError(f"the store {self._path} does not work: {error}; nothing was acknowledged") from error

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    # --- one message --------------------------------------------------------------------------------------------------------------

    def _take_one(self, delivery: Delivery) -> HighWater | None:
        lane = lane_of(delivery.topic)
        if lane is None or delivery.topic != lane.event or lane.simulation is not self._simulation:
            self._refuse(delivery, "it came on a topic where no lane of ours speaks")
            return None
        try:
            row = envelope.read(delivery.payload)
        except envelope.EnvelopeError as error:
            self._refuse(delivery, str(error))
            return None
        if delivery.retained:
            self._refuse(delivery, "it is a retained message: a copy of the past, not an event")
            return None
        if row.source != lane.source or row.simulation is not lane.simulation:
            self._refuse(delivery, f"it says that it is of {row.source} (simulation: {row.simulation}), but its topic is another's")
            return None
        return self._place(delivery, lane, row)

    def _place(self, delivery: Delivery, lane: Lane, row: envelope.Sealed) -> HighWater:
        """Compare with the epoch's high water; what is next is taken."""
        key = (lane.site, lane.gate, row.epoch)
        water = self.high_water(lane, row.epoch)
        seq, head = water.seq, water.head
        if row.seq <= seq:
            self._again(delivery, row, key)
            return water
        start = delivery.chain_start
        if row.seq > seq + 1 and not chain.is_head(start):
            self._connection.execute("UPDATE epoch SET ahead = ahead + 1 WHERE site = ? AND gate = ? AND epoch = ?", key)
            return water
        previous = head if row.seq == seq + 1 else str(start)
        if chain.link(previous, row.chained) != row.head:
            self._refuse(delivery, f"row {row.seq} of epoch {row.epoch} does not follow from the row before it")
            return water
        if row.seq > seq + 1:
            self._connection.execute("INSERT INTO gap VALUES (?, ?, ?, ?, ?, ?, ?)", (*key, seq + 1, row.seq - 1, previous, _now_s()))
        self._connection.execute(
            "INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (*key, row.seq, row.type, row.time, row.head, delivery.payload.decode("ascii")),
        )
        self._connection.execute(
            "INSERT INTO epoch (site, gate, epoch, seq, head) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (site, gate, epoch) DO UPDATE SET seq = excluded.seq, head = excluded.head",
            (*key, row.seq, row.head),
        )
        return HighWater(lane, row.epoch, row.seq, row.head)

    def _again(self, delivery: Delivery, row: envelope.Sealed, key: tuple[str, str, str]) -> None:
        """A row that is not new: the same one is counted, another one under its number is refused."""
        held = self._connection.execute(
            "SELECT head FROM event WHERE site = ? AND gate = ? AND epoch = ? AND seq = ?", (*key, row.seq)
        ).fetchone()
        if held is not None and held[0] != row.head:
            self._refuse(delivery, f"row {row.seq} of epoch {row.epoch} differs from the one that is held")
        else:
            self._connection.execute("UPDATE epoch SET redelivered = redelivered + 1 WHERE site = ? AND gate = ? AND epoch = ?", key)

    def _refuse(self, delivery: Delivery, reason: str) -> None:
        """Keep what was refused and why."""
        self._connection.execute(
            "INSERT INTO refused (at, topic, reason, excerpt) VALUES (?, ?, ?, ?)",
            (_now_s(), delivery.topic[:256].encode("utf-8", "replace").decode("utf-8"), reason, delivery.payload[:EXCERPT]),
        )
        self._connection.execute("DELETE FROM refused WHERE id <= (SELECT max(id) FROM refused) - ?", (REFUSED_KEPT,))


def _now_s() -> int:
    return int(time.time())
