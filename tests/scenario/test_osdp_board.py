"""A whole lane with an OSDP board in the controller's place: agent and board are processes, and the board is libosdp's own peripheral."""

import json
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sim.lane_process import Lane
from tests.sim.scene import NOBODY
from tests.sim.town import Town

pytestmark = pytest.mark.slow


class OsdpLane(Lane):
    def __init__(self, town: Town, root: Path) -> None:
        self.key = secrets.token_hex(16)
        self.key_file = root / "board.key"
        self.key_file.write_text(f"{self.key}\n", encoding="ascii")
        self.key_file.chmod(0o600)
        settings = {
            "barrier": {"kind": "osdp", "baud": 9600, "key_file": str(self.key_file)},
            "lane": {"release_window_ms": 1500, "anti_passback": "off", "subject_lost_ms": 3000},
        }
        super().__init__(town, root, settings=settings)
        self.is_whole = False  # there is no controller's log to hold the journal against

    def start_controller(self, *more: str) -> None:
        board = [sys.executable, "-m", "tests.sim.osdp_peer", "--link", str(self.site.controller_port), "--key", self.key]
        self.controller = self._run("board", [*board, "--walk-ms", "1200", *more])
        self.controller.wait_for(lambda line: '"ready"' in line, "ready", 60)

    def pulses(self) -> list[dict[str, object]]:
        assert self.controller is not None
        return [told for line in self.controller.lines if (told := json.loads(line))["kind"] == "pulse"]

    def comes_and_walks(self) -> None:
        made = len(self.said("passage.made"))
        granted = len(self.said("access.granted"))
        self.come("entry")
        self.until(lambda: len(self.said("access.granted")) > granted, "a grant")
        self.come("entry", NOBODY)
        self.until(lambda: len(self.said("passage.made")) > made, "the passage")


@pytest.fixture
def lane(town: Town, tmp_path: Path) -> Iterator[OsdpLane]:
    with OsdpLane(town, tmp_path) as lane:
        yield lane


def test_a_person_is_let_in_through_an_osdp_board_and_its_key_stands_in_no_file_of_the_gate(lane: OsdpLane) -> None:
    lane.start()
    lane.until(lane.in_service, "in service")
    lane.comes_and_walks()
    (connected,) = lane.said("barrier.connected")
    assert (connected["kind"], connected["authenticated"]) == ("emulator", True)
    assert lane.pulses() == [{"kind": "pulse", "output": 0, "control": 5, "ms": 500}]
    assert lane.end_agent() == 0
    lane.judge()
    key = bytes.fromhex(lane.key)
    written = [file for file in lane.key_file.parent.rglob("*") if file.is_file() and file != lane.key_file]
    assert any(file.name == "journal.db" for file in written)
    assert [file for file in written if (data := file.read_bytes()) and (lane.key.encode() in data or key in data)] == []


def test_an_osdp_board_that_is_killed_closes_the_lane_and_is_found_again(lane: OsdpLane) -> None:
    lane.start()
    lane.until(lane.in_service, "in service")
    lane.end_controller()
    lane.until(lambda: "barrier" in (lane.lacks() or {}), "out of service", within_s=10)
    lane.start_controller()
    lane.until(lane.in_service, "in service again")
    lane.comes_and_walks()
    assert len(lane.pulses()) == 1
    lane.judge()
