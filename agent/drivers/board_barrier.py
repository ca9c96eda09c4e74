"""The barrier thread of a lane with a bought board: owns the board, carries the core's orders to it, and tells what its contacts say.

Beliefs, heartbeats and prompts have nobody to go to: no board of these kinds holds a lease or has a lamp that we know of. What is lost by
that, `gate-agent check` says (firmware_bridge/assurance.py).
"""

import logging
import queue
import select
import threading
import time
from dataclasses import dataclass
from typing import Final, assert_never

from agent.core.effects import BarrierCommand, Believe, CancelRelease, ReleaseBarrier, ShowPrompt
from agent.core.identity import GrantNumber
from agent.core.inputs import BarrierInput, BarrierLost, ControllerKind
from agent.core.moment import NS_PER_MS, NS_PER_S
from agent.drivers.board_lane import BoardLane, Wiring
from agent.ports import Post
from firmware_bridge.board import Board, BoardOffline, BoardOnline
from firmware_bridge.board_line import why_not
from firmware_bridge.wake import Bell

IDLE_TURN_NS: Final = NS_PER_S // 4  # longest wait: the thread stays fresh for the watchdog

_log = logging.getLogger("gate.barrier")


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardPlace:
    """Where the board is, and what is wired to it.

    Attributes:
        simulation: only then a pseudo-terminal is used, and nothing else.
    """

    port: str
    wiring: Wiring
    pulse_ms: int
    simulation: bool


class BoardBarrier:
    """Implements `agent.ports.Barrier` and `Stoppable`.

    Args:
        board: used and closed by this thread alone.
        highest: the highest grant number in the journal.
        post: leaves an input for the control thread.
    """

    name = "gate-barrier"

    def __init__(self, board: Board, where: BoardPlace, *, highest: GrantNumber, post: Post) -> None:
        self._board = board
        self._where = where
        kind = ControllerKind.EMULATOR if where.simulation else ControllerKind.HARDWARE
        self._lane = BoardLane(where.wiring, highest=highest, kind=kind, pulse=self._pulse)
        self._post = post
        self._orders: queue.SimpleQueue[BarrierCommand] = queue.SimpleQueue()
        self._bell = Bell()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
        self._fresh_ns = time.monotonic_ns()

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
        except Exception as error:  # noqa: BLE001  the top of the thread: say it and end; the watchdog sees that it is not fresh
            _log.exception("the barrier thread ends")
            self._post(BarrierLost(f"the barrier thread has failed: {error}"))
        finally:
            self._board.close()

    # --- one turn ---------------------------------------------------------------------------------------------------------------

    def _turn(self) -> None:
        self._fresh_ns = time.monotonic_ns()
        self._take_orders()
        for event in self._board.turn(time.monotonic_ns()):
            if isinstance(event, BoardOnline) and (wrong := why_not(self._where.port, simulation=self._where.simulation)) is not None:
                self._tell(self._lane.hear(BoardOffline(f"port {self._where.port} {wrong}"), time.monotonic_ns()))
                continue
            self._tell(self._lane.hear(event, time.monotonic_ns()))
        self._tell(self._lane.tick(time.monotonic_ns()))
        self._wait()

    def _take_orders(self) -> None:
        self._bell.hush()
        while True:
            try:
                command = self._orders.get_nowait()
            except queue.Empty:
                return
            self._tell(self._obey(command))

    def _obey(self, command: BarrierCommand) -> tuple[BarrierInput, ...]:
        match command:
            case ReleaseBarrier():
                return self._lane.release(command)
            case CancelRelease(grant):
                return self._lane.cancel(grant)
            case Believe() | ShowPrompt():
                return ()
            case _:
                assert_never(command)

    def _pulse(self, order: ReleaseBarrier) -> None:
        self._board.pulse(
            output=self._where.wiring.outputs[order.direction],
            pulse_ms=self._where.pulse_ms,
            token=order.grant,
            expires_ns=order.expires_at_ns,
            now_ns=time.monotonic_ns(),
        )

    def _wait(self) -> None:
        now_ns = time.monotonic_ns()
        due = (now_ns + IDLE_TURN_NS, self._board.next_turn_ns(now_ns), self._lane.next_deadline_ns())
        wait_ns = max(0, min(t for t in due if t is not None) - now_ns)
        poll = select.poll()
        poll.register(self._bell.fileno(), select.POLLIN)
        fileno = self._board.fileno()
        if fileno is not None:
            poll.register(fileno, select.POLLIN)
        poll.poll(-(-wait_ns // NS_PER_MS))  # rounded up: a turn too early would spin

    def _tell(self, inputs: tuple[BarrierInput, ...]) -> None:
        for one in inputs:
            self._post(one)
