"""What releases the turnstile, as the configuration says it: our controller or a bought board, and what is wired to that."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from agent.core.identity import Direction
from agent.settings import ConfigError, setting


class BarrierKind(StrEnum):
    CONTROLLER = "controller"  # speaks firmware_bridge/PROTOCOL.md and keeps the safety rules by itself
    OSDP = "osdp"  # an OSDP output board, secure channel always
    MODBUS = "modbus"  # a Modbus relay board
    RELAY = "relay"  # a plain relay: for a bench


class BoardFlash(StrEnum):
    """How a family of Modbus boards is told to switch on for a time; the words are those of firmware_bridge/modbus_words.py."""

    COIL_0200 = "coil_0200"
    REGISTER_3 = "register_3"


@dataclass(frozen=True, slots=True)
class BarrierConfig:
    kind: BarrierKind = setting(
        BarrierKind.CONTROLLER,
        "What releases the turnstile: our controller, or a bought board, which keeps less of the safety rules; gate-agent check says what\n"
        "is lost with each. The three boards are described in [board].",
    )
    allow_unsafe_actuator: bool = setting(
        False,
        "True: the kind may be relay, which times nothing, confirms nothing and reads nothing. Never in service.",
    )
    port: str = setting("/dev/gate-controller", "Serial port of the controller or board; use a stable name (udev, by-id).", low=1)
    baud: int = setting(115200, "Speed of the serial port, bits per second; most boards want 9600.", low=9600, high=3000000)
    key_file: str = setting(
        "/etc/gate-agent/controller.key",
        "File with the link's key, 64 hexadecimal digits, 32 for OSDP; only the agent may read it. Empty for modbus and relay.",
    )
    link_inside_cabinet: bool = setting(
        False,
        "True: the cable runs inside a locked cabinet, and the link may do without a key (key_file must then be empty).",
    )


NONE = -1  # of outputs and inputs


@dataclass(frozen=True, slots=True)
class BoardConfig:
    address: int = setting(1, "Address of the board on its line; a plain relay has none.", low=0, high=247)
    flash: BoardFlash = setting(
        BoardFlash.COIL_0200,
        "How a Modbus board is told to switch on for a time: function 05 to coil 0x0200 + output (Waveshare and its kin), or function 16\n"
        "to register 3 + 5 x output (the boards sold as LC).",
    )
    output_entry: int = setting(0, "Output that releases entry, counted from 0; -1: none.", low=NONE, high=31)
    output_exit: int = setting(1, "Output that releases exit, counted from 0; -1: none.", low=NONE, high=31)
    pulse_ms: int = setting(500, "How long the output is on, ms, in steps of 100; the board keeps the time.", low=100, high=1000)
    input_passed_entry: int = setting(
        0,
        "Input whose contact closes, for 200 ms or more, once somebody has walked in; counted from 0; -1: none, and then nobody knows who\n"
        "passed: every passage that way is recorded as unconfirmed, and lane.anti_passback must be off.",
        low=NONE,
        high=31,
    )
    input_passed_exit: int = setting(1, "The same for the way out.", low=NONE, high=31)
    input_emergency: int = setting(
        2,
        "Input of the fire contact, closed while there is no fire; -1: none. The turnstile needs its own: this only tells the program.",
        low=NONE,
        high=31,
    )


def check_barrier(
    barrier: BarrierConfig, board: BoardConfig, *, cameras: Mapping[Direction, str], anti_passback: bool, subject_lost_ms: int, file: str
) -> None:
    """What no single key can say.

    `cameras` holds the name of the camera of each direction that is served.

    Raises:
        ConfigError: naming the key and what to do.
    """
    if bool(barrier.key_file) == barrier.link_inside_cabinet:
        raise ConfigError(
            f"{file}: set either 'barrier.key_file' or 'barrier.link_inside_cabinet = true' with key_file = \"\"; "
            "a link without a key is only for a cable inside a locked cabinet"
        )
    if barrier.kind is BarrierKind.OSDP and not barrier.key_file:
        raise ConfigError(f"{file}: 'barrier.key_file' is empty; an OSDP board is used with its secure channel only, so name its key")
    if barrier.kind in (BarrierKind.MODBUS, BarrierKind.RELAY) and barrier.key_file:
        raise ConfigError(
            f"{file}: 'barrier.key_file' is set, and kind = \"{barrier.kind}\" knows no key; keep its cable inside the locked cabinet, "
            'and say so: link_inside_cabinet = true, key_file = ""'
        )
    if barrier.kind is BarrierKind.RELAY and not barrier.allow_unsafe_actuator:
        raise ConfigError(
            f"{file}: 'barrier.kind' is relay, and a plain relay stays on when the program ends between on and off; "
            "use a board that times its pulse, or set allow_unsafe_actuator = true on a bench"
        )
    if barrier.kind is not BarrierKind.CONTROLLER:
        _check_board(barrier.kind, board, cameras, file)
        _check_contacts(barrier.kind, board, cameras, anti_passback=anti_passback, file=file)
        _check_walk(board, cameras, subject_lost_ms, file)


_PULSE_STEP_MS = 100  # what boards count in
_MOST_OSDP_ADDRESS = 126
_LEAST_WALK_MS = 2000  # a passage takes 2 to 5 s
_INPUTS = ("input_passed_entry", "input_passed_exit", "input_emergency")


def _check_board(kind: BarrierKind, board: BoardConfig, cameras: Mapping[Direction, str], file: str) -> None:
    outputs = {Direction.ENTRY: board.output_entry, Direction.EXIT: board.output_exit}
    if board.pulse_ms % _PULSE_STEP_MS:
        raise ConfigError(f"{file}: 'board.pulse_ms' is {board.pulse_ms}; boards count in steps of {_PULSE_STEP_MS} ms")
    if kind is BarrierKind.MODBUS and board.address == 0:
        raise ConfigError(f"{file}: 'board.address' is 0, to which no Modbus board answers; give it an address from 1 to 247")
    if kind is BarrierKind.OSDP and board.address > _MOST_OSDP_ADDRESS:
        raise ConfigError(f"{file}: 'board.address' is {board.address}; an OSDP board has one from 0 to {_MOST_OSDP_ADDRESS}")
    for direction, camera in cameras.items():
        if outputs[direction] == NONE:
            raise ConfigError(f"{file}: 'board.output_{direction}' is -1, and camera '{camera}' serves that direction")
    _check_apart(board, ("output_entry", "output_exit"), file)


def _check_contacts(kind: BarrierKind, board: BoardConfig, cameras: Mapping[Direction, str], *, anti_passback: bool, file: str) -> None:
    """Every passage is seen, or the configuration says that it is not."""
    _check_apart(board, _INPUTS, file)
    wired = [name for name in _INPUTS if getattr(board, name) != NONE]
    if kind is BarrierKind.RELAY and wired:
        raise ConfigError(f"{file}: 'board.{wired[0]}' is {getattr(board, wired[0])}, and a plain relay reads nothing; set it to -1")
    unseen = [direction for direction in cameras if f"input_passed_{direction}" not in wired]
    if unseen and anti_passback:
        raise ConfigError(
            f"{file}: 'lane.anti_passback' is on, and without 'board.input_passed_{unseen[0]}' nobody sees who passed; "
            'wire that contact, or set anti_passback = "off"'
        )


def _check_walk(board: BoardConfig, cameras: Mapping[Direction, str], subject_lost_ms: int, file: str) -> None:
    """A board tells of a passage when it is over, so whoever walks out of the picture must not count as gone before that."""
    seen = [direction for direction in cameras if getattr(board, f"input_passed_{direction}") != NONE]
    if seen and subject_lost_ms < _LEAST_WALK_MS:
        raise ConfigError(
            f"{file}: 'lane.subject_lost_ms' is {subject_lost_ms}; 'board.input_passed_{seen[0]}' closes only behind a person who walked "
            f"through, so set it to the time from the camera to that contact, at least {_LEAST_WALK_MS}"
        )


def _check_apart(board: BoardConfig, names: tuple[str, ...], file: str) -> None:
    used: dict[int, str] = {}
    for name in names:
        number = getattr(board, name)
        if number != NONE and number in used:
            raise ConfigError(f"{file}: 'board.{used[number]}' and 'board.{name}' are both {number}; each needs its own")
        used[number] = name
