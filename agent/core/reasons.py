"""Why an attempt ends without a grant. The table in the documents is printed from here."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from agent.core.effects import Prompt


class DenyReason(StrEnum):
    """In the order in which they are judged: the first that holds is the one recorded."""

    LANE_CLOSED = "lane_closed"
    LOCK_DOWN = "lock_down"
    ROSTER_EXPIRED = "roster_expired"
    CLOCK_UNKNOWN = "clock_unknown"
    OUT_OF_SERVICE = "out_of_service"
    QUALITY = "quality"
    PRESENTATION_ATTACK = "presentation_attack"
    NO_CANDIDATE = "no_candidate"
    AMBIGUOUS = "ambiguous"
    PAD_INCONCLUSIVE = "pad_inconclusive"
    NOT_YET_VALID = "not_yet_valid"
    LAPSED = "lapsed"
    SUSPENDED = "suspended"
    SCHEDULE = "schedule"
    AREA = "area"
    ANTI_PASSBACK = "anti_passback"


@dataclass(frozen=True, slots=True)
class ReasonSpec:
    """What a reason means.

    Attributes:
        bars_exit: whether it can also refuse the way out by face; the exit button needs no face and is never refused.
    """

    meaning: str
    prompt: Prompt
    bars_exit: bool = False


REASONS: Mapping[DenyReason, ReasonSpec] = {
    DenyReason.LANE_CLOSED: ReasonSpec("The lane is closed for entry by its configuration.", Prompt.OUT_OF_SERVICE),
    DenyReason.LOCK_DOWN: ReasonSpec("Entry is locked down.", Prompt.OUT_OF_SERVICE),
    DenyReason.ROSTER_EXPIRED: ReasonSpec("The roster in force has expired.", Prompt.OUT_OF_SERVICE),
    DenyReason.CLOCK_UNKNOWN: ReasonSpec("The wall clock cannot be trusted, so validity and schedules cannot be judged.", Prompt.SEE_STAFF),
    DenyReason.OUT_OF_SERVICE: ReasonSpec(
        "Something that this direction needs is missing; service.closed says what.", Prompt.OUT_OF_SERVICE, bars_exit=True
    ),
    DenyReason.QUALITY: ReasonSpec("Too few samples were fit to compare.", Prompt.LOOK_AHEAD, bars_exit=True),
    DenyReason.PRESENTATION_ATTACK: ReasonSpec(
        "Presentation attack detection says that this is not a live face.", Prompt.SEE_STAFF, bars_exit=True
    ),
    DenyReason.NO_CANDIDATE: ReasonSpec("Nobody on the roster is alike enough.", Prompt.DENIED, bars_exit=True),
    DenyReason.AMBIGUOUS: ReasonSpec(
        "Two people on the roster are too nearly alike, or the best candidate changed during the attempt.", Prompt.SEE_STAFF, bars_exit=True
    ),
    DenyReason.PAD_INCONCLUSIVE: ReasonSpec(
        "Presentation attack detection is required and did not say that the face is live.", Prompt.HOLD_STILL, bars_exit=True
    ),
    DenyReason.NOT_YET_VALID: ReasonSpec("The person's access has not begun.", Prompt.SEE_STAFF),
    DenyReason.LAPSED: ReasonSpec("The person's access is over.", Prompt.SEE_STAFF),
    DenyReason.SUSPENDED: ReasonSpec("The person's access is suspended.", Prompt.SEE_STAFF),
    DenyReason.SCHEDULE: ReasonSpec("The person may go this way, but not at this time.", Prompt.DENIED),
    DenyReason.AREA: ReasonSpec(
        "No access level of the person leads this way, and the person did not come in here.", Prompt.DENIED, bars_exit=True
    ),
    DenyReason.ANTI_PASSBACK: ReasonSpec("The person's last confirmed passage here was an entry.", Prompt.SEE_STAFF),
}


def markdown() -> str:
    """The table of reasons for docs/EVENTS.md."""
    lines = ["| reason | meaning | can refuse the way out by face | shown |", "|---|---|---|---|"]
    for reason, spec in REASONS.items():
        lines.append(f"| `{reason}` | {spec.meaning} | {'yes' if spec.bars_exit else 'no'} | {spec.prompt} |")
    return "\n".join(lines) + "\n"
