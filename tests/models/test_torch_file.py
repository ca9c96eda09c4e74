"""State files are read without PyTorch; what a state file has no use for is refused before it is called."""

import pickle
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from models.build import torch_file
from models.errors import SourceError
from tests.models.state_file import state_file

SEED = 20261122


def test_what_was_written_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(SEED)
    state = {"a": rng.normal(size=(2, 3, 4)).astype(np.float32), "b": np.array(5, np.int64), "c": rng.normal(size=7).astype(np.float32)}
    read = torch_file.tensors(state_file(monkeypatch, state))
    assert {name: (array.shape, array.tolist()) for name, array in read.items()} == {
        name: (array.shape, array.tolist()) for name, array in state.items()
    }


class Bomb:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("place", range(5))
def test_a_file_that_would_run_code_is_refused_and_runs_none(tmp_path: Path, place: int) -> None:
    mark = tmp_path / "ran"
    head = [torch_file.MAGIC, torch_file.VERSION, {"little_endian": True}, {}, []]
    head[place] = Bomb(mark)
    content = b"".join(pickle.dumps(each, protocol=2) for each in head)
    with pytest.raises(SourceError, match="it is not called"):
        torch_file.tensors(content)
    assert not mark.exists()


@pytest.mark.parametrize("name", ["cos\nsystem\n.", "cbuiltins\neval\n.", "ctorch\nload\n.", "ccollections\nCounter\n."])
def test_a_name_that_is_not_allowed_is_refused_before_it_is_looked_up(name: str) -> None:
    with pytest.raises(SourceError, match="it is not called"):
        torch_file.tensors(name.encode())


@pytest.mark.parametrize(
    "harm",
    [
        lambda content: content[:-1],
        lambda content: content + b"x",
        lambda content: content[: len(content) // 2],
        lambda content: content[:0],
        lambda content: b"PK\x03\x04" + content,
        lambda content: content.replace(b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19", b"\x8a\x0am\xfc\x9cF\xf9 j\xa8P\x19"),
    ],
)
def test_a_file_that_is_cut_off_or_of_another_format_is_refused(monkeypatch: pytest.MonkeyPatch, harm: Callable[[bytes], bytes]) -> None:
    content = state_file(monkeypatch, {"a": np.ones(9, np.float32)})
    assert torch_file.tensors(content)["a"].tolist() == [1.0] * 9
    with pytest.raises(SourceError):
        torch_file.tensors(harm(content))


def test_a_flipped_byte_never_raises_anything_else(monkeypatch: pytest.MonkeyPatch) -> None:
    content = state_file(monkeypatch, {"a": np.ones((2, 2), np.float32), "b": np.array(1, np.int64)})
    for at in range(len(content)):
        harmed = bytearray(content)
        harmed[at] ^= 0x15
        with suppress(SourceError):
            torch_file.tensors(bytes(harmed))
