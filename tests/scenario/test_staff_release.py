"""Staff release through a running agent: real processes, real keys, and the technician's own command beside them."""

import json
import subprocess
import sys
from signal import SIGKILL
from typing import Any

import pytest

from agent.diagnostics.barrier_tool import keys
from agent.diagnostics.demo.site import program
from tests.scenario.conftest import NewLane
from tests.sim.lane_process import Lane

pytestmark = pytest.mark.slow


def barrier(lane: Lane, *words: str) -> subprocess.CompletedProcess[str]:
    """The bench tool, as the technician runs it."""
    command = [program("gate-agent"), "barrier", *words, "--config", str(lane.site.config), "--simulation", "--json"]
    return subprocess.run(command, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL)


def lane_with_staff(new_lane: NewLane) -> tuple[Lane, list[str]]:
    """A lane whose staff key is Li's, and the words of Li's order."""
    lane = new_lane()
    keys_dir = lane.site.folder / "staff"
    keys_dir.mkdir(mode=0o755)
    private, public, _ = keys.make("li", lane.site.folder)
    public.rename(keys_dir / public.name)
    lane.settings["staff"] = {"keys_dir": keys_dir}
    return lane, ["release", "--direction", "entry", "--staff", "li", "--key", str(private), "--reason", "a wheelchair", "--yes"]


def told(done: subprocess.CompletedProcess[str]) -> Any:
    return json.loads(done.stdout)


def kinds(lane: Lane, *wanted: str) -> list[str]:
    return [row["type"] for row in lane.rows() if row["type"] in wanted]


def test_staff_let_somebody_in_and_a_lock_down_stops_it(new_lane: NewLane) -> None:
    lane, order = lane_with_staff(new_lane)
    lane.start()
    lane.until(lane.in_service, "in service")
    done = barrier(lane, *order)
    assert (done.returncode, told(done)) == (0, {"direction": "entry", "grant": 1, "end": "passage.made", "why": ""}), done.stderr
    assert len(lane.passages()) == 1
    subprocess.run([program("gate-agent"), "lock-down", "on", "--reason", "drill", "--config", str(lane.site.config)], check=True)
    done = barrier(lane, *order)
    assert (done.returncode, told(done)["why"]) == (1, "lock_down"), done.stderr
    assert kinds(lane, "staff.granted", "staff.denied") == ["staff.granted", "staff.denied"]
    watched = told(barrier(lane, "watch", "--for", "0.1"))
    assert watched["snapshot"]["controller"]["checksum_errors"] == 0
    assert barrier(lane, "soak", "--minutes", "1").returncode == 1


def test_the_port_is_the_tools_own_only_while_no_agent_runs(new_lane: NewLane) -> None:
    lane, order = lane_with_staff(new_lane)
    lane.start()
    lane.until(lane.in_service, "in service")
    lane.end_agent()
    barrier(lane, *order[:3], "--yes")
    lane.start_agent()
    lane.until(lane.in_service, "in service again")
    assert kinds(lane, "staff.granted", "passage.ungranted") == ["passage.ungranted"]
    done = barrier(lane, *order)
    assert told(done)["grant"] == 2, done.stderr
    lane.is_whole = False  # the oracle knows of no release without the agent


def test_killed_between_the_record_and_the_release_of_staff_a_record_is_left_and_nobody_let_in(new_lane: NewLane) -> None:
    lane, order = lane_with_staff(new_lane)
    lane.start(program=(sys.executable, "-m", "tests.sim.agent_killed_at_release"))
    lane.until(lane.in_service, "in service")
    done = barrier(lane, *order)
    assert lane.ended() == -SIGKILL
    assert (done.returncode, told(done)["exit_code"]) == (1, 1)
    assert "the agent has ended" in done.stderr
    assert (lane.rows()[-1]["type"], lane.releases()) == ("staff.granted", [])
    lane.start_agent()
    lane.until(lane.in_service, "in service again")
    assert (lane.ends(), lane.releases()) == (["passage.not_made"], [])
    assert told(barrier(lane, *order))["grant"] == 2
