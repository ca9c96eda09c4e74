"""The centre's store: each row once, in order, proven; the rest refused, kept and counted."""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.collector import report as reports
from agent.collector.schema import SchemaError
from agent.collector.store import Delivery, HighWater, Store, StoreError
from agent.core import chain, envelope
from agent.core.topics import Lane
from tests.sim.clock import StandingClock
from tests.sim.lane_events import granted

LANE = Lane("hk", "gate-1", simulation=False)
EPOCH = "0123456789abcdef"


def rows(count: int, *, epoch: str = EPOCH, lane: Lane = LANE, first: int = 1, head: str = chain.GENESIS) -> list[Delivery]:
    """What a gate sends: a chain of this many rows."""
    out = []
    for seq in range(first, first + count):
        body = envelope.seal(granted(StandingClock().now(), grant=seq), lane, epoch=epoch, seq=seq)
        head = chain.link(head, body)
        out.append(Delivery(lane.event, envelope.payload(body, head)))
    return out


def head_of(delivery: Delivery) -> str:
    return envelope.read(delivery.payload).head


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    one = Store(path, simulation=False)
    yield one
    one.close()


def report(path: Path) -> reports.Report:
    connection = reports.open_store(path)
    try:
        return reports.report(connection)
    finally:
        connection.close()


def faults(path: Path) -> list[str]:
    connection = reports.open_store(path)
    try:
        return [wrong for _, _, wrong in reports.verify(connection) if wrong]
    finally:
        connection.close()


def test_rows_in_order_raise_the_high_water(path: Path, store: Store) -> None:
    sent = rows(5)
    assert store.take(sent) == [HighWater(LANE, EPOCH, 5, head_of(sent[-1]))]
    found = report(path)
    assert (found.total, found.duplicates, found.events) == (5, 0, {"access.granted": 5})
    assert faults(path) == []


def test_rows_that_come_again_are_counted_and_kept_once(path: Path, store: Store) -> None:
    sent = rows(5)
    store.take(sent)
    assert store.take(sent[1:4]) == [HighWater(LANE, EPOCH, 5, head_of(sent[-1]))]  # the gate is told again where it stands
    found = report(path)
    assert (found.total, found.duplicates, found.refused, found.epochs[0].redelivered) == (5, 0, 0, 3)


def test_a_row_before_its_time_waits_for_those_between(path: Path, store: Store) -> None:
    sent = rows(5)
    store.take(sent[:2])
    assert store.take(sent[3:]) == [HighWater(LANE, EPOCH, 2, head_of(sent[1]))]
    assert report(path).epochs[0].ahead == 2
    assert store.take(sent[2:]) == [HighWater(LANE, EPOCH, 5, head_of(sent[4]))]
    assert faults(path) == []


def test_the_first_words_of_a_gate_in_mid_epoch_make_it_begin_at_the_beginning(store: Store) -> None:
    assert store.take(rows(9)[7:]) == [HighWater(LANE, EPOCH, 0, chain.GENESIS)]


def test_a_gate_that_has_no_older_row_may_begin_there_and_the_gap_is_kept(path: Path, store: Store) -> None:
    sent = rows(9)
    start = Delivery(LANE.event, sent[5].payload, chain_start=head_of(sent[4]))
    assert store.take([start, *sent[6:]]) == [HighWater(LANE, EPOCH, 9, head_of(sent[8]))]
    [epoch] = report(path).epochs
    assert (epoch.gaps, epoch.rows, epoch.missing) == (((1, 5),), 4, 0)
    assert faults(path) == []


@pytest.mark.parametrize("start", ["a" * 64, "", "x", None])
def test_a_beginning_that_its_row_does_not_follow_from_is_not_taken(store: Store, start: str | None) -> None:
    sent = rows(9)
    assert store.take([Delivery(LANE.event, sent[5].payload, chain_start=start)]) == [HighWater(LANE, EPOCH, 0, chain.GENESIS)]


def test_a_row_that_does_not_follow_is_refused_and_kept_for_whoever_looks_into_it(path: Path, store: Store) -> None:
    sent = rows(3)
    store.take(sent[:1])
    other = rows(1, first=2, head="a" * 64)
    assert store.take(other) == [HighWater(LANE, EPOCH, 1, head_of(sent[0]))]
    assert report(path).reasons == {f"row 2 of epoch {EPOCH} does not follow from the row before it": 1}
    assert store.take(sent[1:]) == [HighWater(LANE, EPOCH, 3, head_of(sent[2]))]


def test_another_row_under_a_number_that_is_held_is_refused(path: Path, store: Store) -> None:
    sent = rows(3)
    store.take(sent)
    store.take(rows(1, first=2, head="a" * 64))
    assert report(path).reasons == {f"row 2 of epoch {EPOCH} differs from the one that is held": 1}
    assert faults(path) == []


def test_every_epoch_and_every_gate_has_a_high_water_of_its_own(store: Store) -> None:
    second = Lane("hk", "gate-2", simulation=False)
    store.take([*rows(2), *rows(3, lane=second), *rows(4, epoch="f" * 16)])
    assert {(w.lane.gate, w.epoch, w.seq) for w in store.high_waters()} == {("gate-1", "f" * 16, 4), ("gate-2", EPOCH, 3)}
    assert store.high_water(LANE, EPOCH).seq == 2


def wrong_topic(good: Delivery) -> Delivery:
    return Delivery("gate/v1/hk/gate-2/event", good.payload)


def strange_topic(good: Delivery) -> Delivery:
    return Delivery("somewhere/\udc80", good.payload)


def state_topic(good: Delivery) -> Delivery:
    return Delivery(LANE.state, good.payload)


def retained(good: Delivery) -> Delivery:
    return Delivery(good.topic, good.payload, retained=True)


def cut_short(good: Delivery) -> Delivery:
    return Delivery(good.topic, good.payload[:-10])


def too_long(good: Delivery) -> Delivery:
    return Delivery(good.topic, good.payload + b" " * 70_000)


def flipped(good: Delivery) -> Delivery:
    return Delivery(good.topic, good.payload.replace(b'"entry"', b'"exit "'))


def simulated(_: Delivery) -> Delivery:
    return rows(1, lane=Lane("hk", "gate-1", simulation=True))[0]


def simulated_on_a_real_topic(good: Delivery) -> Delivery:
    return Delivery(good.topic, simulated(good).payload)


def simulated_under_a_real_name(good: Delivery) -> Delivery:
    body = envelope.read(good.payload).chained.replace(b'"simulation":false', b'"simulation":true')
    return Delivery(good.topic, envelope.payload(body, chain.link(chain.GENESIS, body)))


SPOILT = [wrong_topic, strange_topic, state_topic, retained, cut_short, too_long, flipped, simulated, simulated_on_a_real_topic]


@pytest.mark.parametrize(
    "spoil",
    [*SPOILT, simulated_under_a_real_name],
    ids=lambda f: f.__name__,
)
def test_what_is_not_right_is_refused_and_does_not_stop_what_is(path: Path, store: Store, spoil: object) -> None:
    assert callable(spoil)
    sent = rows(2)
    store.take([spoil(sent[0]), *sent])
    found = report(path)
    assert (found.total, found.refused) == (2, 1)
    assert faults(path) == []


@settings(max_examples=50)
@given(st.lists(st.tuples(st.text(max_size=30), st.binary(max_size=200)), max_size=5))
def test_garbage_never_stops_the_store(tmp_path_factory: pytest.TempPathFactory, messages: list[tuple[str, bytes]]) -> None:
    file = tmp_path_factory.mktemp("store") / "events.db"
    one = Store(file, simulation=False)
    one.take([Delivery(topic, data) for topic, data in messages])
    assert one.take(rows(1))[0].seq == 1
    one.close()


@settings(max_examples=60)
@given(st.lists(st.integers(0, 11), max_size=60))
def test_in_whatever_order_rows_come_what_is_held_is_a_chain_from_the_beginning(
    tmp_path_factory: pytest.TempPathFactory, order: list[int]
) -> None:
    file = tmp_path_factory.mktemp("store") / "events.db"
    sent = rows(12)
    one = Store(file, simulation=False)
    expected = 0
    for place in order:
        one.take([sent[place]])
        expected += place == expected
    one.close()
    found = report(file)
    assert (found.total, found.duplicates, found.refused) == (expected, 0, 0)
    assert faults(file) == []


def test_refused_messages_are_kept_up_to_a_limit_and_counted_beyond(path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.collector.store.REFUSED_KEPT", 10)
    for _ in range(25):
        store.take([Delivery(LANE.event, b"x")])
    found = report(path)
    assert (found.refused, sum(found.reasons.values())) == (25, 10)


def test_a_store_that_takes_nothing_acknowledges_nothing(path: Path, store: Store) -> None:
    store._connection.execute("PRAGMA query_only = ON")
    with pytest.raises(StoreError, match=r"does not work: .*nothing was acknowledged"):
        store.take(rows(1))
    store._connection.execute("PRAGMA query_only = OFF")
    assert store.take(rows(1))[0].seq == 1
    assert report(path).total == 1


# --- the proof --------------------------------------------------------------------------------------------------------------------


def tampered(path: Path, statement: str) -> list[str]:
    connection = sqlite3.connect(path)
    connection.execute(statement)
    connection.commit()
    connection.close()
    return faults(path)


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("UPDATE event SET payload = replace(payload, '\"entry\"', '\"exit \"') WHERE seq = 3", "row 3 is not what was written"),
        ("DELETE FROM event WHERE seq = 3", "row 3 is missing"),
        ("DELETE FROM event WHERE seq = 5", "the chain ends at row 4, the high water is 5"),
        ("DELETE FROM event WHERE seq = 1", "row 1 is missing"),
        ("UPDATE event SET payload = '{}' WHERE seq = 2", "row 2 cannot be read: it does not end in the member 'head'"),
        ("UPDATE event SET seq = 9 WHERE seq = 5", "row 5 is missing"),
        ("UPDATE event SET head = '" + "a" * 64 + "' WHERE seq = 5", "row 5 is not what was written"),
        ("UPDATE epoch SET head = '" + "a" * 64 + "'", "the chain ends at row 5, the high water is 5"),
    ],
)
def test_whatever_is_changed_in_the_store_shows(path: Path, store: Store, statement: str, fault: str) -> None:
    store.take(rows(5))
    [found] = tampered(path, statement)
    assert found.startswith(fault)


def test_a_double_that_the_keys_do_not_show_is_counted(path: Path, store: Store) -> None:
    store.take(rows(5))
    tampered(path, "INSERT INTO event SELECT site, gate, epoch, 99, type, time, head, payload FROM event WHERE seq = 5")
    assert report(path).duplicates == 1


def test_a_row_that_vanished_is_reported_as_missing(path: Path, store: Store) -> None:
    store.take(rows(5))
    tampered(path, "DELETE FROM event WHERE seq = 2")
    assert report(path).epochs[0].missing == 1


# --- opening ----------------------------------------------------------------------------------------------------------------------


def test_a_store_of_a_newer_software_is_refused(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 9")
    connection.close()
    with pytest.raises(SchemaError, match="format 9, this software knows 1"):
        Store(path, simulation=False)


def test_another_database_is_not_written_into(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE mine (x)")
    connection.close()
    with pytest.raises(SchemaError, match="not a store of gate-collector"):
        Store(path, simulation=False)


def test_a_file_that_is_no_database_is_named(path: Path) -> None:
    path.write_text("hello" * 1000)
    with pytest.raises(StoreError, match=r"events\.db cannot be opened: file is not a database"):
        Store(path, simulation=False)


def test_a_store_that_is_not_there_is_named(path: Path) -> None:
    with pytest.raises(StoreError, match="there is no store at"):
        reports.open_store(path)


def test_a_report_is_json(path: Path, store: Store) -> None:
    store.take(rows(2))
    assert json.loads(json.dumps(report(path).as_dict()))["epochs"][0]["high_water"] == 2
