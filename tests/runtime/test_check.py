"""`gate-agent check` and the plan that `run` enforces."""

import hashlib
import json
import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.authority.synthetic import SyntheticAuthority
from agent.cli import COMMANDS, main
from agent.config import load
from agent.plan import plan
from agent.plan_line import Verdict
from models.places import manifests_folder

KEY = hashlib.sha256(b"of no gate").hexdigest()


def verdicts(folder: Path, text: str, *, simulation: bool) -> dict[str, Verdict]:
    file = folder / "agent.toml"
    file.write_text(text, encoding="utf-8")
    return {line.key: line.verdict for line in plan(load(file), simulation=simulation)}


@pytest.mark.parametrize(("simulation", "expected"), [(False, Verdict.REFUSED), (True, Verdict.OK)])
def test_a_folder_of_pictures_runs_only_in_a_simulation(tmp_path: Path, simulation: bool, expected: Verdict) -> None:
    text = f'[[camera]]\nsource = "{tmp_path}"\n'
    assert verdicts(tmp_path, text, simulation=simulation)["camera[0]"] is expected


@pytest.mark.parametrize(("simulation", "expected"), [(False, Verdict.REFUSED), (True, Verdict.OK)])
def test_a_pseudo_terminal_runs_only_in_a_simulation_even_behind_a_link(tmp_path: Path, simulation: bool, expected: Verdict) -> None:
    controller, terminal = pty.openpty()
    try:
        link = tmp_path / "controller"
        link.symlink_to(os.ttyname(terminal))
        text = f'[barrier]\nport = "{link}"\n'
        assert verdicts(tmp_path, text, simulation=simulation)["barrier.port"] is expected
    finally:
        os.close(controller)
        os.close(terminal)


@pytest.mark.parametrize(("mode", "expected"), [(0o600, Verdict.OK), (0o640, Verdict.REFUSED), (0o604, Verdict.REFUSED)])
def test_a_key_that_others_may_read_is_refused(tmp_path: Path, mode: int, expected: Verdict) -> None:
    key = tmp_path / "controller.key"
    key.write_text(KEY)
    key.chmod(mode)
    assert verdicts(tmp_path, f'[barrier]\nkey_file = "{key}"\n', simulation=False)["barrier.key_file"] is expected


def test_what_is_absent_is_named_and_does_not_stop_the_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "agent.toml"
    file.write_text('[[camera]]\nsource = "/dev/no-such-camera"\n[barrier]\nkey_file = ""\nlink_inside_cabinet = true\n')
    assert main(["check", "--config", str(file)]) == 0
    printed = capsys.readouterr().out
    assert "camera 'entry' for entry: /dev/no-such-camera is absent" in printed
    assert "It would start out of service" in printed


def test_a_program_gets_json_and_an_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "agent.toml"
    file.write_text(f'[[camera]]\nsource = "{tmp_path}"\n')
    assert main(["check", "--json", "--config", str(file)]) == 2
    answer = json.loads(capsys.readouterr().out)
    assert answer["runs"] is False
    assert "camera[0]" in [part["key"] for part in answer["parts"] if part["verdict"] == "refused"]


def test_pad_off_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "agent.toml"
    file.write_text('[recognition]\npad = "off"\n')
    main(["check", "--config", str(file)])
    assert "PRESENTATION ATTACK DETECTION IS OFF" in capsys.readouterr().out


def test_a_mistake_is_one_sentence_and_no_traceback(tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    file.write_text("[lane]\nwindow = 5\n")
    done = subprocess.run([sys.executable, "-m", "agent", "check", "--config", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(f"gate-agent: {file}: unknown key 'lane.window'")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0
    assert f"gate-agent {command}" in capsys.readouterr().out


def test_a_link_without_its_key_does_not_start(tmp_path: Path) -> None:
    text = f'[barrier]\nkey_file = "{tmp_path / "absent.key"}"\n'
    assert verdicts(tmp_path, text, simulation=False)["barrier.key_file"] is Verdict.REFUSED


def test_pad_off_has_to_be_written_and_is_a_warning_outside_a_simulation(tmp_path: Path) -> None:
    assert "recognition.pad" not in verdicts(tmp_path, "", simulation=False)
    assert verdicts(tmp_path, f'[recognition]\npacks_dir = "{tmp_path}"\n', simulation=False)["recognition.pad_pack"] is Verdict.MISSING
    assert verdicts(tmp_path, '[recognition]\npad = "off"\n', simulation=False)["recognition.pad"] is Verdict.WARNING
    assert verdicts(tmp_path, '[recognition]\npad = "off"\n', simulation=True)["recognition.pad"] is Verdict.OK


# --- what is there and cannot be used ---------------------------------------------------------------------------------------------


def lines(folder: Path, text: str) -> dict[str, tuple[Verdict, str]]:
    file = folder / "agent.toml"
    file.write_text(text, encoding="utf-8")
    return {line.key: (line.verdict, line.text) for line in plan(load(file), simulation=True)}


def packs(folder: Path) -> Path:
    """A folder of packs of both kinds; their graphs are not looked at here."""
    for name in ("mtcnn-dlib", "minifasnet"):
        (folder / "packs" / name).mkdir(parents=True)
        shutil.copy(manifests_folder() / name / "manifest.toml", folder / "packs" / name)
    return folder / "packs"


@pytest.mark.parametrize(
    ("key", "pack", "words"),
    [
        ("recognition.pack", "minifasnet", "detects attacks and recognises nobody; name it as recognition.pad_pack"),
        ("recognition.pad_pack", "mtcnn-dlib", "recognises faces and detects no attacks; name it as recognition.pack"),
    ],
)
def test_a_pack_of_the_other_kind_is_said(tmp_path: Path, key: str, pack: str, words: str) -> None:
    folder = packs(tmp_path)
    verdict, text = lines(tmp_path, f'[recognition]\npacks_dir = "{folder}"\n{key.split(".")[1]} = "{pack}"\n')[key]
    assert (verdict, words in text) == (Verdict.UNUSABLE, True), text


def test_packs_that_fit_their_roles_are_fine(tmp_path: Path) -> None:
    found = lines(tmp_path, f'[recognition]\npacks_dir = "{packs(tmp_path)}"\n')
    assert {found[key][0] for key in ("recognition.pack", "recognition.pad_pack")} == {Verdict.OK}


def test_a_manifest_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    folder = packs(tmp_path)
    (folder / "mtcnn-dlib" / "manifest.toml").write_text("[")
    verdict, text = lines(tmp_path, f'[recognition]\npacks_dir = "{folder}"\n')["recognition.pack"]
    assert (verdict, "is not TOML" in text) == (Verdict.UNUSABLE, True), text


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> SyntheticAuthority:
    return SyntheticAuthority(tmp_path_factory.mktemp("authority"), now_s=1_790_000_000)


def test_a_root_that_is_one_is_fine(tmp_path: Path, authority: SyntheticAuthority) -> None:
    (tmp_path / "root.json").write_bytes(authority.repository.first_root())
    assert lines(tmp_path, f'[roster]\nroot = "{tmp_path / "root.json"}"\n')["roster.root"][0] is Verdict.OK


@pytest.mark.parametrize("kind", ["other text", "other metadata", "changed", "a pipe", "a folder"])
def test_a_root_that_is_none_is_said(tmp_path: Path, authority: SyntheticAuthority, kind: str) -> None:
    file = tmp_path / "root.json"
    authority.publish()
    authority.export(tmp_path / "stick")
    match kind:
        case "other text":
            file.write_text("[gate]\n")
        case "other metadata":
            shutil.copy(tmp_path / "stick" / "metadata" / "timestamp.json", file)
        case "changed":
            content = authority.repository.first_root()
            assert content.count(b'"consistent_snapshot":true') == 1
            file.write_bytes(content.replace(b'"consistent_snapshot":true', b'"consistent_snapshot":false'))
        case "a pipe":
            os.mkfifo(file)
        case "a folder":
            file.mkdir()
    verdict, text = lines(tmp_path, f'[roster]\nroot = "{file}"\n')["roster.root"]
    assert (verdict, str(file) in text) == (Verdict.UNUSABLE, True), text


@pytest.mark.parametrize(("make", "words"), [(None, "is absent"), (Path.touch, "is no folder")])
def test_a_folder_of_arrivals_that_is_none_is_a_warning(tmp_path: Path, make: Callable[[Path], None] | None, words: str) -> None:
    if make is not None:
        make(tmp_path / "roster")
    verdict, text = lines(tmp_path, f'[roster]\nsource = "{tmp_path / "roster"}"\n')["roster.source"]
    assert (verdict, words in text) == (Verdict.WARNING, True), text


@pytest.mark.parametrize("key", ["state_dir", "runtime_dir"])
@pytest.mark.parametrize("below", ["", "/deep/down"])
def test_a_folder_of_our_own_that_is_a_file_is_refused(tmp_path: Path, key: str, below: str) -> None:
    (tmp_path / "there").touch()
    verdict, text = lines(tmp_path, f'[gate]\n{key} = "{tmp_path / "there"}{below}"\n')[f"gate.{key}"]
    assert (verdict, f"{tmp_path / 'there'} is no folder" in text) == (Verdict.REFUSED, True), text


def test_a_folder_of_our_own_that_can_be_made_is_fine(tmp_path: Path) -> None:
    assert lines(tmp_path, f'[gate]\nruntime_dir = "{tmp_path / "a" / "b"}"\n')["gate.runtime_dir"][0] is Verdict.OK


@pytest.mark.parametrize(("change", "refused"), [(str, True), (str.upper, True), (lambda text: text.replace("a", "b"), False)])
def test_one_key_for_two_purposes_is_refused(tmp_path: Path, change: Callable[[str], str], refused: bool) -> None:
    for name, text in (("controller.key", KEY), ("site.key", change(KEY) + "\n")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o600)
    text = f'[barrier]\nkey_file = "{tmp_path / "controller.key"}"\n[roster]\nsite_key_file = "{tmp_path / "site.key"}"\n'
    verdict, said = lines(tmp_path, text)["roster.site_key_file"]
    assert (verdict is Verdict.REFUSED, "holds the same key as barrier.key_file" in said) == (refused, refused), said


def test_a_control_socket_that_cannot_be_made_ends_in_a_sentence(tmp_path: Path) -> None:
    """Seen only when the socket is bound: its path is longer than the kernel takes."""
    file = tmp_path / "agent.toml"
    runtime = tmp_path / ("long" * 30)
    file.write_text(
        f'[gate]\nstate_dir = "{tmp_path / "state"}"\nruntime_dir = "{runtime}"\n'
        '[barrier]\nkey_file = ""\nlink_inside_cabinet = true\n[uplink]\nenabled = false\n'
    )
    command = [sys.executable, "-m", "agent", "run", "--config", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "the control socket cannot be opened (AF_UNIX path too long)" in done.stderr.splitlines()[-1]


# --- the port, and what does nothing ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("folder", "it is a folder and no serial port"),
        ("file", "it is a file and no serial port"),
        ("/dev/null", "a device of another kind"),
    ],
)
def test_a_port_that_is_none_is_said(tmp_path: Path, place: str, words: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    verdict, text = lines(tmp_path, f'[barrier]\nport = "{tmp_path / place}"\n')["barrier.port"]
    assert (verdict, words in text) == (Verdict.UNUSABLE, True), text


@pytest.mark.skipif(not Path("/dev/ttyS0").exists(), reason="this machine has no serial port")
def test_a_serial_port_is_one(tmp_path: Path) -> None:
    assert lines(tmp_path, '[barrier]\nport = "/dev/ttyS0"\n')["barrier.port"][0] is Verdict.OK


@pytest.mark.parametrize(
    ("text", "key", "words"),
    [
        ("[barrier]\nbaud = 12345\n", "barrier.baud", "an unusual speed"),
        ("[barrier]\nallow_unsafe_actuator = true\n", "barrier.allow_unsafe_actuator", 'kind = "controller" does not ask for it'),
        ("[board]\noutput_entry = 3\n", "board.output_entry", 'kind = "controller" does not use it'),
    ],
)
def test_what_does_nothing_is_a_warning(tmp_path: Path, text: str, key: str, words: str) -> None:
    verdict, said = lines(tmp_path, text)[key]
    assert (verdict, words in said) == (Verdict.WARNING, True), said


def test_a_configuration_as_it_is_shipped_has_none_of_these_warnings(tmp_path: Path) -> None:
    assert [
        key for key in lines(tmp_path, "") if key.startswith("board.") or key in {"barrier.baud", "barrier.allow_unsafe_actuator"}
    ] == []


@pytest.mark.parametrize("text", ["", "00" * 31, "no key at all"])
def test_a_site_key_that_is_none_is_said(tmp_path: Path, text: str) -> None:
    file = tmp_path / "site.key"
    file.write_text(text)
    file.chmod(0o600)
    verdict, said = lines(tmp_path, f'[roster]\nsite_key_file = "{file}"\n')["roster.site_key_file"]
    assert (verdict, "does not hold 64 hexadecimal digits" in said) == (Verdict.UNUSABLE, True), said


def test_a_full_disk_under_the_report_is_a_sentence(tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    file.write_text("")
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "agent", "check", "--config", str(file)]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("gate-agent: standard output cannot be written (No space left on device)")
