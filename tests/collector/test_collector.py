"""gate-collector as an operator meets it: run, report, verify, import, stop."""

import json
import re
import signal
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.collector import cli
from agent.collector.intake import take_in
from agent.collector.settings import CollectorSettings, example, load
from agent.collector.store import Store
from agent.core.topics import Lane
from agent.diagnostics.local_broker import LocalBroker
from agent.drivers.journal import SqliteJournal
from agent.mqtt.broker import Broker
from tests.sim.centre import Centre
from tests.sim.clock import StandingClock
from tests.sim.gate_end import GateEnd
from tests.sim.lane_events import granted
from tests.sim.listener import Listener
from tests.sim.stingy_broker import StingyBroker
from tests.sim.waiting import wait_for

ROOT = Path(__file__).parents[2]
LANE = Lane("hk", "gate-1", simulation=False)


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[LocalBroker]:
    with LocalBroker(tmp_path / "broker") as one:
        yield one


@pytest.fixture
def broker(mosquitto: LocalBroker) -> Broker:
    return Broker(mosquitto.host, mosquitto.port, keepalive_s=5, tls=None)


def test_a_collector_that_is_asked_to_stop_ends_with_code_0(tmp_path: Path, broker: Broker) -> None:
    centre = Centre(tmp_path, broker)
    centre.start()
    centre.wait_until_ready()
    assert centre.end(signal.SIGTERM) == 0


def test_a_collector_says_in_json_when_it_is_subscribed(tmp_path: Path, broker: Broker) -> None:
    with Centre(tmp_path, broker) as centre:
        centre.wait_until_ready()
        assert json.loads(centre.said()) == {"ready": True, "broker": f"127.0.0.1:{broker.port}", "store": str(centre.store)}


def test_a_collector_without_a_broker_keeps_trying_and_says_why(tmp_path: Path, mosquitto: LocalBroker, broker: Broker) -> None:
    mosquitto.stop()
    with Centre(tmp_path, broker) as centre:
        wait_for(lambda: "nobody listens there; is the broker running?" in centre.said())
        mosquitto.start()
        wait_for(lambda: '"ready": true' in centre.said())


def test_garbage_on_the_topics_neither_stops_nor_enters_the_collector(tmp_path: Path, broker: Broker) -> None:
    with Centre(tmp_path, broker) as centre, Listener(broker, LANE.ack) as listener:
        centre.wait_until_ready()
        for garbage in (b"", b"\x00\xff", b"{}", b"[" * 50_000, b'{"data":' * 5_000):
            listener.publish(LANE.event, garbage)
            listener.publish(LANE.state, garbage)
        listener.publish("gate/v1/hk/a b/event", b"{}")
        with GateEnd(tmp_path / "gate", broker) as gate:
            gate.record(10)
            gate.wait_until_delivered()
        found = centre.report()
        assert (found["total"], found["refused"]) == (11, 6)


def test_a_retained_copy_of_an_event_does_nothing(tmp_path: Path, broker: Broker) -> None:
    with Listener(broker, LANE.event) as listener, GateEnd(tmp_path / "gate", broker) as gate:
        wait_for(lambda: listener.messages)
        first = json.dumps(listener.messages[0], separators=(",", ":")).encode()
        listener.publish(LANE.event, first, retain=True)
        with Centre(tmp_path, broker) as centre:
            gate.record(1)
            gate.wait_until_delivered()
            found = centre.report()
    assert (found["total"], found["refused"], found["epochs"][0]["redelivered"]) == (2, 0, 0)


def test_a_centre_of_simulated_lanes_hears_only_those(tmp_path: Path, broker: Broker) -> None:
    with Centre(tmp_path, broker, simulation=True) as centre:
        real, simulated = GateEnd(tmp_path / "real", broker, gate="real"), GateEnd(tmp_path / "sim", broker, simulation=True)
        real.start()
        with simulated as gate:
            gate.record(5)
            gate.wait_until_delivered()
        real.close()
        assert [(epoch["gate"], epoch["rows"]) for epoch in centre.report()["epochs"]] == [("gate-1", 6)]


def test_many_gates_are_told_where_they_stand_although_the_broker_takes_few_messages_at_once(tmp_path: Path) -> None:
    with LocalBroker(tmp_path / "broker", extra=("max_inflight_messages 2",)) as mosquitto:
        broker = Broker(mosquitto.host, mosquitto.port, keepalive_s=5, tls=None)
        with Centre(tmp_path, broker) as centre:
            gates = [GateEnd(tmp_path / f"g{number}", broker, gate=f"g{number}") for number in range(8)]
            for gate in gates:
                gate.start()
            for gate in gates:
                gate.record(20)
            for gate in gates:
                gate.wait_until_delivered()
            centre.end(signal.SIGKILL)
            centre.start()
            for gate in gates:
                gate.record(1)
            for gate in gates:
                gate.wait_until_delivered()
                gate.close()
            assert centre.report()["total"] == 8 * 22


def test_no_more_words_than_the_brokers_receive_maximum_are_on_the_way(tmp_path: Path) -> None:
    store = Store(tmp_path / "events.db", simulation=False)
    for number in range(8):
        (tmp_path / f"g{number}").mkdir()
        take_in(journal_of(tmp_path / f"g{number}", 1, gate=f"gate-{number}"), store)
    store.close()
    with StingyBroker(receive_maximum=3) as stingy:
        with Centre(tmp_path, Broker(stingy.host, stingy.port, keepalive_s=5, tls=None)) as centre:
            centre.wait_until_ready()
            wait_for(lambda: len(stingy.topics) >= 3)
            assert centre.end(signal.SIGTERM) == 0
        assert len(stingy.topics) == 3


# --- the commands -----------------------------------------------------------------------------------------------------------------


def journal_of(folder: Path, rows: int, *, gate: str = "gate-1", simulation: bool = False) -> Path:
    clock = StandingClock()
    journal = SqliteJournal(folder / "journal.db", site="hk", gate=gate, simulation=simulation, clock=clock)
    journal.commit([granted(clock.now(), grant=n) for n in range(1, rows + 1)])
    journal.close()
    return folder / "journal.db"


def test_a_set_aside_journal_is_taken_in_and_what_was_there_already_stays_single(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    journal, store = journal_of(tmp_path, 700), tmp_path / "events.db"
    for _ in range(2):
        assert cli.main(["import", str(journal), "--store", str(store), "--json"]) == 0
        done = json.loads(capsys.readouterr().out)
        assert (done["read"], done["high_water"], done["fault"]) == (701, 701, "")
    assert cli.main(["verify", "--store", str(store)]) == 0
    assert "701 rows fit" in capsys.readouterr().out
    assert cli.main(["report", "--store", str(store)]) == 0
    assert "701 events, 0 duplicates, 0 messages refused" in capsys.readouterr().out


def test_of_a_damaged_journal_what_can_be_read_is_taken_in(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    journal, store = journal_of(tmp_path, 2000), tmp_path / "events.db"
    with journal.open("r+b") as handle:
        handle.seek(journal.stat().st_size * 3 // 4)
        handle.write(b"\xa5" * 16_384)
    assert cli.main(["import", str(journal), "--store", str(store), "--json"]) == 1
    done = json.loads(capsys.readouterr().out)
    assert 1000 < done["read"] == done["high_water"] < 2000
    assert "malformed" in done["fault"]


def test_a_changed_row_of_a_journal_is_not_taken_in(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    journal, store = journal_of(tmp_path, 10), tmp_path / "events.db"
    data = journal.read_bytes()
    journal.write_bytes(data.replace(b'"grant":5,', b'"grant":6,'))
    assert cli.main(["import", str(journal), "--store", str(store), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["high_water"] == 5


@pytest.mark.parametrize("command", [["report"], ["verify"]])
def test_a_store_that_is_not_there_is_said_in_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str], command: list[str]) -> None:
    assert cli.main([*command, "--store", str(tmp_path / "none.db")]) == 1
    assert re.fullmatch(r"gate-collector: there is no store at \S+/none\.db; gate-collector run makes it\n", capsys.readouterr().err)


def test_a_journal_that_is_none_is_said_in_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.db").write_text("no database" * 100)
    assert cli.main(["import", str(tmp_path / "x.db"), "--store", str(tmp_path / "events.db")]) == 1
    assert "does not say whose journal it is (file is not a database)" in capsys.readouterr().err


def test_a_broken_chain_gives_exit_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    journal, store = journal_of(tmp_path, 10), tmp_path / "events.db"
    cli.main(["import", str(journal), "--store", str(store)])
    store.write_bytes(store.read_bytes().replace(b'"grant":5,', b'"grant":6,'))
    capsys.readouterr()
    assert cli.main(["verify", "--store", str(store), "--json"]) == 1
    [found] = json.loads(capsys.readouterr().out)["chains"]
    assert found["fault"] == "row 6 is not what was written"


def test_no_tls_to_a_broker_elsewhere_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", "--store", str(tmp_path / "e.db"), "--host", "example.org", "--no-tls"]) == 1
    assert "without TLS only one of" in capsys.readouterr().err


def test_a_wrong_key_in_the_file_is_refused_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "c.toml").write_text("[collector]\nprot = 1\n")
    assert cli.main(["run", "--config", str(tmp_path / "c.toml")]) == 2
    assert "unknown key 'collector.prot'" in capsys.readouterr().err


def test_what_is_given_on_the_command_line_counts_more_than_the_file(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text('[collector]\nport = 1\nhost = "a"\n')
    options = cli._parser().parse_args(["run", "--config", str(tmp_path / "c.toml"), "--port", "2", "--no-tls"])
    wanted = cli._settings(options)
    assert (wanted.host, wanted.port, wanted.tls) == ("a", 2, False)


def test_the_sample_file_is_the_defaults() -> None:
    file = ROOT / "config" / "collector.example.toml"
    assert file.read_text(encoding="utf-8") == example()
    assert load(file) == CollectorSettings()
    assert tomllib.loads(example())["collector"]["port"] == 8883
