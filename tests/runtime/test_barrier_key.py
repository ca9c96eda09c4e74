"""Which key files are taken, by `check` and by the driver alike, for our controller's link and for an OSDP board."""

import os
import secrets
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.barrier_config import BarrierKind
from agent.barrier_key import read_barrier_key
from agent.barrier_parts import BarrierNeeds, barrier
from agent.config import load
from agent.core.identity import GrantNumber
from agent.errors import UsageError
from agent.plan import plan
from agent.plan_line import PlanLine, Verdict

SIZES = {BarrierKind.CONTROLLER: 32, BarrierKind.OSDP: 16}
NEEDS = BarrierNeeds(simulation=True, highest=GrantNumber(0), post=lambda _: None, control_fresh_ns=lambda: 0)
GUESSED = ["00" * 32, "a" * 64, "5a" * 32, bytes(range(32)).hex(), bytes(range(64, 32, -1)).hex(), "deadbeef" * 8, "1234" * 16]


def written(folder: Path, content: bytes) -> Path:
    file = folder / "key"
    file.write_bytes(content)
    file.chmod(0o600)
    return file


def checked(folder: Path, kind: BarrierKind, key_file: str) -> PlanLine:
    """The line of `check`; it is refused just where the driver is."""
    file = folder / "agent.toml"
    file.write_text(f'[lane]\nsubject_lost_ms = 3000\n[barrier]\nkind = "{kind}"\nkey_file = "{key_file}"\n')
    config = load(file)
    (line,) = [line for line in plan(config, simulation=True) if line.key == "barrier.key_file"]
    if line.verdict is Verdict.REFUSED:
        with pytest.raises(UsageError):
            barrier(config, NEEDS)
    else:
        barrier(config, NEEDS)
    return line


@pytest.mark.parametrize("kind", SIZES)
def test_a_key_as_the_manuals_make_it_is_taken_with_the_line_end_that_stands_behind_it(tmp_path: Path, kind: BarrierKind) -> None:
    key = secrets.token_bytes(SIZES[kind])
    file = written(tmp_path, f"{key.hex()}\n".encode())
    assert checked(tmp_path, kind, str(file)).verdict is Verdict.OK
    assert read_barrier_key(kind, file) == key


@pytest.mark.parametrize("kind", SIZES)
@pytest.mark.parametrize("text", GUESSED)
def test_a_key_that_anybody_would_try_first_is_refused_and_not_shown(tmp_path: Path, kind: BarrierKind, text: str) -> None:
    text = text[: 2 * SIZES[kind]]
    line = checked(tmp_path, kind, str(written(tmp_path, text.encode())))
    assert (line.verdict, "can be guessed" in line.text, text in line.text) == (Verdict.REFUSED, True, False), line.text


@pytest.mark.parametrize("kind", SIZES)
@pytest.mark.parametrize(
    "change",
    [
        lambda _: b"",
        lambda key: key.hex()[:-2].encode(),
        lambda key: (key + key).hex().encode(),
        lambda key: f"{key.hex()}\n{key.hex()}".encode(),
        lambda key: key.hex(" ").encode(),
        lambda key: key,
        lambda key: b"z" + key.hex().encode()[1:],
        lambda key: "".join(chr(0xFF10 + int(digit)) for digit in key.hex() if digit.isdigit()).encode(),
    ],
    ids=["empty", "too short", "of the other kind", "two lines", "with spaces", "binary", "no digits", "other letters' digits"],
)
def test_a_file_without_such_a_key_is_refused(tmp_path: Path, kind: BarrierKind, change: Callable[[bytes], bytes]) -> None:
    key = b"\xfe" + secrets.token_bytes(SIZES[kind] - 1)
    line = checked(tmp_path, kind, str(written(tmp_path, change(key))))
    digits = f"{2 * SIZES[kind]} hexadecimal digits and nothing else"
    assert (line.verdict, digits in line.text) == (Verdict.REFUSED, True), line.text


@pytest.mark.parametrize(
    ("place", "words"),
    [("/dev/zero", "is a device and no file"), ("/", "is a folder and no file"), ("/nowhere/key", "is absent; put it there")],
)
def test_what_is_no_file_is_said(tmp_path: Path, place: str, words: str) -> None:
    line = checked(tmp_path, BarrierKind.CONTROLLER, place)
    assert (line.verdict, words in line.text) == (Verdict.REFUSED, True), line.text


def test_a_pipe_holds_nobody_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "key", 0o600)
    assert checked(tmp_path, BarrierKind.CONTROLLER, str(tmp_path / "key")).verdict is Verdict.REFUSED


def test_a_name_that_no_file_can_have_is_said_and_not_called_absent(tmp_path: Path) -> None:
    line = checked(tmp_path, BarrierKind.CONTROLLER, "/" + "k" * 5000)
    assert (line.verdict, "File name too long" in line.text) == (Verdict.REFUSED, True), line.text
    assert len(line.text) < 500
