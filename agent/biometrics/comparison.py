"""Distances between templates, as matrix products. Single precision: the top of a search is refined where it decides (gallery)."""

import numpy as np

from agent.biometrics.template import F32, Metric


def squared_norms(table: F32) -> F32:
    """Returns the squared length of each row of `table` (n, d), summed in double precision."""
    norms: F32 = np.einsum("ij,ij->i", table, table, dtype=np.float64).astype(np.float32)
    return norms


def distances(table: F32, norms: F32, probe: F32, *, metric: Metric) -> F32:
    """Returns how far each row of `table` (n, d) is from `probe` (d,). norms: `squared_norms(table)`. Both as `comparable` makes them."""
    if metric is Metric.COSINE:
        products: F32 = table @ probe
        return np.subtract(np.float32(1), products, out=products)
    products = table @ (probe * np.float32(-2))  # exact, and one pass over everybody less than doubling the products
    products += norms
    products += np.float32(probe @ probe)
    np.maximum(products, 0, out=products)
    return np.sqrt(products, out=products)


def distance_table(rows: F32, table: F32, *, metric: Metric) -> F32:
    """Returns the distance of each of `rows` (m, d) to each row of `table` (n, d), as (m, n)."""
    products: F32 = rows @ table.T
    if metric is Metric.COSINE:
        return np.subtract(np.float32(1), products, out=products)
    products *= np.float32(-2)
    products += squared_norms(rows)[:, None]
    products += squared_norms(table)[None, :]
    np.maximum(products, 0, out=products)
    return np.sqrt(products, out=products)


def exact_distances(rows: F32, probe: F32, *, metric: Metric) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Returns the distances of a few rows (m, d) to `probe` (d,) in double precision: what `distances` rounds."""
    wide, point = rows.astype(np.float64), probe.astype(np.float64)
    if metric is Metric.COSINE:
        return np.asarray(1 - wide @ point)
    return np.asarray(np.linalg.norm(wide - point, axis=1))
