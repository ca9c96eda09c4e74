"""The register: what is wrong with it is told apart, and only a damaged file is to be replaced by a backup."""

import os
import resource
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from agent.authority import cli
from agent.authority import register as registers
from agent.authority.authority import Authority
from agent.authority.errors import RegisterError
from agent.authority.register import Register
from tests.authority.test_authority import BOUND, NOW_S, Defaults, enrol
from tests.authority.test_founding import found

BACKUP = "backup"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    made = found(tmp_path / "authority")
    made.register.bind(BOUND)
    enrol(made, 3)
    return made


@contextmanager
def no_room() -> Iterator[None]:
    """Files do not grow: what a full disk does to who writes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_not_a_reason_for_a_backup(authority: Authority) -> None:
    with no_room(), pytest.raises(RegisterError, match="make room") as caught:
        authority.register.keep("x", "y" * 100_000)
    assert BACKUP not in str(caught.value)
    authority.register.remove("p0001")
    assert [each.id for each in authority.register.people()] == ["p0000", "p0002"]


def test_a_register_that_a_colleague_writes_in_is_not_a_reason_for_a_backup(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registers, "BUSY_S", 0.05)
    with closing(sqlite3.connect(authority.folder / "register.db", isolation_level=None)) as colleague:
        colleague.execute("BEGIN IMMEDIATE")
        with pytest.raises(RegisterError, match="another gate-roster is writing in it; try again") as caught:
            authority.register.remove("p0001")
        assert len(authority.register.people()) == 3  # who reads does not wait
    assert BACKUP not in str(caught.value)


@pytest.mark.parametrize(
    ("what", "words", "is_damage"),
    [
        ("damaged", "keep it, restore it from the backup, then suspend and remove again", True),
        ("no database", "keep it, restore it from the backup, then suspend and remove again", True),
        ("a folder", "it cannot be opened: mend the rights", False),
    ],
)
def test_only_a_damaged_register_is_to_be_replaced(authority: Authority, what: str, words: str, is_damage: bool) -> None:
    file = authority.folder / "register.db"
    match what:
        case "damaged":
            content = bytearray(file.read_bytes())
            content[4096:] = bytes(len(content) - 4096)
            file.write_bytes(content)
        case "no database":
            file.write_bytes(b"holiday" * 1000)
        case _:
            file.unlink()
            file.mkdir()
    with pytest.raises(RegisterError, match=words) as caught:
        Register(file).people()
    assert (BACKUP in str(caught.value)) == is_damage


def test_a_folder_that_cannot_be_written_can_be_listed_and_exported(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    authority.release(Defaults(), now_s=NOW_S)
    files = {file: file.stat().st_mtime_ns for file in authority.folder.rglob("*") if file.is_file()}
    writable: Callable[..., bool] = os.access
    # root may write everywhere, so the question is answered here; what follows from the answer is real
    monkeypatch.setattr(os, "access", lambda path, mode: writable(path, mode) and not (mode & os.W_OK))
    assert cli.main(["list", "--authority", str(authority.folder)]) == 0
    assert "3 people" in capsys.readouterr().out
    assert cli.main(["export", str(tmp_path / "out"), "--authority", str(authority.folder)]) == 0
    assert {file: file.stat().st_mtime_ns for file in authority.folder.rglob("*") if file.is_file()} == files


def test_changes_that_are_not_yet_in_the_file_are_not_left_out_of_a_list(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(sqlite3.connect(authority.folder / "register.db", isolation_level=None)) as held:
        held.execute("SELECT count(*) FROM person").fetchone()
        authority.register.remove("p0001")  # into the log; the connection that is open keeps it from being put into the file
        shutil.copytree(authority.folder, tmp_path / "copy")
    writable: Callable[..., bool] = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: writable(path, mode) and not (mode & os.W_OK))
    with pytest.raises(RegisterError, match="holds changes that were not yet put into"):
        Register(tmp_path / "copy" / "register.db").people()


@pytest.mark.parametrize("name", ["\udcff", "a\nb", "../x", "", "x" * 65])
@pytest.mark.parametrize("command", ["suspend", "resume", "remove"])
def test_a_name_that_nobody_can_have_is_somebody_unknown(
    authority: Authority, capsys: pytest.CaptureFixture[str], command: str, name: str
) -> None:
    assert cli.main([command, name, "--authority", str(authority.folder)]) == 1
    err = capsys.readouterr().err
    assert (f"{name!r} is not enrolled" in err, err.count("\n")) == (True, 1)


def test_a_register_of_the_schema_before_is_taken_on(authority: Authority) -> None:
    with closing(sqlite3.connect(authority.folder / "register.db")) as connection:
        connection.executescript("DROP TABLE fact; PRAGMA user_version = 1;")
    assert authority.register.fact("site") is None
    assert authority.release(Defaults(), now_s=NOW_S).version == 1
    authority.register.keep("x", "y")
    assert authority.register.fact("x") == "y"


def test_a_register_of_a_later_version_is_not_touched(authority: Authority) -> None:
    with closing(sqlite3.connect(authority.folder / "register.db")) as connection:
        connection.executescript("PRAGMA user_version = 9;")
    with pytest.raises(RegisterError, match="written by a newer version"):
        authority.register.remove("p0001")


def test_a_register_that_cannot_be_made_is_said_so(tmp_path: Path) -> None:
    with no_room(), pytest.raises(RegisterError, match=r"register\.db cannot be made \(.*make room"):
        Register.create(tmp_path / "register.db")
