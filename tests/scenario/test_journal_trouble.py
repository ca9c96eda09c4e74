"""A full disk, a failing disk, a damaged journal, a folder that cannot be written: nothing is released that was not recorded first."""

import resource
import shutil
import sqlite3
import subprocess
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL

import pytest

from tests.scenario.conftest import NewLane, Took
from tests.scenario.faults import recovers, said_aloud
from tests.sim.lane_process import Lane, only_its_own_rights

pytestmark = pytest.mark.alongside

UNLIMITED = resource.RLIM_INFINITY


def fill_up(lane: Lane) -> None:
    """No file of the agent may grow any more; its log has had its say in a file of another size."""
    assert lane.agent is not None
    size = (lane.state / "journal.db-wal").stat().st_size
    resource.prlimit(lane.agent.pid, resource.RLIMIT_FSIZE, (size, UNLIMITED))


def make_room(lane: Lane) -> None:
    assert lane.agent is not None
    resource.prlimit(lane.agent.pid, resource.RLIMIT_FSIZE, (UNLIMITED, UNLIMITED))


@dataclass(frozen=True, slots=True)
class SmallDisk:
    """A file system of 2 MB that only the agent sees, in a name space of its own: no right of root is needed."""

    inside: Path

    @property
    def wrapper(self) -> tuple[str, ...]:
        mount = 'mount -t tmpfs -o size=2m,mode=700 tmpfs "$0" && exec "$@"'
        return ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, str(self.inside))

    @property
    def can_be(self) -> bool:
        return subprocess.run([*self.wrapper, "true"], check=False, capture_output=True).returncode == 0


def test_a_disk_that_takes_nothing_more_closes_the_lane_and_nothing_is_lost(new_lane: NewLane, took: Took) -> None:
    lane = new_lane().start()
    lane.until(lane.in_service, "in service")
    lane.let_in()
    lane.until(lambda: lane.said("passage.made"), "the first passage is recorded")
    fill_up(lane)
    lane.tell(press="request_to_exit")  # an event that cannot be written
    lane.until(lambda: "journal" in (lane.lacks() or {}), "out of service by the journal")
    said_aloud(lane, "disk reports an error")
    lane.come("entry")
    lane.let_out_by_hand()
    assert len(lane.releases()) == 1
    make_room(lane)
    took("disk takes nothing -> in service", lane.until(lane.in_service, "in service again"))
    lane.until(lambda: len(lane.said("exit.requested")) == len(lane.log("request_to_exit")), "each press of the button is in the journal")
    lane.until(lambda: lane.said("service.closed", reasons="journal"), "and that the lane was closed")
    assert len(lane.said("journal.epoch")) == 1


def test_a_full_disk_closes_the_lane_until_there_is_room(new_lane: NewLane, took: Took, tmp_path: Path) -> None:
    disk = SmallDisk(tmp_path)
    if not disk.can_be:
        pytest.skip("no user name spaces here, so no small disk; the test before this one stands for it")
    lane = new_lane(settings={"gate": {"state_dir": disk.inside}})
    lane.start(wrapper=disk.wrapper)
    assert lane.agent is not None
    lane.root = Path(f"/proc/{lane.agent.pid}/root")
    lane.until(lane.in_service, "in service")
    ballast = lane.state / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(4096)):
            pass
    for _ in range(3):
        lane.let_out_by_hand()  # events, until one finds no room
    lane.until(lambda: "the disk is full" in (lane.lacks() or {}).get("journal", ""), "out of service by the journal")
    said_aloud(lane, "the disk is full")
    lane.come("entry")
    lane.let_out_by_hand()
    assert lane.releases() == []
    ballast.unlink()
    took("disk full -> in service", recovers(lane))
    lane.until(lambda: len(lane.said("exit.requested")) == len(lane.log("request_to_exit")), "each press of the button is in the journal")
    assert len(lane.said("journal.epoch")) == 1
    shutil.copytree(lane.state, tmp_path / "seen")  # SQLite follows the link to the name space's root and is back in ours
    lane.root, lane.settings["gate"]["state_dir"] = Path("/"), tmp_path / "seen"


def test_a_journal_that_another_program_holds_locked_closes_the_lane_until_it_lets_go(lane: Lane, took: Took) -> None:
    with closing(sqlite3.connect(lane.journal, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        lane.come("entry")
        lane.until(lambda: "locked" in (lane.lacks() or {}).get("journal", ""), "out of service by the journal")
        said_aloud(lane, "another program holds it locked")
        lane.let_out_by_hand()
        assert lane.releases() == []
        other.execute("ROLLBACK")
    took("journal locked -> in service", recovers(lane))


def test_a_journal_damaged_before_the_start_is_set_aside_and_a_new_one_begins(new_lane: NewLane, took: Took) -> None:
    lane = new_lane().start()
    lane.until(lane.in_service, "in service")
    lane.let_in()
    lane.until(lambda: lane.said("passage.made"), "the passage is recorded")
    lane.end_agent()
    lane.kept = lane.rows()
    with lane.journal.open("r+b") as file:
        file.seek(0)
        file.write(b"\xa5" * 512)
    lane.start_agent()
    took("journal damaged before the start -> in service", lane.until(lane.in_service, "in service with a new journal"))
    (epoch,) = lane.said("journal.epoch")
    assert (epoch["reason"], (lane.state / epoch["set_aside"]).stat().st_size > 512) == ("damaged", True)
    assert lane.said("access.granted") == []


@pytest.mark.parametrize("where", ["header", "middle"])
def test_a_journal_damaged_while_running_is_set_aside_and_the_lane_goes_on(new_lane: NewLane, where: str) -> None:
    lane = new_lane(settings={"lane": {"anti_passback": "off"}}).start()
    lane.until(lane.in_service, "in service")
    for _ in range(2):
        pass_once(lane)
    lane.kept = lane.rows()
    with closing(sqlite3.connect(lane.journal)) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    write_garbage(lane.journal, 0 if where == "header" else lane.journal.stat().st_size // 2)
    pass_once(lane)
    (epoch,) = lane.said("journal.epoch", reason="damaged")
    assert (lane.state / epoch["set_aside"]).exists()
    assert lane.end_agent(SIGKILL) == -SIGKILL
    lane.start_agent()
    lane.until(lane.in_service, "in service after the restart")
    pass_once(lane)


def test_rows_that_a_damaged_log_takes_with_it_show_as_a_gap_to_the_controller_s_counter(new_lane: NewLane) -> None:
    """SQLite reads a write-ahead log up to its first bad frame and says nothing: nobody but the controller knows that there was more."""
    lane = new_lane(settings={"lane": {"anti_passback": "off"}}).start()
    lane.until(lane.in_service, "in service")
    for _ in range(2):
        pass_once(lane)
    log = lane.journal.with_name("journal.db-wal")
    write_garbage(log, log.stat().st_size // 2)
    pass_once(lane)
    lane.is_whole = False
    assert lane.end_agent(SIGKILL) == -SIGKILL
    lane.start_agent()
    lane.until(lambda: lane.said("passage.gap"), "the gap is recorded")
    (gap,) = lane.said("passage.gap")
    assert gap["counted"] == 3 > gap["expected"]
    pass_once(lane)
    assert [line["grant_number"] for line in lane.releases()][-1] == 4, "no number is used twice"


def pass_once(lane: Lane) -> None:
    lane.let_in()
    lane.until(lambda: lane.snapshot().get("phase") == "secured", "the lane at rest")


def write_garbage(file: Path, at: int) -> None:
    with file.open("r+b") as stream:
        stream.seek(at)
        stream.write(b"\xa5" * 3000)


def test_a_folder_that_cannot_be_written_stops_the_start_with_a_sentence(new_lane: NewLane) -> None:
    lane = new_lane()
    lane.state.mkdir()
    lane.state.chmod(0o555)
    lane.start(wrapper=only_its_own_rights())
    assert lane.ended() == 1
    assert "cannot be opened" in lane.agent_log()
    lane.let_out_by_hand()
    lane.state.chmod(0o755)
    lane.start_agent(wrapper=only_its_own_rights())
    lane.until(lane.in_service, "in service")
