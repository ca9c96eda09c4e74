"""The lamp and the tone beside the lane: what INDICATE asked for, and no longer than a host lives to answer for it."""

from firmware_bridge.messages import Indicate
from firmware_bridge.ticks import reached, wrap
from firmware_bridge.vocabulary import Lamp, Tone


class Indicator:
    """What is shown (`lamp`, `tone`) and when it ends by itself (`due_ms`, None: with the next INDICATE)."""

    def __init__(self) -> None:
        self.lamp, self.tone = Lamp.OFF, Tone.OFF
        self.due_ms: int | None = None
        self._told = (Lamp.OFF, Tone.OFF)

    def show(self, order: Indicate, now_ms: int) -> None:
        self.lamp, self.tone = order.lamp, order.tone
        self.due_ms = wrap(now_ms + order.duration_ms) if order.duration_ms else None

    def clear(self) -> None:
        self.lamp, self.tone = Lamp.OFF, Tone.OFF
        self.due_ms = None

    def advance(self, now_ms: int, *, permitted: bool) -> bool:
        """Put out what is over; whether something else is shown than after the last step."""
        if not permitted or reached(now_ms, self.due_ms):
            self.clear()
        before, self._told = self._told, (self.lamp, self.tone)
        return before != self._told
