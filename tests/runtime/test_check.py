"""`gate-agent check` and the plan that `run` enforces."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from agent.cli import COMMANDS, main
from agent.config import load
from agent.plan import Verdict, plan


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
    key.write_text("00" * 32)
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
