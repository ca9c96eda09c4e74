"""The process whose power is cut: commits, and says after each commit up to which row it was promised."""

import os
import sys
from pathlib import Path

from agent.drivers import journal as journals
from tests.sim.clock import StandingClock
from tests.sim.lane_events import granted


def main(folder: Path, commits: int, synchronous: str) -> None:
    journals.CHECKPOINT_ROWS = 7  # many checkpoints in few rows
    clock = StandingClock()
    journal = journals.SqliteJournal(folder / "journal.db", site="hk", gate="gate-1", simulation=False, clock=clock)
    assert journal._connection is not None
    journal._connection.execute(f"PRAGMA synchronous = {synchronous}")
    promised = os.open(folder / "promised", os.O_WRONLY | os.O_CREAT)
    for number in range(commits):
        done = journal.commit([granted(clock.now(), grant=number + 1) for _ in range(1 + number % 3)])
        os.write(promised, b"%d\n" % done.seq)
        if number % 5 == 4:
            journal.mark_delivered(epoch=done.epoch, seq=done.seq, head=done.head)
    os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
