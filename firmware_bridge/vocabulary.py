"""The words of the protocol and their numbers on the wire. PROTOCOL.md section 6 is the same list in prose."""

from enum import IntEnum, IntFlag


class Sender(IntEnum):
    HOST = 0x48  # "H"
    CONTROLLER = 0x43  # "C"


class Direction(IntEnum):
    ENTRY = 1
    EXIT = 2


class Kind(IntEnum):
    """What answers: HELLO says it, and a gate in service takes only REAL."""

    REAL = 1
    EMULATOR = 2
    REFERENCE_ON_PC = 3


class Mechanics(IntEnum):
    ROTOR = 1
    ONE_LEAF = 2
    TWO_DOORS = 3


class FailMode(IntEnum):
    """Where a direction rests without an armed host."""

    SECURE = 0
    FREE = 1


class LinkMode(IntEnum):
    KEYLESS = 0
    KEYED = 1


class Capability(IntFlag):
    RELEASE_ENTRY = 1 << 0
    RELEASE_EXIT = 1 << 1
    CANCEL = 1 << 2
    PASSAGE_BEAMS = 1 << 3
    REQUEST_TO_EXIT = 1 << 4
    EMERGENCY_INPUT = 1 << 5
    LASTING_STORE = 1 << 6
    TAMPER_INPUT = 1 << 7
    INDICATE = 1 << 8


class Phase(IntEnum):
    SECURED = 0
    RELEASED = 1
    PASSING = 2
    CLOSING = 3
    EMERGENCY = 4
    AWAITING_RESET = 5


class Belief(IntEnum):
    """What the host believes about its own releases; carried by the heartbeat."""

    SECURED = 0
    RELEASED = 1
    PASSING = 2
    EMERGENCY = 4


class Switch(IntEnum):
    OFF = 0
    ON = 1


class Emergency(IntEnum):
    CLEARED = 0  # the input is quiet again; passage stays free until a person resets on site
    ON = 1
    RESET = 2  # a person turned the key on site


class ReleaseResult(IntEnum):
    ACCEPTED = 0
    DUPLICATE = 1
    REFUSED = 2


class Refusal(IntEnum):
    """Why a command was not carried out."""

    NONE = 0
    NOT_ARMED = 1
    LATE = 2
    NOT_AFTER_TOO_FAR = 3
    GRANT_USED = 4
    BUSY = 5
    MINIMUM_GAP = 6
    TOO_MANY = 7
    LANE_OCCUPIED = 8
    EMERGENCY = 9
    FAULT = 10
    NO_LEASE = 11
    STALE_STATE = 12
    UNSUPPORTED = 13
    BAD_VALUE = 14
    CANCELLED = 15  # a CANCEL came before this RELEASE


class Outcome(IntEnum):
    """What became of the last grant number; kept over power loss."""

    NONE = 0
    REFUSED = 1
    RELEASED = 2
    PASSED = 3
    ENDED = 4
    CANCELLED = 5
    REVERSED = 6
    INTERRUPTED = 7


class EndReason(IntEnum):
    """Why a release ended without its passage."""

    WINDOW_PASSED = 1
    CANCELLED = 2
    LEASE_LOST = 3
    REVERSE_PASSAGE = 4
    EMERGENCY = 5
    TURNED_BACK = 6  # somebody stood between the beams and went back: the rest of the window is not theirs to give away


class CancelResult(IntEnum):
    CANCELLED = 0
    TOO_LATE = 1  # somebody is in the passage, or went through
    NEVER_RELEASED = 2  # the number was not used; now it is used up
    ALREADY_OVER = 3  # ended before, without a passage


class Cause(IntEnum):
    GRANT = 1
    REQUEST_TO_EXIT = 2
    EMERGENCY = 3
    REST_FREE = 4  # the direction rests free (fail mode)


class Fault(IntEnum):
    LEASE_LOST = 1
    BELIEF_WRONG = 2
    STORE_DAMAGED = 3
    BEAM_STUCK = 4
    EVENTS_DROPPED = 5
    TAMPER = 6

    @property
    def bit(self) -> "Faults":
        return Faults(1 << (self - 1))


class Faults(IntFlag):
    LEASE_LOST = 1 << 0
    BELIEF_WRONG = 1 << 1
    STORE_DAMAGED = 1 << 2
    BEAM_STUCK = 1 << 3
    EVENTS_DROPPED = 1 << 4
    TAMPER = 1 << 5


class Inputs(IntFlag):
    """True means: beam broken, button pressed, alarm, key turned, cabinet open. Filtered by the board (10 to 30 ms)."""

    BEAM_ENTRY = 1 << 0
    BEAM_EXIT = 1 << 1
    REQUEST_TO_EXIT = 1 << 2
    FIRE = 1 << 3
    RESET_KEY = 1 << 4
    TAMPER = 1 << 5


class Drive(IntFlag):
    """The outputs. ENTRY and EXIT: that direction may be walked. PULSE_*: the contact for a mechanism that takes pulses."""

    ENTRY = 1 << 0
    EXIT = 1 << 1
    PULSE_ENTRY = 1 << 2
    PULSE_EXIT = 1 << 3


class HelloRefusal(IntEnum):
    VERSION = 1
    LINK_MODE = 2
    OTHER_HOST = 3


class Lamp(IntEnum):
    OFF = 0
    WAIT = 1
    GO = 2
    STOP = 3


class Tone(IntEnum):
    OFF = 0
    GRANTED = 1
    DENIED = 2
    ALARM = 3
