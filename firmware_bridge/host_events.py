"""What the host's end of the link tells its owner."""

from dataclasses import dataclass

from firmware_bridge.errors import Rejected
from firmware_bridge.messages import CancelAck, Fact, Health, HelloReply, Refused, ReleaseAck, State
from firmware_bridge.vocabulary import Refusal


@dataclass(frozen=True, slots=True)
class Connected:
    """HELLO is exchanged and proven. The state follows; nothing is armed."""

    hello: HelloReply
    keyed: bool


@dataclass(frozen=True, slots=True)
class LinkRefused:
    """One side will not work with the other. Trying again helps only after somebody has changed something."""

    reason: str


@dataclass(frozen=True, slots=True)
class Lost:
    """No session any more, or none came about. The owner calls `connect` again."""

    reason: str


@dataclass(frozen=True, slots=True)
class StateRead:
    state: State


@dataclass(frozen=True, slots=True)
class Armed:
    pass


@dataclass(frozen=True, slots=True)
class ArmRefused:
    refusal: Refusal


@dataclass(frozen=True, slots=True)
class ReleaseAnswered:
    ack: ReleaseAck


@dataclass(frozen=True, slots=True)
class ReleaseNotSent:
    """The release was never written: its time had passed, or there was no session. It cannot have any effect."""

    grant_number: int
    reason: str


@dataclass(frozen=True, slots=True)
class ReleaseUnanswered:
    """Written, and no answer before its time had passed. The link now cancels it, and CancelAnswered tells what had happened."""

    grant_number: int


@dataclass(frozen=True, slots=True)
class CancelAnswered:
    ack: CancelAck


@dataclass(frozen=True, slots=True)
class Happened:
    """An event of the controller, each one once and in order. Call `acknowledge(event.event_number)` when it is safe."""

    event: Fact
    happened_ns: int  # on the host's clock


@dataclass(frozen=True, slots=True)
class EventsLost:
    """The controller had to give up events while no host was there. The passage counters tell how many people passed."""

    count: int


@dataclass(frozen=True, slots=True)
class HealthRead:
    health: Health


@dataclass(frozen=True, slots=True)
class NotDone:
    """A command that the controller understands and does not carry out."""

    answer: Refused


@dataclass(frozen=True, slots=True)
class FrameRefused:
    rejected: Rejected


HostEvent = (
    Connected
    | LinkRefused
    | Lost
    | StateRead
    | Armed
    | ArmRefused
    | ReleaseAnswered
    | ReleaseNotSent
    | ReleaseUnanswered
    | CancelAnswered
    | Happened
    | EventsLost
    | HealthRead
    | NotDone
    | FrameRefused
)
