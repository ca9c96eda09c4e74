"""Who of those in view is the subject: in the lane's part of the picture and within its distance band, nearest, and alone there. Pure.

What a camera sees beside the lane (a queue, the next lane, a picture on the wall) is nobody's concern: such a face is never compared,
never earns a grant and never hinders one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agent.vision.frame import F32
from agent.vision.tracker import Track, overlaps

NEIGHBOUR_SIZE = 0.7
"""A second face of this part of the subject's size stands as near to the barrier as makes no difference, however far both are away."""

ARM_SIZE = 0.5
"""A second face within the distance band counts from this part of the subject's size: a picture that somebody holds at arm's length
before their own face is about twice as large as that face."""

BEFORE_SIZE = 1.2
"""A face so much larger than the subject's belongs to somebody who stands before them."""

HIDDEN_NS = 1_000_000_000
"""So long somebody who stood before the subject, and did not leave the picture, is taken to stand there with their face hidden."""

GOES_NS = 150_000_000
"""A face that would reach the edge of the picture within this time, as it moved last, has left it."""

BESIDE_SIZE = 0.85
"""A face of this part of the watched one's size has come up to it: nobody knows which of the two will pass."""

LEFT_SPARE = 0.1
"""Share of the frame by which a watched person may be outside the region: a landmark trembles, and who walks through leaves it anyway."""

BACK_SIZE = 0.7
"""A watched person with fewer than this part of the band's least pixels between the eyes has stepped back from the barrier."""


@dataclass(frozen=True, slots=True)
class Face:
    """A face of the frame at hand, on its track.

    Attributes:
        landmarks: (5, 2) pixels.
        at: the middle of the eyes, shares of the frame's width and height.
    """

    track: Track
    landmarks: F32
    at: tuple[float, float]

    @property
    def eye_px(self) -> float:
        (x0, y0), (x1, y1) = self.landmarks[0].tolist(), self.landmarks[1].tolist()
        return float(np.hypot(x1 - x0, y1 - y0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """The lane in one camera's picture; the keys of the configuration's [[camera]] say the same in words.

    Attributes:
        left, right, top, bottom: shares of the frame between which the middle of the eyes must be.
        min_eye_px, max_eye_px: the distance band, as pixels between the eyes.
    """

    left: float = 0.2
    right: float = 0.8
    top: float = 0.0
    bottom: float = 1.0
    min_eye_px: float
    max_eye_px: float

    def holds(self, at: tuple[float, float], *, spare: float = 0.0) -> bool:
        """Whether a place is in the region, or within `spare` of it."""
        x, y = at
        return self.left - spare <= x <= self.right + spare and self.top - spare <= y <= self.bottom + spare

    def crowds(self, other: Face, subject: Face) -> bool:
        """Whether another face in the region stands so near that the subject is not alone."""
        share = ARM_SIZE if other.eye_px >= self.min_eye_px else NEIGHBOUR_SIZE
        return other is not subject and other.eye_px >= share * subject.eye_px

    def has_left(self, watched: Face) -> bool:
        """Whether a person who was let through has stepped aside or back."""
        return not self.holds(watched.at, spare=LEFT_SPARE) or watched.eye_px < BACK_SIZE * self.min_eye_px


def placed(tracks: Sequence[Track], landmarks: F32, *, frame_size: tuple[int, int]) -> list[Face]:
    """Returns the faces of a frame. landmarks: (n, 5, 2), one for each track; frame_size: width and height, pixels."""
    middles = landmarks[:, :2].mean(axis=1) / np.array(frame_size, np.float32)
    return [Face(track, landmarks[i], (float(middles[i][0]), float(middles[i][1]))) for i, track in enumerate(tracks)]


def hides_somebody(region: Region, subject: Face, unseen: Sequence[Track], *, frame_size: tuple[int, int], now_ns: int) -> bool:
    """Whether somebody as near as the subject was in the lane a moment ago and is missed in this frame: a head that was turned or lowered.

    They stand there still, whatever the detector says. A track that ends where the subject now is may be the subject's own.
    """
    width, height = frame_size
    here = np.array([subject.track.box], dtype=np.float32)
    for track in unseen:
        x0, y0, x1, y1 = track.expected(now_ns)
        in_lane = region.holds(((x0 + x1) / 2 / width, (y0 + y1) / 2 / height))
        as_near = track.box[2] - track.box[0] >= NEIGHBOUR_SIZE * (subject.track.box[2] - subject.track.box[0])
        elsewhere = overlaps(here, np.array([[x0, y0, x1, y1]], dtype=np.float32))[0, 0] == 0
        if in_lane and as_near and elsewhere:
            return True
    return False


def still_hidden(lost: Sequence[Track], *, frame_size: tuple[int, int], now_ns: int) -> tuple[Track, ...]:
    """Of tracks that ended, those that ended lately and within the picture: nobody saw them go."""
    width, height = frame_size

    def went(track: Track) -> bool:
        x0, y0, x1, y1 = track.expected(track.seen_ns + GOES_NS)
        return x0 < 0 or y0 < 0 or x1 > width or y1 > height

    return tuple(track for track in lost if now_ns - track.seen_ns <= HIDDEN_NS and not went(track))


def hides_before(region: Region, subject: Face, hidden: Sequence[Track], *, frame_size: tuple[int, int]) -> bool:
    """Whether somebody who stood before the subject, in the lane, may stand there still with their face hidden."""
    width, height = frame_size
    side = subject.track.box[2] - subject.track.box[0]
    places = ((t.box[2] - t.box[0], ((t.box[0] + t.box[2]) / 2 / width, (t.box[1] + t.box[3]) / 2 / height)) for t in hidden)
    return any(larger >= BEFORE_SIZE * side and region.holds(at) for larger, at in places)
