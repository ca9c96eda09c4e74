"""Small arithmetic of the measurements: quantiles, spreads, resident memory."""

import statistics
from collections.abc import Sequence
from pathlib import Path


def quantile(figures: Sequence[float], share: float) -> float:
    """The smallest figure that at least this share of all do not exceed. figures: at least one; share: 0..1."""
    ordered = sorted(figures)
    return ordered[max(0, min(len(ordered) - 1, -(-int(share * 10_000) * len(ordered) // 10_000) - 1))]


def spread(figures: Sequence[float]) -> dict[str, float]:
    """Median, least and greatest, to three places."""
    return {"median": round(statistics.median(figures), 3), "min": round(min(figures), 3), "max": round(max(figures), 3)}


def resident_mb(pid: int | str = "self", field: str = "VmRSS") -> float:
    """Resident memory of a process now, MB of 1,048,576 bytes; VmHWM is its highest so far."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field + ":"))
