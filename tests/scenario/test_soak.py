"""Many people one after the other while parts fail at random: judged by the controller's log and the journal alone."""

import os
import random
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.diagnostics.demo.site import program
from agent.diagnostics.local_broker import LocalBroker
from tests.scenario.conftest import NewLane
from tests.scenario.test_broker_trouble import centre_of, once_and_whole, until_delivered
from tests.scenario.test_kills import wait
from tests.sim.centre import Centre
from tests.sim.lane_process import Lane, broker_of
from tests.sim.scene import ABSENT, NOBODY, OK, SILENT
from tests.sim.town import Town

pytestmark = pytest.mark.alongside

WARM_UP = 25  # walk-ups, each fault among them four times, after which the agent's memory should have reached its size
GROWTH = 1.05


@dataclass(frozen=True, slots=True)
class Site:
    """A lane with everything around it."""

    lane: Lane
    broker: LocalBroker
    centre: Centre
    authority: Path


def unplugged(site: Site, rng: random.Random) -> None:
    site.lane.tell(unplug=True)
    wait(rng.uniform(0, 2))
    site.lane.tell(plug=True)


def rebooted(site: Site, _: random.Random) -> None:
    site.lane.tell(reboot=True)


def broker_killed(site: Site, rng: random.Random) -> None:
    site.broker.kill()
    wait(rng.uniform(0, 2))
    site.broker.start()


def blinded(site: Site, rng: random.Random) -> None:
    site.lane.scene.ail("entry", rng.choice((ABSENT, SILENT)))
    wait(rng.uniform(0, 3))
    site.lane.scene.ail("entry", OK)


def another_roster(site: Site, _: random.Random) -> None:
    for words in (("release",), ("export", str(site.lane.settings["roster"]["source"]))):
        subprocess.run([program("gate-roster"), words[0], "--authority", str(site.authority), *words[1:]], check=True, capture_output=True)


def button_pressed(site: Site, _: random.Random) -> None:
    site.lane.tell(press="request_to_exit")


FAULTS: tuple[Callable[[Site, random.Random], None], ...] = (unplugged, rebooted, broker_killed, blinded, another_roster, button_pressed)


@contextmanager
def site_of(new_lane: NewLane, town: Town, folder: Path) -> Iterator[Site]:
    shutil.copytree(town.site.authority, folder / "authority")
    shutil.copytree(town.site.roster, folder / "roster")
    lane = new_lane(settings={"lane": {"anti_passback": "off"}, "roster": {"source": folder / "roster"}})
    with broker_of(lane) as broker:
        broker.start()
        with centre_of(broker, folder / "centre") as centre:
            lane.start()
            lane.until(lane.in_service, "in service")
            yield Site(lane, broker, centre, folder / "authority")


def walk_up(site: Site, rng: random.Random, fault: Callable[[Site, random.Random], None] | None) -> None:
    """Somebody comes and stays until they are through; the fault strikes somewhere on the way."""
    lane, before = site.lane, len(site.lane.log("passage_completed", direction="ENTRY"))
    lane.come("entry")
    if fault is not None:
        wait(rng.uniform(0, 1.5))
        fault(site, rng)
    lane.until(lambda: len(lane.log("passage_completed", direction="ENTRY")) > before, f"a passage in spite of {fault}")
    lane.come("entry", NOBODY)
    lane.until(lambda: lane.snapshot().get("phase") == "secured", "the lane at rest")


def comes_out_right(site: Site) -> None:
    lane = site.lane
    lane.until(lane.in_service, "in service at the end")
    assert lane.end_agent() == 0
    lane.judge()
    until_delivered(lane, site.centre)
    once_and_whole(site.centre, lane)


def test_each_fault_strikes_once(new_lane: NewLane, town: Town, tmp_path: Path) -> None:
    rng = random.Random(1)
    with site_of(new_lane, town, tmp_path) as site:
        for fault in FAULTS:
            walk_up(site, rng, fault)
        comes_out_right(site)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_hundred_walk_ups_with_random_faults(new_lane: NewLane, town: Town, tmp_path: Path) -> None:
    seed = int(os.environ.get("GATE_SOAK_SEED", str(time.time_ns() % 10**6)))
    print(f"seed {seed}; again with GATE_SOAK_SEED={seed}")
    rng = random.Random(seed)
    with site_of(new_lane, town, tmp_path) as site:
        resident = []
        for number in range(100):
            fault = FAULTS[number % len(FAULTS)] if number < WARM_UP else rng.choice((None, rng.choice(FAULTS)))
            walk_up(site, rng, fault)
            resident.append(site.lane.resident_mb())
        print(f"resident MB, every tenth: {[round(mb) for mb in resident[::10]]}, at the end {resident[-1]:.1f}")
        assert resident[-1] <= GROWTH * resident[WARM_UP], resident
        comes_out_right(site)
