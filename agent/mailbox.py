"""The one way into the control thread: bounded, never blocks a sender, and never loses what the barrier says.

Inputs of the barrier, of staff and of the end of the run have slots of their own and are taken first. The others wait in one line, in
which a newer value of the same thing (the same track's probe, the same camera's condition) takes the place of the older one.
"""

import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import get_args

from agent.core.inputs import (
    BarrierInput,
    CameraReported,
    EventsAcknowledged,
    Input,
    JournalReported,
    LockDownSet,
    ProbeCompared,
    RecognitionReported,
    SampleRefused,
    StopRequested,
    UplinkReported,
)
from agent.core.orders import StaffRefused, StaffRelease
from agent.errors import GateError

RESERVED = 1024  # inputs; hundreds of passages' worth: reaching it means that the control thread is dead
LINE = 256  # inputs; beyond it the oldest probe or refused sample goes, never another kind

_URGENT: tuple[type, ...] = (*get_args(BarrierInput), LockDownSet, StaffRelease, StaffRefused, StopRequested)
_DROPPABLE: tuple[type, ...] = (ProbeCompared, SampleRefused)

# What makes two inputs news of the same thing; a kind that is not here is never replaced.
_SAME: dict[type, Callable[..., tuple[object, ...]]] = {
    ProbeCompared: lambda i: (i.camera, i.track),
    SampleRefused: lambda i: (i.camera, i.track),
    CameraReported: lambda i: (i.camera,),
    RecognitionReported: lambda _: (),
    UplinkReported: lambda _: (),
    JournalReported: lambda _: (),
    EventsAcknowledged: lambda i: (i.epoch,),
}


class MailboxFullError(GateError):
    """The reserved slots are full: the control thread has not taken anything for many seconds."""


class Mailbox:
    """Many senders, one taker."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._urgent: deque[Input] = deque()
        self._line: OrderedDict[tuple[object, ...], Input] = OrderedDict()
        self._unique = 0
        self.dropped = 0  # probes and refused samples that found no place

    def post(self, message: Input) -> None:
        """Leave an input; never blocks.

        Raises:
            MailboxFullError: an urgent input found all reserved slots taken.
        """
        with self._changed:
            if isinstance(message, _URGENT):
                if len(self._urgent) >= RESERVED:
                    raise MailboxFullError(f"{RESERVED} urgent inputs wait and nobody takes them; the control thread must be restarted")
                self._urgent.append(message)
            else:
                self._line[self._key(message)] = message
                if len(self._line) > LINE:
                    self._drop_one()
            self._changed.notify()

    def take(self, timeout_s: float) -> Input | None:
        """The next input, urgent ones first; None when nothing came in time. A newer value keeps the older one's place in the line."""
        with self._changed:
            if not self._urgent and not self._line:
                self._changed.wait(timeout_s)
            if self._urgent:
                return self._urgent.popleft()
            if self._line:
                return self._line.popitem(last=False)[1]
            return None

    def _key(self, message: Input) -> tuple[object, ...]:
        same = _SAME.get(type(message))
        if same is not None:
            return (type(message), *same(message))
        self._unique += 1
        return (type(message), self._unique)

    def _drop_one(self) -> None:
        key = next((k for k, waiting in self._line.items() if isinstance(waiting, _DROPPABLE)), None)
        if key is None:
            raise MailboxFullError(f"{LINE} inputs wait and nobody takes them; the control thread must be restarted")
        del self._line[key]
        self.dropped += 1
