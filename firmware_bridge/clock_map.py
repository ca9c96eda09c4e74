"""From the host's monotonic clock to the controller's, so that a deadline is never later than it was meant."""

from collections import deque
from typing import Final

from firmware_bridge.ticks import span_ms, wrap

_NS_PER_MS: Final = 1_000_000
_DRIFT_PARTS: Final = 100  # one hundredth: the tolerance of a microcontroller's own RC oscillator, the worst clock in use
_SAMPLES: Final = 8  # two seconds of heartbeats


class ClockMap:
    """Readings of the controller's clock with the host's time at which each arrived.

    A reading is old by its way over the wire when it arrives, so the controller's clock is then at or past it: each reading
    gives a lower bound for every later moment, and the greatest of several lower bounds still is one.
    """

    def __init__(self) -> None:
        self._samples: deque[tuple[int, int]] = deque(maxlen=_SAMPLES)

    def learn(self, controller_ms: int, arrived_ns: int) -> None:
        self._samples.append((controller_ms, arrived_ns))

    def earliest_ms(self, host_ns: int) -> int:
        """What the controller's clock shows at the least when the host's shows `host_ns`."""
        base_ms, _ = self._samples[-1]
        best = max(span_ms(ms, base_ms) + _least_ms(host_ns - arrived_ns) for ms, arrived_ns in self._samples)
        return wrap(base_ms + best)

    def host_ns(self, controller_ms: int) -> int:
        """About when on the host's clock the controller's showed this; late by the way over the wire at most."""
        base_ms, arrived_ns = self._samples[-1]
        return arrived_ns + span_ms(controller_ms, base_ms) * _NS_PER_MS


def _least_ms(span_ns: int) -> int:
    """The span in whole ms on a clock that may run slow (forward) or fast (backward)."""
    return (span_ns - abs(span_ns) // _DRIFT_PARTS) // _NS_PER_MS
