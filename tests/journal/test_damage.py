"""A journal that is damaged, gone, locked or on a full disk: said in words, nothing overwritten, and going on as soon as it can."""

import json
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.drivers.journal import SqliteJournal
from agent.drivers.journal_reader import JournalReader
from agent.errors import JournalError
from tests.sim.clock import StandingClock
from tests.sim.lane_events import granted, pressed

CLOCK = StandingClock()


def opened(folder: Path) -> SqliteJournal:
    return SqliteJournal(folder / "journal.db", site="hk", gate="gate-1", simulation=False, clock=CLOCK)


def written(folder: Path, rows: int = 300) -> tuple[str, int]:
    """A closed journal with this many rows after the first; its epoch and size."""
    journal = opened(folder)
    journal.commit([pressed(CLOCK.now()) for _ in range(rows)])
    journal.close()
    return journal.epoch, (folder / "journal.db").stat().st_size


def first_fields(folder: Path) -> dict[str, object]:
    with JournalReader(folder / "journal.db") as reader:
        fields: dict[str, object] = json.loads(reader.rows(0, 1)[0].payload)["data"]["fields"]
    return fields


def overwrite(file: Path, place: int, data: bytes) -> None:
    with file.open("r+b") as handle:
        handle.seek(place)
        handle.write(data)


def header_gone(file: Path) -> None:
    overwrite(file, 0, b"\xff" * 100)


def cut_short(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def not_ours(file: Path) -> None:
    file.write_bytes(b"#!/bin/sh\necho this is no journal\n" * 100)


def newest_row_changed(file: Path) -> None:
    data = file.read_bytes()
    place = data.rindex(b'"seq":301')
    overwrite(file, place, b'"seq":302')


def table_gone(file: Path) -> None:
    connection = sqlite3.connect(file)
    connection.execute("DROP TABLE lane")
    connection.close()


def newest_rows_gone(file: Path) -> None:
    connection = sqlite3.connect(file)
    connection.executescript("DROP TRIGGER event_is_kept_until_delivered; DELETE FROM event WHERE seq = 300")
    connection.close()


def no_rows(file: Path) -> None:
    connection = sqlite3.connect(file)
    connection.executescript("DROP TRIGGER event_is_kept_until_delivered; DELETE FROM event")
    connection.close()


def text_that_is_none(file: Path) -> None:
    connection = sqlite3.connect(file)
    connection.execute("UPDATE meta SET source = CAST(x'ff' AS TEXT)")
    connection.commit()
    connection.close()


@pytest.mark.parametrize(
    "damage",
    [header_gone, cut_short, not_ours, newest_row_changed, table_gone, newest_rows_gone, no_rows, text_that_is_none],
    ids=lambda f: f.__name__,
)
def test_a_damaged_journal_is_set_aside_and_a_new_epoch_begins(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    epoch, _ = written(tmp_path)
    damage(tmp_path / "journal.db")
    before = (tmp_path / "journal.db").read_bytes()
    journal = opened(tmp_path)
    journal.commit([pressed(CLOCK.now())])
    journal.close()
    [aside] = tmp_path.glob("*damaged*.db")
    assert aside.read_bytes() == before  # as it was found, for whoever repairs it
    assert aside.name == "journal.damaged-20261122T120000Z.db"
    fields = first_fields(tmp_path)
    assert (fields["reason"], fields["set_aside"]) == ("damaged", aside.name)
    assert fields["detail"]
    assert journal.epoch != epoch


def test_the_write_ahead_log_of_a_damaged_journal_goes_with_it(tmp_path: Path) -> None:
    written(tmp_path)
    header_gone(tmp_path / "journal.db")
    (tmp_path / "journal.db-wal").write_bytes(b"evidence")
    opened(tmp_path).close()
    assert (tmp_path / "journal.damaged-20261122T120000Z.db-wal").read_bytes() == b"evidence"


def test_a_second_damage_in_the_same_second_overwrites_nothing(tmp_path: Path) -> None:
    for _ in range(3):
        written(tmp_path)
        header_gone(tmp_path / "journal.db")
    opened(tmp_path).close()
    assert len(list(tmp_path.glob("*damaged*.db"))) == 3


@pytest.mark.parametrize("content", [b"", None], ids=["no bytes", "no tables"])
def test_a_start_that_was_cut_short_is_begun_again(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "journal.db"
    if content is None:
        connection = sqlite3.connect(file)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.close()
    else:
        file.write_bytes(content)
    opened(tmp_path).close()
    assert first_fields(tmp_path)["reason"] == "new"
    assert not list(tmp_path.glob("*damaged*"))


def test_damage_met_while_running_costs_one_commit_and_then_a_new_epoch_begins(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    journal.commit([pressed(CLOCK.now()) for _ in range(300)])
    epoch = journal.epoch
    other = sqlite3.connect(tmp_path / "journal.db")  # its change makes the writer read the file again
    other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    other.execute("PRAGMA user_version = 1")
    other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    other.close()
    size = (tmp_path / "journal.db").stat().st_size
    overwrite(tmp_path / "journal.db", 4096, b"\xa5" * (size - 4096))
    with pytest.raises(JournalError, match="its contents are damaged"):
        journal.commit([pressed(CLOCK.now())])
    done = journal.commit([pressed(CLOCK.now())])
    journal.close()
    assert done.epoch != epoch
    assert first_fields(tmp_path)["reason"] == "damaged"


def test_a_journal_that_vanishes_while_running_is_noticed_at_the_next_commit(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    epoch = journal.epoch
    (tmp_path / "journal.db").unlink()
    done = journal.commit([granted(CLOCK.now())])
    journal.close()
    assert done.epoch != epoch
    assert first_fields(tmp_path)["reason"] == "removed"


def test_a_locked_journal_takes_nothing_and_the_same_commit_succeeds_later(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    other = sqlite3.connect(tmp_path / "journal.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(JournalError, match="another program holds it locked"):
        journal.commit([pressed(CLOCK.now())])
    other.execute("ROLLBACK")
    other.close()
    assert journal.commit([pressed(CLOCK.now())]).seq == 2
    journal.close()


# --- disk full --------------------------------------------------------------------------------------------------------------------


def commit_for_ever(journal: SqliteJournal, clock: StandingClock) -> None:
    while True:
        journal.commit([granted(clock.now())])


def fill_up(journal: SqliteJournal, clock: StandingClock = CLOCK) -> int:
    """Commit until the journal refuses; the number of the last row that it took."""
    with pytest.raises(JournalError, match="disk is full; nothing is overwritten"):
        commit_for_ever(journal, clock)
    return journal.seq


def limit_pages(journal: SqliteJournal, pages: int) -> None:
    assert journal._connection is not None
    journal._connection.execute(f"PRAGMA max_page_count = {pages}")


def test_a_full_disk_refuses_the_commit_and_loses_nothing(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    limit_pages(journal, 40)
    last = fill_up(journal)
    assert fill_up(journal) == last  # still full, still nothing lost
    limit_pages(journal, 80)
    done = journal.commit([granted(CLOCK.now())])
    assert (done.seq, done.epoch) == (last + 1, journal.epoch)
    journal.close()
    with JournalReader(tmp_path / "journal.db") as reader:
        assert [row.seq for row in reader.rows(0, 10_000)] == list(range(1, last + 2))


def test_a_full_disk_gets_room_again_when_the_centre_has_the_rows(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    journal.commit([granted(CLOCK.now()) for _ in range(600)])
    later = StandingClock(CLOCK.now().wall_s + 40 * 86_400)
    journal._clock = later
    assert journal._connection is not None
    (pages,) = journal._connection.execute("PRAGMA page_count").fetchone()
    limit_pages(journal, pages + 2)
    fill_up(journal, later)
    journal.mark_delivered(epoch=journal.epoch, seq=journal.seq, head=journal._tail.head)
    last = journal.seq
    assert journal.commit([granted(later.now())]).seq == last + 1
    journal.close()


_ON_A_SMALL_DISK = """
import json, pathlib, sys
from agent.drivers.journal import SqliteJournal
from agent.errors import JournalError
from tests.sim.clock import StandingClock
from tests.sim.lane_events import granted
folder, ballast = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[1]) / "ballast"
ballast.write_bytes(bytes(int(sys.argv[2])))
clock = StandingClock()
journal = SqliteJournal(folder / "journal.db", site="hk", gate="gate-1", simulation=False, clock=clock)
epoch, words = journal.epoch, []
for _ in range(3):
    try:
        while True:
            journal.commit([granted(clock.now())])
    except JournalError as error:
        words.append(str(error))
full = journal.seq
ballast.unlink()
after = journal.commit([granted(clock.now())])
journal.close()
again = SqliteJournal(folder / "journal.db", site="hk", gate="gate-1", simulation=False, clock=clock)
epochs = len({epoch, after.epoch, again.epoch})
print(json.dumps({"words": words, "full": full, "after": after.seq, "reopened": again.seq, "epochs": epochs}))
"""


def test_a_disk_that_is_really_full_is_waited_for(tmp_path: Path) -> None:
    unshare = shutil.which("unshare")
    mount = [unshare or "unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    command = 'mount -t tmpfs -o size=4m tmpfs "$1" && exec "$2" -c "$3" "$1" 1000000'
    if unshare is None or subprocess.run([*mount, "mount -t tmpfs tmpfs /mnt"], check=False, capture_output=True).returncode:
        pytest.skip("no user namespaces here, so no small disk")
    done = subprocess.run(
        [*mount, command, "sh", str(tmp_path), sys.executable, _ON_A_SMALL_DISK], check=True, capture_output=True, text=True, timeout=60
    )
    found = json.loads(done.stdout)
    assert ["the disk is full" in words for words in found["words"]] == [True] * 3
    assert found["full"] > 100
    assert (found["after"], found["reopened"], found["epochs"]) == (found["full"] + 1, found["full"] + 1, 1)


_WITH_SHORT_FILES = """
import json, pathlib, resource, sys
from agent.drivers.journal import SqliteJournal
from agent.errors import JournalError
from tests.sim.clock import StandingClock
from tests.sim.lane_events import granted
clock = StandingClock()
journal = SqliteJournal(pathlib.Path(sys.argv[1]) / "journal.db", site="hk", gate="gate-1", simulation=False, clock=clock)
epoch = journal.epoch
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
words = ""
try:
    while True:
        journal.commit([granted(clock.now())])
except JournalError as error:
    words = str(error)
stopped = journal.seq
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
after = journal.commit([granted(clock.now())])
print(json.dumps({"words": words, "stopped": stopped, "after": after.seq, "epochs": len({epoch, after.epoch})}))
"""


def test_a_disk_that_reports_an_error_is_said_and_tried_again(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    if (soft, hard) != (resource.RLIM_INFINITY, resource.RLIM_INFINITY):
        pytest.skip("the size of files is limited here already")
    done = subprocess.run([sys.executable, "-c", _WITH_SHORT_FILES, str(tmp_path)], check=True, capture_output=True, text=True, timeout=60)
    found = json.loads(done.stdout)
    assert "the disk reports an error" in found["words"]
    assert (found["after"], found["epochs"]) == (found["stopped"] + 1, 1)


def test_a_folder_that_may_not_be_written_is_said(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(JournalError, match="Permission denied"):
            opened(tmp_path)
    finally:
        tmp_path.chmod(0o700)


def test_every_fault_has_words_of_its_own(tmp_path: Path) -> None:
    journal = opened(tmp_path)
    assert journal._connection is not None
    journal._connection.execute("PRAGMA query_only = ON")
    with pytest.raises(JournalError, match="cannot be written; check its owner"):
        journal.commit([pressed(CLOCK.now())])
    assert journal.commit([pressed(CLOCK.now())]).seq == 2  # opened anew
    journal.close()
