"""What each kind of hardware keeps of the controller's safety rules (docs/SAFETY.md): one literal table each.

Every rule that a kind does not keep has a sentence for the person who signs for the gate. `gate-agent check` prints them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from firmware_bridge.vocabulary import Direction


class Keeping(StrEnum):
    """Who keeps a rule."""

    KEPT = "kept"  # by the board, alone
    ELSEWHERE = "elsewhere"  # not by the board: by this program while it runs, or by the turnstile's own logic
    LOST = "lost"  # by nobody


@dataclass(frozen=True, slots=True)
class RuleKept:
    """One safety rule with one kind of hardware. `meaning` is a whole sentence for a person."""

    rule: int
    keeping: Keeping
    meaning: str


@dataclass(frozen=True, slots=True)
class Assurance:
    """Rules 1 to 6 and 8, in order: those that concern a controller."""

    hardware: str
    rules: tuple[RuleKept, ...]

    @property
    def not_kept(self) -> tuple[RuleKept, ...]:
        return tuple(rule for rule in self.rules if rule.keeping is not Keeping.KEPT)


CONCERNED_RULES: Final = (1, 2, 3, 4, 5, 6, 8)

CONTROLLER: Final = Assurance(
    "the controller",
    (
        RuleKept(1, Keeping.KEPT, "The controller times pulse and window itself, and holds a lease of two seconds."),
        RuleKept(2, Keeping.KEPT, "The controller takes each grant number once, also over a restart, and refuses a late release."),
        RuleKept(3, Keeping.KEPT, "Without the lease it releases nobody; no leaf closes while a beam is broken."),
        RuleKept(4, Keeping.KEPT, "Request to exit and emergency release need no host."),
        RuleKept(5, Keeping.KEPT, "After power-on and reset it rests in the fail mode of each direction until it is armed."),
        RuleKept(6, Keeping.KEPT, "Its counter of passages survives power loss."),
        RuleKept(8, Keeping.KEPT, "Releases carry a keyed tag over the nonces of the session."),
    ),
)

_WINDOW_ELSEWHERE: Final = (
    "the window for walking through is the turnstile's own: this program only watches it, and cannot take a release back; "
    "there is no lease, so the board would obey a program that no longer knows what happens in the lane."
)
_ONCE_ELSEWHERE: Final = (
    "This program alone sees to it that one grant opens once: by the journal, which holds the grant before the output is written. "
    "The board has no memory: bytes that are written to its line again open again, at any time."
)
_BELIEF_LOST: Final = (
    "Nobody compares what this program believes with what the lane does. That no leaf closes on a person, "
    "and that whoever stands between can go back, must be done by the turnstile's own logic."
)
_OWN_LOGIC: Final = "Request to exit and the fire input must be wired to the turnstile's own logic, never through this computer."
_EXIT_ELSEWHERE: Final = f"{_OWN_LOGIC} When the fire input clears, the lane serves again by itself: nobody on site is asked."
_FIRE_UNTOLD: Final = f"{_OWN_LOGIC} This program is not told of a fire: it goes on granting entry."
_REST_ELSEWHERE: Final = (
    "After power-on the outputs are as the maker of the board has set them; the rest position is the turnstile's own. "
    "There is no arming: the board obeys as soon as it has power."
)
_COUNTS_NOT: Final = (
    "Nobody counts passages while this program does not run. A passage that happens then is in no record, and no gap will show it."
)
_COUNTER_LOST: Final = (
    f"{_COUNTS_NOT} While it runs, a passage is seen once the contact behind the person has closed: whoever walks through on a grant "
    "is taken for the one who has it unless another face was seen, and two who walk as one are one."
)

OSDP: Final = Assurance(
    "an OSDP output board",
    (
        RuleKept(1, Keeping.ELSEWHERE, f"The board times the pulse; {_WINDOW_ELSEWHERE}"),
        RuleKept(
            2,
            Keeping.ELSEWHERE,
            "This program alone sees to it that one grant opens once: by the journal, which holds the grant before the output is "
            "written. The board has no memory of grants and no clock: a command that lies before it while it hangs opens when it goes on.",
        ),
        RuleKept(3, Keeping.LOST, _BELIEF_LOST),
        RuleKept(4, Keeping.ELSEWHERE, _EXIT_ELSEWHERE),
        RuleKept(5, Keeping.ELSEWHERE, _REST_ELSEWHERE),
        RuleKept(6, Keeping.LOST, _COUNTER_LOST),
        RuleKept(
            8,
            Keeping.ELSEWHERE,
            "This program sends commands through the secure channel of OSDP only, with the key of this gate. That the board refuses all "
            "others is its maker's word: a board built on libosdp 3.2.9 obeys whoever reaches its two wires while the channel is up. "
            "Keep the line inside the cabinet.",
        ),
    ),
)

_NO_AUTHENTICATION: Final = (
    "Nothing on this line is authenticated: whoever reaches its two wires can open the lane. It must stay inside the cabinet."
)

MODBUS: Final = Assurance(
    "a Modbus relay board",
    (
        RuleKept(1, Keeping.ELSEWHERE, f"The board times the pulse; {_WINDOW_ELSEWHERE}"),
        RuleKept(2, Keeping.ELSEWHERE, _ONCE_ELSEWHERE),
        RuleKept(3, Keeping.LOST, _BELIEF_LOST),
        RuleKept(4, Keeping.ELSEWHERE, _EXIT_ELSEWHERE),
        RuleKept(5, Keeping.ELSEWHERE, _REST_ELSEWHERE),
        RuleKept(6, Keeping.LOST, _COUNTER_LOST),
        RuleKept(8, Keeping.LOST, _NO_AUTHENTICATION),
    ),
)

RELAY: Final = Assurance(
    "a plain relay",
    (
        RuleKept(
            1,
            Keeping.LOST,
            "This program times the pulse: if it ends, or the line is lost, between ON and OFF, the relay stays on and may hold the "
            "lane open until somebody comes. The relay answers nothing, so a release that went wrong looks like one that went well; "
            "noise on the line can switch it (40 of 300,000 damaged OFF frames were taken as ON).",
        ),
        RuleKept(2, Keeping.ELSEWHERE, _ONCE_ELSEWHERE),
        RuleKept(3, Keeping.LOST, _BELIEF_LOST),
        RuleKept(4, Keeping.ELSEWHERE, _FIRE_UNTOLD),
        RuleKept(5, Keeping.LOST, "Nothing leads the relay back to rest; after a loss of power it is as its maker made it."),
        RuleKept(
            6,
            Keeping.LOST,
            "Nobody sees who walks through. Every passage is recorded as unconfirmed, tailgating and forced entry are not seen, "
            "and anti-passback cannot be relied on.",
        ),
        RuleKept(8, Keeping.LOST, _NO_AUTHENTICATION),
    ),
)


def as_wired(board: Assurance, *, fire: bool, unseen: Sequence[str]) -> Assurance:
    """The table of a board that reads contacts, with what is lost where one is not wired.

    Args:
        board: of OSDP or MODBUS, as it is with every contact wired.
        fire: whether the fire contact is wired to the board.
        unseen: the directions that have no contact behind the person.
    """
    changed: dict[int, str] = {}
    if not fire:
        changed[4] = _FIRE_UNTOLD
    if unseen:
        seen = _COUNTS_NOT if len(unseen) == len(Direction) else _COUNTER_LOST
        changed[6] = (
            f"{seen} For {' and '.join(unseen)} no contact is wired: nobody sees who walks through, each grant there is recorded as "
            "unconfirmed, tailgating and forced entry are not seen, and anti-passback cannot be relied on."
        )
    return replace(board, rules=tuple(replace(rule, meaning=changed.get(rule.rule, rule.meaning)) for rule in board.rules))
