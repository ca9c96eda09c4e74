"""Journal to centre over a real mosquitto: in order, once, and through everything that breaks on the way."""

import random
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from agent.core import chain
from agent.core.inputs import EventsAcknowledged
from agent.core.moment import Moment
from agent.core.topics import Lane
from agent.diagnostics.local_broker import LocalBroker
from agent.drivers.uplink_conversation import DISPUTES_TOLD
from agent.mqtt.broker import Broker
from tests.sim.centre import Centre
from tests.sim.gate_end import GateEnd
from tests.sim.listener import Listener
from tests.sim.proxy import Proxy
from tests.sim.stingy_broker import StingyBroker
from tests.sim.waiting import wait_for

LANE = Lane("hk", "gate-1", simulation=False)


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[LocalBroker]:
    with LocalBroker(tmp_path / "broker") as one:
        yield one


@pytest.fixture
def broker(mosquitto: LocalBroker) -> Broker:
    return Broker(mosquitto.host, mosquitto.port, keepalive_s=5, tls=None)


def test_every_event_arrives_once_and_in_order(tmp_path: Path, broker: Broker) -> None:
    with Centre(tmp_path, broker) as centre, GateEnd(tmp_path / "gate", broker) as gate:
        gate.record(300)
        gate.wait_until_delivered()
        report = centre.report()
        [epoch] = report["epochs"]
        assert (report["total"], report["duplicates"], report["refused"]) == (301, 0, 0)
        assert (epoch["high_water"], epoch["missing"], epoch["gaps"]) == (301, 0, [])
        assert centre.chains_hold()


def test_what_was_recorded_without_a_broker_arrives_when_there_is_one(tmp_path: Path, mosquitto: LocalBroker, broker: Broker) -> None:
    mosquitto.stop()
    with GateEnd(tmp_path / "gate", broker) as gate:
        gate.record(500)
        wait_for(lambda: gate.said("nobody listens there; is the broker running?"))
        assert [report.connected for report in gate.reports()] == [False]  # said once, however often it is tried
        mosquitto.start()
        with Centre(tmp_path, broker) as centre:
            gate.wait_until_delivered(30)
            assert centre.report()["total"] == 501


def test_the_presence_of_a_gate_stands_on_its_topic(tmp_path: Path, mosquitto: LocalBroker, broker: Broker) -> None:
    with Listener(broker, LANE.state) as listener, Proxy(mosquitto.host, mosquitto.port) as proxy:
        gate = GateEnd(tmp_path / "gate", Broker(proxy.host, proxy.port, keepalive_s=5, tls=None))
        gate.start()
        wait_for(lambda: listener.said("online"))
        proxy.cut()
        wait_for(lambda: listener.said("offline", reason="lost"), what="the will")
        wait_for(lambda: listener.count("online") == 2, what="the second birth")
        gate.close()
        wait_for(lambda: listener.said("offline", reason="stopped"))
        assert all(message["simulation"] is False for message in listener.messages)


def test_a_broker_that_has_a_row_does_not_count_as_delivery(tmp_path: Path, mosquitto: LocalBroker, broker: Broker) -> None:
    with Listener(broker, LANE.event) as listener, GateEnd(tmp_path / "gate", broker) as gate:
        gate.record(20)
        wait_for(lambda: len(listener.messages) >= 21, what="all rows at a subscriber that is not the centre")
        wait_for(lambda: len(listener.messages) > 21, what="the rows again, for want of an acknowledgement")
        gate.pump()
        assert gate.delivered == 0
        assert not any(isinstance(message, EventsAcknowledged) for message in gate.posted)
    assert "gate-1" in mosquitto.log


def test_the_rows_on_the_way_never_exceed_the_window(tmp_path: Path, broker: Broker) -> None:
    with Listener(broker, LANE.event) as listener, GateEnd(tmp_path / "gate", broker, window=7) as gate:
        gate.record(100)
        wait_for(lambda: listener.seqs().count(1) >= 2, what="a second round")
        assert set(listener.seqs()) == set(range(1, 8))


def test_a_broker_that_takes_few_messages_at_once_is_not_overrun(tmp_path: Path) -> None:
    with LocalBroker(tmp_path / "broker", extra=("max_inflight_messages 3",)) as mosquitto:
        broker = Broker(mosquitto.host, mosquitto.port, keepalive_s=5, tls=None)
        with Centre(tmp_path, broker), GateEnd(tmp_path / "gate", broker, window=50) as gate:
            gate.record(200)
            gate.wait_until_delivered(30)
        assert "exceeded" not in mosquitto.log.lower()


def test_no_more_than_the_brokers_receive_maximum_is_on_the_way(tmp_path: Path) -> None:
    with StingyBroker(receive_maximum=6) as stingy:
        with GateEnd(tmp_path / "gate", Broker(stingy.host, stingy.port, keepalive_s=1, tls=None), window=50) as gate:
            gate.record(30)
            wait_for(lambda: len(stingy.topics) >= 6)
            wait_for(lambda: gate.journal.seq == 31 and any(report.connected for report in gate.reports()))
            gate.uplink.stop()
            assert gate.uplink.join(10)
        assert sorted(set(stingy.topics)) == [LANE.event, LANE.state]
        assert stingy.topics.count(LANE.event) == 5  # and one place is kept for the presence


def test_a_broker_that_takes_no_message_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.drivers.uplink_flow.BROKER_SILENT_S", 0.5)
    with ExitStack() as stack:
        stingy = stack.enter_context(StingyBroker(receive_maximum=6))
        gate = stack.enter_context(GateEnd(tmp_path / "gate", Broker(stingy.host, stingy.port, keepalive_s=5, tls=None)))
        gate.record(1)
        wait_for(lambda: gate.said("connected but takes no message"))


def test_a_centre_that_is_silent_is_said_while_the_broker_is_there(tmp_path: Path, broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.drivers.uplink_conversation.SILENT_S", 0.5)
    with GateEnd(tmp_path / "gate", broker) as gate:
        wait_for(lambda: gate.said("the broker is there, but the centre is not listening; events wait in the journal"))
        assert gate.connected()
        with Listener(broker, LANE.event):
            wait_for(lambda: gate.said("the centre does not acknowledge"))


def test_an_error_of_the_uplinks_own_ends_one_connection_and_no_more(tmp_path: Path, broker: Broker) -> None:
    gate = GateEnd(tmp_path / "gate", broker)
    good, calls = gate.uplink._clock, []

    class FaultyOnce:
        def now(self) -> Moment:
            calls.append(1)
            if len(calls) == 1:
                raise RuntimeError("a fault of ours")
            return good.now()

    gate.uplink._clock = FaultyOnce()
    with Centre(tmp_path, broker), gate:
        wait_for(lambda: gate.said("a fault of ours"))
        gate.record(3)
        gate.wait_until_delivered()


def test_a_gate_whose_centre_was_away_goes_on_when_it_is_back(tmp_path: Path, broker: Broker) -> None:
    with Centre(tmp_path, broker) as centre, GateEnd(tmp_path / "gate", broker) as gate:
        gate.record(20)
        gate.wait_until_delivered()
        centre.end(signal.SIGKILL)
        gate.record(200)
        centre.start()
        gate.wait_until_delivered()
        report = centre.report()
        assert (report["total"], report["duplicates"], report["epochs"][0]["missing"]) == (221, 0, 0)


def test_a_half_open_link_is_noticed_and_left(tmp_path: Path, mosquitto: LocalBroker, broker: Broker) -> None:
    with Centre(tmp_path, broker) as centre, Proxy(mosquitto.host, mosquitto.port) as proxy:
        fast = Broker(proxy.host, proxy.port, keepalive_s=1, tls=None)
        with GateEnd(tmp_path / "gate", fast) as gate:
            gate.record(10)
            gate.wait_until_delivered()
            proxy.stall()
            gate.record(10)
            wait_for(lambda: not gate.connected(), what="notice of the half-open link")
            proxy.cut()
            proxy.resume()
            gate.wait_until_delivered()
            assert centre.report()["total"] == 21


def test_a_gate_that_is_started_again_sends_only_what_is_missing(tmp_path: Path, broker: Broker) -> None:
    with Centre(tmp_path, broker) as centre:
        with GateEnd(tmp_path / "gate", broker) as gate:
            gate.record(50)
            gate.wait_until_delivered()
        with GateEnd(tmp_path / "gate", broker) as gate:
            gate.record(5)
            gate.wait_until_delivered()
        report = centre.report()
        assert (report["total"], report["epochs"][0]["redelivered"]) == (56, 0)


def test_the_last_event_before_a_stop_still_arrives(tmp_path: Path, broker: Broker) -> None:
    with Centre(tmp_path, broker) as centre:
        with GateEnd(tmp_path / "gate", broker) as gate:
            gate.record(1)
            gate.wait_until_delivered()
            gate.record(3)
        assert centre.report()["total"] == 5


def test_a_new_centre_gets_what_the_old_one_had(tmp_path: Path, broker: Broker) -> None:
    (tmp_path / "second").mkdir()
    with GateEnd(tmp_path / "gate", broker) as gate:
        with Centre(tmp_path, broker):
            gate.record(120)
            gate.wait_until_delivered()
        with Centre(tmp_path / "second", broker) as second:
            gate.record(1)
            wait_for(lambda: second.store.exists() and second.report()["total"] == 122, what="all rows at the new centre")
            assert second.chains_hold()


def test_a_new_centre_learns_which_rows_cannot_be_had_any_more(tmp_path: Path, broker: Broker) -> None:
    (tmp_path / "second").mkdir()
    with GateEnd(tmp_path / "gate", broker) as gate:
        with Centre(tmp_path, broker):
            gate.record(600)
            gate.wait_until_delivered()
        pruned = prune_by_hand(gate, 200)
        with Centre(tmp_path / "second", broker) as second:
            gate.record(1)
            wait_for(lambda: second.store.exists() and second.report()["total"] == 602 - pruned, what="what is left, at the new centre")
            [epoch] = second.report()["epochs"]
            assert (epoch["gaps"], epoch["missing"], epoch["high_water"]) == ([[1, pruned]], 0, 602)
            assert second.chains_hold()


def prune_by_hand(gate: GateEnd, seq: int) -> int:
    """What pruning does to rows that are 30 days old."""
    connection = gate.journal._connection
    assert connection is not None
    connection.execute("BEGIN IMMEDIATE")
    (head,) = connection.execute("SELECT head FROM event WHERE seq = ?", (seq,)).fetchone()
    connection.execute("DELETE FROM event WHERE seq <= ?", (seq,))
    connection.execute("UPDATE mark SET seq = ?, head = ? WHERE name = 'pruned'", (seq, head))
    connection.execute("COMMIT")
    return seq


def test_a_journal_that_is_replaced_while_running_is_sent_from_its_first_row(tmp_path: Path, broker: Broker) -> None:
    with Centre(tmp_path, broker) as centre, GateEnd(tmp_path / "gate", broker) as gate:
        gate.record(10)
        gate.wait_until_delivered()
        first = gate.journal.epoch
        (tmp_path / "gate" / "journal.db").rename(tmp_path / "gate" / "gone.db")
        gate.record(4)
        gate.delivered = 0
        assert gate.journal.epoch != first
        gate.wait_until_delivered()
        assert [(epoch["epoch"], epoch["rows"]) for epoch in centre.report()["epochs"]] == [(first, 11), (gate.journal.epoch, 5)]


# --- acknowledgements that are not right ------------------------------------------------------------------------------------------


def test_an_acknowledgement_with_another_head_is_disputed_once_and_frees_nothing(tmp_path: Path, broker: Broker) -> None:
    with Listener(broker, LANE.event) as listener, GateEnd(tmp_path / "gate", broker) as gate:
        gate.record(5)
        wait_for(lambda: len(listener.messages) >= 6)
        for _ in range(3):
            listener.publish(LANE.ack, {"epoch": gate.journal.epoch, "seq": 4, "head": "a" * 64})
        wait_for(lambda: (gate.pump(), gate.disputes)[1])
        listener.publish(LANE.ack, {"epoch": gate.journal.epoch, "seq": 3, "head": listener.head(3)})
        wait_for(lambda: (gate.pump(), gate.delivered == 3)[1])
        assert [(dispute.seq, dispute.theirs) for dispute in gate.disputes] == [(4, "a" * 64)]


def test_a_flood_of_false_acknowledgements_is_told_a_few_times(tmp_path: Path, broker: Broker) -> None:
    with Listener(broker, LANE.event) as listener, GateEnd(tmp_path / "gate", broker) as gate:
        gate.record(2)
        wait_for(lambda: len(listener.messages) >= 3)
        for number in range(60):
            listener.publish(LANE.ack, {"epoch": gate.journal.epoch, "seq": 2, "head": f"{number:064x}"})
        listener.publish(LANE.ack, {"epoch": gate.journal.epoch, "seq": 3, "head": listener.head(3)})
        wait_for(gate.all_delivered)
        assert len(gate.disputes) == DISPUTES_TOLD


@pytest.mark.parametrize(
    "garbage",
    [b"", b"x", b"[]", b'{"epoch": 1}', b"[" * 2000, b'{"epoch":"e","seq":true,"head":"' + b"a" * 64 + b'"}', b"\xff\xfe", b"1" * 5000],
)
def test_an_acknowledgement_that_is_none_is_passed_over(tmp_path: Path, broker: Broker, garbage: bytes) -> None:
    with Listener(broker, LANE.event) as listener, GateEnd(tmp_path / "gate", broker) as gate:
        wait_for(lambda: listener.messages)
        listener.publish(LANE.ack, garbage)
        listener.publish(LANE.ack, {"epoch": gate.journal.epoch, "seq": 1, "head": listener.head(1)})
        wait_for(gate.all_delivered)
        assert gate.disputes == []


def test_an_old_acknowledgement_that_the_broker_kept_only_costs_a_repetition(tmp_path: Path, broker: Broker) -> None:
    with Centre(tmp_path, broker) as centre, Listener(broker, LANE.event) as listener:
        with GateEnd(tmp_path / "gate", broker) as gate:
            gate.record(30)
            gate.wait_until_delivered()
        listener.publish(LANE.ack, {"epoch": gate.journal.epoch, "seq": 0, "head": chain.GENESIS}, retain=True)
        with GateEnd(tmp_path / "gate", broker) as gate:
            gate.record(1)
            gate.wait_until_delivered()
        report = centre.report()
        assert (report["total"], report["duplicates"], report["epochs"][0]["missing"]) == (32, 0, 0)


def test_two_gates_of_one_name_are_told_and_slow_down(tmp_path: Path, broker: Broker) -> None:
    with GateEnd(tmp_path / "gate", broker) as gate, GateEnd(tmp_path / "copy", broker):
        wait_for(lambda: gate.said("a second client has the same name"))


def test_damage_in_the_middle_of_the_journal_is_said_in_words(tmp_path: Path, broker: Broker) -> None:
    gate = GateEnd(tmp_path / "gate", broker)
    gate.record(600)
    assert gate.journal._connection is not None
    gate.journal._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    file = tmp_path / "gate" / "journal.db"
    with file.open("r+b") as handle:
        handle.seek(file.stat().st_size // 2)
        handle.write(b"\xa5" * 16_384)
    with Centre(tmp_path, broker):
        gate.start()
        wait_for(lambda: gate.said("cannot be read: its contents are damaged"))
        gate.close()


# --- everything at once -----------------------------------------------------------------------------------------------------------


def through_kills(folder: Path, *, seed: int, kills: int, events: int) -> None:
    """Kill broker, centre and uplink at random while events are recorded; then everything must be there, once."""
    chance = random.Random(seed)
    print(f"seed {seed}")
    with LocalBroker(folder / "broker", persistent=chance.random() < 0.5) as mosquitto:
        broker = Broker(mosquitto.host, mosquitto.port, keepalive_s=5, tls=None)
        with Centre(folder, broker) as centre:
            gate = GateEnd(folder / "gate", broker)
            gate.start()
            for _ in range(kills):
                gate.record(events // kills)
                match chance.choice(("broker", "centre", "gate")):
                    case "broker":
                        mosquitto.kill()
                        gate.record(chance.randrange(20))
                        mosquitto.start()
                    case "centre":
                        centre.end(signal.SIGKILL)
                        gate.record(chance.randrange(20))
                        centre.start()
                    case _:
                        gate.close()
                        gate = GateEnd(folder / "gate", broker)
                        gate.start()
                gate.pump()
            gate.wait_until_delivered(120)
            recorded = gate.journal.seq
            gate.close()
            report = centre.report()
            [epoch] = report["epochs"]
            assert (report["total"], report["duplicates"], report["refused"], epoch["missing"]) == (recorded, 0, 0, 0)
            assert centre.chains_hold()
    assert rows_of(folder / "gate" / "journal.db", "SELECT seq, head FROM event") == rows_of(
        centre.store, "SELECT seq, head FROM event ORDER BY seq"
    )


def rows_of(file: Path, question: str) -> list[tuple[int, str]]:
    connection = sqlite3.connect(file)
    try:
        return connection.execute(question).fetchall()
    finally:
        connection.close()


def test_nothing_is_lost_or_doubled_through_a_few_kills(tmp_path: Path) -> None:
    through_kills(tmp_path, seed=3, kills=4, events=400)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", [1, 2])
def test_nothing_is_lost_or_doubled_through_27_kills_and_100_000_events(tmp_path: Path, seed: int) -> None:
    through_kills(tmp_path, seed=seed, kills=27, events=100_000)
