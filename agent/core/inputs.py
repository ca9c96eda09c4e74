"""Everything that can happen to a lane, as values. The mailbox carries nothing else.

A time stamp in an input says when the thing happened (`captured_at_ns`: monotonic); when it is taken from the mailbox is the Moment
that `controller.step` receives beside it.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from agent.core.identity import Candidate, Direction, GrantNumber, TrackId
from agent.core.orders import StaffRefused, StaffRelease

# --- what the recognition thread sees -------------------------------------------------------------------------------------------


class SampleFault(StrEnum):
    """Why a sample was not compared (ISO/IEC 29794-5 words); each has a prompt for the person."""

    TOO_FAR = "too_far"  # too few pixels between the eyes
    TOO_CLOSE = "too_close"  # the face is cut off by the frame
    POSE = "pose"
    BLUR = "blur"
    DARK = "dark"
    BRIGHT = "bright"
    SEVERAL_FACES = "several_faces"
    OUTSIDE_LANE = "outside_lane"


class PadVerdict(StrEnum):
    BONA_FIDE = "bona_fide"
    ATTACK = "attack"
    INCONCLUSIVE = "inconclusive"
    OFF = "off"  # the configuration says so; a grant then needs none


@dataclass(frozen=True, slots=True)
class Pad:
    """Presentation attack detection of one probe: its continuous score is kept apart from the comparison score."""

    verdict: PadVerdict
    score: float | None = None


@dataclass(frozen=True, slots=True)
class SampleQuality:
    """Figures of the newest sample of a probe, in the units that an installer can act on."""

    eye_distance_px: float
    yaw: float  # share of the eye distance by which the nose is off the middle of the eyes, -1..1
    blur: float  # variance of the Laplacian on the aligned chip, grey levels squared
    brightness: float  # mean grey level of the face on the aligned chip, 0..255
    clipped: float  # share of pixels at 0..2 or 253..255, 0..1


@dataclass(frozen=True, slots=True)
class Box:
    """A face in the frame, pixels."""

    x0: float
    y0: float
    x1: float
    y1: float


@dataclass(frozen=True, slots=True)
class ProbeCompared:
    """A probe (templates of one track, fused) was compared with the whole roster.

    Attributes:
        captured_at_ns: monotonic time at which the newest frame in the probe was captured.
        track_started_ns: monotonic time of the first frame of the track.
        frames: how many templates are fused in the probe.
        candidates: the best of each of the two or more nearest people, best first; empty when nobody could be compared.
        threshold: the score from which a candidate counts as a match, computed for this roster's size.
        margin: by how much the first candidate must lead the second.
    """

    camera: str
    direction: Direction
    track: TrackId
    captured_at_ns: int
    track_started_ns: int
    frames: int
    candidates: tuple[Candidate, ...]
    threshold: float
    margin: float
    quality: SampleQuality
    pad: Pad
    box: Box
    roster_version: int
    pack: str


@dataclass(frozen=True, slots=True)
class SampleRefused:
    """A face was seen but its sample is not fit to compare."""

    camera: str
    direction: Direction
    track: TrackId
    captured_at_ns: int
    fault: SampleFault


@dataclass(frozen=True, slots=True)
class TrackLost:
    """A face that was followed is no longer in the lane's view (stepped back, or walked on).

    Attributes:
        captured_at_ns: monotonic time of the last frame that showed it; it is told some frames later, when it has stayed away.
    """

    camera: str
    track: TrackId
    captured_at_ns: int


@dataclass(frozen=True, slots=True)
class SubjectReplaced:
    """Another face stands where the followed one stood, or came between it and the barrier."""

    camera: str
    track: TrackId
    captured_at_ns: int


class CameraCondition(StrEnum):
    OK = "ok"
    ABSENT = "absent"
    FROZEN = "frozen"
    DARK = "dark"
    STALE = "stale"
    ENDED = "ended"  # a file camera came to its last frame


@dataclass(frozen=True, slots=True)
class CameraReported:
    camera: str
    direction: Direction
    condition: CameraCondition
    detail: str = ""


@dataclass(frozen=True, slots=True)
class RecognitionReported:
    """The recognition thread's own state: ready, or why not."""

    ready: bool
    detail: str = ""


# --- roster -----------------------------------------------------------------------------------------------------------------------


class CalibrationKind(StrEnum):
    PACK_DEFAULT = "pack-default"  # no FPIR claim; at most 300 people
    MEASURED = "measured"


@dataclass(frozen=True, slots=True)
class RosterLoaded:
    """A verified roster is in force; recognition compares with it from now on."""

    version: int
    people: int
    pack: str
    calibration: CalibrationKind
    threshold: float
    stale_after_s: int  # wall time, seconds since 1970: usable, but complain
    expires_s: int  # wall time: entry denies from here on


@dataclass(frozen=True, slots=True)
class RosterRefused:
    """An offered roster was not taken; the one in force stays."""

    reason: str  # a short code: rollback, tampered, expired, wrong_pack, ...
    detail: str


# --- barrier: what the controller says --------------------------------------------------------------------------------------------
# `happened_ns`: monotonic time at which the controller had it; long ago where its queue kept the event for an agent to come. None: now.


class ControllerKind(StrEnum):
    HARDWARE = "hardware"
    EMULATOR = "emulator"


class GrantOutcome(StrEnum):
    """What the controller remembers of the last grant that it took."""

    NONE = "none"  # it never took one
    OPEN = "open"  # released, nobody has started to pass
    PASSING = "passing"
    PASSED = "passed"
    NOT_PASSED = "not_passed"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"  # a board without a memory: it may have been used
    INTERRUPTED = "interrupted"  # its power went while it was released: nobody knows whether somebody passed


@dataclass(frozen=True, slots=True)
class BarrierConnected:
    """HELLO was exchanged and verified, the state was read, and the controller is armed."""

    controller: str
    firmware: str
    kind: ControllerKind
    authenticated: bool  # the link carries a keyed MAC
    highest_grant: GrantNumber
    last_outcome: GrantOutcome  # of highest_grant
    passage_counter: int | None  # all passages ever, both directions; None: a board that keeps no count
    emergency: bool


@dataclass(frozen=True, slots=True)
class BarrierLost:
    """The serial port or the lease is gone; the driver keeps trying."""

    detail: str


@dataclass(frozen=True, slots=True)
class ReleaseAccepted:
    grant: GrantNumber


@dataclass(frozen=True, slots=True)
class ReleaseRefused:
    """The controller would not, or the driver did not, because the grant had expired."""

    grant: GrantNumber
    reason: str


@dataclass(frozen=True, slots=True)
class PassageStarted:
    grant: GrantNumber  # NO_GRANT: under request-to-exit or emergency
    direction: Direction


@dataclass(frozen=True, slots=True)
class PassageCompleted:
    grant: GrantNumber
    direction: Direction
    passage_counter: int | None
    happened_ns: int | None = field(default=None, compare=False)


class ReleaseEnd(StrEnum):
    WINDOW_PASSED = "window_passed"
    CANCELLED = "cancelled"
    TURNED_BACK = "turned_back"  # a passage started and went back
    UNSEEN = "unseen"  # no contact tells whether somebody passed


@dataclass(frozen=True, slots=True)
class ReleaseEnded:
    """The release is over without a passage, or without anything to tell of one; the barrier is at rest again."""

    grant: GrantNumber
    cause: ReleaseEnd


@dataclass(frozen=True, slots=True)
class CancelTooLate:
    grant: GrantNumber


@dataclass(frozen=True, slots=True)
class RequestToExitUsed:
    """Somebody pressed the button; the controller has let them out without asking."""

    happened_ns: int | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class EmergencyRaised:
    """The fire input opened the lane; the host is told, not asked."""

    happened_ns: int | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class EmergencyCleared:
    """The fire input is normal again and a person on site has re-armed the controller."""


class BarrierAlarm(StrEnum):
    FORCED_OPEN = "forced_open"
    HELD_OPEN = "held_open"
    TAILGATING = "tailgating"
    REVERSE_PASSAGE = "reverse_passage"
    TAMPER = "tamper"


@dataclass(frozen=True, slots=True)
class BarrierAlarmed:
    alarm: BarrierAlarm
    grant: GrantNumber
    happened_ns: int | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class BarrierFaulted:
    """The controller reports a fault of its own, or that it is gone (`active` False)."""

    fault: str
    active: bool
    happened_ns: int | None = field(default=None, compare=False)


# --- journal, uplink, staff, time -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class JournalReported:
    """The journal took a commit, or could not, or took too long for the budget."""

    ready: bool
    commit_ms: float
    detail: str = ""


@dataclass(frozen=True, slots=True)
class EventsAcknowledged:
    """The consumer holds everything of this epoch up to and including `seq`, and its chain ended in `head` there."""

    epoch: str
    seq: int
    head: str


@dataclass(frozen=True, slots=True)
class UplinkReported:
    connected: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class LockDownSet:
    on: bool
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class ControlSocketSilent:
    """Its thread does not turn any more, so staff can say nothing on site."""

    detail: str


@dataclass(frozen=True, slots=True)
class Tick:
    """A deadline that `controller.next_deadline_ns` named has come, or nothing happened for a while."""


@dataclass(frozen=True, slots=True)
class StopRequested:
    reason: str


RecognitionInput = ProbeCompared | SampleRefused | TrackLost | SubjectReplaced | CameraReported | RecognitionReported
RosterInput = RosterLoaded | RosterRefused
BarrierInput = (
    BarrierConnected
    | BarrierLost
    | ReleaseAccepted
    | ReleaseRefused
    | PassageStarted
    | PassageCompleted
    | ReleaseEnded
    | CancelTooLate
    | RequestToExitUsed
    | EmergencyRaised
    | EmergencyCleared
    | BarrierAlarmed
    | BarrierFaulted
)
StaffInput = LockDownSet | StaffRelease | StaffRefused | ControlSocketSilent
HouseInput = JournalReported | EventsAcknowledged | UplinkReported | StaffInput | Tick | StopRequested
Input = RecognitionInput | RosterInput | BarrierInput | HouseInput
