"""trust.db and what lies beside it: people, metadata and floors together or not at all; damage closes entry and is never papered over."""

import os
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing, suppress
from pathlib import Path

import pytest

from agent.authority.synthetic import SyntheticAuthority
from agent.core.inputs import LockDownSet
from agent.drivers.trust_store import TrustStore
from agent.roster.errors import Reason, RosterError
from agent.roster.trust import NO_FLOORS, Floors, Release
from tests.roster.conftest import Gate
from tests.roster.test_trust_attacks import install


def put(store: TrustStore, version: int, *, metadata_length: int = 1) -> None:
    """Install what a release of that version leaves in the store; every part of it names the version."""
    versions = dict.fromkeys(("root", "timestamp", "snapshot", "targets", "enrol"), version)
    metadata = {name: f"{name} {version} ".encode() * metadata_length for name in ("timestamp.json", "enrol.json")}
    with store.incoming() as file:
        file.write_bytes(b"document %d " % version * 50_000)
        release = Release(version=version, document=file, metadata=metadata, versions=versions)
        store.install(release, Floors(versions=versions, issued_s=1000 * version))


def documents(folder: Path) -> list[bytes]:
    """The first words of every document that lies beside trust.db."""
    return [b" ".join(file.read_bytes()[:30].split()[:2]) for file in folder.glob("roster-*.cbor")]


def held(store: TrustStore) -> set[int]:
    """Versions that the parts of the store speak of: exactly one, whatever happened."""
    stored = store.load()
    assert stored is not None
    spoken = {stored.version, int(stored.document.read_bytes().split()[1]), *(int(data.split()[1]) for data in stored.metadata.values())}
    return spoken | set(store.floors().versions.values()) | {store.floors().issued_s // 1000}


def test_a_first_start_has_neither_roster_nor_floors(tmp_path: Path) -> None:
    store = TrustStore(tmp_path / "state" / "trust.db")
    assert (store.fault, store.load(), store.floors(), store.lock_down()) == (None, None, NO_FLOORS, False)
    assert (tmp_path / "state" / "trust.db").stat().st_mode & 0o777 == 0o600


def test_a_release_replaces_the_one_before_in_every_part(tmp_path: Path) -> None:
    store = TrustStore(tmp_path / "trust.db")
    put(store, 1)
    put(store, 2)
    assert documents(tmp_path) == [b"document 2"], "of who is no longer in the roster nothing stays"
    store.close()
    assert held(TrustStore(tmp_path / "trust.db")) == {2}


def test_a_document_is_forced_to_the_disk_before_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = TrustStore(tmp_path / "trust.db")
    done: list[str] = []
    original = os.fsync

    def noted(descriptor: int) -> None:
        original(descriptor)
        done.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)

    monkeypatch.setattr(os, "fsync", noted)
    assert store._connection is not None
    store._connection.set_trace_callback(lambda statement: done.append(statement) if statement == "COMMIT" else None)
    put(store, 1)
    assert done == ["roster-0.cbor", tmp_path.name, "COMMIT"]


def test_a_document_that_was_not_put_in_force_is_gone_afterwards(tmp_path: Path) -> None:
    store = TrustStore(tmp_path / "trust.db")
    put(store, 1)
    with suppress(ZeroDivisionError), store.incoming() as file:
        file.write_bytes(b"document 2 ")
        raise ZeroDivisionError
    assert (documents(tmp_path), held(store)) == ([b"document 1"], {1})


def test_a_document_that_was_being_copied_when_the_power_failed_is_gone_at_the_next_start(tmp_path: Path) -> None:
    store = TrustStore(tmp_path / "trust.db")
    put(store, 1)
    (tmp_path / "roster-1.cbor").write_bytes(b"document 2 ")
    store.close()
    store = TrustStore(tmp_path / "trust.db")
    assert (documents(tmp_path), held(store)) == ([b"document 1"], {1})


KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[3])
from pathlib import Path
from agent.drivers.trust_store import TrustStore
from tests.roster.test_trust_store import put

store = TrustStore(Path(sys.argv[1]))
left = int(sys.argv[2])
def count(statement):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
store._connection.set_trace_callback(count)
put(store, 2)
print("not killed")
"""
STATEMENTS = 16
"""Which place is free, twice; BEGIN, the statements of an install, COMMIT and the checkpoint: one kill before each."""


def killed_at(statement: int, folder: Path) -> tuple[int, set[int]]:
    file = folder / "trust.db"
    store = TrustStore(file)
    put(store, 1)
    store.close()
    root = Path(__file__).parents[2]
    child = subprocess.run([sys.executable, "-c", KILLED, file, str(statement), root], check=False, capture_output=True, text=True)
    return child.returncode, held(TrustStore(file))


def test_a_kill_before_the_commit_leaves_the_release_before_whole(tmp_path: Path) -> None:
    code, versions = killed_at(10, tmp_path)
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
    put(store, 1)
    assert store._connection is not None
    pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
    store._connection.execute(f"PRAGMA max_page_count = {pages}")  # SQLite's own "database or disk is full"
    with pytest.raises(RosterError) as caught:
        put(store, 2, metadata_length=10_000)
    assert (caught.value.reason, held(store), store.fault, documents(tmp_path)) == (Reason.NOT_STORED, {1}, None, [b"document 1"])


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
    assert (set(gate.refusals()), gate.used) == ({"damaged_store"}, [])
    assert "aside" in str(gate.store.fault)
    assert gate.trust_db.read_bytes() == before, "a damaged file is never written"

    gate.trust_db.rename(gate.trust_db.with_name("trust.db.damaged"))
    gate.look()
    assert (gate.versions(), gate.store.fault, gate.lock_downs()) == ([1], None, [])
    assert gate.look() == []


def test_a_document_that_was_changed_on_the_disk_is_not_used(authority: SyntheticAuthority, gate: Gate) -> None:
    install(authority, gate)
    (file,) = gate.disk.glob("roster-*.cbor")
    document = bytearray(file.read_bytes())
    document[700] ^= 1
    file.write_bytes(document)
    for other in (gate.folder / "metadata").iterdir():
        other.unlink()
    gate.boot().turn()
    assert (gate.refusals()[0], gate.used) == ("tampered", [])


def test_a_document_that_is_missing_is_taken_from_the_folder_again(authority: SyntheticAuthority, gate: Gate) -> None:
    install(authority, gate)
    (file,) = gate.disk.glob("roster-*.cbor")
    file.unlink()
    gate.boot().turn()
    assert (gate.refusals(), gate.versions()) == (["unreadable"], [1])


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where the folder should be")
    store = TrustStore(tmp_path / "state" / "trust.db")
    assert store.fault is not None
    assert store.fault.reason is Reason.DAMAGED_STORE


# --- lock-down --------------------------------------------------------------------------------------------------------------------


def locked(folder: Path) -> tuple[bool, str | None]:
    """What a start finds."""
    store = TrustStore(folder / "trust.db")
    store.close()
    return store.lock_down(), store.lock_down_doubt()


def test_a_lock_down_outlives_a_trust_file_that_is_set_aside(authority: SyntheticAuthority, gate: Gate) -> None:
    install(authority, gate)
    assert gate.store is not None
    gate.store.set_lock_down(on=True)
    gate.store.close()
    damage_text(gate.trust_db)
    gate.boot().turn()
    assert (gate.store.lock_down(), gate.used) == (True, [])
    gate.trust_db.rename(gate.trust_db.with_name("trust.db.damaged"))
    gate.look()
    assert (gate.versions(), gate.store.lock_down(), gate.lock_downs()) == ([1], True, [])
    gate.boot()
    assert gate.store.lock_down() is True


def test_a_lock_down_is_taken_while_the_trust_file_is_damaged(tmp_path: Path) -> None:
    damage_text(tmp_path / "trust.db")
    (tmp_path / "lock-down").write_text("off\n")
    store = TrustStore(tmp_path / "trust.db")
    store.set_lock_down(on=True)
    assert (store.fault is None, locked(tmp_path)) == (False, (True, None))


def test_a_doubt_outlives_the_trust_file_beside_which_it_arose(tmp_path: Path) -> None:
    """Both files are damaged, the gate starts, and only then somebody sets trust.db aside: that is no first start."""
    TrustStore(tmp_path / "trust.db").close()
    (tmp_path / "lock-down").unlink()
    damage_text(tmp_path / "trust.db")
    assert locked(tmp_path)[0] is True
    (tmp_path / "trust.db").unlink()
    assert locked(tmp_path)[0] is True


@pytest.mark.parametrize("content", [None, b"", b"of", b"off", b"onf\n", b"off\n\n", b"\0" * 4, b"\xff" * 4096])
def test_a_lock_down_that_is_not_known_closes_entry_until_somebody_says(authority: SyntheticAuthority, gate: Gate, content: object) -> None:
    """Also over restarts, and it is said each time until somebody frees the lane, or locks it down."""
    install(authority, gate)
    file = gate.disk / "lock-down"
    file.unlink()
    if isinstance(content, bytes):
        file.write_bytes(content)
    gate.boot().turn()
    assert gate.store is not None
    assert (gate.store.lock_down(), gate.lock_downs(), gate.versions()) == (True, [True], [1])
    assert "until somebody frees the lane" in next(each.reason for each in gate.said if isinstance(each, LockDownSet))
    assert gate.look() == []
    gate.boot().turn()
    assert gate.store.lock_down() is True
    gate.store.set_lock_down(on=False)
    gate.boot().turn()
    assert (gate.store.lock_down(), gate.lock_downs()) == (False, [])


def test_a_lock_down_that_cannot_be_read_closes_entry(tmp_path: Path) -> None:
    TrustStore(tmp_path / "trust.db").close()
    (tmp_path / "lock-down").unlink()
    (tmp_path / "lock-down").mkdir()
    assert locked(tmp_path)[0] is True


def test_only_a_first_start_takes_a_missing_file_for_a_lane_that_is_not_locked_down(tmp_path: Path) -> None:
    assert locked(tmp_path / "state") == (False, None)
    assert (tmp_path / "state" / "lock-down").stat().st_mode & 0o777 == 0o600
    (tmp_path / "state" / "lock-down").unlink()
    assert locked(tmp_path / "state")[0] is True


def test_a_full_disk_still_takes_a_lock_down(tmp_path: Path) -> None:
    """The file has its length from the first start, so nothing has to grow."""
    store = TrustStore(tmp_path / "trust.db")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4, before[1]))
    try:
        store.set_lock_down(on=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    store.close()
    assert locked(tmp_path) == (True, None)


def test_a_lock_down_that_the_disk_would_not_take_is_stored_at_a_later_look(tmp_path: Path) -> None:
    store = TrustStore(tmp_path / "trust.db")
    (tmp_path / "lock-down").unlink()
    (tmp_path / "lock-down").mkdir()  # whoever runs the test, nobody can write that
    with pytest.raises(RosterError) as caught:
        store.set_lock_down(on=True)
    assert (caught.value.reason, store.lock_down()) == (Reason.NOT_STORED, True)
    (tmp_path / "lock-down").rmdir()
    store.reopen()
    store.close()
    assert locked(tmp_path) == (True, None)


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
        put(store, version)
    thread.join(30)
    store.close()
    again = TrustStore(tmp_path / "trust.db")
    assert (faults, held(again), again.lock_down()) == ([], {11}, True)


def test_a_log_left_behind_by_a_file_set_aside_is_not_played_into_the_new_one(tmp_path: Path) -> None:
    store = TrustStore(tmp_path / "trust.db")
    assert store._connection is not None
    store._connection.execute("INSERT INTO floor VALUES ('enrol', 7)")  # stands in the -wal alone, because nothing was checkpointed
    log = (tmp_path / "trust.db-wal").read_bytes()
    assert log
    store.close()
    (tmp_path / "trust.db").rename(tmp_path / "trust.db.damaged")
    (tmp_path / "trust.db-wal").write_bytes(log)
    again = TrustStore(tmp_path / "trust.db")
    assert (again.fault, again.floors()) == (None, NO_FLOORS)


def test_the_first_file_is_whole_or_absent(tmp_path: Path) -> None:
    """Killed while it made the file: what lies beside is no trust.db, and the next start makes one."""
    (tmp_path / ".trust.db.new").write_bytes(b"half")
    store = TrustStore(tmp_path / "trust.db")
    assert (store.fault, store.load()) == (None, None)
    assert not (tmp_path / ".trust.db.new").exists()
