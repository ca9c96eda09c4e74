"""The barrier thread: owns the serial port and the host's end of the link, and carries the core's orders to the controller.

It blocks on the port and on its queue together. Heartbeats go out only while the control loop is fresh, so a control loop that hangs
lets the controller's lease run out. A port that is absent, pulled out, wrong or silent is tried again for ever, at most every 5 s.
"""

import contextlib
import hashlib
import logging
import queue
import secrets
import select
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from agent.core.effects import BarrierCommand, CancelRelease
from agent.core.inputs import BarrierLost
from agent.core.moment import NS_PER_MS, NS_PER_S
from agent.drivers.barrier_dialogue import BarrierDialogue
from agent.errors import UsageError
from agent.ports import Post
from firmware_bridge import messages, vocabulary
from firmware_bridge.errors import BridgeError, PortError, PortLostError
from firmware_bridge.greeting import HostSettings
from firmware_bridge.limits import NONCE_BYTES
from firmware_bridge.transport import SerialTransport
from firmware_bridge.wake import Bell

LEAST_BACK_OFF_NS: Final = NS_PER_S // 4
MOST_BACK_OFF_NS: Final = 5 * NS_PER_S
IDLE_TURN_NS: Final = NS_PER_S // 4  # longest wait: the thread stays fresh for the watchdog

_log = logging.getLogger("gate.barrier")


@dataclass(frozen=True, slots=True)
class BarrierPort:
    """Where the controller is and who we are to it.

    Attributes:
        key: the link's key, 32 bytes; None with `link_inside_cabinet` only.
        host_name: names this gate, the same after a restart.
        simulation: only then an emulated controller is accepted, and no other.
    """

    port: str
    baud: int
    key: bytes | None
    link_inside_cabinet: bool
    host_name: str
    simulation: bool


class SerialBarrier:
    """Implements `agent.ports.Barrier` and `Stoppable`.

    Args:
        post: leaves an input for the control thread.
        control_fresh_ns: monotonic time of the control loop's last turn.

    Raises:
        UsageError: a key that is none, or none where one is needed.
    """

    name = "gate-barrier"

    def __init__(self, where: BarrierPort, *, post: Post, control_fresh_ns: Callable[[], int]) -> None:
        self._where = where
        self._post = post
        self._control_fresh_ns = control_fresh_ns
        simulated = frozenset({vocabulary.Kind.EMULATOR, vocabulary.Kind.REFERENCE_ON_PC})
        try:
            settings = HostSettings(
                key=where.key,
                host_id=hashlib.sha256(where.host_name.encode()).digest()[:8],
                accepted_kinds=simulated if where.simulation else frozenset({vocabulary.Kind.REAL}),
                link_inside_cabinet=where.link_inside_cabinet,
                baud=where.baud,
            )
        except BridgeError as error:
            raise UsageError(f"barrier: {error}") from error
        self._dialogue = BarrierDialogue(settings, post=post)
        self._transport: SerialTransport | None = None
        self._orders: queue.SimpleQueue[BarrierCommand] = queue.SimpleQueue()
        self._bell = Bell()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
        self._fresh_ns = time.monotonic_ns()
        self._open_due_ns = 0
        self._back_off_ns = LEAST_BACK_OFF_NS

    @property
    def health(self) -> messages.Health | None:
        """The controller's newest account of itself; read by the control socket."""
        return self._dialogue.health

    @property
    def frames_refused(self) -> int:
        return self._dialogue.frames_refused

    # --- life -----------------------------------------------------------------------------------------------------------------

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
                self._turn()
            self._part()
        except Exception as error:  # noqa: BLE001  the top of the thread: say it and end; the watchdog sees that it is not fresh
            _log.exception("the barrier thread ends")
            self._post(BarrierLost(f"the barrier thread has failed: {error}"))
        finally:
            if self._transport is not None:
                self._transport.close()

    # --- one turn ---------------------------------------------------------------------------------------------------------------

    def _turn(self) -> None:
        self._fresh_ns = now_ns = time.monotonic_ns()
        try:
            if self._transport is None and now_ns >= self._open_due_ns:
                self._open()
            self._take_orders()
            self._read()
            self._write()
            self._wait()
        except (PortError, PortLostError) as error:
            self._dialogue.port_lost(str(error), time.monotonic_ns())
            self._close()

    def _open(self) -> None:
        self._transport = SerialTransport(self._where.port, baud=self._where.baud)
        self._dialogue.greet(secrets.token_bytes(NONCE_BYTES), time.monotonic_ns())

    def _close(self) -> None:
        """Give the port up, and try again later."""
        if self._transport is not None:
            self._transport.close()
            self._transport = None
        self._open_due_ns = time.monotonic_ns() + self._back_off_ns
        self._back_off_ns = min(2 * self._back_off_ns, MOST_BACK_OFF_NS)

    def _take_orders(self) -> None:
        self._bell.hush()
        while True:
            try:
                command = self._orders.get_nowait()
            except queue.Empty:
                return
            self._dialogue.order(command, time.monotonic_ns())

    def _read(self) -> None:
        if self._transport is None:
            return
        data = self._transport.read()
        if data:
            self._dialogue.receive(data, time.monotonic_ns())

    def _write(self) -> None:
        data = self._dialogue.turn(time.monotonic_ns(), control_fresh_ns=self._control_fresh_ns())
        if self._transport is None:
            return
        if self._dialogue.hang_up is not None:
            self._close()
            return
        if data:
            self._transport.write(data)
        if self._dialogue.ready:
            self._back_off_ns = LEAST_BACK_OFF_NS

    def _wait(self) -> None:
        now_ns = time.monotonic_ns()
        due = [now_ns + IDLE_TURN_NS, self._dialogue.next_deadline_ns()]
        due += [self._open_due_ns] if self._transport is None else []
        wait_ns = max(0, min(t for t in due if t is not None) - now_ns)
        poll = select.poll()
        poll.register(self._bell.fileno(), select.POLLIN)
        if self._transport is not None:
            poll.register(self._transport.fileno(), select.POLLIN)
        poll.poll(-(-wait_ns // NS_PER_MS))  # rounded up: a turn too early would spin

    def _part(self) -> None:
        """A cancel that came with the stop goes first; then the last word."""
        while not self._orders.empty():
            command = self._orders.get_nowait()
            if isinstance(command, CancelRelease):
                self._dialogue.order(command, time.monotonic_ns())
        data = self._dialogue.part(time.monotonic_ns())
        if self._transport is not None and data:
            with contextlib.suppress(PortLostError):
                self._transport.write(data)
