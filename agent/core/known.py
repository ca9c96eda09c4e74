"""What the journal knows from before this start; the core begins with it."""

from collections.abc import Mapping
from dataclasses import dataclass

from agent.core.identity import NO_GRANT, Direction, GrantNumber, PersonId


@dataclass(frozen=True, slots=True)
class OpenGrant:
    """A grant that the journal holds with neither passage nor end: the agent was stopped between the two."""

    grant: GrantNumber
    person: PersonId | None  # None: staff let somebody through
    direction: Direction


@dataclass(frozen=True, slots=True)
class LastKnown:
    """Read once at the start.

    Attributes:
        highest_grant: highest grant number ever recorded; NO_GRANT if none.
        open_grant: the grant whose end is not recorded, if there is one.
        passage_counter: the controller's count at the last event that carried one; None if none did.
        last_passage: per person the direction of the last confirmed passage, for anti-passback.
        lock_down: as stored; it survives a restart.
    """

    highest_grant: GrantNumber = NO_GRANT
    open_grant: OpenGrant | None = None
    passage_counter: int | None = None
    last_passage: Mapping[PersonId, Direction] | None = None
    lock_down: bool = False
