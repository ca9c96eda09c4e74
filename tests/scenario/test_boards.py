"""Whole lanes with a bought board in the controller's place: agent and board are processes, and the board's server is pymodbus's."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from signal import SIGKILL

import pytest

from tests.sim.lane_process import Lane, Settings
from tests.sim.scene import NOBODY
from tests.sim.town import Town

WINDOW_MS = 1500
PULSE_S = 0.6  # [board] pulse_ms by default is 500, and the relay needs its moment
QUICK = {"lane": {"release_window_ms": WINDOW_MS, "anti_passback": "off", "subject_lost_ms": 3000}}
MODBUS: Settings = {"barrier": {"kind": "modbus", "baud": 9600, "key_file": "", "link_inside_cabinet": True}, **QUICK}
RELAY: Settings = {
    "barrier": {"kind": "relay", "allow_unsafe_actuator": True, "baud": 9600, "key_file": "", "link_inside_cabinet": True},
    "board": {"input_passed_entry": -1, "input_passed_exit": -1, "input_emergency": -1},
    **QUICK,
}


class BoardLane(Lane):
    """A lane whose controller's port is a board's. `walk_ms`: how long a person takes to the passage contact; negative: nobody walks."""

    walk_ms = 1200

    def start_controller(self, *more: str) -> None:
        link, walk = str(self.site.controller_port), str(self.walk_ms)
        self.controller = self._run("board", [sys.executable, "-m", "tests.sim.relay_board", "--link", link, "--walk-ms", walk, *more])
        self.controller.wait_for(lambda line: '"ready"' in line, "ready", 60)

    def flashes(self) -> list[tuple[int, int]]:
        assert self.controller is not None
        lines = [json.loads(line) for line in self.controller.lines]
        return [(line["output"], line["ms"]) for line in lines if line["kind"] == "flash"]

    def comes_and_goes(self) -> None:
        """Until the lane has released for them."""
        granted = len(self.said("access.granted"))
        self.come("entry")
        self.until(lambda: len(self.said("access.granted")) > granted, "a grant")
        self.come("entry", NOBODY)

    def grants(self) -> list[int]:
        return [row["data"]["fields"]["grant"] for row in self.rows() if row["type"] == "access.granted"]


New = Callable[[Settings], BoardLane]


@pytest.fixture
def new(town: Town, tmp_path_factory: pytest.TempPathFactory) -> Iterator[New]:
    with ExitStack() as stack:

        def made(settings: Settings) -> BoardLane:
            lane = stack.enter_context(BoardLane(town, tmp_path_factory.mktemp("board"), settings=settings))
            lane.is_whole = False  # there is no controller's log to hold the journal against
            return lane

        yield made


def test_a_person_is_let_in_through_a_modbus_board(new: New) -> None:
    lane = new(MODBUS)
    lane.start()
    lane.until(lane.in_service, "in service")
    lane.comes_and_goes()
    lane.until(lambda: lane.said("passage.made"), "the passage")
    (connected,) = lane.said("barrier.connected")
    assert (connected["controller"], connected["kind"], connected["authenticated"]) == ("coil_0200 at address 1", "emulator", False)
    assert [made["passage_counter"] for made in lane.said("passage.made")] == [None]
    assert lane.said("passage.gap") == []
    assert lane.flashes() == [(0, 500)]
    assert lane.end_agent() == 0
    lane.judge()


@pytest.mark.slow
def test_killed_after_the_release_nobody_claims_to_know_what_came_of_it_and_no_number_comes_again(new: New) -> None:
    lane = new(MODBUS)
    lane.walk_ms = -1
    lane.start()
    lane.until(lane.in_service, "in service")
    lane.comes_and_goes()
    lane.until(lane.flashes, "the board's pulse")
    pulsed_s = time.monotonic()
    lane.end_agent(SIGKILL)
    lane.start_agent()
    lane.until(lane.in_service, "in service again")
    assert [end["reason"] for end in lane.said("passage.unconfirmed")] == ["unknown_outcome"]
    lane.until(lambda: time.monotonic() > pulsed_s + PULSE_S, "the pulse's end: an output that is on already takes no second one")
    lane.comes_and_goes()
    lane.until(lambda: lane.said("passage.not_made", cause="window_passed"), "the window's end")
    assert lane.grants() == [1, 2]
    assert len(lane.flashes()) == 2
    lane.judge()


@pytest.mark.slow
def test_a_board_that_is_gone_closes_the_lane_and_is_found_again(new: New) -> None:
    lane = new(MODBUS)
    lane.start()
    lane.until(lane.in_service, "in service")
    lane.end_controller()
    lane.until(lambda: "barrier" in (lane.lacks() or {}), "out of service", within_s=10)
    lane.start_controller()
    lane.until(lane.in_service, "in service again")
    lane.comes_and_goes()
    lane.until(lambda: lane.said("passage.made"), "the passage")
    lane.judge()


@pytest.mark.slow
def test_behind_a_plain_relay_every_passage_is_unconfirmed(new: New) -> None:
    lane = new(RELAY)
    lane.start()
    lane.until(lane.in_service, "in service")
    lane.comes_and_goes()
    lane.until(lambda: lane.said("passage.unconfirmed", reason="unseen"), "the end of the window")
    assert lane.said("passage.made") == lane.said("passage.not_made") == []
    lane.judge()
