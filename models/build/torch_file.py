"""Reads the tensors of a PyTorch state file in its first format, without PyTorch.

The format is a row of pickles (a magic number, a version, the writer's word sizes, the state, the list of storage keys), then each
storage in that order: its count of values (int64), then the values. A pickle may name any function to be called while it is read.
Here it may name four: an ordered dictionary, the rebuilding of a tensor from a storage, and two kinds of storage, the last three
replaced by our own. Whatever else is named is refused before it is looked up. Call this only on content whose digest was checked, all
the same.
"""

import io
import pickle
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import SourceError

MAGIC = 0x1950A86A20F9469CFC6C
VERSION = 1001
COUNT_BYTES = 8

Tensors = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class StorageKind:
    """A global of the pickle that stands for a type of values."""

    dtype: str


@dataclass(frozen=True, slots=True)
class Storage:
    key: str
    dtype: str
    count: int


@dataclass(frozen=True, slots=True)
class View:
    """A tensor before its storage is read: where its values lie. stride: in values."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


def _view(storage: Any, offset: Any, size: Any, stride: Any, *_unused: Any) -> View:
    plain = all(type(each) is int and each >= 0 for each in (offset, *size, *stride))
    if not isinstance(storage, Storage) or not plain or len(size) != len(stride):
        raise SourceError(f"the weight file holds a tensor of size {size!r} and stride {stride!r} on {storage!r}; it is not a state file")
    return View(storage, offset, tuple(size), tuple(stride))


ALLOWED: Mapping[tuple[str, str], Callable[..., Any] | StorageKind] = MappingProxyType(
    {
        ("collections", "OrderedDict"): OrderedDict,
        ("torch._utils", "_rebuild_tensor_v2"): _view,
        ("torch", "FloatStorage"): StorageKind("<f4"),
        ("torch", "LongStorage"): StorageKind("<i8"),
    }
)
"""The only names that a state file may use, and what stands for them here."""


class _Restricted(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED:
            raise SourceError(f"the weight file names {module}.{name}; a state file has no use for it, and it is not called")
        return ALLOWED[module, name]

    def persistent_load(self, pid: Any) -> Storage:
        match pid:
            case ("storage", StorageKind(dtype=dtype), str(key), str(), int(count), None) if count >= 0:
                return Storage(key, dtype, count)
        raise SourceError(f"the weight file refers to {pid!r}; a state file refers to storages only")


def tensors(content: bytes) -> Tensors:
    """Returns the tensors of a state file by name.

    Raises:
        SourceError: another format, a name that is not allowed, or bytes that are missing or left over.
    """
    stream = io.BytesIO(content)
    try:
        magic, version, about = (_Restricted(stream).load() for _ in range(3))
        if (magic, version) != (MAGIC, VERSION) or not about.get("little_endian"):
            raise SourceError("the weight file is no PyTorch state file of the first format, little-endian")
        state, keys = _Restricted(stream).load(), _Restricted(stream).load()
        return _filled(state, _storages(stream, state, keys))
    except (pickle.UnpicklingError, EOFError, ArithmeticError, LookupError, AttributeError, TypeError, ValueError, MemoryError) as reason:
        raise SourceError(f"the weight file cannot be read as a PyTorch state file: {reason}") from reason


def _storages(stream: io.BytesIO, state: Mapping[str, View], keys: list[str]) -> dict[str, NDArray[Any]]:
    wanted = {view.storage.key: view.storage for view in state.values()}
    storages = {}
    for key in keys:
        storage = wanted[key]
        count = int.from_bytes(stream.read(COUNT_BYTES), "little")
        values = np.frombuffer(stream.read(count * np.dtype(storage.dtype).itemsize), dtype=storage.dtype)
        if not count == len(values) == storage.count:
            raise SourceError(f"storage {key} of the weight file has {len(values)} values, its state names {storage.count}; it is cut off")
        storages[key] = values
    if left := stream.read():
        raise SourceError(f"{len(left)} bytes are left over at the end of the weight file")
    return storages


def _filled(state: Mapping[str, View], storages: Mapping[str, NDArray[Any]]) -> Tensors:
    filled = {}
    for name, view in state.items():
        values = storages[view.storage.key]
        last = view.offset + sum((size - 1) * stride for size, stride in zip(view.size, view.stride, strict=True))
        if last >= len(values):
            raise SourceError(f"tensor {name!r} of the weight file reaches value {last} of a storage of {len(values)}")
        strides = tuple(each * values.itemsize for each in view.stride)
        filled[name] = np.lib.stride_tricks.as_strided(values[view.offset :], view.size, strides, writeable=False).copy()
    return filled
