"""What a bought output board tells and takes: it switches an output for a time and reads contacts, and knows nothing of passages.

OSDP, Modbus and a plain relay implement `Board`. What the board does not keep of the safety rules its `assurance` says, rule by rule.
"""

from dataclasses import dataclass
from typing import Protocol

from firmware_bridge.assurance import Assurance


@dataclass(frozen=True, slots=True)
class BoardOnline:
    """The board answers. Told once for each time it comes up."""

    identity: str
    firmware: str
    authenticated: bool  # a secure channel is up: only the right board could have answered


@dataclass(frozen=True, slots=True)
class BoardOffline:
    """The board does not answer, or may not be used. Told once for each reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class PulseTaken:
    """The board has confirmed, by reply or read-back, that it times this pulse."""

    token: int


@dataclass(frozen=True, slots=True)
class PulseRefused:
    """Certainly not switched: the board said no, or nothing was written."""

    token: int
    reason: str


@dataclass(frozen=True, slots=True)
class PulseUnknown:
    """Written and never confirmed: it may have switched. Nobody writes it again."""

    token: int
    reason: str


@dataclass(frozen=True, slots=True)
class InputsRead:
    """All inputs of the board, lowest number first; True: the contact is closed. Sent whenever they were read afresh."""

    closed: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class BoardFaulted:
    """The board does something that it should not, or no longer does (`active` False): an output that stays on."""

    fault: str  # a short code
    active: bool


BoardEvent = BoardOnline | BoardOffline | BoardFaulted | PulseTaken | PulseRefused | PulseUnknown | InputsRead


class Board(Protocol):
    """A bought output board on a serial line. One thread calls it; it has no thread of its own. All times are monotonic."""

    assurance: Assurance

    def turn(self, now_ns: int) -> tuple[BoardEvent, ...]:
        """Do what is due: open the port, exchange, poll the inputs. Blocks for about 50 ms at most.

        A lost line raises nothing: it is told as BoardOffline, and the board tries again with a growing wait.
        """
        ...

    def pulse(self, *, output: int, pulse_ms: int, token: int, expires_ns: int, now_ns: int) -> None:
        """Queue one pulse. Its expiry is judged again right before each write; it is written again only if certainly not taken.

        Each token gets exactly one of PulseTaken, PulseRefused, PulseUnknown from a later `turn`.
        """
        ...

    def next_turn_ns(self, now_ns: int) -> int:
        """When `turn` wants to be called again at the latest; inputs are polled at least every 50 ms."""
        ...

    def fileno(self) -> int | None:
        """What becomes readable when the board has something to say; None: there is nothing to wait on."""
        ...

    def close(self) -> None: ...
