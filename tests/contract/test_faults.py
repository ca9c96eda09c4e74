"""Everything a wire, a plug and a restart can do, one thing at a time, through driver, control loop and journal, on each controller.

For each: nothing opens without a live grant in the journal, each grant has one end and it is what the controller saw, whoever presses
the button gets out meanwhile, and afterwards one more person gets in. The oracle reads only the controller's log and the journal.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from firmware_bridge.emulator.faults import WireFault
from firmware_bridge.emulator.person import Behaviour
from firmware_bridge.emulator.settings import ControllerSettings
from firmware_bridge.emulator.shell import BoardSettings, Emulator
from firmware_bridge.vocabulary import Kind
from tests.bridge.firmware import Firmware, load
from tests.bridge.qemu import Board
from tests.contract.half_lane import KEY, HalfLane, Host
from tests.sim.oracle import problems

FAULTS = tuple(fault for fault in WireFault if fault is not WireFault.NONE)
NewLane = Callable[..., HalfLane]


@pytest.fixture(params=["emulator", pytest.param("library", marks=pytest.mark.slow), pytest.param("qemu", marks=pytest.mark.slow)])
def new_lane(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[NewLane]:
    made: list[HalfLane] = []
    board = Board(request.getfixturevalue("image"), tmp_path) if request.param == "qemu" else None
    firmware = partial(Firmware, load(request.getfixturevalue("library"))) if request.param == "library" else None

    def make(**given: object) -> HalfLane:
        settings = ControllerSettings(key=KEY, leaf_travel_ms=30, minimum_gap_ms=20)
        if request.param != "emulator":
            given |= {"machine": board or firmware}
            settings = replace(settings, kind=Kind.REFERENCE_ON_PC)
        made.append(HalfLane(tmp_path, settings=settings, **given))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for lane in made:
        lane.close()
    if board is not None:
        board.close()


def test_a_person_comes_in_and_another_goes_out(new_lane: NewLane) -> None:
    lane = new_lane()
    lane.let_in()
    lane.let_out()
    lane.judge()
    assert lane.said("access.granted") == lane.said("passage.made") == 1


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_a_bad_wire_costs_time_and_nothing_else(new_lane: NewLane, fault: WireFault) -> None:
    lane = new_lane(fault=fault, seed=len(fault))
    for _ in range(4):
        lane.let_in()
        lane.let_out()
    lane.judge()


@pytest.mark.slow
def test_a_controller_that_reboots_in_the_middle_of_a_passage_counts_it_once(new_lane: NewLane) -> None:
    lane = new_lane(behaviour=Behaviour.STANDS)
    lane.until(lambda: lane.said("service.opened"), "in service")
    lane.come()
    lane.until(lambda: lane.tell(state=True)["phase"] == "PASSING", "somebody stands between")
    lane.tell(reboot=True)
    assert "ENTRY" in lane.tell(state=True)["drive"]  # not closed on the body
    lane.tell(person="walks")
    lane.tell(leave=True)
    lane.let_out()
    lane.let_in()
    lane.judge()
    assert lane.tell(state=True)["boot_count"] == 2


@pytest.mark.slow
@pytest.mark.parametrize("killed", [True, False], ids=["killed", "stopped"])
def test_a_host_that_restarts_in_the_middle_of_a_passage_records_how_it_ended(new_lane: NewLane, killed: bool) -> None:
    lane = new_lane(behaviour=Behaviour.STANDS)
    lane.until(lambda: lane.said("service.opened"), "in service")
    lane.come()
    lane.until(lambda: lane.tell(state=True)["phase"] == "PASSING", "somebody stands between")
    lane.restart_host(killed=killed)
    assert "ENTRY" in lane.tell(state=True)["drive"]
    lane.tell(person="walks")
    lane.tell(leave=True)
    lane.let_out()
    lane.let_in()
    lane.judge()


@pytest.mark.slow
def test_a_port_that_comes_back_under_another_number_is_found_by_its_name(new_lane: NewLane, tmp_path: Path) -> None:
    lane = new_lane()
    lane.let_in()
    before = lane.port.readlink()
    lane.tell(unplug=True)
    lane.until(lambda: lane.said("barrier.lost"), "the loss is recorded")
    lane.let_out()
    taken = Emulator(
        ControllerSettings(key=KEY), BoardSettings(tmp_path / "other", tmp_path / "s2", tmp_path / "l2")
    )  # takes the old number
    lane.tell(plug=True)
    assert lane.port.readlink() != before
    lane.let_in()
    lane.judge()
    taken.stop()
    taken.run()


@pytest.mark.slow
def test_what_was_recorded_under_an_earlier_boot_is_refused_now(new_lane: NewLane) -> None:
    """Somebody taps the line and plays all of it back, whole and in any order, after a restart."""
    lane = new_lane()
    heard: list[bytes] = []
    put = lane.emulator._to_controller.put

    def tapped(data: bytes, now_ms: int) -> None:
        if data:
            heard.append(data)
        put(data, now_ms)

    lane.emulator._to_controller.put = tapped  # type: ignore[method-assign]
    for _ in range(3):
        lane.let_in()
    lane.tell(reboot=True)
    recorded = list(heard)
    lane.until(lambda: lane.tell(state=True)["armed"], "armed again")
    released = len(lane.log("release"))
    draw = random.Random(5)
    for piece in draw.sample(recorded, len(recorded)):
        put(piece, 0)
    lane.until(lambda: len(lane.log("frame_refused")) > 10, "refusals in the controller's log")
    assert len(lane.log("release")) == released
    lane.let_in()
    lane.judge()


@pytest.mark.slow
def test_two_hosts_on_one_port_cannot_both_have_it(new_lane: NewLane, tmp_path: Path) -> None:
    lane = new_lane()
    lane.let_in()
    (tmp_path / "second").mkdir()
    second = Host(tmp_path / "second", lane.port, name="site/gate-2")
    lane.let_in()
    second.stop()
    lane.let_in()
    lane.judge()
    assert {line["host_id"] for line in lane.log("hello")} == {lane.log("hello")[0]["host_id"]}


def test_the_oracle_sees_a_release_that_no_row_names() -> None:
    line = {"kind": "release", "result": "ACCEPTED", "grant_number": 7, "direction": "ENTRY", "t_ns": 1}
    assert problems([line], []) != []
