"""libFuzzer on the firmware, with the checks for memory and undefined behaviour: minutes, so in --full; hypothesis does the fast set."""

import os
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from tests.bridge.firmware import SOURCE

SECONDS = int(os.environ.get("GATE_FUZZ_S", "90"))
NOW_MS = 0xFFFFF000  # where the harness begins: a little before the wrap


def step(code: int, data: bytes) -> bytes:
    return bytes([code, len(data)]) + data


def whole_passage() -> bytes:
    """A seed: HELLO, heartbeat, STATE_REQUEST, ARM, RELEASE under the session's key, and somebody who walks."""
    script = step(3, bytes([1, 1, 1, 1]) + b"gate-001" + bytes(16))
    script += step(4, bytes([7]) + bytes(13)) + step(4, bytes([2]))
    for revision in range(1, 4):
        script += step(4, bytes([3]) + struct.pack("<I", revision))
    script += step(4, bytes([5]) + struct.pack("<QBHHI", 1, 1, 5_000, 500, (NOW_MS + 900) % 2**32))
    return script + bytes([0, 1, 0, 3, 0, 2, 0, 0, 1, 60])


def fuzz(source: Path, build: Path, seconds: int) -> subprocess.CompletedProcess[str]:
    if shutil.which("clang") is None:
        pytest.fail("missing: clang (Debian's clang and libclang-rt-dev); script/test --full installs it")
    made = subprocess.run(["make", "-C", str(source), "fuzz", f"BUILD={build}"], capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    corpus = build / "corpus"
    corpus.mkdir()
    (corpus / "passage").write_bytes(whole_passage())
    (corpus / "no end").write_bytes(step(7, b"\x01" * 250))
    command = [str(build / "fuzz"), f"-max_total_time={seconds}", "-max_len=1500", f"-artifact_prefix={build}/", "-seed=4", str(corpus)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds + 120)


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 300)
def test_no_bytes_break_the_firmware_or_open_the_entry(tmp_path: Path) -> None:
    ran = fuzz(SOURCE, tmp_path / "build", SECONDS)
    assert ran.returncode == 0, ran.stderr[-4_000:]
    assert "Done" in ran.stderr


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("wire.c", "w->skipping = w->kept_bytes > MAX_FRAME_BYTES + 1;", "w->skipping = w->kept_bytes > MAX_FRAME_BYTES + 9;"),
        ("turnstile.c", "window = window > MAX_WINDOW_MS ? MAX_WINDOW_MS : window;", ""),
    ],
    ids=["a buffer without its end", "a release without its bound"],
)
def test_the_fuzzer_finds_a_mistake_that_was_put_there(tmp_path: Path, file: str, old: str, new: str) -> None:
    source = tmp_path / "source"
    shutil.copytree(SOURCE, source)
    text = (source / file).read_text(encoding="utf-8")
    assert text.count(old) == 1
    (source / file).write_text(text.replace(old, new), encoding="utf-8")
    assert fuzz(source, tmp_path / "build", 60).returncode != 0
