"""gate-roster as an operator and a script use it: what it prints, its exit codes, and that no traceback ever comes."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.authority import cli
from tests.authority.conftest import U8, three

Faces = dict[str, U8]
Pictures = Callable[..., Path]


class Shell:
    """Runs commands in this process and keeps what they print."""

    def __init__(self, folder: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capture = capture

    def __call__(self, *argv: str | Path) -> tuple[int, str, str]:
        opens = [] if argv[0] == "init" else ["--authority", str(self.folder)]
        code = cli.main([*map(str, argv), *opens])
        out = self._capture.readouterr()
        return code, out.out, out.err

    def json(self, *argv: str | Path) -> dict[str, object]:
        code, out, err = self(*argv, "--json")
        assert code in (0, 3), err
        found: dict[str, object] = json.loads(out.splitlines()[-1])
        return found


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(tmp_path / "authority", capsys)


@pytest.mark.usefixtures("sampler")
def test_the_whole_way_from_pictures_to_a_stick(shell: Shell, pictures: Pictures, faces: Faces, tmp_path: Path) -> None:
    folder = pictures(astronaut=three(faces["astronaut"]), admiral=three(faces["admiral"]), nobody={"x.jpg": b"no"})
    assert shell.json("init", shell.folder, "--site", "bridge-1")["site"] == "bridge-1"
    enrolled = shell.json("enrol", folder)
    assert (enrolled["enrolled"], enrolled["refused"]) == (2, 1)
    assert shell("suspend", "admiral")[0] == 0
    listed = shell.json("list")["people"]
    assert isinstance(listed, list)
    assert [(row["person"], row["status"], row["references"]) for row in listed] == [
        ("admiral", "suspended", 3),
        ("astronaut", "active", 3),
    ]
    assert shell("resume", "admiral")[0] == 0
    published = shell.json("release")
    assert (published["version"], published["people"], published["calibration"]) == (1, 2, "pack-default")
    assert shell.json("export", tmp_path / "stick") == {"version": 1, "folder": str(tmp_path / "stick")}
    assert (tmp_path / "stick" / "metadata" / "timestamp.json").exists()
    assert shell("remove", "admiral")[0] == 0
    assert shell.json("release")["people"] == 1
    assert shell("rotate", "timestamp")[0] == 0
    assert shell.json("release")["version"] == 3


@pytest.mark.usefixtures("sampler")
def test_enrolling_with_a_refusal_says_why_and_leaves_with_three(shell: Shell, pictures: Pictures) -> None:
    shell("init", shell.folder)
    code, out, err = shell("enrol", pictures(nobody={"x.jpg": b"no picture"}))
    assert (code, err) == (3, "")
    assert "nobody: REFUSED: no picture serves" in out
    assert "x.jpg  no" in out
    assert "0 enrolled, 1 refused" in out


@pytest.mark.usefixtures("sampler")
def test_after_a_long_list_what_is_to_do_is_said_once_more(shell: Shell, pictures: Pictures, faces: Faces) -> None:
    shell("init", shell.folder)
    nobody = {f"n{number:02d}": {"x.jpg": b"no picture"} for number in range(10)}
    out = shell("enrol", pictures(ada={"1.png": faces["astronaut"]}, **nobody))[1]
    end = out[out.index("\nrefused:") :]
    assert end.count("no picture serves") == 10
    assert "fewer than 3 pictures that serve: of 1 people" in end
    assert end.splitlines()[-1].startswith("1 enrolled, 10 refused")


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (("list",), 2, "this is no authority: gate-roster init makes one"),
        (("release",), 2, "authority.toml: cannot be read"),
        (("export", "somewhere"), 2, "authority.toml: cannot be read"),
    ],
)
def test_a_folder_that_is_no_authority_is_named(shell: Shell, argv: tuple[str, ...], code: int, words: str) -> None:
    assert (found := shell(*argv))[0] == code
    assert words in found[2]


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("enrol", "absent"), "absent is not a folder"),
        (("suspend", "ghost"), "'ghost' is not enrolled; see: gate-roster list"),
        (("remove", "ghost"), "'ghost' is not enrolled"),
        (("release",), "nobody is enrolled; run: gate-roster enrol FOLDER"),
        (("export", "out"), "no release is published yet; run: gate-roster release"),
    ],
)
@pytest.mark.usefixtures("sampler")
def test_what_cannot_be_done_is_one_sentence(shell: Shell, argv: tuple[str, ...], words: str) -> None:
    shell("init", shell.folder)
    code, out, err = shell(*argv)
    assert (code in (1, 2), out, len(err.splitlines())) == (True, "", 1)
    assert words in err


def test_a_pack_that_is_not_built_is_named(shell: Shell, pictures: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shell("init", shell.folder, "--pack", "mobilefacenet")
    monkeypatch.setenv("GATE_AGENT_PACKS", str(tmp_path / "packs"))
    code, _, err = shell("enrol", pictures(somebody={}))
    assert code == 1
    assert "'mobilefacenet' is not built" in err


def test_a_full_disk_is_one_sentence(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    code, _, err = shell("init", tmp_path / "file" / "authority")
    assert code == 1
    assert "Not a directory" in err


@pytest.mark.parametrize("text", ["0/1", "2/1", "1/99", "x", "1/x", ""])
def test_a_quorum_that_cannot_be_is_wrong_use(shell: Shell, capsys: pytest.CaptureFixture[str], text: str) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main(["init", str(shell.folder), "--root", text])
    assert left.value.code == 2
    assert "is not K/N, for example 2/3" in capsys.readouterr().err


def test_a_passphrase_comes_from_a_file_that_nobody_else_may_read(shell: Shell, tmp_path: Path) -> None:
    secret = tmp_path / "passphrase"
    secret.write_text("open sesame\n")
    secret.chmod(0o644)
    assert "chmod 600" in shell("init", shell.folder, "--passphrase-file", secret)[2]
    secret.chmod(0o600)
    assert shell("init", shell.folder, "--passphrase-file", secret)[0] == 0
    assert b"ENCRYPTED" in (shell.folder / "keys" / "root-1-1.pem").read_bytes()
    assert shell("rotate", "enrol", "--passphrase-file", secret)[0] == 0
    code, _, err = shell("rotate", "enrol")  # no file, and no keyboard in a test
    assert (code, "give --passphrase-file FILE" in err) == (2, True)


@pytest.mark.usefixtures("sampler")
def test_a_key_that_is_away_is_named_before_a_number_is_used(shell: Shell, pictures: Pictures, faces: Faces) -> None:
    shell("init", shell.folder)
    shell("enrol", pictures(astronaut=three(faces["astronaut"])))
    key = shell.folder / "keys" / "enrol-1-1.pem"
    shutil.move(key, shell.folder / "away.pem")
    code, _, err = shell("release")
    assert (code, "bring the others" in err) == (1, True)
    shutil.move(shell.folder / "away.pem", key)
    assert shell.json("release")["version"] == 1


def test_it_runs_as_a_program(tmp_path: Path) -> None:
    run = [sys.executable, "-m", "agent.authority.cli"]
    made = subprocess.run([*run, "init", tmp_path / "a", "--json"], check=True, capture_output=True, text=True)
    assert json.loads(made.stdout)["authority"] == str(tmp_path / "a")
    listed = subprocess.run([*run, "list"], check=True, capture_output=True, text=True, env={"GATE_ROSTER_DIR": str(tmp_path / "a")})
    assert listed.stdout == "0 people\n"
    wrong = subprocess.run([*run, "dance"], check=False, capture_output=True, text=True)
    assert (wrong.returncode, "invalid choice" in wrong.stderr, "Traceback" in wrong.stderr) == (2, True, False)


@pytest.mark.parametrize("argv", [("init", ""), ("export", ""), ("enrol", " "), ("list", "--authority", "")])
def test_an_empty_name_is_not_the_current_folder(argv: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main([*argv])
    assert left.value.code == 2
    assert "an empty name is no folder" in capsys.readouterr().err


@pytest.mark.usefixtures("sampler")
def test_a_release_of_nobody_and_one_by_a_clock_that_was_set_back_are_published_with_a_word(
    shell: Shell, pictures: Pictures, faces: Faces, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell("init", shell.folder)
    shell("enrol", pictures(astronaut=three(faces["astronaut"])))
    assert shell("release")[2] == ""
    shell("remove", "astronaut")
    assert "nobody is enrolled any more" in shell("release")[2]
    now_s = cli.time.time()  # type: ignore[attr-defined]
    monkeypatch.setattr(cli.time, "time", lambda: now_s - 86_400)  # type: ignore[attr-defined]
    assert "one of the two is wrong; mend the clock" in shell("release")[2]


def test_a_name_that_the_terminal_cannot_show_ends_no_command(tmp_path: Path) -> None:
    strict = {"PYTHONIOENCODING": "ascii:strict", "PYTHONUTF8": "1"}
    run = [sys.executable, "-m", "agent.authority.cli", "init", tmp_path / "深圳\N{WAVING HAND SIGN}"]
    made = subprocess.run(run, check=False, capture_output=True, text=True, env=strict)
    assert (made.returncode, made.stderr) == (0, "")
    assert "\\u6df1\\u5733\\U0001f44b is the authority of site 'site'" in made.stdout
