"""What the core needs of the configuration, and the moment's view that every action gets."""

from dataclasses import dataclass

from agent.core.identity import Area, Direction
from agent.core.moment import NS_PER_MS, NS_PER_S, Moment

GRANT_LIFE_NS = NS_PER_S  # a grant expires this long after its newest frame (HOUSE section 4); an older probe decides nothing
ANSWER_NS = 2 * NS_PER_S  # longest that a controller in good health leaves a command without an answer: its lease (safety rule 1)
PASSING_LIMIT_NS = 30 * NS_PER_S  # a passage takes 2 to 5 s and is an alarm (held open) long before; then the lane is not believed any more


@dataclass(frozen=True, slots=True)
class CameraPlace:
    """A camera and the way that the people in its view want to go."""

    name: str
    direction: Direction


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """One lane's configuration, as far as the core needs it. Field names are the keys of the configuration.

    Attributes:
        cameras: one or two, each with its own direction; a direction without a camera is not served by faces.
        outside: area from which entry leads and to which exit leads.
        frames: templates that must be fused in a probe before a grant.
        pad_required: False lets a probe pass for which no presentation attack detection ran; it has to be written, and is shown everywhere.
    """

    version: str
    simulation: bool
    pad_required: bool
    cameras: tuple[CameraPlace, ...]
    outside: Area
    inside: Area
    closed: bool
    anti_passback: bool
    anti_passback_reset_min: int
    frames: int
    release_window_ms: int
    attempt_ms: int
    cool_down_ms: int
    subject_lost_ms: int
    commit_budget_ms: float

    def direction_of(self, camera: str) -> Direction | None:
        return next((place.direction for place in self.cameras if place.name == camera), None)

    def serves(self, direction: Direction) -> bool:
        return any(place.direction is direction for place in self.cameras)

    @property
    def release_limit_ns(self) -> int:
        """From a decision to the time by which the controller must have said how the release ended."""
        return GRANT_LIFE_NS + self.release_window_ms * NS_PER_MS + ANSWER_NS


@dataclass(frozen=True, slots=True)
class Now:
    """What is fixed during one step."""

    rules: Rules
    moment: Moment

    @property
    def ns(self) -> int:
        return self.moment.monotonic_ns
