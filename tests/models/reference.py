"""The same networks once more in plain numpy, double precision, straight from the weight files; nothing of models/build is used.

Pictures are (height, width, channels) here; convolutions gather their windows and multiply.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

F64 = NDArray[np.float64]


def windows(x: F64, size: int, stride: int) -> F64:
    """(h, w, c) -> (rows, columns, size, size, c)."""
    return sliding_window_view(x, (size, size), axis=(0, 1))[::stride, ::stride].transpose(0, 1, 3, 4, 2)


def conv(x: F64, kernel: F64, bias: F64, *, stride: int = 1, pad: int = 0) -> F64:
    """kernel: (rows, columns, in, out)."""
    seen = windows(np.pad(x, ((pad, pad), (pad, pad), (0, 0))), kernel.shape[0], stride)
    rows, columns = seen.shape[:2]
    return (seen.reshape(rows * columns, -1) @ kernel.reshape(-1, kernel.shape[3])).reshape(rows, columns, -1) + bias


def max_pool_valid(x: F64, size: int, stride: int) -> F64:
    return windows(x, size, stride).max(axis=(2, 3))


def max_pool_same(x: F64, size: int, stride: int) -> F64:
    """As TensorFlow pads: so that ceil(side / stride) windows fit, the odd one at the end."""
    pads = []
    for side in x.shape[:2]:
        missing = max((-(-side // stride) - 1) * stride + size - side, 0)
        pads.append((missing // 2, missing - missing // 2))
    return max_pool_valid(np.pad(x, (*pads, (0, 0)), constant_values=-np.inf), size, stride)


def prelu(x: F64, slope: F64) -> F64:
    return np.where(x > 0, x, x * slope)


def softmax(x: F64) -> F64:
    raised = np.exp(x - x.max(axis=-1, keepdims=True))
    return raised / raised.sum(axis=-1, keepdims=True)


class Mtcnn:
    """P-, R- and O-Net on one picture: RGB 0..255, float64. Each returns (face score, box offsets, landmarks or empty)."""

    def __init__(self, find: Callable[[str], Path]) -> None:
        self.p, self.r, self.o = ([np.asarray(a, np.float64) for a in joblib.load(find(f"{net}.lz4"))] for net in ("pnet", "rnet", "onet"))

    def pnet(self, rgb: F64) -> tuple[F64, F64, F64]:
        w = self.p
        x = prelu(conv((rgb - 127.5) / 128, w[0], w[1]), w[2])
        x = prelu(conv(max_pool_same(x, 2, 2), w[3], w[4]), w[5])
        x = prelu(conv(x, w[6], w[7]), w[8])
        return softmax(conv(x, w[11], w[12]))[..., 1], conv(x, w[9], w[10]), np.empty(0)

    def rnet(self, rgb: F64) -> tuple[F64, F64, F64]:
        w = self.r
        x = max_pool_same(prelu(conv((rgb - 127.5) / 128, w[0], w[1]), w[2]), 3, 2)
        x = max_pool_valid(prelu(conv(x, w[3], w[4]), w[5]), 3, 2)
        x = prelu(conv(x, w[6], w[7]), w[8])
        flat = prelu(x.transpose(1, 0, 2).reshape(-1) @ w[9] + w[10], w[11])
        return softmax(flat @ w[14] + w[15])[1], flat @ w[12] + w[13], np.empty(0)

    def onet(self, rgb: F64) -> tuple[F64, F64, F64]:
        w = self.o
        x = max_pool_same(prelu(conv((rgb - 127.5) / 128, w[0], w[1]), w[2]), 3, 2)
        x = max_pool_valid(prelu(conv(x, w[3], w[4]), w[5]), 3, 2)
        x = max_pool_same(prelu(conv(x, w[6], w[7]), w[8]), 2, 2)
        x = prelu(conv(x, w[9], w[10]), w[11])
        flat = prelu(x.transpose(1, 0, 2).reshape(-1) @ w[12] + w[13], w[14])
        return softmax(flat @ w[19] + w[20])[1], flat @ w[15] + w[16], flat @ w[17] + w[18]


class DlibResnet:
    """dlib's network layer by layer: affine layers stay apart from the convolutions, the mean is subtracted from the picture."""

    def __init__(self, file: Path) -> None:
        content = file.read_bytes()
        self.convs: list[tuple[F64, F64, int, int]] = []  # weights (out, in, rows, columns), biases, stride, pad
        self.affines: list[tuple[F64, F64]] = []
        end = 0
        for tag in re.finditer(rb"\x05con_4|\x07affine_|\x04fc_2", content):
            if tag.start() < end:
                continue  # bytes of a weight that look like a tag
            if tag.group() == b"\x04fc_2":
                _, end = _integers(content, tag.end(), 2)
                weights, end = _tensor(content, end)
                self.fc = weights.reshape(256, 128)
                continue
            values, end = _tensor(content, tag.end())
            if tag.group() == b"\x07affine_":
                self.affines.append((values[: len(values) // 2], values[len(values) // 2 :]))
            else:
                (out, rows, columns, stride, _, pad, _), end = _integers(content, end, 7)
                self.convs.append((values[:-out].reshape(out, -1, rows, columns), values[-out:], stride, pad))

    def embed(self, rgb: F64) -> F64:
        """rgb: (150, 150, 3), 0..255."""
        layers = iter(zip(self.convs, self.affines, strict=True))

        def next_layer(x: F64) -> F64:
            (weights, biases, stride, pad), (gamma, beta) = next(layers)
            return gamma * conv(x, weights.transpose(2, 3, 1, 0), biases, stride=stride, pad=pad) + beta

        x = max_pool_valid(np.maximum(next_layer((rgb - np.array([122.782, 117.001, 104.298])) / 256), 0), 3, 2)
        for halves in (0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 1, 0, 0, 1):
            branch = next_layer(np.maximum(next_layer(x), 0))
            skip = windows(x, 2, 2).mean(axis=(2, 3)) if halves else x
            shape = np.maximum(branch.shape, skip.shape)
            branch, skip = (np.pad(y, [(0, want - have) for have, want in zip(y.shape, shape, strict=True)]) for y in (branch, skip))
            x = np.maximum(branch + skip, 0)
        assert next(layers, None) is None, "every convolution of the file is used"
        template: F64 = x.mean(axis=(0, 1)) @ self.fc
        return template


def _integers(content: bytes, at: int, count: int) -> tuple[list[int], int]:
    values = []
    for _ in range(count):
        length = content[at] & 15
        values.append(int.from_bytes(content[at + 1 : at + 1 + length], "little") * (-1 if content[at] & 128 else 1))
        at += 1 + length
    return values, at


def _tensor(content: bytes, at: int) -> tuple[NDArray[Any], int]:
    (version, *shape), at = _integers(content, at, 5)
    assert version == 2
    count = int(np.prod(shape))
    return np.frombuffer(content, "<f4", count, at).astype(np.float64), at + 4 * count


class MiniFasnet:
    """MiniFASNet layer by layer from its tensors: normalisations stay apart, nothing is folded."""

    def __init__(self, state: dict[str, NDArray[Any]]) -> None:
        self.state = {name.removeprefix("module."): value.astype(np.float64) for name, value in state.items()}

    def logits(self, bgr: F64) -> F64:
        """bgr: (80, 80, 3), 0..255. Returns (3,)."""
        x = self._prelu(self._norm(self._conv(bgr, "conv1.conv", 2, 1), "conv1.bn"), "conv1.prelu")
        x = self._prelu(self._norm(self._deep(x, "conv2_dw.conv", 1, 1), "conv2_dw.bn"), "conv2_dw.prelu")
        for stage in ("conv_23", "conv_3", "conv_34", "conv_4", "conv_45", "conv_5"):
            if f"{stage}.conv.conv.weight" in self.state:
                x = self._bottleneck(x, stage, 2)
                continue
            for number in range(100):
                name = f"{stage}.model.{number}"
                if f"{name}.conv.conv.weight" not in self.state:
                    break
                x = x + self._squeezed(self._bottleneck(x, name, 1), f"{name}.se_module")
        x = self._prelu(self._norm(self._conv(x, "conv_6_sep.conv", 1, 0), "conv_6_sep.bn"), "conv_6_sep.prelu")
        x = self._norm(self._deep(x, "conv_6_dw.conv", 1, 0), "conv_6_dw.bn")
        x = self._norm(x.transpose(2, 0, 1).reshape(-1) @ self.state["linear.weight"].T, "bn")
        found: F64 = x @ self.state["prob.weight"].T
        return found

    def _bottleneck(self, x: F64, name: str, stride: int) -> F64:
        x = self._prelu(self._norm(self._conv(x, f"{name}.conv.conv", 1, 0), f"{name}.conv.bn"), f"{name}.conv.prelu")
        x = self._prelu(self._norm(self._deep(x, f"{name}.conv_dw.conv", stride, 1), f"{name}.conv_dw.bn"), f"{name}.conv_dw.prelu")
        return self._norm(self._conv(x, f"{name}.project.conv", 1, 0), f"{name}.project.bn")

    def _squeezed(self, x: F64, name: str) -> F64:
        if f"{name}.fc1.weight" not in self.state:
            return x
        means = x.mean(axis=(0, 1), keepdims=True)
        inner = np.maximum(self._norm(self._conv(means, f"{name}.fc1", 1, 0), f"{name}.bn1"), 0)
        return x / (1 + np.exp(-self._norm(self._conv(inner, f"{name}.fc2", 1, 0), f"{name}.bn2")))

    def _conv(self, x: F64, name: str, stride: int, pad: int) -> F64:
        kernel = self.state[f"{name}.weight"]
        return conv(x, kernel.transpose(2, 3, 1, 0), np.zeros(len(kernel)), stride=stride, pad=pad)

    def _deep(self, x: F64, name: str, stride: int, pad: int) -> F64:
        kernel = self.state[f"{name}.weight"][:, 0]
        seen = windows(np.pad(x, ((pad, pad), (pad, pad), (0, 0))), kernel.shape[1], stride)
        return np.asarray(np.einsum("rcijk,kij->rck", seen, kernel))

    def _norm(self, x: F64, name: str) -> F64:
        weight, bias, mean, variance = (self.state[f"{name}.{part}"] for part in ("weight", "bias", "running_mean", "running_var"))
        return (x - mean) / np.sqrt(variance + 1e-5) * weight + bias

    def _prelu(self, x: F64, name: str) -> F64:
        return prelu(x, self.state[f"{name}.weight"])
