"""Power cuts: every write of a journal is taken down, replayed up to any point, and what was not synced is lost at random by sectors."""

import os
import random
import shutil
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.core import chain
from agent.drivers.journal import SqliteJournal
from agent.drivers.journal_reader import JournalReader
from tests.sim.clock import StandingClock

HERE = Path(__file__).parent / "power_cut"
SECTOR = 512
HEADER = struct.Struct("=cHqI")

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler here, so nothing that records writes")


@dataclass(frozen=True, slots=True)
class Change:
    """One change to one file, as the recorder took it down."""

    kind: str  # W, T, S, U
    name: str
    offset: int
    data: bytes


def recorded(folder: Path, *, commits: int, synchronous: str = "FULL") -> list[Change]:
    """Run the writer and give all its changes in order."""
    shim, log, work = folder / "recorder.so", folder / "log", folder / "work"
    work.mkdir()
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", shim, HERE / "recorder.c", "-ldl"], check=True)
    environment = {**os.environ, "LD_PRELOAD": str(shim), "POWER_CUT_FOLDER": f"{work}", "POWER_CUT_LOG": str(log)}
    command = [sys.executable, "-m", "tests.journal.power_cut.writer", str(work), str(commits), synchronous]
    subprocess.run(command, check=True, env=environment, cwd=HERE.parents[2], timeout=60)
    data, place, changes = log.read_bytes(), 0, []
    while place < len(data):
        kind, name_size, offset, size = HEADER.unpack_from(data, place)
        place += HEADER.size
        name = data[place : place + name_size].decode()
        changes.append(Change(kind.decode(), Path(name).name, offset, data[place + name_size : place + name_size + size]))
        place += name_size + size
    return changes


def apply(content: bytearray, change: Change, keep: random.Random | None) -> None:
    """Carry a change out; with `keep`, each of its sectors only by chance."""
    match change.kind:
        case "T" if keep is None or keep.random() < 0.5:
            del content[change.offset :]
            content.extend(bytes(change.offset - len(content)))
        case "W":
            content.extend(bytes(max(0, change.offset + len(change.data) - len(content))))
            for start in range(0, len(change.data), SECTOR):
                if keep is None or keep.random() < 0.5:
                    part = change.data[start : start + SECTOR]
                    content[change.offset + start : change.offset + start + len(part)] = part
        case _:
            pass


def cut(changes: list[Change], folder: Path, chance: random.Random) -> int:
    """Lay out what a disk holds when the power goes after these changes; gives the row that was promised last."""
    names = {change.name for change in changes if change.name.startswith("journal.db") and not change.name.endswith(".lock")}
    for name in sorted(names):
        own = [change for change in changes if change.name == name]
        last = max((place for place, change in enumerate(own) if change.kind in "SU"), default=-1)
        content = bytearray()
        for place, change in enumerate(own):
            if change.kind == "U":
                content.clear()
            apply(content, change, None if place <= last else chance)
        (folder / name).write_bytes(content)
    promises = [change.data for change in changes if change.name == "promised"]
    return int(promises[-1]) if promises else 0


def lost_rows(folder: Path, promised: int) -> int:
    """Open what is left as the agent would; how many promised rows are gone. The chain must hold over the rest."""
    journal = SqliteJournal(folder / "journal.db", site="hk", gate="gate-1", simulation=False, clock=StandingClock())
    journal.close()
    assert not list(folder.glob("*damaged*"))
    with JournalReader(folder / "journal.db") as reader:
        rows = reader.rows(0, 1_000_000)
    head = chain.GENESIS
    for expected, row in enumerate(rows, start=1):
        head = chain.link(head, row.chained)
        assert (row.seq, row.head) == (expected, head)
    return max(0, promised - len(rows))


def lost_over(folder: Path, changes: list[Change], *, cuts: int, seed: int) -> int:
    chance, lost = random.Random(seed), 0
    print(f"seed {seed}")
    for number in range(cuts):
        place = folder / f"cut-{number}"
        place.mkdir()
        promised = cut(changes[: chance.randrange(len(changes))], place, chance)
        lost += lost_rows(place, promised)
        shutil.rmtree(place)
    return lost


def test_no_promised_row_is_lost_over_power_cuts(tmp_path: Path) -> None:
    assert lost_over(tmp_path, recorded(tmp_path, commits=60), cuts=40, seed=1) == 0


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_no_promised_row_is_lost_over_a_thousand_power_cuts(tmp_path: Path) -> None:
    assert lost_over(tmp_path, recorded(tmp_path, commits=400), cuts=1000, seed=2) == 0


def test_the_check_itself_sees_a_journal_that_does_not_wait_for_the_disk(tmp_path: Path) -> None:
    assert lost_over(tmp_path, recorded(tmp_path, commits=60, synchronous="NORMAL"), cuts=40, seed=1) > 0
