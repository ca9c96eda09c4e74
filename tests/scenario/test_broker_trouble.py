"""No broker, a wrong one, a killed one, a killed collector: people pass all the same, and the centre gets every event once."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGKILL

import pytest

from agent.diagnostics.demo.play import newest
from agent.diagnostics.local_broker import LocalBroker
from agent.mqtt.broker import Broker
from tests.scenario.conftest import NewLane, Took
from tests.sim.centre import Centre
from tests.sim.certificates import Authority
from tests.sim.lane_process import Lane, broker_of

pytestmark = pytest.mark.alongside


@contextmanager
def centre_of(broker: LocalBroker, folder: Path) -> Iterator[Centre]:
    folder.mkdir(parents=True, exist_ok=True)
    with Centre(folder, Broker(host=broker.host, port=broker.port, keepalive_s=12, tls=None), simulation=True) as centre:
        centre.wait_until_ready()
        yield centre


def until_delivered(lane: Lane, centre: Centre) -> float:
    return lane.until(lambda: centre.store.exists() and newest(centre.store) == newest(lane.journal), "the centre has every row")


def once_and_whole(centre: Centre, lane: Lane) -> None:
    """Each row once, none missing, the chain as the gate wrote it."""
    report = centre.report()
    assert (report["total"], report["duplicates"], report["refused"]) == (len(lane.rows()), 0, 0)
    assert all((epoch["gaps"], epoch["missing"]) == ([], 0) for epoch in report["epochs"])
    assert centre.chains_hold()


def test_without_a_broker_people_pass_and_everything_is_delivered_once_it_comes(new_lane: NewLane, took: Took, tmp_path: Path) -> None:
    lane = new_lane()
    with broker_of(lane) as broker:
        lane.start()
        lane.until(lane.in_service, "in service without a broker")
        lane.let_in()
        lane.until(lambda: "nobody listens there" in str(lane.said("uplink.changed")), "the event says that nobody is there")
        broker.start()
        with centre_of(broker, tmp_path) as centre:
            took("broker absent -> delivered", until_delivered(lane, centre))
            assert lane.end_agent() == 0
            until_delivered(lane, centre)
            once_and_whole(centre, lane)


def test_a_broker_with_a_wrong_certificate_gets_nothing(new_lane: NewLane, took: Took, tmp_path: Path) -> None:
    ours, theirs = Authority(tmp_path / "ours"), Authority(tmp_path / "theirs", "another authority")
    lane = new_lane()
    wrong, right = theirs.server(), ours.server()
    broker = LocalBroker(lane.site.broker, tls=wrong)
    client = ours.client(f"{lane.settings['gate']['site']}/{lane.settings['gate']['gate']}")
    files = {"ca_file": client.ca_file, "cert_file": client.cert_file, "key_file": client.key_file}
    client.key_file.chmod(0o600)
    lane.settings["uplink"] = {"enabled": True, "host": broker.host, "port": broker.port, "tls": True, **files}
    broker.start()
    try:
        lane.start()
        lane.until(lane.in_service, "in service")
        lane.until(lambda: "certificate" in str(lane.said("uplink.changed", connected=False)), "the event names the certificate")
        lane.let_in()
        broker.stop()
        for name in ("ca_file", "cert_file", "key_file"):
            shutil.copy(getattr(right, name), getattr(wrong, name))
        broker.start()
        took("wrong certificate -> connected", lane.until(lambda: lane.said("uplink.changed", connected=True), "connected"))
    finally:
        broker.stop()


def test_a_killed_broker_and_a_killed_collector_lose_nothing(new_lane: NewLane, took: Took, tmp_path: Path) -> None:
    lane = new_lane(settings={"lane": {"anti_passback": "off"}})
    with broker_of(lane) as broker:
        broker.start()
        with centre_of(broker, tmp_path) as centre:
            lane.start()
            lane.until(lane.in_service, "in service")
            centre.end(SIGKILL)
            lane.let_in()
            centre.start()
            took("collector killed and started -> delivered", until_delivered(lane, centre))
            broker.kill()
            lane.until(lambda: lane.said("uplink.changed", connected=False), "the loss is recorded")
            lane.let_in()
            broker.start()
            took("broker killed and started -> delivered", until_delivered(lane, centre))
            lane.end_agent(SIGKILL)
            lane.start_agent()
            lane.until(lane.in_service, "in service after the agent's kill")
            assert lane.end_agent() == 0
            until_delivered(lane, centre)
            once_and_whole(centre, lane)
