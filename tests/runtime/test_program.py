"""How our three programs end: exit codes, one sentence, JSON for a script, and outputs that take nothing more."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from agent import program
from agent.authority.cli import EXIT_REFUSED
from agent.core.events import EventType
from agent.drivers.journal import SqliteJournal
from agent.errors import GateError, JournalError, UsageError
from agent.event_lines import EventLines
from agent.ports import Committed
from firmware_bridge.errors import PackageAbsentError
from models.errors import PackMissingError
from tests.sim.clock import StandingClock
from tests.sim.lane_events import event

PROGRAMS = {"gate-agent": "agent", "gate-roster": "agent.authority.cli", "gate-collector": "agent.collector.cli", "models": "models"}


def start(name: str, *words: str | Path, stdout: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", PROGRAMS[name], *map(str, words)], stdout=stdout, stderr=subprocess.PIPE)


def ended(name: str, *words: str | Path) -> tuple[int, str, str]:
    command = [sys.executable, "-m", PROGRAMS[name], *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """A journal whose rows fill more than a pipe's buffer."""
    clock = StandingClock()
    written = SqliteJournal(tmp_path / "journal.db", site="hk", gate="gate-1", simulation=True, clock=clock)
    written.commit([event(EventType.SERVICE_CLOSED, clock.now(), detail="x" * 200) for _ in range(1000)])
    written.close()
    return tmp_path / "journal.db"


def raising(error: BaseException) -> Callable[[], int]:
    def command() -> int:
        raise error

    return command


OUTCOMES: dict[str, tuple[BaseException, int, str]] = {
    "ours": (JournalError("no journal"), 1, "no journal"),
    "wrong use": (UsageError("no such key"), 2, "no such key"),
    "a model's": (PackMissingError("no pack"), 1, "no pack"),
    "the bridge's": (PackageAbsentError("osdp"), 1, "the package osdp is not installed"),
    "a file's": (FileNotFoundError(2, "No such file or directory", "/x/y"), 1, "/x/y: No such file or directory; make room or mend"),
    "a disk's": (OSError(28, "No space left on device"), 1, "No space left on device; make room or mend"),
    "a stop": (KeyboardInterrupt(), 130, "stopped; nothing is made"),
}


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize("outcome", OUTCOMES)
def test_a_failure_is_one_sentence_and_for_a_script_the_last_line(capsys: pytest.CaptureFixture[str], outcome: str, as_json: bool) -> None:
    error, code, words = OUTCOMES[outcome]
    assert program.run(raising(error), program="gate-x", as_json=as_json, stopped="stopped; nothing is made") == code
    said = capsys.readouterr()
    assert (said.err.startswith(f"gate-x: {words}"), said.err.count("\n")) == (True, 1), said.err
    if not as_json:
        assert said.out == ""
        return
    told = json.loads(said.out.splitlines()[-1])
    assert (f"gate-x: {told['error']}\n", told["exit_code"]) == (said.err, code)


def test_what_went_well_says_nothing_more(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.run(lambda: 3, program="gate-x", as_json=True) == 3
    assert capsys.readouterr() == ("", "")


FAILING: list[tuple[str, list[str], int]] = [
    ("gate-agent", ["check", "--config", "/nowhere.toml"], 2),
    ("gate-agent", ["journal", "verify", "--file", "/nowhere.db"], 1),
    ("gate-agent", ["models", "verify", "--into", "/nowhere"], 1),
    ("gate-agent", ["lock-down", "on"], 2),
    ("gate-roster", ["list", "--authority", "/nowhere"], 2),
    ("gate-roster", ["no-such-command"], 2),
    ("gate-collector", ["report", "--store", "/nowhere.db"], 1),
    ("gate-collector", ["report"], 2),
]


@pytest.mark.parametrize(("name", "words", "code"), FAILING, ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_every_program_fails_by_the_same_rule(name: str, words: list[str], code: int) -> None:
    found, out, err = ended(name, *words, "--json")
    told = json.loads(out.splitlines()[-1])
    assert (found, told["exit_code"]) == (code, code), err
    assert told["error"]
    assert err
    assert "Traceback" not in err


@pytest.mark.parametrize("words", [["journal", "show", "-n", "1000"], ["journal", "export"]], ids=" ".join)
def test_a_reader_that_goes_away_is_no_failure_to_speak_of(journal: Path, words: list[str]) -> None:
    with start("gate-agent", *words, "--file", journal, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        assert running.stdout.readline()
        running.stdout.close()
        assert (running.wait(30), running.stderr.read()) == (program.UNREAD, b"")


SHORT: list[tuple[str, list[str]]] = [
    ("gate-agent", ["check", "--print-example"]),
    ("gate-agent", ["models", "list"]),
    ("models", ["list"]),
    ("gate-roster", ["list"]),
]


@pytest.mark.parametrize(("name", "words"), SHORT, ids=lambda value: " ".join(value) if isinstance(value, list) else value)
def test_a_pipe_that_nobody_reads_is_silent_also_where_all_fits_the_buffer(tmp_path: Path, name: str, words: list[str]) -> None:
    if name == "gate-roster":
        assert ended(name, "init", tmp_path / "authority")[0] == 0
        words = [*words, "--authority", str(tmp_path / "authority")]
    reading, writing = os.pipe()
    os.close(reading)
    with start(name, *words, stdout=writing) as running:
        os.close(writing)
        assert running.stderr is not None
        assert (running.wait(30), running.stderr.read()) == (program.UNREAD, b"")


def test_a_full_disk_under_the_output_is_told_as_what_it_is(journal: Path) -> None:
    with Path("/dev/full").open("wb") as full, start("gate-agent", "journal", "verify", "--file", journal, stdout=full.fileno()) as running:
        assert running.stderr is not None
        assert running.wait(30) == 1
        said = running.stderr.read().decode()
    assert said == (
        "gate-agent: standard output cannot be written (No space left on device), so the report is lost; what was done stays done\n"
    )


def test_printed_events_on_a_full_disk_stop_nothing_and_are_said_once(
    journal: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    lines = EventLines(journal, after=0)
    with Path("/dev/full").open("w", encoding="ascii") as full:
        monkeypatch.setattr(sys, "stdout", full)
        for seq in (1, 2, 3):
            lines.print_new(Committed(epoch="0" * 16, seq=seq, head="", commit_ms=1.0))
        monkeypatch.undo()
    lines.close()
    assert capfd.readouterr().err == (
        "gate-agent: the events cannot be printed (No space left on device); they are in the journal and are printed no longer\n"
    )


def test_work_whose_report_is_lost_is_said_to_be_done(tmp_path: Path) -> None:
    """Of every command of gate-roster, a release too: what it would have printed first."""
    with Path("/dev/full").open("wb") as full, start("gate-roster", "init", tmp_path / "authority", stdout=full.fileno()) as running:
        assert running.stderr is not None
        said = running.stderr.read().decode()
    assert running.returncode == 1
    assert f"so the report is lost; what was done stays done: {tmp_path / 'authority'} is the authority of site 'site'\n" in said
    assert (tmp_path / "authority" / "root.json").is_file()


def test_ctrl_c_has_the_shells_code_in_every_program(tmp_path: Path) -> None:
    """gate-roster waits for a passphrase that nobody writes: a pipe in place of its file."""
    os.mkfifo(tmp_path / "passphrase", 0o600)
    with start("gate-roster", "init", tmp_path / "a", "--passphrase-file", tmp_path / "passphrase", stdout=subprocess.PIPE) as running:
        writer = os.open(tmp_path / "passphrase", os.O_WRONLY)  # returns once it reads
        running.send_signal(signal.SIGINT)
        code = running.wait(30)
        os.close(writer)
    assert code == 130


def test_the_root_of_our_errors_says_one() -> None:
    assert (GateError.exit_code, UsageError.exit_code) == (1, 2)


def test_the_readme_tells_every_exit_code() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    told = re.findall(r"^\| (\d+) \| ", readme, flags=re.MULTILINE)
    assert [int(code) for code in told] == [
        0,
        GateError.exit_code,
        UsageError.exit_code,
        EXIT_REFUSED,
        program.STOPPED_BY_PERSON,
        program.UNREAD,
    ]
    assert re.findall(r"^(\d+) ", str(program.__doc__), flags=re.MULTILINE) == told
