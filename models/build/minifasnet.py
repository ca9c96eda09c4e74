"""The two MiniFASNets from their published state files: inverted residual blocks of a pruned MobileFaceNet, some with squeeze-excitation.

The shapes of the tensors say how wide each block is, and whether it has squeeze-excitation; what no tensor says (strides, paddings, where a
shortcut is added) stands here, as the authors published it. Batch normalisation is folded into the layer before it. The last one, over the
128 numbers, is folded into the dense layer together with the three classes' weights behind it: no layer with a bend stands between them.

Output: three logits a picture: flat picture, live, mask. Input: 80x80 BGR, 0 to 255, as it is.
"""

from __future__ import annotations

import math

import numpy as np

from models.build.folding import F32, affine_into
from models.build.graph import GraphWriter
from models.build.torch_file import Tensors, tensors
from models.errors import SourceError

INPUT_PX = 80
CLASSES = 3
PREFIX = "module."  # left by the training on several devices
EPSILON = 1e-5  # of every batch normalisation
STAGES = ("conv_23", "conv_3", "conv_34", "conv_4", "conv_45", "conv_5")
"""A name with two digits halves the size in one block; one with one digit is a row of blocks with shortcuts."""


class State:
    """The tensors of one network, taken one by one so that none is forgotten."""

    def __init__(self, content: bytes) -> None:
        self._left: Tensors = {name.removeprefix(PREFIX): value for name, value in tensors(content).items()}

    def has(self, start: str) -> bool:
        return any(name.startswith(f"{start}.") for name in self._left)

    def take(self, name: str) -> F32:
        if name not in self._left:
            raise SourceError(f"the weight file has no tensor {name!r}; it is not the state of a MiniFASNet")
        value: F32 = self._left.pop(name).astype(np.float32)
        return value

    def convolution(self, name: str, *, layer: str = "conv", norm: str = "bn") -> tuple[F32, F32]:
        """Returns kernel and bias of `name`'s convolution with its batch normalisation folded in."""
        kernel = self.take(f"{name}.{layer}.weight")
        gamma, beta = self.normalisation(f"{name}.{norm}")
        return affine_into(kernel, np.zeros(len(kernel), np.float32), gamma=gamma, beta=beta)

    def normalisation(self, name: str) -> tuple[F32, F32]:
        """Returns gamma and beta of y = gamma * x + beta."""
        weight, bias, mean, variance = (
            self.take(f"{name}.{part}").astype(np.float64) for part in ("weight", "bias", "running_mean", "running_var")
        )
        self._left.pop(f"{name}.num_batches_tracked", None)
        gamma = weight / np.sqrt(variance + EPSILON)
        return gamma.astype(np.float32), (bias - mean * gamma).astype(np.float32)

    def finish(self) -> None:
        if self._left:
            raise SourceError(f"the weight file has tensors that a MiniFASNet has no place for: {', '.join(sorted(self._left)[:5])}")


def network(content: bytes) -> bytes:
    """Returns the graph: image (n, 3, 80, 80) BGR -> output (n, 3)."""
    state, graph = State(content), GraphWriter()
    value = _block(state, graph, "image", "conv1", stride=2, pad=1)
    value = _block(state, graph, value, "conv2_dw", pad=1, deep=True)
    for stage in STAGES:
        if state.has(f"{stage}.model"):
            number = 0
            while state.has(f"{stage}.model.{number}"):
                value = _residual(state, graph, value, f"{stage}.model.{number}")
                number += 1
        else:
            value = _bottleneck(state, graph, value, stage, stride=2)
    value = _block(state, graph, value, "conv_6_sep")
    value = _block(state, graph, value, "conv_6_dw", deep=True, bend=False)
    weight, bias = _head(state)
    state.finish()
    value = graph.dense(graph.node("Flatten", [value], axis=1), weight, bias)
    return graph.finish("minifasnet", image=("n", 3, INPUT_PX, INPUT_PX), value=value, output=("n", CLASSES))


def _block(
    state: State, graph: GraphWriter, value: str, name: str, *, stride: int = 1, pad: int = 0, deep: bool = False, bend: bool = True
) -> str:
    """Adds a convolution and its PReLU, if it has a bend. deep: one filter a channel."""
    kernel, bias = state.convolution(name)
    value = graph.convolution(value, kernel, bias, stride=stride, pad=pad, groups=len(kernel) if deep else 1)
    return _bent(graph, value, state.take(f"{name}.prelu.weight")) if bend else value


def _bent(graph: GraphWriter, value: str, slopes: F32) -> str:
    """Adds a PReLU with one slope a channel (c,), as ax + max(0, (1 - a)x), which is the same for a slope of 1 or less.

    onnxruntime has no PReLU in the blocked layout of its convolutions: it was half of a network's time, and turning to and fro a sixth.
    Two convolutions of one weight a channel stay in that layout; measured, a network takes 0.6 times as long.
    """
    if slopes.max() > 1:
        return graph.prelu(value, slopes.reshape(-1, 1, 1))
    nothing, channels = np.zeros_like(slopes), len(slopes)
    straight = graph.convolution(value, slopes.reshape(-1, 1, 1, 1), nothing, groups=channels)
    bent = graph.convolution(value, (1 - slopes).reshape(-1, 1, 1, 1), nothing, groups=channels)
    return graph.node("Add", [graph.node("Relu", [bent]), straight])


def _bottleneck(state: State, graph: GraphWriter, value: str, name: str, *, stride: int) -> str:
    value = _block(state, graph, value, f"{name}.conv")
    value = _block(state, graph, value, f"{name}.conv_dw", stride=stride, pad=1, deep=True)
    return _block(state, graph, value, f"{name}.project", bend=False)


def _residual(state: State, graph: GraphWriter, value: str, name: str) -> str:
    branch = _bottleneck(state, graph, value, name, stride=1)
    if state.has(f"{name}.se_module"):
        branch = _weighed(state, graph, branch, f"{name}.se_module")
    return graph.node("Add", [value, branch])


def _weighed(state: State, graph: GraphWriter, value: str, name: str) -> str:
    """Squeeze-excitation: each channel times a weight that the means of all channels decide."""
    means = graph.node("GlobalAveragePool", [value])
    squeezed = graph.node("Relu", [graph.convolution(means, *state.convolution(name, layer="fc1", norm="bn1"))])
    weights = graph.node("Sigmoid", [graph.convolution(squeezed, *state.convolution(name, layer="fc2", norm="bn2"))])
    return graph.node("Mul", [value, weights])


def _head(state: State) -> tuple[F32, F32]:
    """Returns weight (512, 3) and bias (3,) of dense, batch normalisation and dense in one; sums as in `folding`."""
    first, last = state.take("linear.weight").astype(np.float64), state.take("prob.weight").astype(np.float64)
    gamma, beta = (each.astype(np.float64) for each in state.normalisation("bn"))
    weight = np.array([[math.fsum(row * column) for row in last * gamma] for column in first.T])
    bias = np.array([math.fsum(row) for row in last * beta])
    return weight.astype(np.float32), bias.astype(np.float32)
