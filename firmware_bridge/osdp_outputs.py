"""The outputs that this program has pulsed: each must be off again after its pulse. The others of the board are none of its business."""

from typing import Final

_NS_PER_MS: Final = 1_000_000
_LATE_NS: Final = 300 * _NS_PER_MS  # timers count in 100 ms and may begin a little late
_LOOK_NS: Final = 1_000 * _NS_PER_MS  # while nothing is expected


class OwnOutputs:
    """Which of them stay on. Knowledge of a stuck one survives a lost session."""

    def __init__(self) -> None:
        self._off_due_ns: dict[int, int] = {}
        self._stuck: set[int] = set()
        self._to_switch_off: set[int] = set()
        self._look_due_ns = 0

    def begin(self, output: int, ends_ns: int) -> None:
        """A pulse of it goes out now."""
        self._off_due_ns[output] = ends_ns + _LATE_NS
        self._look_due_ns = min(self._look_due_ns, ends_ns + _LATE_NS)

    def look_due(self, now_ns: int) -> bool:
        return bool(self._off_due_ns) and now_ns >= self._look_due_ns

    def seen(self, active: tuple[bool, ...], now_ns: int) -> tuple[tuple[int, bool], ...]:
        """The states that the board tells. Gives the outputs that are newly stuck (True) or no longer so (False)."""
        self._look_due_ns = now_ns + _LOOK_NS
        changes = []
        for output in self._off_due_ns.keys() & range(len(active)):
            stuck = active[output] and now_ns >= self._off_due_ns[output]
            if stuck:
                self._to_switch_off.add(output)
            if stuck != (output in self._stuck) and (stuck or not active[output]):
                changes.append((output, stuck))
        for output, stuck in changes:
            (self._stuck.add if stuck else self._stuck.discard)(output)
        return tuple(changes)

    def next_stuck(self) -> int | None:
        """One that is to be told to be off, once for each time it was seen on."""
        return self._to_switch_off.pop() if self._to_switch_off else None
