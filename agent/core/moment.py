"""A point in time as the gate knows it: what is certain (the monotonic clock) beside what is believed (the wall clock)."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000


class ClockQuality(StrEnum):
    """How far the wall clock can be trusted (HOUSE rule 11: unknown means that schedules and validity deny entry)."""

    SYNCHRONISED = "synchronised"  # the kernel says that a time service steers it
    HELD = "held"  # not steered now, but not below the last time seen
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Moment:
    """One reading of both clocks.

    Attributes:
        monotonic_ns: nanoseconds of a clock that never goes back while the machine is up; the only one used for deadlines.
        wall_ns: nanoseconds since 1970-01-01 UTC, as read; may be wrong, see quality.
        quality: how far wall_ns can be trusted.
        boot_id: names the boot that monotonic_ns counts from.
    """

    monotonic_ns: int
    wall_ns: int
    quality: ClockQuality
    boot_id: str

    @property
    def wall_s(self) -> int:
        return self.wall_ns // NS_PER_S

    def rfc3339(self) -> str:
        """The wall time as CloudEvents wants it, in UTC with microseconds."""
        seconds, rest = divmod(self.wall_ns, NS_PER_S)
        stamp = datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest // 1000)
        return stamp.isoformat(timespec="microseconds").replace("+00:00", "Z")
