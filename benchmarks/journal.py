"""How long a commit takes, and what a million rows cost: `python benchmarks/journal.py [FOLDER]`. Prints one JSON object.

Commits are measured one event at a time, as a lane makes them, with the journal's own settings (WAL, synchronous=FULL). FOLDER should lie
on the disk that the gate will use; the default is the working directory.
"""

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from agent.clock import SystemClock
from agent.core.events import EVENTS, Event, EventType
from agent.core.moment import Moment
from agent.diagnostics.journal_view import follow
from agent.drivers.journal import SqliteJournal
from agent.drivers.journal_reader import JournalReader

SINGLE = 5_000
MILLION = 1_000_000
BATCH = 1_000


def granted(at: Moment, grant: int) -> Event:
    """The largest common event."""
    plain: dict[str, Any] = {"grant": grant, "person": f"person-{grant % 15_000}", "direction": "entry", "score": 0.7123, "threshold": 0.61}
    return Event(EventType.ACCESS_GRANTED, at, {name: plain.get(name, "some text") for name in EVENTS[EventType.ACCESS_GRANTED].fields})


def quantile(sorted_ms: list[float], share: float) -> float:
    return round(sorted_ms[min(len(sorted_ms) - 1, int(share * len(sorted_ms)))], 3)


def opened(folder: Path, clock: SystemClock) -> tuple[SqliteJournal, float]:
    began = time.perf_counter()
    journal = SqliteJournal(folder / "journal.db", site="bench", gate="gate-1", simulation=True, clock=clock)
    return journal, round((time.perf_counter() - began) * 1e3, 2)


def singles(journal: SqliteJournal, clock: SystemClock) -> dict[str, float]:
    began = time.perf_counter()
    taken = sorted(journal.commit([granted(clock.now(), number + 1)]).commit_ms for number in range(SINGLE))
    return {
        "commits_per_s": round(SINGLE / (time.perf_counter() - began)),
        "p50_ms": quantile(taken, 0.5),
        "p99_ms": quantile(taken, 0.99),
        "p999_ms": quantile(taken, 0.999),
        "max_ms": round(taken[-1], 3),
    }


def main(folder: Path) -> None:
    clock = SystemClock()
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(dir=folder) as name:
        place = Path(name)
        journal, found["create_ms"] = opened(place, clock)
        found["empty"] = singles(journal, clock)
        for start in range(0, MILLION, BATCH):
            journal.commit([granted(clock.now(), SINGLE + start + number) for number in range(BATCH)])
        found["million_bytes"] = (place / "journal.db").stat().st_size
        found["at_a_million"] = singles(journal, clock)
        journal.close()
        journal, found["open_at_a_million_ms"] = opened(place, clock)
        journal.close()
        with JournalReader(place / "journal.db") as reader:
            began = time.perf_counter()
            rows, fault = follow(reader, reader.extent())
            found["verify_s"], found["verified"], found["fault"] = round(time.perf_counter() - began, 1), rows, fault
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
