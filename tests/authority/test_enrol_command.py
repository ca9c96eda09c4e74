"""What `gate-roster enrol` and `list` print, whatever the files are called and whenever they are stopped."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.authority import cli, report
from agent.authority.authority import Authority
from agent.authority.people import Enrolment
from agent.core.identity import PersonId, PersonStatus
from agent.roster.document import Person
from tests.authority.conftest import U8, three

Faces = dict[str, U8]
Pictures = Callable[..., Path]


@pytest.mark.usefixtures("sampler")
@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_names_that_a_strict_terminal_cannot_show_end_no_enrolment(
    authority: Authority, pictures: Pictures, flags: tuple[str, ...]
) -> None:
    folder = pictures(ada={"\U0001f600.png": b"", "a\nb\x1b[31m.png": b""})
    (Path(os.fsdecode(bytes(folder / "ada") + b"/\xff.png"))).write_bytes(b"")
    command = [sys.executable, "-m", "agent.authority.cli", "enrol", str(folder), "--authority", str(authority.folder), *flags]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii:strict", "PYTHONWARNINGS": "ignore"}
    ran = subprocess.run(command, env=environment, capture_output=True, check=False, timeout=60)
    assert (ran.returncode, ran.stderr) == (3, b"")
    assert ran.stdout.isascii()
    assert b"\x1b" not in ran.stdout
    assert ran.stdout.count(b".png") == 3
    if flags:
        (person,) = json.loads(ran.stdout)["people"]
        assert {picture["file"] for picture in person["pictures"]} == {"\U0001f600.png", "a\nb\x1b[31m.png", "\udcff.png"}


@pytest.mark.usefixtures("sampler")
def test_who_was_done_before_a_stop_is_reported(
    authority: Authority, pictures: Pictures, faces: Faces, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = pictures(ada=three(faces["astronaut"]), zoe={"1.png": faces["admiral"]})
    shown = cli._Bar.show

    def stop_at_zoe(bar: object, done: int, of: int, name: str) -> None:
        if name == "zoe":
            raise KeyboardInterrupt
        shown(bar, done, of, name)  # type: ignore[arg-type]

    monkeypatch.setattr(cli._Bar, "show", stop_at_zoe)
    code = cli.main(["enrol", str(folder), "--authority", str(authority.folder)])
    out, err = capsys.readouterr()
    assert code not in (0, 3)
    assert "ada: enrolled with 3 picture(s)" in out
    assert "cut short: others in the folder were not looked at; run it again" in out
    assert "who was done is in the register" in err
    assert [person.id for person in authority.register.people()] == ["ada"]


def test_a_listed_day_is_the_sites() -> None:
    midnight_s = 1_796_054_400  # 2026-12-01T00:00 at UTC+8, 2026-11-30T16:00 in UTC
    person = Person(
        id=PersonId("ada"),
        revision=1,
        status=PersonStatus.ACTIVE,
        not_before_s=midnight_s,
        not_after_s=midnight_s + 86_400,
        levels=("always",),
        quality=(),
        sealed=b"",
    )
    (line, _) = report.people_text([person], utc_offset_minutes=480)
    assert "2026-12-01 to 2026-12-01" in line
    (line, _) = report.people_text([person], utc_offset_minutes=0)
    assert "2026-11-30 to 2026-12-01" in line


def test_a_printed_line_is_one_line() -> None:
    done = [Enrolment("a\nb", (), "the folder's name is \x1b[2J")]
    assert next(report.printable(line) for line in report.enrolment_text(done)) == "a\\nb: REFUSED: the folder's name is \\x1b[2J"
    assert report.printable("Zoë 陳 \udcff") == "Zoë 陳 \\udcff"
