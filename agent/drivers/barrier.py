"""The barrier thread: owns the serial port and the host's end of the link, and carries the core's orders to the controller.

It blocks on the port and on its queue together. Heartbeats go out only while the control loop is fresh, so a control loop that hangs
lets the controller's lease run out. A port that is absent, pulled out, wrong or silent is tried again for ever, at most every 5 s.
"""

import contextlib
import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from agent.core.effects import CancelRelease
from agent.core.moment import NS_PER_S
from agent.drivers.barrier_dialogue import BarrierDialogue
from agent.drivers.order_thread import OrderThread
from agent.errors import UsageError
from agent.ports import Post
from firmware_bridge import messages, vocabulary
from firmware_bridge.errors import BridgeError, PortError, PortLostError
from firmware_bridge.greeting import HostSettings
from firmware_bridge.limits import NONCE_BYTES
from firmware_bridge.transport import SerialTransport

LEAST_BACK_OFF_NS: Final = NS_PER_S // 4
MOST_BACK_OFF_NS: Final = 5 * NS_PER_S


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


class SerialBarrier(OrderThread):
    """The driver of a lane with our controller.

    Args:
        post: leaves an input for the control thread.
        control_fresh_ns: monotonic time of the control loop's last turn.

    Raises:
        UsageError: a key that is none, or none where one is needed.
    """

    def __init__(self, where: BarrierPort, *, post: Post, control_fresh_ns: Callable[[], int]) -> None:
        super().__init__(post=post)
        self._where = where
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
        self._open_due_ns = 0
        self._back_off_ns = LEAST_BACK_OFF_NS

    @property
    def health(self) -> messages.Health | None:
        """The controller's newest account of itself; read by the control socket."""
        return self._dialogue.health

    @property
    def frames_refused(self) -> int:
        return self._dialogue.frames_refused

    def _close(self) -> None:
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    def _turn(self) -> None:
        try:
            if self._transport is None and time.monotonic_ns() >= self._open_due_ns:
                self._open()
            for command in self._waiting_orders():
                self._dialogue.order(command, time.monotonic_ns())
            self._read()
            self._write()
            self._rest()
        except PortError as error:
            self._give_up()  # before it is told: whoever hears of the loss may count on the port being free
            self._dialogue.port_lost(str(error), time.monotonic_ns())

    def _open(self) -> None:
        self._transport = SerialTransport(self._where.port, baud=self._where.baud)
        self._dialogue.greet(secrets.token_bytes(NONCE_BYTES), time.monotonic_ns())

    def _give_up(self) -> None:
        """Close the port, and try again later."""
        self._close()
        self._open_due_ns = time.monotonic_ns() + self._back_off_ns
        self._back_off_ns = min(2 * self._back_off_ns, MOST_BACK_OFF_NS)

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
            self._give_up()
            return
        if data:
            self._transport.write(data)
        if self._dialogue.ready:
            self._back_off_ns = LEAST_BACK_OFF_NS

    def _rest(self) -> None:
        opens_ns = self._open_due_ns if self._transport is None else None
        self._wait(self._dialogue.next_deadline_ns(), opens_ns, fileno=None if self._transport is None else self._transport.fileno())

    def _part(self) -> None:
        """A cancel that came with the stop goes first; then the last word."""
        for command in self._waiting_orders():
            if isinstance(command, CancelRelease):
                self._dialogue.order(command, time.monotonic_ns())
        data = self._dialogue.part(time.monotonic_ns())
        if self._transport is not None and data:
            with contextlib.suppress(PortLostError):
                self._transport.write(data)
