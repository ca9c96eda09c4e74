"""The barrier thread of a lane with a bought board: owns the board, carries the core's orders to it, and tells what its contacts say.

Beliefs, heartbeats and prompts have nobody to go to: no board of these kinds holds a lease or has a lamp that we know of. What is lost by
that, `gate-agent check` says (firmware_bridge/assurance.py).
"""

import time
from dataclasses import dataclass
from typing import assert_never

from agent.core.effects import BarrierCommand, Believe, CancelRelease, ReleaseBarrier, ShowPrompt
from agent.core.identity import GrantNumber
from agent.core.inputs import BarrierInput, ControllerKind
from agent.drivers.board_lane import BoardLane, Wiring
from agent.drivers.order_thread import OrderThread
from agent.ports import Post
from firmware_bridge.board import Board, BoardOffline, BoardOnline
from firmware_bridge.board_line import why_not


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


class BoardBarrier(OrderThread):
    """The driver of a lane with a bought board.

    Args:
        board: used and closed by this thread alone.
        highest: the highest grant number in the journal.
        post: leaves an input for the control thread.
    """

    def __init__(self, board: Board, where: BoardPlace, *, highest: GrantNumber, post: Post) -> None:
        super().__init__(post=post)
        self._board = board
        self._where = where
        kind = ControllerKind.EMULATOR if where.simulation else ControllerKind.HARDWARE
        self._lane = BoardLane(where.wiring, highest=highest, kind=kind, pulse=self._pulse)

    def _turn(self) -> None:
        for command in self._waiting_orders():
            self._tell(self._obey(command))
        for event in self._board.turn(time.monotonic_ns()):
            if isinstance(event, BoardOnline) and (wrong := why_not(self._where.port, simulation=self._where.simulation)) is not None:
                self._tell(self._lane.hear(BoardOffline(f"port {self._where.port} {wrong}"), time.monotonic_ns()))
                continue
            self._tell(self._lane.hear(event, time.monotonic_ns()))
        self._tell(self._lane.tick(time.monotonic_ns()))
        self._wait(self._board.next_turn_ns(time.monotonic_ns()), self._lane.next_deadline_ns(), fileno=self._board.fileno())

    def _close(self) -> None:
        self._board.close()

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

    def _tell(self, inputs: tuple[BarrierInput, ...]) -> None:
        for one in inputs:
            self._post(one)
