"""Mosquitto started from the very files in config/broker: who may say and hear what, and who gets in at all."""

import contextlib
import os
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.core.topics import Lane
from agent.diagnostics.local_broker import LocalBroker, ServerFiles, program
from agent.mqtt.broker import Broker, LinkError, Tls
from agent.mqtt.link import Accepted, Arrived, Connected, Link, Lost, Refused, Subscribed
from tests.sim.centre import Centre
from tests.sim.certificates import Authority
from tests.sim.gate_end import GateEnd
from tests.sim.waiting import wait_for

CONFIG = Path(__file__).parents[2] / "config" / "broker"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


class Production(LocalBroker):
    """The shipped configuration; only paths, port and address are those of the test."""

    def __init__(self, folder: Path, files: ServerFiles) -> None:
        super().__init__(folder)
        places = {
            "/etc/mosquitto/gates/ca.pem": files.ca_file,
            "/etc/mosquitto/gates/broker.pem": files.cert_file,
            "/etc/mosquitto/gates/broker.key": files.key_file,
            "/etc/mosquitto/gates/acl": CONFIG / "acl",
            "/var/lib/mosquitto/": f"{folder}/",
            "listener 8883": f"listener {self.port} 127.0.0.1",
        }
        text = (CONFIG / "mosquitto.conf").read_text(encoding="utf-8")
        for shipped, here in places.items():
            assert shipped in text
            text = text.replace(shipped, str(here))
        (folder / "mosquitto.conf").write_text(text + ("user root\n" if os.geteuid() == 0 else ""), encoding="utf-8")


@pytest.fixture(scope="module")
def mosquitto(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[LocalBroker]:
    with Production(tmp_path_factory.mktemp("broker"), authority.server()) as one:
        yield one


def broker_for(mosquitto: LocalBroker, tls: Tls | None) -> Broker:
    return Broker(mosquitto.host, mosquitto.port, keepalive_s=5, tls=tls)


def test_events_reach_the_centre_through_the_shipped_configuration(tmp_path: Path, mosquitto: LocalBroker, authority: Authority) -> None:
    gate_side = broker_for(mosquitto, authority.client("hk/gate-1"))
    with Centre(tmp_path, broker_for(mosquitto, authority.client("collector"))) as centre, GateEnd(tmp_path / "gate", gate_side) as gate:
        gate.record(200)
        gate.wait_until_delivered()
        assert (centre.report()["total"], centre.report()["duplicates"]) == (201, 0)


def test_a_simulated_lane_is_refused_in_words_and_keeps_its_events(tmp_path: Path, mosquitto: LocalBroker, authority: Authority) -> None:
    gate_side = broker_for(mosquitto, authority.client("hk/gate-1"))
    with GateEnd(tmp_path / "gate", gate_side, simulation=True) as gate:
        gate.record(3)
        wait_for(lambda: gate.said("Not authorized"))
        assert gate.said("gate-sim/v1/hk/gate-1/event; a production broker refuses a simulated lane")
        gate.pump()
        assert gate.delivered == 0


def test_a_gate_cannot_speak_for_another(tmp_path: Path, mosquitto: LocalBroker, authority: Authority) -> None:
    with GateEnd(tmp_path / "gate", broker_for(mosquitto, authority.client("hk/gate-2"))) as gate:  # which says that it is gate-1
        gate.record(1)
        wait_for(lambda: gate.said("Not authorized"))


def attempt(mosquitto: LocalBroker, tls: Tls, topic: str) -> bool:
    """Whether the broker takes a message on this topic from this client."""
    link = Link(broker_for(mosquitto, tls), client_id="probe", subscribe={"x": False})
    link.connect()
    answers: list[object] = []
    wait_for(lambda: answers.extend(link.turn(0.1)) or any(isinstance(a, Connected) for a in answers))
    link.publish(topic, b"{}")
    wait_for(lambda: answers.extend(link.turn(0.1)) or any(isinstance(a, Accepted | Refused) for a in answers))
    link.close()
    return any(isinstance(a, Accepted) for a in answers)


GATE = Lane("hk", "gate-1", simulation=False)
OTHER = Lane("hk", "gate-2", simulation=False)
SIMULATED = Lane("hk", "gate-1", simulation=True)


@pytest.mark.parametrize(
    ("name", "topic", "allowed"),
    [
        ("hk/gate-1", GATE.event, True),
        ("hk/gate-1", GATE.state, True),
        ("hk/gate-1", GATE.ack, False),
        ("hk/gate-1", OTHER.event, False),
        ("hk/gate-1", OTHER.ack, False),
        ("hk/gate-1", SIMULATED.event, False),
        ("hk/gate-1", "anything", False),
        ("collector", GATE.ack, True),
        ("collector", GATE.event, False),
        ("collector", SIMULATED.ack, False),
        ("+/+", GATE.event, False),
        ("#", GATE.event, False),
    ],
)
def test_the_acl_lets_each_say_only_what_is_its_own(
    mosquitto: LocalBroker, authority: Authority, name: str, topic: str, allowed: bool
) -> None:
    assert attempt(mosquitto, authority.client(name), topic) is allowed


def test_a_gate_hears_only_the_word_to_itself(mosquitto: LocalBroker, authority: Authority) -> None:
    wanted = {GATE.ack: True, OTHER.ack: True, OTHER.event: True, "#": True}
    gate = Link(broker_for(mosquitto, authority.client("hk/gate-1")), client_id="g", subscribe=wanted)
    centre = Link(broker_for(mosquitto, authority.client("collector")), client_id="c", subscribe={"x": False})
    other = Link(broker_for(mosquitto, authority.client("hk/gate-2")), client_id="o", subscribe={"x": False})
    heard: list[object] = []
    for link in (gate, centre, other):
        link.connect()
        seen: list[object] = []
        wait_for(lambda link=link, seen=seen: seen.extend(link.turn(0.1)) or any(isinstance(s, Subscribed) for s in seen))
    other.publish(OTHER.event, b"{}")
    centre.publish(OTHER.ack, b"{}")
    centre.publish(GATE.ack, b"last")
    for link in (other, centre):
        link.turn(0.1)
    wait_for(lambda: heard.extend(gate.turn(0.1)) or any(isinstance(h, Arrived) and h.payload == b"last" for h in heard))
    assert {h.topic for h in heard if isinstance(h, Arrived)} == {GATE.ack}
    for link in (gate, centre, other):
        link.close()


# --- who gets in at all -----------------------------------------------------------------------------------------------------------


def why_not(mosquitto: LocalBroker, tls: Tls | None, folder: Path) -> str:
    """What a gate with these files says."""
    with GateEnd(folder / "gate", broker_for(mosquitto, tls)) as gate:
        wait_for(lambda: any(not report.connected for report in gate.reports()))
        return gate.reports()[0].detail


def test_a_client_certificate_of_another_authority_is_refused_in_words(
    tmp_path: Path, mosquitto: LocalBroker, authority: Authority
) -> None:
    stranger = Authority(tmp_path / "stranger", "somebody else").client("hk/gate-1")
    words = why_not(mosquitto, Tls(authority.ca_file, stranger.cert_file, stranger.key_file), tmp_path)
    assert "ended the connection before it took us; does it take our certificate (authority, dates)?" in words


def test_an_expired_client_certificate_is_refused_in_words(tmp_path: Path, mosquitto: LocalBroker, authority: Authority) -> None:
    words = why_not(mosquitto, authority.client("hk/gate-9", days=-1), tmp_path)
    assert "ended the connection before it took us; does it take our certificate (authority, dates)?" in words


def test_no_certificate_at_all_is_refused(tmp_path: Path, mosquitto: LocalBroker) -> None:
    words = why_not(mosquitto, None, tmp_path)
    assert "ended the connection before it took us; does it want TLS on this port?" in words


def test_a_broker_of_another_authority_is_not_believed(tmp_path: Path, authority: Authority) -> None:
    stranger = Authority(tmp_path / "stranger", "somebody else")
    with LocalBroker(tmp_path / "broker", tls=stranger.server()) as mosquitto:
        words = why_not(mosquitto, authority.client("hk/gate-1"), tmp_path)
    assert "its certificate cannot be trusted" in words


def test_a_broker_of_another_name_is_not_believed(tmp_path: Path, authority: Authority) -> None:
    with LocalBroker(tmp_path / "broker", tls=authority.server(hosts=("127.0.0.9",))) as mosquitto:
        words = why_not(mosquitto, authority.client("hk/gate-1"), tmp_path)
    authority.server()
    assert "its certificate cannot be trusted: IP address mismatch" in words


def test_a_broker_whose_certificate_has_expired_is_not_believed(tmp_path: Path) -> None:
    own = Authority(tmp_path / "own")
    with LocalBroker(tmp_path / "broker", tls=own.server(days=-1)) as mosquitto:
        words = why_not(mosquitto, own.client("hk/gate-1"), tmp_path)
    assert "its certificate cannot be trusted: certificate has expired" in words


def test_a_broker_that_only_speaks_old_tls_is_not_spoken_to(tmp_path: Path, authority: Authority) -> None:
    files = authority.server()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(files.cert_file, files.key_file)
    with socket.create_server(("127.0.0.1", 0)) as server:
        old = threading.Thread(target=lambda: greet_with(context, server), daemon=True)
        old.start()
        broker = Broker("127.0.0.1", server.getsockname()[1], keepalive_s=5, tls=authority.client("hk/gate-1"))
        with GateEnd(tmp_path / "gate", broker) as gate:
            wait_for(lambda: gate.said("the broker does not speak TLS 1.3"))
        old.join(5)


def greet_with(context: ssl.SSLContext, server: socket.socket) -> None:
    connection, _ = server.accept()
    with contextlib.suppress(OSError), connection:
        context.wrap_socket(connection, server_side=True).close()


def test_a_port_without_tls_is_not_spoken_to(tmp_path: Path, authority: Authority) -> None:
    with LocalBroker(tmp_path / "broker") as mosquitto:
        words = why_not(mosquitto, authority.client("hk/gate-1"), tmp_path)
    assert words.startswith("no connection to the broker 127.0.0.1:")


def test_a_server_that_takes_the_connection_and_says_nothing_is_left(
    tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.mqtt.link.CONNECT_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        broker = Broker("127.0.0.1", mute.getsockname()[1], keepalive_s=5, tls=authority.client("hk/gate-1"))
        with GateEnd(tmp_path / "gate", broker) as gate:
            wait_for(lambda: gate.said("no answer in time"))


@pytest.mark.parametrize("missing", ["ca_file", "cert_file", "key_file"])
def test_a_missing_file_is_named(tmp_path: Path, mosquitto: LocalBroker, authority: Authority, missing: str) -> None:
    good = authority.client("hk/gate-1")
    files = {name: getattr(good, name) for name in ("ca_file", "cert_file", "key_file")} | {missing: tmp_path / "gone.pem"}
    assert why_not(mosquitto, Tls(**files), tmp_path).startswith(f"{tmp_path}/gone.pem: No such file or directory")


@pytest.mark.parametrize("broken", ["ca_file", "cert_file", "key_file"])
def test_a_file_that_is_no_certificate_is_named(tmp_path: Path, mosquitto: LocalBroker, authority: Authority, broken: str) -> None:
    (tmp_path / "broken.pem").write_text("not PEM")
    good = authority.client("hk/gate-1")
    files = {name: getattr(good, name) for name in ("ca_file", "cert_file", "key_file")} | {broken: tmp_path / "broken.pem"}
    assert f"{tmp_path}/broken.pem" in why_not(mosquitto, Tls(**files), tmp_path)


def test_without_tls_only_the_loopback_interface_is_possible() -> None:
    with pytest.raises(LinkError, match=r"broker is example\.org; without TLS only one of 127\.0\.0\.1, ::1, localhost"):
        Broker("example.org", 1883, keepalive_s=5, tls=None)


def test_a_name_that_nobody_knows_is_said(tmp_path: Path, authority: Authority) -> None:
    broker = Broker("no-such-host.invalid", 8883, keepalive_s=5, tls=authority.client("hk/gate-1"))
    link = Link(broker, client_id="x", subscribe={"x": False})
    with pytest.raises(LinkError, match="the name is not known"):
        link.connect()
    assert tmp_path.exists()


def test_mosquitto_is_found_where_packages_put_it() -> None:
    assert Path(program()).is_file()


def test_small_packets_leave_at_once(mosquitto: LocalBroker, authority: Authority) -> None:
    link = Link(broker_for(mosquitto, authority.client("hk/gate-1")), client_id="x", subscribe={"x": False})
    link.connect()
    sock = link._client.socket()
    assert isinstance(sock, ssl.SSLSocket)
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert sock.version() == "TLSv1.3"
    link.close()


def test_a_lost_link_says_so_once(mosquitto: LocalBroker) -> None:
    link = Link(broker_for(mosquitto, None), client_id="x", subscribe={"x": False})
    link.connect()
    seen: list[object] = []
    wait_for(lambda: seen.extend(link.turn(0.1)) or seen)
    seen.extend(link.turn(0.0))
    assert [type(s) for s in seen] == [Lost]
    with pytest.raises(LinkError, match="is lost"):
        link.publish("x", b"")
