"""The controller is absent, unplugged, rebooted, silent or not ours: nobody gets in, people get out, and the lane arms again by itself."""

import os
import secrets
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP

import pytest

from tests.scenario.conftest import NewLane, Took
from tests.scenario.faults import out_of_service, recovers
from tests.sim.lane_process import Lane

pytestmark = pytest.mark.alongside


def test_a_serial_port_that_is_absent_at_the_start_may_come_later(new_lane: NewLane, took: Took) -> None:
    lane = new_lane()
    lane.start_controller()
    lane.tell(unplug=True)
    lane.start()
    out_of_service(lane, "barrier", "there is no such device", by="barrier.lost")
    lane.tell(plug=True)
    took("serial port absent at the start -> in service", recovers(lane))


def test_a_controller_that_is_unplugged_while_running_is_armed_again_when_it_is_back(lane: Lane, took: Took) -> None:
    lane.tell(unplug=True)
    out_of_service(lane, "barrier", "check cable", by="barrier.lost")
    lane.tell(plug=True)
    took("unplugged while running -> in service", recovers(lane))


def test_a_controller_that_reboots_is_armed_again(lane: Lane, took: Took) -> None:
    lane.tell(reboot=True)
    lane.until(lambda: lane.said("barrier.lost"), "the loss is recorded")
    lane.come("entry")
    took("controller rebooted -> in service", recovers(lane))
    assert (len(lane.log("boot")), len(lane.log("arm", refusal="NONE"))) == (1, 1)


def test_a_controller_that_falls_silent_is_lost_and_found(lane: Lane, took: Took) -> None:
    lane.tell(mute=True)
    out_of_service(lane, "barrier", "check cable", by="barrier.lost", event="silent")
    lane.tell(mute=False)
    took("controller silent -> in service", recovers(lane))


def test_a_controller_with_another_key_is_never_armed(new_lane: NewLane, took: Took, tmp_path: Path) -> None:
    lane = new_lane()
    other = tmp_path / "other.key"
    other.write_text(secrets.token_hex(32), encoding="ascii")
    lane.start_controller("--key-file", str(other))
    lane.start()
    out_of_service(lane, "barrier", "key", by="barrier.lost")
    assert lane.log("arm", refusal="NONE") == []
    lane.end_controller(SIGKILL)
    lane.start_controller()
    took("controller with another key -> in service", recovers(lane))


def test_the_fire_input_opens_the_lane_and_a_person_on_site_ends_it(lane: Lane, took: Took) -> None:
    lane.tell(set={"fire": True})
    lane.until(lambda: lane.said("emergency.raised"), "the emergency is recorded")
    lane.tell(set={"fire": False})
    lane.tell(press="reset_key")
    took("emergency reset by hand -> armed", lane.until(lambda: lane.said("emergency.cleared"), "its end is recorded"))
    lane.let_in()
    lane.until(lambda: lane.said("passage.made"), "the passage is recorded")


def test_an_agent_that_stands_still_loses_its_lease_and_releases_nothing_late(lane: Lane, took: Took) -> None:
    """As a machine that swaps, or a debugger: what it decided before is too old when it wakes."""
    assert lane.agent is not None
    lane.come("entry")
    os.kill(lane.agent.pid, SIGSTOP)
    lane.until(lambda: lane.log("fault_changed", fault="LEASE_LOST", active="ON"), "the lease is lost")
    lane.tell(press="request_to_exit")
    lane.until(lambda: lane.log("passage_completed", grant_number=0), "the way out by the exit button")
    os.kill(lane.agent.pid, SIGCONT)
    lane.until(lambda: lane.said("barrier.lost"), "it learns that the permission is gone")
    took("agent stood still -> in service", recovers(lane))
