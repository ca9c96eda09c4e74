"""The mailbox loop of the control thread: take an input or a deadline, step the core, carry out the effects. All state is owned here.

Every Record of a step is durable before any other effect of that step is carried out. If the commit fails, the release of that step is
not sent, its events wait in memory in their order, and the core is told; the wait is tried again on every turn.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import assert_never

from agent.core import controller
from agent.core.controller import State
from agent.core.effects import (
    Believe,
    CancelRelease,
    Effect,
    MarkDelivered,
    Record,
    ReleaseBarrier,
    ShowPrompt,
    Stop,
    StoreLockDown,
    WatchSubject,
)
from agent.core.events import Event, EventType
from agent.core.inputs import Input, JournalReported, Tick
from agent.core.moment import NS_PER_S
from agent.errors import AcknowledgementError, GateError, JournalError
from agent.ports import Barrier, Clock, Committed, Journal, LockDownStore, Uplink, Watcher

IDLE_TURN_NS = NS_PER_S // 4  # longest wait without an input: the loop stays fresh for heartbeat and watchdog
RETRY_NS = NS_PER_S  # between tries to commit what waits, when nothing new comes
WAITING_EVENTS = 10_000  # events kept in memory while the journal takes none; entry is out of service then, so few come


@dataclass(frozen=True, slots=True)
class World:
    """The ports that effects go out through."""

    clock: Clock
    journal: Journal
    barrier: Barrier
    uplink: Uplink
    watcher: Watcher
    lock_downs: LockDownStore


@dataclass(frozen=True, slots=True)
class Observers:
    """Who else wants to know; called on the control thread after the effects of a step, so they must not raise, nor block for long."""

    committed: Callable[[Sequence[Event], Committed], None] = lambda _events, _committed: None
    prompted: Callable[[ShowPrompt], None] = lambda _prompt: None
    turned: Callable[[], None] = lambda: None
    warned: Callable[[str], None] = lambda _sentence: None


class Runtime:
    """One lane's control loop.

    Args:
        take: the mailbox's `take`.
    """

    name = "gate-control"

    def __init__(self, *, take: Callable[[float], Input | None], world: World, observers: Observers, state: State) -> None:
        self._take = take
        self._world = world
        self._observers = observers
        self._state = state
        self._waiting: deque[Event] = deque(maxlen=WAITING_EVENTS)
        self._follow_up: deque[Input] = deque()
        self._untold: deque[tuple[Sequence[Event], Committed]] = deque()
        self._stopping = False
        self._fresh_ns = time.monotonic_ns()
        self._retry_ns = 0
        self._disputed = False
        self._failure = ""  # of the journal, as last said
        self.last_commit_ms = 0.0

    @property
    def state(self) -> State:
        """The newest state: immutable, so other threads may read it."""
        return self._state

    def fresh_ns(self) -> int:
        return self._fresh_ns

    def run(self, effects: Sequence[Effect] = ()) -> None:
        """Turn until the core says Stop. `effects` are those of the start."""
        self._carry_out(effects)
        while not self._stopping:
            self.turn()

    def turn(self) -> None:
        """One input, or the next deadline."""
        message = self._follow_up.popleft() if self._follow_up else self._take(self._wait_s())
        moment = self._world.clock.now()
        self._fresh_ns = moment.monotonic_ns
        self._state, effects = controller.step(self._state, message or Tick(), moment)
        self._carry_out(effects)
        self._observers.turned()

    def _wait_s(self) -> float:
        now_ns = self._world.clock.now().monotonic_ns
        deadline_ns = controller.next_deadline_ns(self._state)
        until_ns = now_ns + IDLE_TURN_NS if deadline_ns is None else min(deadline_ns, now_ns + IDLE_TURN_NS)
        return max(0, until_ns - now_ns) / NS_PER_S

    def _carry_out(self, effects: Sequence[Effect]) -> None:
        durable = self._commit([effect.event for effect in effects if isinstance(effect, Record)])
        for effect in effects:
            self._do(effect, durable=durable)
        while self._untold:  # only now: whoever looks on may be slow, and a person waits for the release
            self._observers.committed(*self._untold.popleft())

    def _commit(self, events: Sequence[Event]) -> bool:
        """Make the events durable, after those that still wait; True when nothing waits any more."""
        if len(self._waiting) + len(events) > WAITING_EVENTS:
            self._observers.warned(f"the journal takes nothing and {WAITING_EVENTS} events wait in memory; the oldest are lost")
        self._waiting.extend(events)
        if not self._waiting:
            return True
        if not events and self._fresh_ns < self._retry_ns:
            return False
        batch = tuple(self._waiting)
        try:
            committed = self._world.journal.commit(batch)
        except JournalError as error:
            self._say_failure(str(error))
            self._retry_ns = self._fresh_ns + RETRY_NS
            self._follow_up.append(JournalReported(ready=False, commit_ms=0.0, detail=str(error)))
            return False
        self._failure = ""
        self._waiting.clear()
        self.last_commit_ms = committed.commit_ms
        self._follow_up.append(JournalReported(ready=True, commit_ms=committed.commit_ms))
        self._world.uplink.wake()
        self._untold.append((batch, committed))
        return True

    def _say_failure(self, detail: str) -> None:
        """In the log, once: while the journal takes nothing, no event can say why the lane is closed."""
        if detail != self._failure:
            self._failure = detail
            self._observers.warned(f"the journal takes nothing; entry is closed and what happens waits in memory: {detail}")

    def _do(self, effect: Effect, *, durable: bool) -> None:
        match effect:
            case Record():
                pass
            case ReleaseBarrier():
                if durable:
                    self._world.barrier.submit(effect)
            case CancelRelease() | Believe():
                self._world.barrier.submit(effect)
            case WatchSubject(track):
                self._world.watcher.watch(track)
            case ShowPrompt():
                self._world.barrier.submit(effect)  # the controller has the lamp
                self._observers.prompted(effect)
            case MarkDelivered(epoch, seq, head):
                self._mark_delivered(epoch, seq, head)
            case StoreLockDown(on):
                self._store_lock_down(on=on)
            case Stop():
                self._stopping = True
            case _:
                assert_never(effect)

    def _mark_delivered(self, epoch: str, seq: int, head: str) -> None:
        """Pass an acknowledgement on. A dispute is recorded once, until one fits again: its own record is acknowledged too."""
        try:
            self._world.journal.mark_delivered(epoch=epoch, seq=seq, head=head)
            self._disputed = False
        except AcknowledgementError as error:
            self._observers.warned(str(error))
            if not self._disputed:
                self._disputed = True
                data = {"seq": error.seq, "ours": error.ours, "theirs": error.theirs}
                self._commit([Event(EventType.JOURNAL_DISPUTED, self._world.clock.now(), data)])
        except JournalError as error:
            self._observers.warned(str(error))

    def _store_lock_down(self, *, on: bool) -> None:
        """The lock-down acts at once, whether or not it could be stored; not stored, a restart would forget it, so say so."""
        try:
            self._world.lock_downs.set_lock_down(on=on)
        except GateError as error:
            self._observers.warned(f"the lock-down is in force but could not be stored: {error}")
