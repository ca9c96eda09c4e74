"""Orders of staff at the cabinet, as inputs of the core: one that is believed, and one that is not."""

from dataclasses import dataclass
from enum import StrEnum

from agent.core.identity import Direction


class StaffDenial(StrEnum):
    """Why an order of staff is not carried out, in the order in which it is judged; staff.py says what each means."""

    UNKNOWN_KEY = "unknown_key"
    WRONG_SIGNATURE = "wrong_signature"
    OTHER_GATE = "other_gate"
    NO_REASON = "no_reason"
    NOT_FRESH = "not_fresh"
    EXPIRED = "expired"
    STOPPING = "stopping"
    LANE_CLOSED = "lane_closed"
    LOCK_DOWN = "lock_down"
    EMULATOR = "emulator"
    EMERGENCY = "emergency"
    BARRIER = "barrier"
    BUSY = "busy"
    GRANT_NUMBERS = "grant_numbers"
    JOURNAL = "journal"


@dataclass(frozen=True, slots=True, kw_only=True)
class StaffRelease:
    """Staff on site order one release. Who sends it has verified signature, gate, freshness and that it comes once only.

    Attributes:
        staff: name of the key that signed.
        key: fingerprint of that key.
        user: who was at the socket, as the kernel says.
        reason: in the words of the staff.
        request: what the running agent gave for this one order; names it in the journal.
        expires_at_ns: monotonic; from then on the order is worth nothing.
    """

    staff: str
    key: str
    user: str
    direction: Direction
    reason: str
    request: str
    expires_at_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StaffRefused:
    """An order of staff that was not believed. Nothing in it is certain but `user`: it is recorded, and nothing else is done."""

    staff: str
    user: str
    direction: Direction
    reason: str
    request: str
    denial: StaffDenial
