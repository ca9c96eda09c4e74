"""dlib's face recognition ResNet (29 convolutions, 128-d) from its own `.dat` serialisation.

Reading: an integer is one byte (low four bits: how many bytes follow, top bit: negative), then little-endian bytes; a tensor is the
version 2, four dimensions, then float32. Layers stand in order from the input, each tag followed by its parameters: a convolution its
weights then biases in one tensor, then filters, rows, columns, strides and padding; an affine layer gamma then beta; the dense layer its
two sizes, then its weights. The content's digest was checked, so tags may be searched for: each search starts behind the last parameter.

Network: 150x150 RGB; convolution 7x7/2, max-pool 3/2; residual groups 32 x3, 64 x4, 128 x3, 256 x3, 256 x1, where the first block of each
group after the first halves the size: convolution 3/2 without padding on one branch, average-pool 2/2 on the other, the smaller of the
two zero-padded at its end in channels and space; global average; dense 256 -> 128 without bias.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.build.folding import F32, affine_into, normalisation_into
from models.build.graph import GraphWriter
from models.errors import SourceError

CHIP_PX = 150
DIM = 128

GROUPS = ((32, 3), (64, 4), (128, 3), (256, 3), (256, 1))
"""(channels, blocks) of each residual group; every group after the first begins with a block that halves the size."""

TENSOR_VERSION = 2
_FILE = "dlib_face_recognition_resnet_model_v1.dat"


@dataclass(frozen=True, slots=True)
class Layer:
    """A convolution with its affine layer folded in. kernel: (filters, in, rows, columns)."""

    kernel: F32
    bias: F32
    stride: int
    pad: int


class Reader:
    """Reads dlib's serialisation front to back."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    def skip_behind(self, tag: bytes) -> None:
        found = self._content.find(tag, self._at)
        if found < 0:
            raise SourceError(f"{_FILE} has no {tag.decode()!r} behind byte {self._at}; it is not the weight file of this network")
        self._at = found + len(tag)

    def integer(self) -> int:
        control = self._content[self._at]
        count = control & 0x0F
        magnitude = int.from_bytes(self._content[self._at + 1 : self._at + 1 + count], "little")
        self._at += 1 + count
        return -magnitude if control & 0x80 else magnitude

    def tensor(self) -> F32:
        version = self.integer()
        if version != TENSOR_VERSION:
            raise SourceError(f"{_FILE} has a tensor of version {version} at byte {self._at}, expected {TENSOR_VERSION}")
        shape = [self.integer() for _ in range(4)]
        count = int(np.prod(shape))
        values = np.frombuffer(self._content, dtype="<f4", count=count, offset=self._at).astype(np.float32)
        self._at += 4 * count
        return values

    def convolution(self, channels: int) -> Layer:
        """Returns the next convolution with its affine layer. channels: of its input."""
        self.skip_behind(b"con_4")
        parameters = self.tensor()
        filters, rows, columns, stride, _, pad, _ = (self.integer() for _ in range(7))
        self.skip_behind(b"affine_")
        gamma, beta = np.split(self.tensor(), 2)
        kernel = parameters[:-filters].reshape(filters, channels, rows, columns)
        kernel, bias = affine_into(kernel, parameters[-filters:], gamma=gamma, beta=beta)
        return Layer(kernel, bias, stride, pad)

    def dense(self) -> F32:
        self.skip_behind(b"fc_2")
        outputs, inputs = self.integer(), self.integer()
        return self.tensor().reshape(inputs, outputs)


def embedder(content: bytes, mean: tuple[float, ...], scale: float) -> bytes:
    """Returns the embedder: image (n, 3, 150, 150) RGB -> output (n, 128). Distances on the output are Euclidean."""
    reader, graph = Reader(content), GraphWriter()
    first = reader.convolution(3)
    kernel, bias = normalisation_into(first.kernel, first.bias, mean=mean, scale=scale)
    value = graph.node("Relu", [graph.convolution("image", kernel, bias, stride=first.stride, pad=first.pad)])
    value = graph.node("MaxPool", [value], kernel_shape=[3, 3], strides=[2, 2])
    channels, side = len(kernel), 35
    for group, (filters, blocks) in enumerate(GROUPS):
        for block in range(blocks):
            halve = group > 0 and block == 0
            value, side = _block(reader, graph, value, channels=channels, side=side, halve=halve)
            channels = filters
    value = graph.node("Flatten", [graph.node("GlobalAveragePool", [value])], axis=1)
    return graph.finish("dlib-resnet", image=("n", 3, CHIP_PX, CHIP_PX), value=graph.dense(value, reader.dense()), output=("n", DIM))


def _block(reader: Reader, graph: GraphWriter, value: str, *, channels: int, side: int, halve: bool) -> tuple[str, int]:
    """Adds a residual block; returns its value and its side."""
    first = reader.convolution(channels)
    filters = len(first.kernel)
    second = reader.convolution(filters)
    if (first.stride, filters >= channels) != (2 if halve else 1, True):
        raise SourceError(f"{_FILE} has a block of stride {first.stride} and {filters} filters where this network has another")
    branch = graph.node("Relu", [graph.convolution(value, first.kernel, first.bias, stride=first.stride, pad=first.pad)])
    branch = graph.convolution(branch, second.kernel, second.bias, stride=second.stride, pad=second.pad)
    if halve:
        branch_side, skip_side = (side - 3) // 2 + 1, side // 2
        side = max(branch_side, skip_side)
        value = graph.node("AveragePool", [value], kernel_shape=[2, 2], strides=[2, 2])
        value = _pad_end(graph, value, channels=filters - channels, pixels=side - skip_side)
        branch = _pad_end(graph, branch, channels=0, pixels=side - branch_side)
    return graph.node("Relu", [graph.node("Add", [branch, value])]), side


def _pad_end(graph: GraphWriter, value: str, *, channels: int, pixels: int) -> str:
    if channels == pixels == 0:
        return value
    pads = np.array([0, 0, 0, 0, 0, channels, pixels, pixels], dtype=np.int64)
    return graph.node("Pad", [value, graph.constant(f"{value}.pads", pads)])
