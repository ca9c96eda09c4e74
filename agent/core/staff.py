"""May staff let somebody through, here, this way, now? An ordered table of rules; the first that has a reason to deny decides.

The order is signed, unexpired and counts once (safety rule 7): the control socket has verified that. It stands for the identification of
a person, so what only recognition needs (camera, roster, models, the wall clock) is not asked here. The controller judges its own faults.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

from agent.core import passage
from agent.core.effects import Effect, Phase
from agent.core.events import EventType
from agent.core.identity import Direction
from agent.core.inputs import Input
from agent.core.lane import StaffGranted, next_grant, record
from agent.core.orders import StaffDenial, StaffRefused, StaffRelease
from agent.core.rules import GRANT_LIFE_NS, Now
from agent.core.state import State, Stepped

MEANINGS: Mapping[StaffDenial, str] = MappingProxyType(
    {
        StaffDenial.UNKNOWN_KEY: "No key of that name is installed here, or its file may be changed by others.",
        StaffDenial.WRONG_SIGNATURE: "The order was not signed with that key, or was changed afterwards.",
        StaffDenial.OTHER_GATE: "The order is for another gate.",
        StaffDenial.NO_REASON: "The order gives no reason, or one that is too long or has characters that cannot be printed.",
        StaffDenial.NOT_FRESH: "The order does not carry what this agent gave for it, or was used before: a replay.",
        StaffDenial.EXPIRED: "The order's time is over, or lies further ahead than the agent allows.",
        StaffDenial.STOPPING: "The agent is about to stop.",
        StaffDenial.LANE_CLOSED: "The lane is closed for entry by its configuration.",
        StaffDenial.LOCK_DOWN: "Entry is locked down.",
        StaffDenial.EMULATOR: "The controller is an emulator, which is for simulations only.",
        StaffDenial.EMERGENCY: "An emergency has opened the lane: everybody may go.",
        StaffDenial.BARRIER: "No controller was read and armed; service.closed says why.",
        StaffDenial.BUSY: "A grant owns the lane until its passage ends.",
        StaffDenial.GRANT_NUMBERS: "All grant numbers are used up.",
        StaffDenial.JOURNAL: "The journal takes no rows, so a release could not be recorded.",
    }
)

# Those that are not judged here are the control socket's.
_RULES: tuple[tuple[StaffDenial, Callable[[State, StaffRelease, Now], bool]], ...] = (
    (StaffDenial.EXPIRED, lambda _, order, now: now.ns >= order.expires_at_ns),
    (StaffDenial.STOPPING, lambda state, _, __: state.stopping),
    (StaffDenial.LANE_CLOSED, lambda _, order, now: order.direction is Direction.ENTRY and now.rules.closed),
    (StaffDenial.LOCK_DOWN, lambda state, order, _: order.direction is Direction.ENTRY and state.health.lock_down),
    (StaffDenial.EMULATOR, lambda state, _, now: state.health.emulated and not now.rules.simulation),
    (StaffDenial.EMERGENCY, lambda state, _, __: state.lane.phase is Phase.EMERGENCY),
    (StaffDenial.BARRIER, lambda state, _, __: state.lane.phase is Phase.UNREADY),
    (StaffDenial.BUSY, lambda state, _, __: state.lane.phase is not Phase.SECURED),
    (StaffDenial.GRANT_NUMBERS, lambda state, _, __: next_grant(state.lane) is None),
    (StaffDenial.JOURNAL, lambda state, _, __: not state.health.journal_ready),
)


def answer(state: State, given: Input, now: Now) -> Stepped:
    """What an order of staff comes to: a grant that is recorded and released, or a denial that is recorded."""
    match given:
        case StaffRelease():
            denial = next((denial for denial, holds in _RULES if holds(state, given, now)), None)
            return _grant(state, given, now) if denial is None else (state, (_denied(given, denial, now),))
        case StaffRefused(denial=denial):
            return state, (_denied(given, denial, now),)
        case _:
            return state, ()


def _grant(state: State, order: StaffRelease, now: Now) -> Stepped:
    number = next_grant(state.lane)
    if number is None:
        return state, (_denied(order, StaffDenial.GRANT_NUMBERS, now),)
    granted = StaffGranted(number, order, min(order.expires_at_ns, now.ns + GRANT_LIFE_NS))
    lane, effects = passage.advance(state.lane, granted, now)
    return replace(state, lane=lane), effects


def _denied(order: StaffRelease | StaffRefused, denial: StaffDenial, now: Now) -> Effect:
    return record(
        EventType.STAFF_DENIED,
        now,
        denial=denial,
        staff=order.staff,
        user=order.user,
        direction=order.direction,
        reason=order.reason,
        request=order.request,
    )


def markdown() -> str:
    """The table of denials for docs/EVENTS.md."""
    lines = ["| denial | meaning |", "|---|---|", *(f"| `{denial}` | {MEANINGS[denial]} |" for denial in StaffDenial)]
    return "\n".join(lines) + "\n"
