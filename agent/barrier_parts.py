"""From the configuration's words to the barrier thread: the driver of our controller, or of a bought board. Nothing is opened here."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, assert_never

from agent.barrier_config import NONE, BarrierKind, BoardConfig
from agent.barrier_key import read_barrier_key
from agent.config import Config
from agent.core.identity import Direction, GrantNumber
from agent.drivers.barrier import BarrierPort, SerialBarrier
from agent.drivers.board_barrier import BoardBarrier, BoardPlace
from agent.drivers.board_lane import Wiring
from agent.errors import UsageError
from agent.ports import Barrier, Post, Stoppable
from firmware_bridge.board import Board
from firmware_bridge.errors import BridgeError


class BarrierThread(Barrier, Stoppable, Protocol):
    """What every kind of barrier is to the composition root."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BarrierNeeds:
    """What the thread is given.

    Attributes:
        highest: the highest grant number in the journal.
        control_fresh_ns: monotonic time of the control loop's last turn.
    """

    simulation: bool
    highest: GrantNumber
    post: Post
    control_fresh_ns: Callable[[], int]


def barrier(config: Config, needs: BarrierNeeds) -> BarrierThread:
    """The driver for the kind that is configured.

    Raises:
        UsageError: a key that cannot be used, or a package that is not installed.
    """
    if config.barrier.kind is BarrierKind.CONTROLLER:
        return SerialBarrier(barrier_port(config, simulation=needs.simulation), post=needs.post, control_fresh_ns=needs.control_fresh_ns)
    wired = wiring(config.board)
    where = BoardPlace(port=config.barrier.port, wiring=wired, pulse_ms=config.board.pulse_ms, simulation=needs.simulation)
    try:
        made = _board(config, wired, simulation=needs.simulation)
    except BridgeError as error:
        raise UsageError(f"barrier.kind {config.barrier.kind}: {error}") from error
    return BoardBarrier(made, where, highest=needs.highest, post=needs.post)


def barrier_port(config: Config, *, simulation: bool) -> BarrierPort:
    """Raises UsageError where the key's file cannot be used."""
    settings = config.barrier
    return BarrierPort(
        port=settings.port,
        baud=settings.baud,
        key=read_barrier_key(settings.kind, Path(settings.key_file)) if settings.key_file else None,
        link_inside_cabinet=settings.link_inside_cabinet,
        host_name=f"{config.gate.site}/{config.gate.gate}",
        simulation=simulation,
    )


def wiring(board: BoardConfig) -> Wiring:
    outputs = {Direction.ENTRY: board.output_entry, Direction.EXIT: board.output_exit}
    passed = {Direction.ENTRY: board.input_passed_entry, Direction.EXIT: board.input_passed_exit}
    return Wiring(
        outputs={direction: number for direction, number in outputs.items() if number != NONE},
        passed={direction: number for direction, number in passed.items() if number != NONE},
        emergency=None if board.input_emergency == NONE else board.input_emergency,
    )


def _board(config: Config, wired: Wiring, *, simulation: bool) -> Board:
    """Each kind's file is imported only where it is used: its package is not installed on other gates."""
    settings, board = config.barrier, config.board
    outputs = max(wired.outputs.values(), default=-1) + 1
    match settings.kind:
        case BarrierKind.MODBUS:
            from firmware_bridge.modbus import ModbusBoard  # noqa: PLC0415  see above

            return ModbusBoard(
                port=settings.port,
                baud=settings.baud,
                address=board.address,
                flash=board.flash,
                outputs=outputs,
                inputs=wired.inputs,
                simulation=simulation,
            )
        case BarrierKind.OSDP:
            from firmware_bridge.osdp import OsdpBoard  # noqa: PLC0415  see above

            return OsdpBoard(
                port=settings.port,
                baud=settings.baud,
                address=board.address,
                key=read_barrier_key(settings.kind, Path(settings.key_file)),
                simulation=simulation,
            )
        case BarrierKind.RELAY:
            from firmware_bridge.relay import PlainRelay  # noqa: PLC0415  see above

            return PlainRelay(port=settings.port, baud=settings.baud, outputs=outputs, simulation=simulation)
        case BarrierKind.CONTROLLER:
            raise ValueError("our controller is no bought board")
        case _:
            assert_never(settings.kind)
