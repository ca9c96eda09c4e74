"""Folds what surrounds a convolution into its weights, so that a gate spends nothing on it.

Sums use `math.fsum`, which is correctly rounded whatever the order and the machine: the same weights give the same bytes everywhere.
"""

import math

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]


def normalisation_into(kernel: F32, bias: F32, *, mean: tuple[float, ...], scale: float) -> tuple[F32, F32]:
    """Folds (x - mean) * scale into the unpadded convolution behind it. kernel: (out, in, rows, columns); mean: one an input channel."""
    wide = kernel.astype(np.float64) * scale
    means = np.asarray(mean, dtype=np.float64).reshape(1, -1, 1, 1)
    shift = np.array([math.fsum(row) for row in (wide * means).reshape(len(wide), -1)])
    return wide.astype(np.float32), (bias.astype(np.float64) - shift).astype(np.float32)


def affine_into(kernel: F32, bias: F32, *, gamma: F32, beta: F32) -> tuple[F32, F32]:
    """Folds y = gamma * x + beta, one pair per channel, into the convolution before it."""
    wide_gamma = gamma.astype(np.float64)
    wide = kernel.astype(np.float64) * wide_gamma.reshape(-1, 1, 1, 1)
    return wide.astype(np.float32), (bias.astype(np.float64) * wide_gamma + beta.astype(np.float64)).astype(np.float32)
