"""What is set at one controller: who it is, its key, and the figures of its mechanics."""

from dataclasses import dataclass

from firmware_bridge.errors import MessageError
from firmware_bridge.limits import MAX_WINDOW_MS, MIN_WINDOW_MS
from firmware_bridge.mac import check_key
from firmware_bridge.vocabulary import Capability, Direction, Drive, FailMode, Kind, LinkMode, Mechanics

CAPABILITIES = (
    Capability.RELEASE_ENTRY
    | Capability.RELEASE_EXIT
    | Capability.CANCEL
    | Capability.PASSAGE_BEAMS
    | Capability.REQUEST_TO_EXIT
    | Capability.EMERGENCY_INPUT
    | Capability.LASTING_STORE
    | Capability.TAMPER_INPUT
    | Capability.INDICATE
)
"""What this machine does."""

_ID_BYTES = 16
_DIGEST_BYTES = 32
_LIMITS = {
    "exit_window_ms": (MIN_WINDOW_MS, MAX_WINDOW_MS),
    "leaf_travel_ms": (0, 5_000),
    "minimum_gap_ms": (0, 5_000),
    "releases_per_minute": (1, 120),
    "held_open_ms": (1_000, 600_000),
    "beam_stuck_ms": (1_000, 600_000),
}


@dataclass(frozen=True, slots=True)
class ControllerSettings:
    """Times in ms.

    Attributes:
        key: the link's key, 32 bytes; None: a keyless link, which the host must permit as well.
        fail_entry, fail_exit: where a direction rests without an armed host.
        exit_window_ms: how long a request to exit keeps the way out released.
        leaf_travel_ms: how long the leaf moves after it was told to close; a beam broken in that time opens it again.
        minimum_gap_ms: rest between the end of one release and the next.
        releases_per_minute: more host releases than this in 60 s are refused; a lane's mechanics do about 30.
        held_open_ms: a body in an open passage for longer is reported as held open.
        beam_stuck_ms: a beam broken for longer is reported as a fault and host releases stop.
    """

    key: bytes | None
    controller_id: str = "emulator"
    kind: Kind = Kind.EMULATOR
    mechanics: Mechanics = Mechanics.ONE_LEAF
    firmware_digest: bytes = bytes(_DIGEST_BYTES)
    fail_entry: FailMode = FailMode.SECURE
    fail_exit: FailMode = FailMode.SECURE
    exit_window_ms: int = 5_000
    leaf_travel_ms: int = 400
    minimum_gap_ms: int = 200
    releases_per_minute: int = 40
    held_open_ms: int = 15_000
    beam_stuck_ms: int = 60_000

    def __post_init__(self) -> None:
        check_key(self.key)
        if not (self.controller_id.isascii() and 0 < len(self.controller_id) <= _ID_BYTES):
            raise MessageError(f"controller_id is {self.controller_id!r}; it must be 1 to {_ID_BYTES} ASCII characters")
        if len(self.firmware_digest) != _DIGEST_BYTES:
            raise MessageError(f"firmware_digest is {len(self.firmware_digest)} bytes; it must be {_DIGEST_BYTES}")
        for name, (least, most) in _LIMITS.items():
            if not least <= getattr(self, name) <= most:
                raise MessageError(f"{name} is {getattr(self, name)}; it must be {least} to {most}")
        if self.mechanics is Mechanics.TWO_DOORS:
            raise MessageError("mechanics TWO_DOORS is described in PROTOCOL.md but not built here; use ROTOR or ONE_LEAF")

    @property
    def link_mode(self) -> LinkMode:
        return check_key(self.key)[0]

    @property
    def rest(self) -> Drive:
        """What is free to walk without an armed host."""
        drive = Drive(0)
        if self.fail_entry is FailMode.FREE:
            drive |= Drive.ENTRY
        if self.fail_exit is FailMode.FREE:
            drive |= Drive.EXIT
        return drive


def way(direction: Direction) -> Drive:
    return Drive.ENTRY if direction is Direction.ENTRY else Drive.EXIT
