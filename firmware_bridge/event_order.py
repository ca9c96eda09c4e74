"""The controller's numbered events at the host: each one once, in order, and acknowledged only when the owner has it safe."""

from dataclasses import dataclass

from firmware_bridge.messages import Fact, HelloReply


@dataclass(frozen=True, slots=True)
class Heard:
    """What one arriving event means.

    Attributes:
        event: to be told; None for a copy, or for one whose forerunner is still missing (the controller goes back to it).
        lost: how many events the controller had to give up before this one.
        acknowledge_again: our acknowledgement was lost on the way.
    """

    event: Fact | None = None
    lost: int = 0
    acknowledge_again: bool = False


class EventOrder:
    """Lives longer than a session: numbers go on while the controller has not restarted."""

    def __init__(self) -> None:
        self._source: tuple[bytes, int] | None = None
        self.delivered = 0
        self.acknowledged = 0

    def begin(self, reply: HelloReply) -> None:
        """A session begins; another controller or another boot counts from anew."""
        source = (reply.controller_id, reply.boot_count)
        if self._source != source:
            self._source = source
            self.delivered = self.acknowledged = reply.oldest_event - 1

    def acknowledge(self, number: int) -> None:
        """This event and all before it are safe. One that was never told cannot be."""
        self.acknowledged = max(self.acknowledged, min(number, self.delivered))

    def hear(self, event: Fact) -> Heard:
        number = event.event_number
        if number <= self.delivered:
            return Heard(acknowledge_again=number <= self.acknowledged)
        lost = max(0, event.oldest_event - self.delivered - 1)
        self.delivered += lost
        if number != self.delivered + 1:
            return Heard(lost=lost)
        self.delivered = number
        return Heard(event, lost)
