"""Reads both clocks of the machine, and says how far the wall clock can be trusted."""

import ctypes
import time
from pathlib import Path

from agent.core.moment import NS_PER_S, ClockQuality, Moment

_TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised
_TIMEX_BYTES = 256  # struct timex is 208 bytes on 64-bit Linux; all zero asks without changing anything
_ASK_AGAIN_NS = 10 * NS_PER_S  # the kernel's answer changes rarely


def _kernel_synchronised() -> bool:
    """Whether a time service steers the clock, by the kernel's own account (adjtimex, mode 0)."""
    libc = ctypes.CDLL(None, use_errno=True)
    state = libc.adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    return bool(0 <= state < _TIME_ERROR)


class SystemClock:
    """Monotonic time for deadlines; wall time with its quality.

    Args:
        floor_s: a wall time that has certainly passed (last seen by journal and trust store), seconds since 1970. A clock below it is
            wrong, whatever it says of itself.
    """

    def __init__(self, floor_s: int = 0) -> None:
        self._floor_ns = floor_s * NS_PER_S
        self._boot_id = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        self._asked_ns = -_ASK_AGAIN_NS
        self._synchronised = False

    def set_floor(self, floor_s: int) -> None:
        """May be called by another thread than `now`."""
        self._floor_ns = floor_s * NS_PER_S

    def now(self) -> Moment:
        monotonic_ns, wall_ns = time.monotonic_ns(), time.time_ns()
        if monotonic_ns - self._asked_ns >= _ASK_AGAIN_NS:
            self._synchronised, self._asked_ns = _kernel_synchronised(), monotonic_ns
        return Moment(monotonic_ns, wall_ns, self._quality(wall_ns), self._boot_id)

    def _quality(self, wall_ns: int) -> ClockQuality:
        if wall_ns < self._floor_ns:
            return ClockQuality.UNKNOWN
        return ClockQuality.SYNCHRONISED if self._synchronised else ClockQuality.HELD
