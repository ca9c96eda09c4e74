"""What the lane's one lamp and tone show: the prompts of both directions as INDICATE, for a controller that has a lamp."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from agent.core.effects import Prompt
from agent.core.identity import Direction
from firmware_bridge.limits import MAX_WINDOW_MS
from firmware_bridge.link import HostLink
from firmware_bridge.vocabulary import Capability, Lamp, Tone


@dataclass(frozen=True, slots=True)
class Sign:
    """What the lane's one lamp and tone show, and for how long (0: until something else). An order may be lost: none outlives its cause."""

    lamp: Lamp
    tone: Tone
    duration_ms: int


_WAIT: Final = Sign(Lamp.WAIT, Tone.OFF, 5_000)  # an attempt's longest time
_NO: Final = Sign(Lamp.STOP, Tone.DENIED, 3_000)  # long enough to be seen, over before the next person
SIGNS: Final[Mapping[Prompt, Sign]] = MappingProxyType(
    {  # in this order where the two directions differ: there is one lamp
        Prompt.GO: Sign(Lamp.GO, Tone.GRANTED, MAX_WINDOW_MS),
        Prompt.DENIED: _NO,
        Prompt.SEE_STAFF: _NO,
        Prompt.COME_CLOSER: _WAIT,
        Prompt.STEP_BACK: _WAIT,
        Prompt.LOOK_AHEAD: _WAIT,
        Prompt.HOLD_STILL: _WAIT,
        Prompt.ONE_PERSON: _WAIT,
        Prompt.OUT_OF_SERVICE: Sign(Lamp.STOP, Tone.OFF, 0),
        Prompt.IDLE: Sign(Lamp.OFF, Tone.OFF, 0),
    }
)


class LampOrders:
    """Sends what changes, while the controller is armed; it puts the lamp out itself with a session, a lease or an emergency."""

    def __init__(self, link: HostLink) -> None:
        self._link = link
        self._prompts: dict[Direction, Prompt] = {}
        self._lit: Sign | None = None  # as last sent
        self._has_lamp = False

    def prompt(self, direction: Direction, prompt: Prompt) -> None:
        self._prompts[direction] = prompt
        self._show()

    def armed(self, capabilities: Capability) -> None:
        """A session begins to be of use: say anew what is to be seen."""
        self._has_lamp = bool(capabilities & Capability.INDICATE)
        self._lit = None
        self._show()

    def lost(self) -> None:
        self._has_lamp = False

    def _show(self) -> None:
        sign = SIGNS[next((prompt for prompt in SIGNS if prompt in self._prompts.values()), Prompt.IDLE)]
        if self._has_lamp and sign is not self._lit:
            self._lit = sign
            self._link.indicate(lamp=sign.lamp, tone=sign.tone, duration_ms=sign.duration_ms)
