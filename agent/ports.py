"""What the runtime needs of the world. Drivers implement these; so does every test double, held to the same contract suite.

Drivers talk back with one call, `post(input)`, which never blocks.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from agent.core.effects import BarrierCommand
from agent.core.events import Event
from agent.core.identity import TrackId
from agent.core.inputs import Input
from agent.core.known import LastKnown
from agent.core.moment import Moment

Post = Callable[[Input], None]


class Clock(Protocol):
    def now(self) -> Moment: ...


class Barrier(Protocol):
    """Takes commands without blocking; answers come as inputs."""

    def submit(self, command: BarrierCommand) -> None: ...


@dataclass(frozen=True, slots=True)
class Committed:
    """What a commit left behind: the last row's place in the chain, and how long the disk took."""

    epoch: str
    seq: int
    head: str
    commit_ms: float


class Journal(Protocol):
    """Append-only, durable when `commit` returns. Used by the control thread alone."""

    def commit(self, events: Sequence[Event]) -> Committed:
        """Append the events in one transaction.

        Raises:
            JournalError: nothing of it is in the journal; the disk is full or damaged, in words for a person.
        """

    def mark_delivered(self, *, epoch: str, seq: int, head: str) -> None:
        """The consumer holds all rows up to seq. A head unlike ours is refused with JournalError and changes nothing."""

    def last_known(self) -> LastKnown: ...


class Uplink(Protocol):
    def wake(self) -> None:
        """New rows are in the journal."""


class Watcher(Protocol):
    def watch(self, track: TrackId | None) -> None:
        """Who was released, so that recognition follows this track until the passage starts."""


class LockDownStore(Protocol):
    def set_lock_down(self, *, on: bool) -> None: ...


class Stoppable(Protocol):
    """A thread of ours: started once, stopped once, and fresh while it turns."""

    name: str

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def join(self, timeout_s: float) -> bool:
        """True when it has ended within the time."""

    def fresh_ns(self) -> int:
        """Monotonic time of its last turn."""
