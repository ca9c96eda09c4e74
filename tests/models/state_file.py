"""Writes state files as PyTorch wrote them in its first format, without PyTorch; and a MiniFASNet of random weights and few channels."""

import io
import pickle
import sys
import types
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

MAGIC = 0x1950A86A20F9469CFC6C
Array = NDArray[Any]


class _Storage:
    def __init__(self, kind: type, key: str, values: Array) -> None:
        self.kind, self.key, self.values = kind, key, values


class _Tensor:
    def __init__(self, storage: _Storage, array: Array, rebuild: Any) -> None:
        self.storage, self.array, self.rebuild = storage, array, rebuild

    def __reduce__(self) -> tuple[Any, ...]:
        strides = tuple(each // self.array.itemsize for each in self.array.strides)
        return self.rebuild, (self.storage, 0, self.array.shape, strides, False, OrderedDict())


class _Pickler(pickle.Pickler):
    def persistent_id(self, obj: Any) -> Any:
        return ("storage", obj.kind, obj.key, "cpu", obj.values.size, None) if isinstance(obj, _Storage) else None


def state_file(monkeypatch: pytest.MonkeyPatch, state: Mapping[str, Array]) -> bytes:
    """Returns the bytes of a state file that holds these arrays (float32 or int64)."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    floats, longs = (type(name, (), {"__module__": "torch", "__qualname__": name}) for name in ("FloatStorage", "LongStorage"))

    def rebuild() -> None: ...

    rebuild.__module__, rebuild.__qualname__, rebuild.__name__ = "torch._utils", "_rebuild_tensor_v2", "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = rebuild  # type: ignore[attr-defined]
    torch.FloatStorage, torch.LongStorage, torch._utils = floats, longs, utils  # type: ignore[attr-defined]
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "torch", torch)
        patch.setitem(sys.modules, "torch._utils", utils)
        stores = {
            name: _Storage(floats if array.dtype == np.float32 else longs, str(1000 + number), array)
            for number, (name, array) in enumerate(state.items())
        }
        whole = OrderedDict((name, _Tensor(stores[name], array, rebuild)) for name, array in state.items())
        out = io.BytesIO()
        for each in (MAGIC, 1001, {"little_endian": True}, whole, [store.key for store in stores.values()]):
            _Pickler(out, protocol=2).dump(each)
    for store in stores.values():
        out.write(store.values.size.to_bytes(8, "little") + store.values.tobytes())
    return out.getvalue()


def small_fasnet(seed: int) -> dict[str, Array]:
    """A MiniFASNet with few channels: its shapes follow the published ones, its weights are random."""
    rng = np.random.default_rng(seed)
    state: dict[str, Array] = {}

    def norm(name: str, channels: int) -> None:
        state[f"{name}.weight"] = rng.uniform(0.5, 1.5, channels).astype(np.float32)
        state[f"{name}.bias"] = rng.normal(0, 0.1, channels).astype(np.float32)
        state[f"{name}.running_mean"] = rng.normal(0, 0.2, channels).astype(np.float32)
        state[f"{name}.running_var"] = rng.uniform(0.5, 1.5, channels).astype(np.float32)
        state[f"{name}.num_batches_tracked"] = np.array(7, np.int64)

    def kernel(name: str, out: int, into: int, side: int) -> None:
        state[name] = rng.normal(0, (into * side * side) ** -0.5, (out, into, side, side)).astype(np.float32)

    def block(name: str, out: int, into: int, side: int, *, bend: bool = True) -> None:
        kernel(f"{name}.conv.weight", out, into, side)
        norm(f"{name}.bn", out)
        if bend:
            state[f"{name}.prelu.weight"] = rng.uniform(0.1, 0.4, out).astype(np.float32)

    def bottleneck(name: str, into: int, wide: int, out: int, *, squeeze: bool = False) -> None:
        block(f"{name}.conv", wide, into, 1)
        block(f"{name}.conv_dw", wide, 1, 3)
        block(f"{name}.project", out, wide, 1, bend=False)
        if squeeze:
            for layer, (to, from_) in (("1", (2, out)), ("2", (out, 2))):
                kernel(f"{name}.se_module.fc{layer}.weight", to, from_, 1)
                norm(f"{name}.se_module.bn{layer}", to)

    block("conv1", 4, 3, 3)
    block("conv2_dw", 4, 1, 3)
    bottleneck("conv_23", 4, 5, 6)
    bottleneck("conv_3.model.0", 6, 3, 6)
    bottleneck("conv_3.model.1", 6, 7, 6, squeeze=True)
    bottleneck("conv_34", 6, 9, 8)
    bottleneck("conv_4.model.0", 8, 5, 8, squeeze=True)
    bottleneck("conv_45", 8, 11, 8)
    bottleneck("conv_5.model.0", 8, 3, 8)
    block("conv_6_sep", 12, 8, 1)
    block("conv_6_dw", 12, 1, 5, bend=False)
    state["linear.weight"] = rng.normal(0, 0.3, (10, 12)).astype(np.float32)
    norm("bn", 10)
    state["prob.weight"] = rng.normal(0, 0.3, (3, 10)).astype(np.float32)
    return {f"module.{name}": array for name, array in state.items()}
