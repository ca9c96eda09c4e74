"""trust.db: people, metadata and floors together or not at all; damage closes entry and is never papered over; a lock-down survives."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from agent.authority.synthetic import SyntheticAuthority
from agent.drivers.trust_store import TrustStore
from agent.roster.errors import Reason, RosterError
from agent.roster.trust import NO_FLOORS, Floors, Release
from tests.roster.conftest import Gate
from tests.roster.test_trust_attacks import install


def release(version: int) -> Release:
    """What a release of that version leaves in the store; every part of it names the version."""
    versions = dict.fromkeys(("root", "timestamp", "snapshot", "targets", "enrol"), version)
    metadata = {"timestamp.json": f"timestamp {version}".encode(), "enrol.json": f"enrol {version}".encode()}
    return Release(version=version, document=b"document %d " % version * 50_000, metadata=metadata, versions=versions)


def floors(version: int) -> Floors:
    return Floors(versions=release(version).versions, issued_s=1000 * version)


def held(store: TrustStore) -> set[int]:
    """Versions that the parts of the store speak of: exactly one, whatever happened."""
    stored = store.load()
    assert stored is not None
    spoken = {stored.version, int(stored.document.split()[1]), *(int(data.split()[1]) for data in stored.metadata.values())}
    return spoken | set(store.floors().versions.values()) | {store.floors().issued_s // 1000}


def test_a_first_start_has_neither_roster_nor_floors(tmp_path: Path) -> None:
    store = TrustStore(tmp_path / "state" / "trust.db")
    assert (store.fault, store.load(), store.floors(), store.lock_down()) == (None, None, NO_FLOORS, False)
    assert (tmp_path / "state" / "trust.db").stat().st_mode & 0o777 == 0o600


def test_a_release_replaces_the_one_before_in_every_part(tmp_path: Path) -> None:
    store = TrustStore(tmp_path / "trust.db")
    store.install(release(1), floors(1))
    store.install(release(2), floors(2))
    store.close()
    assert held(TrustStore(tmp_path / "trust.db")) == {2}


KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[3])
from pathlib import Path
from agent.drivers.trust_store import TrustStore
from tests.roster.test_trust_store import release, floors

store = TrustStore(Path(sys.argv[1]))
left = int(sys.argv[2])
def count(statement):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
store._connection.set_trace_callback(count)
store.install(release(2), floors(2))
print("not killed")
"""
STATEMENTS = 14
"""BEGIN, the statements of an install, COMMIT and the checkpoint: one kill before each."""


def killed_at(statement: int, folder: Path) -> tuple[int, set[int]]:
    file = folder / "trust.db"
    store = TrustStore(file)
    store.install(release(1), floors(1))
    store.close()
    root = Path(__file__).parents[2]
    child = subprocess.run([sys.executable, "-c", KILLED, file, str(statement), root], check=False, capture_output=True, text=True)
    return child.returncode, held(TrustStore(file))


def test_a_kill_before_the_commit_leaves_the_release_before_whole(tmp_path: Path) -> None:
    code, versions = killed_at(8, tmp_path)
    assert (code, versions) == (-signal.SIGKILL, {1})


@pytest.mark.slow
def test_a_kill_before_any_statement_leaves_one_release_whole(tmp_path: Path) -> None:
    seen = []
    for statement in range(1, STATEMENTS + 1):
        folder = tmp_path / str(statement)
        folder.mkdir()
        seen.append(killed_at(statement, folder))
    killed = [versions for code, versions in seen if code == -signal.SIGKILL]
    assert killed[:-1] == [{1}] * (STATEMENTS - 1)
    assert killed[-1] == {2}  # before the checkpoint: the commit was durable


def test_a_full_disk_changes_nothing_and_says_so(tmp_path: Path) -> None:
    store = TrustStore(tmp_path / "trust.db")
    store.install(release(1), floors(1))
    assert store._connection is not None
    pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
    store._connection.execute(f"PRAGMA max_page_count = {pages}")  # SQLite's own "database or disk is full"
    larger = release(2)
    with pytest.raises(RosterError) as caught:
        store.install(Release(larger.version, larger.document * 4, larger.metadata, larger.versions), floors(2))
    assert (caught.value.reason, held(store), store.fault) == (Reason.NOT_STORED, {1}, None)


# --- damage -----------------------------------------------------------------------------------------------------------------------


def damage_zero(file: Path) -> None:
    file.write_bytes(b"")


def damage_middle(file: Path) -> None:
    with file.open("r+b") as sink:
        sink.seek(4096)
        sink.write(os.urandom(8192))


def damage_other(file: Path) -> None:
    file.unlink()
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("CREATE TABLE other (x)")


def damage_newer(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA user_version = 9")


def damage_text(file: Path) -> None:
    file.write_text("not a database at all, but long enough to look like one" * 100)


@pytest.mark.parametrize("damage", [damage_zero, damage_middle, damage_other, damage_newer, damage_text])
def test_a_damaged_file_closes_entry_until_a_person_sets_it_aside(authority: SyntheticAuthority, gate: Gate, damage: object) -> None:
    install(authority, gate)
    assert gate.store is not None
    gate.store.close()
    assert callable(damage)
    damage(gate.trust_db)
    before = gate.trust_db.read_bytes()
    gate.boot()
    for _ in range(3):
        gate.look()
    assert (set(gate.refusals()), gate.used, gate.store.lock_down()) == ({"damaged_store"}, [], True)
    assert "aside" in str(gate.store.fault)
    assert gate.trust_db.read_bytes() == before, "a damaged file is never written"
    with pytest.raises(RosterError):
        gate.store.set_lock_down(on=True)

    gate.trust_db.rename(gate.trust_db.with_name("trust.db.damaged"))
    gate.look()
    assert (gate.versions(), gate.store.fault) == ([1], None)
    assert gate.lock_downs() == [True], "what came while the file was out is stored, and said once"
    assert gate.look() == []


def test_a_lock_down_that_was_not_known_at_the_start_is_said_once_the_file_can_be_read(authority: SyntheticAuthority, gate: Gate) -> None:
    install(authority, gate)
    assert gate.store is not None
    gate.store.close()
    gate.trust_db.rename(gate.trust_db.with_name("whole.db"))
    gate.trust_db.mkdir()
    gate.boot()
    gate.look()
    assert (gate.store.lock_down(), gate.lock_downs()) == (True, [])
    gate.trust_db.rmdir()
    gate.trust_db.with_name("whole.db").rename(gate.trust_db)
    gate.look()
    assert (gate.store.lock_down(), gate.lock_downs(), gate.versions()) == (False, [False], [1])


def test_a_document_changed_inside_the_file_is_not_used(authority: SyntheticAuthority, gate: Gate) -> None:
    """Whole for SQLite, but not what was signed."""
    install(authority, gate)
    assert gate.store is not None
    gate.store.close()
    with closing(sqlite3.connect(gate.trust_db)) as connection, connection:
        document = bytearray(connection.execute("SELECT document FROM roster").fetchone()[0])
        document[700] ^= 1
        connection.execute("UPDATE roster SET document = ?", (bytes(document),))
    for file in (gate.folder / "metadata").iterdir():
        file.unlink()
    gate.boot().turn()
    assert (gate.refusals()[0], gate.used) == ("tampered", [])


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where the folder should be")
    store = TrustStore(tmp_path / "state" / "trust.db")
    assert store.fault is not None
    assert store.fault.reason is Reason.DAMAGED_STORE
    assert store.lock_down() is True


# --- lock-down --------------------------------------------------------------------------------------------------------------------


def test_a_lock_down_survives_a_restart_and_a_new_roster(authority: SyntheticAuthority, gate: Gate) -> None:
    install(authority, gate)
    assert gate.store is not None
    gate.store.set_lock_down(on=True)
    gate.boot().turn()
    install(authority, gate)
    assert gate.store.lock_down() is True
    gate.store.set_lock_down(on=False)
    gate.boot()
    assert gate.store.lock_down() is False


def test_lock_downs_and_rosters_from_two_threads_do_not_disturb_each_other(tmp_path: Path) -> None:
    store = TrustStore(tmp_path / "trust.db")
    faults: list[BaseException] = []

    def toggle() -> None:
        try:
            for turn in range(41):
                store.set_lock_down(on=turn % 2 == 0)
        except BaseException as error:  # noqa: BLE001  whatever it is, the test shows it
            faults.append(error)

    thread = threading.Thread(target=toggle)
    thread.start()
    for version in range(1, 12):
        store.install(release(version), floors(version))
    thread.join(30)
    store.close()
    again = TrustStore(tmp_path / "trust.db")
    assert (faults, held(again), again.lock_down()) == ([], {11}, True)


def test_a_log_left_behind_by_a_file_set_aside_is_not_played_into_the_new_one(tmp_path: Path) -> None:
    store = TrustStore(tmp_path / "trust.db")
    store.set_lock_down(on=True)  # stands in the -wal alone, because nothing was checkpointed
    log = (tmp_path / "trust.db-wal").read_bytes()
    assert log
    store.close()
    (tmp_path / "trust.db").rename(tmp_path / "trust.db.damaged")
    (tmp_path / "trust.db-wal").write_bytes(log)
    again = TrustStore(tmp_path / "trust.db")
    assert (again.fault, again.lock_down(), again.floors()) == (None, False, NO_FLOORS)


def test_the_first_file_is_whole_or_absent(tmp_path: Path) -> None:
    """Killed while it made the file: what lies beside is no trust.db, and the next start makes one."""
    (tmp_path / ".trust.db.new").write_bytes(b"half")
    store = TrustStore(tmp_path / "trust.db")
    assert (store.fault, store.load()) == (None, None)
    assert not (tmp_path / ".trust.db.new").exists()
