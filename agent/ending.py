"""When a simulation of recordings is over: every recording has shown its last frame, and the lane has come to rest after it."""

from collections.abc import Iterable

from agent.core.controller import State
from agent.core.effects import Phase
from agent.core.inputs import CameraCondition, CameraReported
from agent.core.moment import NS_PER_S

_AT_REST = frozenset({Phase.SECURED, Phase.UNREADY, Phase.EMERGENCY})
_LAST_PROBES_NS = NS_PER_S // 2  # between the last frame and the last input that it led to


class UntilEnd:
    """Hears the cameras (on their threads) and is asked on the control thread."""

    def __init__(self, cameras: Iterable[str]) -> None:
        self._showing = set(cameras)
        self._ended_ns: int | None = None

    def hear(self, report: CameraReported) -> None:
        if report.condition is CameraCondition.ENDED:
            self._showing.discard(report.camera)

    def is_reached(self, state: State, now_ns: int) -> bool:
        """Whether all is shown, and no attempt and no passage is under way."""
        if self._showing:
            return False
        if self._ended_ns is None:
            self._ended_ns = now_ns
        waited = now_ns - self._ended_ns >= _LAST_PROBES_NS
        return waited and state.lane.phase in _AT_REST and all(attempt.resting for attempt in state.attempts)
