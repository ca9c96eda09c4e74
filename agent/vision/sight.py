"""What goes into and comes out of looking at one frame, as values."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from agent.core.identity import Direction, TrackId
from agent.core.inputs import RecognitionInput, SampleFault, SampleQuality
from agent.vision.evidence import Evidence
from agent.vision.frame import U8, Frame
from agent.vision.region import Face, Region
from agent.vision.tracker import Track, Tracks

SEARCH_EVERY = 5
"""A frame in so many is searched whole even while known faces are followed: who comes into view is seen within a third of a second."""


@dataclass(frozen=True, slots=True)
class CameraState:
    """What is remembered of one camera between frames.

    Attributes:
        hidden: tracks that ended lately within the picture.
        evidence: of each live track that was compared, and of the watched one for as long as it is watched.
    """

    tracks: Tracks = field(default_factory=Tracks)
    evidence: Mapping[TrackId, Evidence] = field(default_factory=lambda: MappingProxyType({}))
    since_search: int = SEARCH_EVERY
    hidden: tuple[Track, ...] = ()

    def remembering(self, track: TrackId, evidence: Evidence) -> "CameraState":
        return replace(self, evidence=MappingProxyType({**self.evidence, track: evidence}))

    def forgetting(self, track: TrackId) -> "CameraState":
        return replace(self, evidence=MappingProxyType({each: kept for each, kept in self.evidence.items() if each != track}))


@dataclass(frozen=True, slots=True)
class View:
    """Figures of the nearest face, for whoever installs the camera. No face and no name is in it.

    Attributes:
        faces: in the whole picture.
        at: the middle of the eyes, shares of the frame's width and height.
        in_lane: whether it is in the region.
        quality, fault: None where nothing was measured, and where it is fit.
    """

    faces: int
    at: tuple[float, float]
    in_lane: bool
    eye_px: float
    quality: SampleQuality | None = None
    fault: SampleFault | None = None


@dataclass(frozen=True, slots=True)
class Sight:
    """What came of one frame.

    Attributes:
        inputs: for the core, in order.
        view: None where no face was judged.
    """

    state: CameraState
    inputs: tuple[RecognitionInput, ...]
    view: View | None = None


@dataclass(frozen=True, slots=True)
class About:
    """What every input about one frame carries, and whom of the frame it can be about."""

    camera: str
    direction: Direction
    frame: Frame
    region: Region
    faces: tuple[Face, ...]

    @property
    def captured_at_ns(self) -> int:
        return self.frame.captured_at_ns

    @property
    def image(self) -> U8:
        return self.frame.image

    @property
    def inside(self) -> tuple[Face, ...]:
        """The faces in the lane's region."""
        return tuple(face for face in self.faces if self.region.holds(face.at))

    def face(self, track: TrackId) -> Face | None:
        return next((face for face in self.faces if face.track.id == track), None)
