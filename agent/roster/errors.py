"""The one error of this package: a roster was not taken, with a short code for programs and a sentence for people."""

from enum import StrEnum

from agent.errors import GateError


class Reason(StrEnum):
    """Why a roster was not taken. The code stands in the event `roster.refused`; docs/ROSTER.md says what to do for each."""

    UNREADABLE = "unreadable"  # a file is missing, cannot be read, or is not what its name says
    MALFORMED = "malformed"  # signed, but the document breaks a rule of its format
    TAMPERED = "tampered"  # a file is not the one that was signed
    WRONG_ROOT = "wrong_root"  # signed by keys that this gate's root does not name (any more)
    ROLLBACK = "rollback"  # older than what this gate has seen
    FREEZE = "freeze"  # nobody confirms any more that it is the newest
    EXPIRED = "expired"
    FUTURE = "future"  # issued later than the steered clock of this gate
    TOO_LARGE = "too_large"
    TOO_MANY_PEOPLE = "too_many_people"  # more than its calibration record permits
    SIMULATION = "simulation"  # of made-up people, and this gate is in service
    WRONG_SITE = "wrong_site"
    WRONG_PACK = "wrong_pack"
    WRONG_KEY = "wrong_key"  # encrypted under another site key
    NOT_IMPLEMENTED = "not_implemented"  # a part of the format that this version does not carry out
    DAMAGED_STORE = "damaged_store"  # the gate's own trust.db
    NOT_STORED = "not_stored"  # verified, but the disk would not take it
    INTERNAL = "internal"  # a mistake in this program


class RosterError(GateError):
    """A roster, its key or its store is not fit for use.

    Attributes:
        reason: the short code.
    """

    def __init__(self, reason: Reason, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason
