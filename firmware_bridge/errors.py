"""What can go wrong on the link: exceptions for misuse and dead ports, values for bad bytes.

A bad frame is an expected thing on a wire next to a motor, so it is a value (`Rejected`) and never an exception.
"""

from dataclasses import dataclass
from enum import StrEnum


class BridgeError(Exception):
    """Root of every exception of this package."""


class MessageError(BridgeError):
    """A value that does not fit its field, or an order that makes no sense now. It is our own mistake, not the peer's."""


class PackageAbsentError(BridgeError):
    """A bought board needs a package that a gate with our controller does without."""

    def __init__(self, package: str) -> None:
        super().__init__(f"the package {package} is not installed; a gate with a bought board needs those of requirements/boards.txt")


class PortError(BridgeError):
    """The serial port cannot be used now. `port` names it; the sentence says what to do."""

    def __init__(self, port: str, problem: str, advice: str) -> None:
        super().__init__(f"serial port {port}: {problem}; {advice}")
        self.port = port
        self.problem = problem
        self.advice = advice


class PortAbsentError(PortError):
    """No such device."""


class PortBusyError(PortError):
    """Another program has the port."""


class PortDeniedError(PortError):
    """This user may not open the port, or it is no serial port."""


class PortLostError(PortError):
    """The port was open and went away, or takes no bytes any more."""


class Reject(StrEnum):
    """Why a frame was not taken. The names are those of vectors.toml and PROTOCOL.md section 10."""

    TOO_LONG = "too long"
    COBS = "cobs"
    TOO_SHORT = "too short"
    CHECKSUM = "checksum"
    UNKNOWN_TYPE = "unknown type"
    WRONG_DIRECTION = "wrong direction"
    WRONG_LENGTH = "wrong length"
    BAD_FIELD = "bad field"
    NO_SESSION = "no session"
    WRONG_MAC = "wrong mac"
    STALE_SEQUENCE = "stale sequence"
    UNEXPECTED = "unexpected"


@dataclass(frozen=True, slots=True)
class Rejected:
    """One frame that was refused. `detail` holds the offending value and the limit, never key material."""

    reason: Reject
    detail: str
