"""What every barrier driver's thread is: it turns until it is stopped, and takes the core's orders without blocking whoever gives them."""

import logging
import queue
import select
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Final

from agent.core.effects import BarrierCommand
from agent.core.inputs import BarrierLost
from agent.core.moment import NS_PER_MS, NS_PER_S
from agent.ports import Post
from firmware_bridge.wake import Bell

IDLE_TURN_NS: Final = NS_PER_S // 4  # longest wait: the thread stays fresh for the watchdog

_log = logging.getLogger("gate.barrier")


class OrderThread(ABC):
    """Implements `agent.ports.Barrier` and `Stoppable`.

    Args:
        post: leaves an input for the control thread.
    """

    name = "gate-barrier"

    def __init__(self, *, post: Post) -> None:
        self._post = post
        self._orders: queue.SimpleQueue[BarrierCommand] = queue.SimpleQueue()
        self._bell = Bell()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
        self._fresh_ns = time.monotonic_ns()

    @abstractmethod
    def _turn(self) -> None:
        """One turn: take the orders, do what is due, wait."""

    @abstractmethod
    def _close(self) -> None:
        """The last thing in this thread, however it ends."""

    def _part(self) -> None:  # noqa: B027  not every driver has one
        """A last word, when the thread was asked to stop."""

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._bell.ring()

    def join(self, timeout_s: float) -> bool:
        self._thread.join(timeout_s)
        ended = not self._thread.is_alive()
        if ended:
            self._bell.close()
        return ended

    def fresh_ns(self) -> int:
        return self._fresh_ns

    def submit(self, command: BarrierCommand) -> None:
        self._orders.put(command)
        self._bell.ring()

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._fresh_ns = time.monotonic_ns()
                self._turn()
            self._part()
        except Exception as error:  # noqa: BLE001  the top of the thread: say it and end; the watchdog sees that it is not fresh
            _log.exception("the barrier thread ends")
            self._post(BarrierLost(f"the barrier thread has failed: {error}"))
        finally:
            self._close()

    def _waiting_orders(self) -> Iterator[BarrierCommand]:
        self._bell.hush()
        while True:
            try:
                yield self._orders.get_nowait()
            except queue.Empty:
                return

    def _wait(self, *due_ns: int | None, fileno: int | None) -> None:
        """Until the first of these times, an order, or something to read."""
        now_ns = time.monotonic_ns()
        wait_ns = max(0, min(t for t in (now_ns + IDLE_TURN_NS, *due_ns) if t is not None) - now_ns)
        poll = select.poll()
        poll.register(self._bell.fileno(), select.POLLIN)
        if fileno is not None:
            poll.register(fileno, select.POLLIN)
        poll.poll(-(-wait_ns // NS_PER_MS))  # rounded up: a turn too early would spin
