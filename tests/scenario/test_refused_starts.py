"""What may not run at all: one sentence that says what and where, an exit code, and no traceback. And how a lane is stopped."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.diagnostics.demo.play import agent_command
from agent.diagnostics.demo.site import program
from tests.scenario.conftest import NewLane
from tests.sim.lane_process import Lane
from tests.sim.scene import NOBODY

pytestmark = pytest.mark.alongside


def refused(*words: str) -> tuple[int, str]:
    """Exit code and the only line that gate-agent says."""
    done = subprocess.run([program("gate-agent"), *words], check=False, capture_output=True, text=True, timeout=60)
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    return done.returncode, lines[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[gate]\ncolour = 'red'\n", "colour"),
        ("[lane]\nrelease_window_ms = 60000\n", "release_window_ms"),
        ("[lane]\nrelease_window_ms = 'long'\n", "release_window_ms"),
        ("[gate\n", "agent.toml"),
        ("[[camera]]\nsource = '{file}'\n", "--simulation"),
    ],
)
def test_a_wrong_configuration_is_refused_with_one_sentence(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "agent.toml"
    file.write_text(text.replace("{file}", str(file)), encoding="utf-8")
    code, sentence = refused("run", "--config", str(file))
    assert (code, words in sentence, str(file) in sentence) == (2, True, True), sentence


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (Path.exists, "agent.toml"),
        (Path.mkdir, "agent.toml"),
        (lambda file: file.write_bytes(b"\xff\xfe\x00[gate]"), "agent.toml"),
    ],
    ids=["absent", "a folder", "no text"],
)
def test_a_configuration_that_cannot_be_read_is_refused_with_one_sentence(
    tmp_path: Path, make: Callable[[Path], object], words: str
) -> None:
    file = tmp_path / "agent.toml"
    make(file)
    code, sentence = refused("run", "--config", str(file))
    assert (code, words in sentence) == (2, True), sentence


def test_simulated_parts_do_not_run_in_a_gate_that_is_none(new_lane: NewLane) -> None:
    lane = new_lane()
    lane.start_controller()
    lane.settings["recognition"]["pad"] = "required"
    lane.write_configuration()
    code, sentence = refused("run", "--config", str(lane.site.config))
    assert (code, "pseudo-terminal" in sentence) == (2, True), sentence
    assert lane.log("hello") == []


def test_a_second_agent_on_the_same_state_is_refused_and_the_first_goes_on(new_lane: NewLane) -> None:
    lane = new_lane().start()
    lane.until(lane.in_service, "in service")
    code, sentence = refused("run", "--config", str(lane.site.config), "--simulation")
    assert (code, "in use by process" in sentence) == (1, True), sentence
    lane.let_in()
    assert len(lane.log("hello")) == 1


def test_a_second_agent_with_a_state_of_its_own_does_not_get_the_controller(new_lane: NewLane) -> None:
    """Two configurations that name one serial port: whoever has it keeps it."""
    lane, other = new_lane().start(), new_lane()
    lane.until(lane.in_service, "in service")
    other.settings["barrier"] = lane.settings["barrier"]
    other.start_agent()
    other.until(lambda: "one host has one controller" in str(other.lacks()), "the other one is out of service, and says why")
    lane.let_in()
    assert len(lane.log("hello")) == 1


def in_the_beams(new_lane: NewLane) -> Lane:
    """A lane in which somebody is just passing, slowly."""
    lane = new_lane(pace=("--reaction-ms", "100", "--step-ms", "700")).start()
    lane.until(lane.in_service, "in service")
    lane.come("entry")
    lane.until(lambda: lane.log("passage_started"), "somebody begins to pass")
    lane.come("entry", NOBODY)
    return lane


def test_a_stop_in_the_middle_of_a_passage_lets_it_end_and_the_next_start_records_it(new_lane: NewLane) -> None:
    lane = in_the_beams(new_lane)
    assert lane.end_agent() == 0
    lane.until(lane.passages, "the passage goes on without the agent")
    lane.start_agent()
    lane.until(lambda: lane.said("passage.made"), "the passage is recorded")
    lane.until(lane.in_service, "in service")
    lane.judge()


def test_a_stop_before_the_passage_takes_the_release_back(new_lane: NewLane) -> None:
    lane = new_lane(pace=("--person", "nobody")).start()
    lane.until(lane.in_service, "in service")
    lane.come("entry")
    lane.until(lane.releases, "a release")
    lane.come("entry", NOBODY)
    assert lane.end_agent() == 0
    lane.until(lambda: lane.log("release_ended", reason="CANCELLED"), "it is taken back by the host, not by its lost lease", within_s=1)
    state = lane.tell(state=True)
    lane.start_agent()
    lane.until(lane.in_service, "in service")
    lane.judge()
    assert (lane.passages(), state["drive"]) == ([], [])


def test_a_reader_of_the_printed_events_may_go_away(new_lane: NewLane, tmp_path: Path) -> None:
    lane = new_lane()
    lane.start_controller()
    lane.write_configuration()
    said = tmp_path / "said"
    with said.open("wb") as stderr, subprocess.Popen(agent_command(lane.site), stdout=subprocess.PIPE, stderr=stderr) as agent:
        assert agent.stdout is not None
        assert agent.stdout.readline() != b""
        agent.stdout.close()
        lane.until(lane.in_service, "in service")
        lane.let_in()
        lane.until(lambda: lane.ends() == ["passage.made"], "the passage is recorded")
        agent.terminate()
        assert agent.wait(30) == 0
    assert "nobody reads the events any more" in said.read_text()
    assert "Traceback" not in said.read_text()
