"""kill -9 while committing: what was promised is there. And a journal of a million rows opens, prunes and verifies like a small one."""

import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agent.core import chain
from agent.drivers.journal import SqliteJournal
from agent.drivers.journal_reader import JournalReader
from tests.sim.clock import StandingClock
from tests.sim.lane_events import granted, pressed
from tests.sim.waiting import wait_for

ROOT = Path(__file__).parents[2]
_WRITER = """
import pathlib, sys
from agent.drivers.journal import SqliteJournal
from tests.sim.clock import StandingClock
from tests.sim.lane_events import granted
clock = StandingClock()
journal = SqliteJournal(pathlib.Path(sys.argv[1]) / "journal.db", site="hk", gate="gate-1", simulation=False, clock=clock)
while True:
    print(journal.commit([granted(clock.now(), grant=journal.seq + 1)]).seq, flush=True)
"""


def through_kills(folder: Path, *, kills: int, seed: int) -> None:
    chance = random.Random(seed)
    print(f"seed {seed}")
    promised, epochs = 0, set()
    for number in range(kills):
        out = folder / f"out-{number}"
        with out.open("wb") as stdout:
            writer = subprocess.Popen([sys.executable, "-c", _WRITER, str(folder)], stdout=stdout, cwd=ROOT)
        enough = chance.randrange(1, 400)
        wait_for(lambda out=out, enough=enough: out.read_bytes().count(b"\n") >= enough, within_s=30)
        writer.send_signal(signal.SIGKILL)
        writer.wait(10)
        promised = max(promised, int(out.read_bytes().splitlines()[-2]))  # the last line may be cut short
        journal = SqliteJournal(folder / "journal.db", site="hk", gate="gate-1", simulation=False, clock=StandingClock())
        epochs.add(journal.epoch)
        assert journal.seq >= promised
        journal.close()
    assert len(epochs) == 1
    assert not list(folder.glob("*damaged*"))


def test_what_was_promised_survives_kills(tmp_path: Path) -> None:
    through_kills(tmp_path, kills=3, seed=5)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_what_was_promised_survives_many_kills(tmp_path: Path) -> None:
    through_kills(tmp_path, kills=60, seed=6)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_million_rows_are_kept_opened_delivered_and_pruned(tmp_path: Path) -> None:
    clock = StandingClock()

    def opened() -> SqliteJournal:
        return SqliteJournal(tmp_path / "journal.db", site="hk", gate="gate-1", simulation=False, clock=clock)

    journal = opened()
    for _ in range(1_000):
        journal.commit([pressed(clock.now()) for _ in range(1_000)])
    journal.close()
    journal = opened()
    assert journal.seq == 1_000_001
    clock.forward(40 * 86_400)
    for number in range(50):
        done = journal.commit([granted(clock.now(), grant=number + 1)])
        journal.mark_delivered(epoch=done.epoch, seq=done.seq, head=done.head)
    journal.close()
    with JournalReader(tmp_path / "journal.db") as reader:
        extent = reader.extent()
        head, after, count = extent.pruned_head, extent.pruned_seq, 0
        while rows := reader.rows(after, 5_000):
            for row in rows:
                head = chain.link(head, row.chained)
                assert head == row.head
            after, count = rows[-1].seq, count + len(rows)
    assert (extent.pruned_seq, extent.last_seq, count) == (50 * 200, 1_000_051, 990_051)
