"""The host's orders until they are answered: written again at an interval, and never after their time."""

from dataclasses import dataclass, replace

from firmware_bridge.clock_map import ClockMap
from firmware_bridge.host_events import HostEvent, ReleaseNotSent, ReleaseUnanswered
from firmware_bridge.messages import Cancel, EventAck, HostMessage, Release
from firmware_bridge.session import Session


@dataclass(slots=True)
class _Repeated:
    order: HostMessage
    due_ns: int
    expires_ns: int | None
    written: bool = False


def release_name(grant_number: int) -> str:
    return f"release {grant_number}"


def cancel_name(grant_number: int) -> str:
    return f"cancel {grant_number}"


class Orders:
    """The orders of one session. A name stands for one order: another one takes its place, the same one again changes nothing."""

    def __init__(self, retry_ns: int) -> None:
        self._retry_ns = retry_ns
        self._repeated: dict[str, _Repeated] = {}
        self._once: list[HostMessage] = []

    def repeat(self, name: str, order: HostMessage, *, now_ns: int, expires_ns: int | None = None) -> None:
        waiting = self._repeated.get(name)
        if waiting is None or waiting.order != order:
            self._repeated[name] = _Repeated(order, now_ns, expires_ns)

    def once(self, order: HostMessage) -> None:
        if isinstance(order, EventAck):  # the newest says it all
            self._once = [other for other in self._once if not isinstance(other, EventAck)]
        self._once.append(order)

    def answered(self, name: str) -> bool:
        """Whether an order of this name was waiting; it waits no more."""
        return self._repeated.pop(name, None) is not None

    @property
    def awaits_release(self) -> bool:
        """Whether a release was written and not answered yet: nobody here knows whether the way is open."""
        return any(r.written and isinstance(r.order, Release) for r in self._repeated.values())

    def deadlines(self, *, hold_releases: bool) -> list[int]:
        times = [0] if self._once else []
        for waiting in self._repeated.values():
            if waiting.expires_ns is None or waiting.written or not hold_releases:
                times.append(waiting.due_ns)
            if waiting.expires_ns is not None:
                times.append(waiting.expires_ns)
        return times

    def write(self, session: Session, clock: ClockMap, *, now_ns: int, hold_releases: bool) -> tuple[bytes, list[HostEvent]]:
        """What is due, sealed.

        A release whose time has passed is not written: it turns into an event, and into a cancel if it ever went out.
        `hold_releases`: the lane is closing after the passage before; a fresh release waits for it, within its time.
        """
        events: list[HostEvent] = []
        for name, waiting in list(self._repeated.items()):
            if waiting.expires_ns is not None and now_ns >= waiting.expires_ns and isinstance(waiting.order, Release):
                del self._repeated[name]
                events.append(self._expire(waiting.order, written=waiting.written, now_ns=now_ns))
        out = bytearray()
        for waiting in self._repeated.values():
            if now_ns >= waiting.due_ns and not (hold_releases and isinstance(waiting.order, Release) and not waiting.written):
                waiting.due_ns, waiting.written = now_ns + self._retry_ns, True
                out += session.seal(_timed(waiting, clock))
        for order in self._once:
            out += session.seal(order)
        self._once.clear()
        return bytes(out), events

    def _expire(self, order: Release, *, written: bool, now_ns: int) -> HostEvent:
        if not written:
            return ReleaseNotSent(order.grant_number, "its time had passed before it could be written")
        self.repeat(cancel_name(order.grant_number), Cancel(order.grant_number), now_ns=now_ns)
        return ReleaseUnanswered(order.grant_number)

    def drop(self, reason: str) -> list[HostEvent]:
        """The session is over. What was never written is known to be without effect; the rest is settled by the next STATE."""
        releases = [(r.order, r.written) for r in self._repeated.values() if isinstance(r.order, Release)]
        self._repeated.clear()
        return [ReleaseNotSent(order.grant_number, reason) for order, written in releases if not written]


def _timed(waiting: _Repeated, clock: ClockMap) -> HostMessage:
    """A release with its deadline in the controller's time, from the newest readings; any other order as it is."""
    if isinstance(waiting.order, Release) and waiting.expires_ns is not None:
        return replace(waiting.order, not_after_ms=clock.earliest_ms(waiting.expires_ns))
    return waiting.order
