"""The barrier's lines of the plan: what releases the turnstile, what that keeps of the safety rules, its port, its key, its contacts."""

import importlib.util
import os
import stat
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from types import MappingProxyType
from typing import Final

from agent.barrier_config import NONE, BarrierKind, BoardConfig
from agent.barrier_key import read_barrier_key
from agent.config import Config
from agent.core.identity import Direction
from agent.errors import UsageError
from agent.plan_line import PlanLine, Verdict, secret_line, what_is
from firmware_bridge.assurance import CONTROLLER, MODBUS, OSDP, RELAY, Assurance, Keeping, as_wired
from firmware_bridge.board_line import why_not
from firmware_bridge.errors import PackageAbsentError

_ASSURANCES = MappingProxyType(
    {BarrierKind.CONTROLLER: CONTROLLER, BarrierKind.OSDP: OSDP, BarrierKind.MODBUS: MODBUS, BarrierKind.RELAY: RELAY}
)
_PACKAGES = MappingProxyType({BarrierKind.OSDP: "osdp", BarrierKind.MODBUS: "pymodbus"})
_USUAL_BAUDS: Final = (9600, 19200, 38400, 57600, 115200, 230400, 460800, 500000, 576000, 921600, 1000000, 1500000, 2000000, 3000000)
_UNUSED = MappingProxyType(
    {
        BarrierKind.CONTROLLER: tuple(field.name for field in fields(BoardConfig)),
        BarrierKind.OSDP: ("flash",),
        BarrierKind.MODBUS: (),
        BarrierKind.RELAY: ("address", "flash"),
    }
)
"""The keys of [board] that mean nothing with a kind."""


def barrier_lines(config: Config, *, simulation: bool) -> Iterator[PlanLine]:
    yield _kept(config)
    yield _port(config, simulation=simulation)
    yield from _key(config)
    yield from _odd(config)
    yield from _unwired(config)


def assurance(config: Config) -> Assurance:
    """What the configured hardware, wired as configured, keeps of the controller's safety rules."""
    table = _ASSURANCES[config.barrier.kind]
    if config.barrier.kind in (BarrierKind.CONTROLLER, BarrierKind.RELAY):  # one has inputs of its own, one has none
        return table
    return as_wired(table, fire=config.board.input_emergency != NONE, unseen=_unseen(config.board))


def _unseen(board: BoardConfig) -> tuple[Direction, ...]:
    passed = {Direction.ENTRY: board.input_passed_entry, Direction.EXIT: board.input_passed_exit}
    return tuple(direction for direction, number in passed.items() if number == NONE)


def _kept(config: Config) -> PlanLine:
    """One line; `gate-agent check` prints the rules that are not kept in full."""
    table = assurance(config)
    if not table.not_kept:
        numbers = ", ".join(str(rule.rule) for rule in table.rules)
        return PlanLine("barrier.kind", Verdict.OK, f"{table.hardware} keeps safety rules {numbers} by itself")
    lost = ", ".join(str(rule.rule) for rule in table.rules if rule.keeping is Keeping.LOST)
    elsewhere = ", ".join(str(rule.rule) for rule in table.rules if rule.keeping is Keeping.ELSEWHERE)
    package = _PACKAGES.get(config.barrier.kind)
    if package is not None and importlib.util.find_spec(package) is None:
        return PlanLine("barrier.kind", Verdict.REFUSED, str(PackageAbsentError(package)))
    text = (
        f"{table.hardware}: safety rules {lost} are lost, {elsewhere} kept elsewhere and not in full; gate-agent check says what it means"
    )
    return PlanLine("barrier.kind", Verdict.WARNING, text)


def _port(config: Config, *, simulation: bool) -> PlanLine:
    port, board = config.barrier.port, config.barrier.kind is not BarrierKind.CONTROLLER
    name = "board" if board else "controller"
    what = f"{name} at {port:.200}, {config.barrier.baud} bits/s"
    found = what_is(port)
    wrong = why_not(port, simulation=simulation)
    if found == "absent":
        return PlanLine("barrier.port", Verdict.MISSING, f"{what}: the port is absent; plug the {name} in, or name another port")
    if wrong is not None and (board or not simulation):  # a controller of the other kind says so itself, and is refused then
        return PlanLine("barrier.port", Verdict.REFUSED, f"{what}: the port {wrong}")
    if found != "device" or not _may_be_serial(port):
        kind = f"a {found}" if found != "device" else "a device of another kind"
        return PlanLine("barrier.port", Verdict.UNUSABLE, f"{what}: it is {kind} and no serial port; name the {name}'s own")
    return PlanLine("barrier.port", Verdict.OK, what)


def _may_be_serial(port: str) -> bool:
    """Told by what the system knows of it: to open a serial port can reset what hangs on it.

    A device of which nothing is known, as of a pseudo-terminal, may be one.
    """
    status = os.stat(port)  # noqa: PTH116  as everywhere here: one call
    if not stat.S_ISCHR(status.st_mode):
        return False
    known = Path(f"/sys/dev/char/{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}/subsystem")
    return not known.exists() or known.resolve().name == "tty"


def _key(config: Config) -> Iterator[PlanLine]:
    key, file = "barrier.key_file", config.barrier.key_file
    if not file:
        if config.barrier.kind is BarrierKind.CONTROLLER:
            yield PlanLine(key, Verdict.OK, "the controller's link has no key: it must be inside the cabinet")
        return
    line = secret_line(key, Path(file))
    if line.verdict is not Verdict.OK:
        yield PlanLine(key, Verdict.REFUSED, line.text)  # nothing can be said to the controller without it
        return
    try:
        read_barrier_key(config.barrier.kind, Path(file))
    except UsageError as error:
        line = PlanLine(key, Verdict.REFUSED, str(error))
    yield line


def _odd(config: Config) -> Iterator[PlanLine]:
    """What is written and does nothing, or hardly what was meant."""
    barrier = config.barrier
    if barrier.baud not in _USUAL_BAUDS:
        usual = ", ".join(map(str, _USUAL_BAUDS[:6]))
        yield PlanLine(
            "barrier.baud", Verdict.WARNING, f"{barrier.baud} bits/s is an unusual speed (usual: {usual}); both ends need the same"
        )
    if barrier.allow_unsafe_actuator and barrier.kind is not BarrierKind.RELAY:
        text = f'true, and kind = "{barrier.kind}" does not ask for it; set it to false, so that nobody puts a plain relay there unasked'
        yield PlanLine("barrier.allow_unsafe_actuator", Verdict.WARNING, text)
    default = BoardConfig()
    for name in _UNUSED[barrier.kind]:
        if (value := getattr(config.board, name)) != getattr(default, name):
            yield PlanLine(
                f"board.{name}", Verdict.WARNING, f'{value}, and kind = "{barrier.kind}" does not use it; is the kind the right one?'
            )


def _unwired(config: Config) -> Iterator[PlanLine]:
    if config.barrier.kind is BarrierKind.CONTROLLER:
        return
    for direction in _unseen(config.board):
        text = f"no contact: nobody sees who walks through; each grant for {direction} is recorded as unconfirmed"
        yield PlanLine(f"board.input_passed_{direction}", Verdict.WARNING, text)
    if config.board.input_emergency == NONE:
        text = (
            "no fire contact: this program is not told of a fire and goes on granting entry; the turnstile's own fire input must do it all"
        )
        yield PlanLine("board.input_emergency", Verdict.WARNING, text)
