"""Where a lane speaks on the broker. A simulated lane speaks below another root, which the production broker's ACL grants to nobody.

gate/v1/{site}/{gate}/event        the gate: one CloudEvent for each journal row, in order
gate/v1/{site}/{gate}/state        the gate, retained: online or offline (birth and will)
gate/v1/{site}/{gate}/ack          the centre, retained: {"epoch", "seq", "head"} up to which it holds everything
gate-sim/v1/{site}/{gate}/...      the same for a simulated lane
"""

import re
from dataclasses import dataclass

ROOT = "gate/v1"
SIMULATION_ROOT = "gate-sim/v1"
NAME_LIMIT = 64
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)


def is_name(text: str) -> bool:
    """Whether a site's or gate's name can stand in a topic, a certificate's name and an ACL: letters, digits, '.', '_' and '-'."""
    return _NAME.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Lane:
    """Who speaks: the names of site and gate, and whether the lane is simulated."""

    site: str
    gate: str
    simulation: bool

    def __post_init__(self) -> None:
        for name in (self.site, self.gate):
            if not is_name(name):
                raise ValueError(f"the name {name!r} must be 1 to {NAME_LIMIT} letters, digits, '.', '_' or '-'")

    @property
    def source(self) -> str:
        """The CloudEvents source."""
        return f"/{'gate-sim' if self.simulation else 'gate'}/{self.site}/{self.gate}"

    @property
    def event(self) -> str:
        return f"{self._root}/event"

    @property
    def state(self) -> str:
        return f"{self._root}/state"

    @property
    def ack(self) -> str:
        return f"{self._root}/ack"

    @property
    def _root(self) -> str:
        return f"{SIMULATION_ROOT if self.simulation else ROOT}/{self.site}/{self.gate}"


def all_events(*, simulation: bool) -> str:
    """The subscription that holds every gate's events."""
    return f"{SIMULATION_ROOT if simulation else ROOT}/+/+/event"


def all_states(*, simulation: bool) -> str:
    """The subscription that holds every gate's presence."""
    return f"{SIMULATION_ROOT if simulation else ROOT}/+/+/state"


def lane_of(topic: str) -> Lane | None:
    """Who an event or state topic belongs to; None where it is neither."""
    match topic.split("/"):
        case ["gate" | "gate-sim" as root, "v1", site, gate, "event" | "state"] if is_name(site) and is_name(gate):
            return Lane(site, gate, root == "gate-sim")
        case _:
            return None
