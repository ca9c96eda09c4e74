"""A clock that stands until a test moves it."""

from agent.core.moment import NS_PER_S, ClockQuality, Moment

NOON_S = 1_795_348_800  # 2026-11-22 12:00:00 UTC
BOOT = "00000000-0000-4000-8000-000000000001"


class StandingClock:
    """Implements `agent.ports.Clock`."""

    def __init__(self, wall_s: int = NOON_S) -> None:
        self.moment = Moment(monotonic_ns=1_000 * NS_PER_S, wall_ns=wall_s * NS_PER_S, quality=ClockQuality.SYNCHRONISED, boot_id=BOOT)

    def now(self) -> Moment:
        return self.moment

    def forward(self, seconds: float) -> None:
        step = int(seconds * NS_PER_S)
        at = self.moment
        self.moment = Moment(at.monotonic_ns + step, at.wall_ns + step, at.quality, at.boot_id)

    def of_quality(self, quality: ClockQuality) -> Moment:
        at = self.moment
        self.moment = Moment(at.monotonic_ns, at.wall_ns, quality, at.boot_id)
        return self.moment
