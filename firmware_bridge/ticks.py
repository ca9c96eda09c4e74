"""Time on a 32-bit millisecond clock that wraps every 49.7 days. Right for spans below 24.8 days."""

from typing import Final

WRAP: Final = 1 << 32
HALF: Final = 1 << 31


def wrap(time_ms: int) -> int:
    """The 32-bit reading of any millisecond count."""
    return time_ms % WRAP


def span_ms(later_ms: int, earlier_ms: int) -> int:
    """`later - earlier`, signed, across the wrap."""
    return (later_ms - earlier_ms + HALF) % WRAP - HALF


def reached(now_ms: int, deadline_ms: int | None) -> bool:
    """Whether the clock stands at the deadline or after it. No deadline is never reached."""
    return deadline_ms is not None and span_ms(now_ms, deadline_ms) >= 0
