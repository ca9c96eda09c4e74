"""Drawn sequences of faults, restarts and people, in simulated time, judged by the oracle from the controller's log and the journal alone.

Beside the oracle two things are seen while a sequence runs: whoever presses the button gets out, and no way closes on a body.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import pytest

from firmware_bridge.emulator.controller import Controller, PowerOn
from firmware_bridge.vocabulary import Inputs, Kind
from tests.bridge.firmware import Firmware, load
from tests.sim.faulty_lane import FaultyLane, rows

HAPPENINGS = 25
BLOCK = 100  # sequences
ARM_ACK = 0x85  # the type, PROTOCOL.md section 7


@pytest.fixture
def folder() -> Iterator[Path]:
    """In memory where there is such a place: what a power cut does to the disk is tried elsewhere, and 10,000 lanes would wait for it."""
    memory = Path("/dev/shm")
    made = Path(tempfile.mkdtemp(prefix="gate-", dir=memory if os.access(memory, os.W_OK) else None))
    yield made
    shutil.rmtree(made)


@pytest.fixture(params=["emulator", "library"])
def library_or_none(request: pytest.FixtureRequest) -> Path | None:
    return request.getfixturevalue("library") if request.param == "library" else None


def machine(library: Path | None) -> tuple[PowerOn, Kind]:
    return (Controller, Kind.EMULATOR) if library is None else (partial(Firmware, load(library)), Kind.REFERENCE_ON_PC)


def play(seeds: range, *, folder: Path, library: Path | None) -> int:
    """Play the sequences of these seeds; gives how many people got in on a grant."""
    let_in = 0
    for seed in seeds:
        (place := folder / str(seed)).mkdir()
        lane = FaultyLane(place, seed, *machine(library))
        wrong = lane.play(HAPPENINGS)
        assert wrong == [], (f"seed {seed}", lane.did)
        let_in += sum(line["kind"] == "passage_completed" and line["grant_number"] > 0 for line in lane.log)
        shutil.rmtree(place)
    return let_in


def test_a_sequence_of_faults_opens_nothing_and_holds_nobody(folder: Path, library_or_none: Path | None) -> None:
    assert play(range(3), folder=folder, library=library_or_none) >= 3


@pytest.mark.slow
def test_thousands_of_sequences_of_faults_open_nothing_and_hold_nobody(folder: Path, library_or_none: Path | None) -> None:
    """5,000 with each machine; each process of its own plays blocks of them."""
    blocks = [range(first, first + BLOCK) for first in range(1_000, 6_000, BLOCK)]
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        let_in = sum(pool.map(partial(play, folder=folder, library=library_or_none), blocks))
    assert let_in > 5_000


def test_a_lane_whose_arm_is_never_answered_sees_from_the_state_that_it_is_armed(folder: Path) -> None:
    """Every answer to ARM is cut out of what the controller says; the type of a frame stands in the clear."""
    lane = FaultyLane(folder, 1, *machine(None))
    put = lane._to_host.put

    def without_answers(data: bytes, now_ms: int) -> None:
        frames = (frame for frame in data.split(b"\0") if frame)
        put(b"".join(b"\0" + frame + b"\0" for frame in frames if frame[1] != ARM_ACK), now_ms)

    lane._to_host.put = without_answers  # type: ignore[method-assign]
    lane.run(5_000)
    lane.let_in()
    lane.close()
    assert lane.problems() == []


def test_a_fire_while_no_agent_was_there_is_in_the_journal_as_late_as_it_is(folder: Path) -> None:
    lane = FaultyLane(folder, 1, *machine(None))
    lane.run(1_000)
    lane.stop_for(9_000)
    lane.press(Inputs.FIRE, 500)
    lane.run(12_000)
    lane.press(Inputs.RESET_KEY)
    lane.let_in()
    lane.close()
    assert lane.problems() == []
    (late_ms,) = [row["data"]["fields"]["late_ms"] for row in rows(folder / "journal.db") if row["type"] == "emergency.raised"]
    assert 8_900 <= late_ms <= 9_500


def test_a_fault_of_a_session_that_came_to_nothing_dies_with_it(folder: Path) -> None:
    """Unplugged twice: between, the lease's loss is told, and the controller restarts before it is armed."""
    lane = FaultyLane(folder, 1, *machine(None))
    lane.run(1_000)
    lane.unplug_for(4_000)
    lane.run(3_900)
    lane.press(Inputs.REQUEST_TO_EXIT)  # keeps it from being armed for a while
    lane.run(200)
    lane.unplug_for(2_000)
    lane.reboot()
    lane.run(5_000)
    lane.let_in()
    lane.close()
    assert lane.problems() == []


def test_events_that_another_host_took_do_not_close_the_lane_for_ever(folder: Path) -> None:
    lane = FaultyLane(folder, 1, *machine(None))
    lane.run(1_000)
    lane.unplug_for(8_000)
    lane.run(3_000)  # past the lease: a second host may come
    lane.intrude()
    lane.tamper()
    lane.run(4_000)
    lane.leave_alone()
    lane.run(8_000)
    lane.let_in()
    lane.close()
    assert lane.problems() == []
    assert [
        row["data"]["fields"]["active"] for row in rows(folder / "journal.db") if "events_lost" in row["data"]["fields"].get("fault", "")
    ] == [
        True,
        False,
    ]
