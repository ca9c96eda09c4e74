"""kill -9 at every point of a passage, of the agent and of the controller: afterwards the journal says what happened, once.

Every lane is judged with its test (conftest.py): one end for each grant, and the one that the controller saw; no number twice; no release
without its record. The chain is followed by the program's own verifier.
"""

import os
import random
import subprocess
import sys
import time
from pathlib import Path
from signal import SIGKILL

import pytest

from agent.diagnostics.demo.site import program
from tests.scenario.conftest import NewLane
from tests.scenario.test_broker_trouble import centre_of, once_and_whole, until_delivered
from tests.sim.lane_process import Lane, broker_of
from tests.sim.scene import NOBODY

pytestmark = pytest.mark.alongside

OPEN_TO_ALL = {"lane": {"anti_passback": "off"}}


def until_whole(lane: Lane) -> None:
    lane.until(lane.is_whole_again, "in service with every grant closed")
    lane.judge()


def verified(journal: Path) -> bool:
    return (
        subprocess.run([program("gate-agent"), "journal", "verify", "--file", str(journal)], check=False, capture_output=True).returncode
        == 0
    )


def test_killed_between_the_record_and_the_release_nobody_was_let_in(new_lane: NewLane) -> None:
    lane = new_lane()
    lane.start(program=(sys.executable, "-m", "tests.sim.agent_killed_at_release"))
    lane.until(lane.in_service, "in service")
    lane.come("entry")
    assert lane.ended() == -SIGKILL
    assert [row["type"] for row in lane.rows()][-1] == "access.granted"
    lane.come("entry", NOBODY)
    lane.start_agent()
    until_whole(lane)
    assert (lane.ends(), lane.releases()) == (["passage.not_made"], [])
    lane.let_in()
    until_whole(lane)
    assert [line["grant_number"] for line in lane.releases()] == [2]
    assert verified(lane.journal)


@pytest.mark.parametrize("back", ["at once", "after the lease"])
def test_killed_between_the_release_and_the_passage(lane: Lane, back: str) -> None:
    """Back at once, the new agent takes the release back; later, the lost lease has."""
    lane.tell(person="nobody")
    lane.come("entry")
    lane.until(lane.releases, "a release")
    lane.end_agent(SIGKILL)
    lane.come("entry", NOBODY)
    if back == "after the lease":
        lane.until(lambda: lane.log("release_ended", reason="LEASE_LOST"), "the lease is lost")
    lane.start_agent()
    until_whole(lane)
    lane.tell(person="walks")
    assert (lane.ends(), lane.passages()) == (["passage.not_made"], [])


def test_killed_between_the_release_and_a_passage_that_is_made_meanwhile(lane: Lane) -> None:
    lane.come("entry")
    lane.until(lane.releases, "a release")
    lane.end_agent(SIGKILL)
    lane.come("entry", NOBODY)
    lane.until(lane.passages, "somebody passes without an agent")
    lane.start_agent()
    until_whole(lane)
    assert lane.ends() == ["passage.made"]


@pytest.mark.parametrize("back", ["at once", "after the passage"])
def test_killed_during_the_passage(lane: Lane, back: str) -> None:
    lane.come("entry")
    lane.until(lambda: lane.log("passage_started"), "somebody begins to pass")
    lane.end_agent(SIGKILL)
    lane.come("entry", NOBODY)
    if back == "after the passage":
        lane.until(lane.passages, "the passage goes on without the agent")
    lane.start_agent()
    until_whole(lane)
    assert (lane.ends(), len(lane.passages())) == (["passage.made"], 1)


def test_a_controller_that_loses_power_during_a_passage_closes_on_nobody_and_the_journal_says_so(lane: Lane) -> None:
    lane.come("entry")
    lane.until(lambda: lane.log("passage_started"), "somebody begins to pass")
    lane.end_controller(SIGKILL)
    lane.come("entry", NOBODY)
    lane.until(lambda: lane.said("barrier.lost"), "the loss is recorded")
    lane.start_controller()
    until_whole(lane)
    assert (lane.ends(), [event["reason"] for event in lane.said("passage.unconfirmed")]) == (["passage.unconfirmed"], ["power_lost"])
    lane.let_in()
    until_whole(lane)
    assert lane.ends()[1:] == ["passage.made"]
    assert verified(lane.journal)


def test_after_a_kill_the_centre_has_everything_once(new_lane: NewLane, tmp_path: Path) -> None:
    lane = new_lane(settings=OPEN_TO_ALL)
    with broker_of(lane) as broker:
        broker.start()
        with centre_of(broker, tmp_path) as centre:
            lane.start()
            lane.until(lane.in_service, "in service")
            kill_at_random(lane, random.Random(1), times=1)
            assert lane.end_agent() == 0
            until_delivered(lane, centre)
            once_and_whole(centre, lane)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_thirty_kills_at_random_times_leave_a_journal_that_says_what_happened(new_lane: NewLane, tmp_path: Path) -> None:
    seed = int(os.environ.get("GATE_KILL_SEED", str(time.time_ns() % 10**6)))
    print(f"seed {seed}; again with GATE_KILL_SEED={seed}")
    lane = new_lane(settings=OPEN_TO_ALL, pace=("--reaction-ms", "300", "--step-ms", "150"))
    with broker_of(lane) as broker:
        broker.start()
        with centre_of(broker, tmp_path) as centre:
            lane.start()
            lane.until(lane.in_service, "in service")
            kill_at_random(lane, random.Random(seed), times=30)
            assert lane.end_agent() == 0
            until_delivered(lane, centre)
            once_and_whole(centre, lane)
    assert verified(lane.journal)


def kill_at_random(lane: Lane, rng: random.Random, *, times: int) -> None:
    """The person comes, and within the next seconds agent or controller is killed, and started again after a while."""
    for _ in range(times):
        lane.come("entry")
        wait(rng.uniform(0, 2.5))
        if rng.random() < 0.75:
            lane.end_agent(SIGKILL)
            wait(rng.choice((0.0, 0.5, 3.0)))
            lane.start_agent()
            if rng.random() < 0.3:
                wait(rng.uniform(0, 1.0))  # while it starts
                lane.end_agent(SIGKILL)
                lane.start_agent()
        else:
            lane.end_controller(SIGKILL)
            wait(rng.choice((0.0, 0.5, 3.0)))
            lane.start_controller()
        lane.come("entry", NOBODY)
        until_whole(lane)


def wait(seconds: float) -> None:
    """The one thing here that is waited for is time itself: when the blow falls is the test's own choice."""
    time.sleep(seconds)
