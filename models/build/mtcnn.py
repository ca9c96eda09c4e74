"""The three networks of MTCNN (Zhang et al. 2016) from the weight files of the `mtcnn` package.

A weight file is a joblib list of arrays in Keras order: kernels (rows, columns, in, out), PReLU slopes shared over space. What changes
here, and why it gives the same result: the input may stay BGR 0..255 (channel order, mean and scale are folded into the first
convolution); the flattening in width, height, channel order becomes the usual one by permuting the first dense layer; the softmax over
two classes becomes one logit, the difference of the two, and softmax is its sigmoid.

Outputs, one row per window: logit of "face", four box offsets (x0, y0, x1, y1, in parts of the window), and for O-Net ten landmark
offsets (five x, then five y).
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from models.build.folding import F32, normalisation_into
from models.build.graph import GraphWriter
from models.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Sequence

PNET_SHAPES = ((3, 3, 3, 10), (10,), (1, 1, 10), (3, 3, 10, 16), (16,), (1, 1, 16), (3, 3, 16, 32), (32,), (1, 1, 32),
               (1, 1, 32, 4), (4,), (1, 1, 32, 2), (2,))  # fmt: skip
RNET_SHAPES = ((3, 3, 3, 28), (28,), (1, 1, 28), (3, 3, 28, 48), (48,), (1, 1, 48), (2, 2, 48, 64), (64,), (1, 1, 64),
               (576, 128), (128,), (128,), (128, 4), (4,), (128, 2), (2,))  # fmt: skip
ONET_SHAPES = ((3, 3, 3, 32), (32,), (1, 1, 32), (3, 3, 32, 64), (64,), (1, 1, 64), (3, 3, 64, 64), (64,), (1, 1, 64),
               (2, 2, 64, 128), (128,), (1, 1, 128), (1152, 256), (256,), (256,), (256, 4), (4,), (256, 10), (10,),
               (256, 2), (2,))  # fmt: skip


def arrays(content: bytes, shapes: Sequence[tuple[int, ...]], *, name: str) -> list[F32]:
    """Returns the arrays of a weight file. Call it only on content whose digest was checked: joblib is a pickle.

    Raises:
        SourceError: the arrays are not those of this network.
    """
    import joblib  # noqa: PLC0415  absent on a gate

    loaded = [np.asarray(each, dtype=np.float32) for each in joblib.load(io.BytesIO(content))]
    found = tuple(each.shape for each in loaded)
    if found != tuple(shapes):
        raise SourceError(f"{name} holds arrays of shapes {found}, expected {tuple(shapes)}; it is not the weight file of this network")
    return loaded


def pnet(content: bytes, mean: tuple[float, ...], scale: float) -> bytes:
    """Returns P-Net: image (1, 3, height, width) BGR -> output (1, 5, rows, columns), windows of 12 pixels at a stride of 2."""
    w = arrays(content, PNET_SHAPES, name="pnet.lz4")
    graph = GraphWriter()
    value = _stem(graph, w, mean=mean, scale=scale)
    value = graph.node("MaxPool", [value], kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)
    value = _conv_prelu(graph, value, w[3:6])
    value = _conv_prelu(graph, value, w[6:9])
    box, box_bias, softmax, softmax_bias = w[9:13]
    head, bias = _heads([box[0, 0]], [box_bias], softmax[0, 0], softmax_bias)
    value = graph.convolution(value, np.ascontiguousarray(head.T)[:, :, None, None], bias)
    return graph.finish("pnet", image=(1, 3, "height", "width"), value=value, output=(1, 5, "rows", "columns"))


def rnet(content: bytes, mean: tuple[float, ...], scale: float) -> bytes:
    """Returns R-Net: image (n, 3, 24, 24) BGR -> output (n, 5)."""
    w = arrays(content, RNET_SHAPES, name="rnet.lz4")
    graph = GraphWriter()
    value = _stem(graph, w, mean=mean, scale=scale)
    value = graph.node("MaxPool", [value], kernel_shape=[3, 3], strides=[2, 2], pads=[0, 0, 1, 1])  # 22 -> 11
    value = _conv_prelu(graph, value, w[3:6])
    value = graph.node("MaxPool", [value], kernel_shape=[3, 3], strides=[2, 2])  # 9 -> 4
    value = _conv_prelu(graph, value, w[6:9])
    value = _dense_prelu(graph, value, w[9:12], side=3)
    head, bias = _heads([w[12]], [w[13]], w[14], w[15])
    return graph.finish("rnet", image=("n", 3, 24, 24), value=graph.dense(value, head, bias), output=("n", 5))


def onet(content: bytes, mean: tuple[float, ...], scale: float) -> bytes:
    """Returns O-Net: image (n, 3, 48, 48) BGR -> output (n, 15)."""
    w = arrays(content, ONET_SHAPES, name="onet.lz4")
    graph = GraphWriter()
    value = _stem(graph, w, mean=mean, scale=scale)
    value = graph.node("MaxPool", [value], kernel_shape=[3, 3], strides=[2, 2], pads=[0, 0, 1, 1])  # 46 -> 23
    value = _conv_prelu(graph, value, w[3:6])
    value = graph.node("MaxPool", [value], kernel_shape=[3, 3], strides=[2, 2])  # 21 -> 10
    value = _conv_prelu(graph, value, w[6:9])
    value = graph.node("MaxPool", [value], kernel_shape=[2, 2], strides=[2, 2])  # 8 -> 4
    value = _conv_prelu(graph, value, w[9:12])
    value = _dense_prelu(graph, value, w[12:15], side=3)
    head, bias = _heads([w[15], w[17]], [w[16], w[18]], w[19], w[20])
    return graph.finish("onet", image=("n", 3, 48, 48), value=graph.dense(value, head, bias), output=("n", 15))


def _kernel(keras: F32) -> F32:
    return np.ascontiguousarray(keras.transpose(3, 2, 0, 1))


def _stem(graph: GraphWriter, w: Sequence[F32], *, mean: tuple[float, ...], scale: float) -> str:
    bgr = _kernel(w[0])[:, ::-1]
    kernel, bias = normalisation_into(bgr, w[1], mean=mean, scale=scale)
    return graph.prelu(graph.convolution("image", np.ascontiguousarray(kernel), bias), w[2].reshape(-1, 1, 1))


def _conv_prelu(graph: GraphWriter, value: str, layer: Sequence[F32]) -> str:
    kernel, bias, slopes = layer
    return graph.prelu(graph.convolution(value, _kernel(kernel), bias), slopes.reshape(-1, 1, 1))


def _dense_prelu(graph: GraphWriter, value: str, layer: Sequence[F32], *, side: int) -> str:
    weight, bias, slopes = layer
    width_height_channel = weight.reshape(side, side, -1, weight.shape[1])
    channel_height_width = width_height_channel.transpose(2, 1, 0, 3).reshape(weight.shape)
    flat = graph.node("Flatten", [value], axis=1)
    return graph.prelu(graph.dense(flat, np.ascontiguousarray(channel_height_width), bias), slopes)


def _heads(weights: Sequence[F32], biases: Sequence[F32], softmax: F32, softmax_bias: F32) -> tuple[F32, F32]:
    """Joins all heads into one layer: the logit first. weights: (in, out) each; the softmax's classes are not-face and face."""
    logit, logit_bias = softmax[:, 1:] - softmax[:, :1], softmax_bias[1:] - softmax_bias[:1]
    return np.ascontiguousarray(np.concatenate([logit, *weights], axis=1)), np.concatenate([logit_bias, *biases])
