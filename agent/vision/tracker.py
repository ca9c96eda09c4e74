"""Which face of this frame is which of the last one: by overlap with where each face was going. Pure: state in, state out.

A track says only that a box moved on. That it is still the same face is checked by the templates (recogniser.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from agent.core.identity import TrackId
from agent.vision.frame import F32

OVERLAP_MIN = 0.25
"""Least intersection over union of a face with the place where its track was expected; half a side off, both ways, gives 0.14."""

LOST_AFTER_NS = 300_000_000
"""A track that nothing continued for this long is lost: four frames at 15 frames/s, so that a miss of the detector ends no attempt."""

VELOCITY_WEIGHT = 0.5
"""Share of the newest movement in a track's velocity; the rest is what it was."""


@dataclass(frozen=True, slots=True)
class Track:
    """One face followed over frames.

    Attributes:
        box: x0, y0, x1, y1 in pixels, where it was last seen.
        velocity: of its middle, pixels a second.
    """

    id: TrackId
    box: tuple[float, float, float, float]
    velocity: tuple[float, float]
    started_ns: int
    seen_ns: int

    def expected(self, now_ns: int) -> tuple[float, float, float, float]:
        """The box where the face should be by now."""
        seconds = (now_ns - self.seen_ns) / 1e9
        dx, dy = self.velocity[0] * seconds, self.velocity[1] * seconds
        x0, y0, x1, y1 = self.box
        return x0 + dx, y0 + dy, x1 + dx, y1 + dy


@dataclass(frozen=True, slots=True)
class Tracks:
    """All tracks of one camera.

    Attributes:
        next_id, stride: several cameras number their tracks in turn, so that an id is unique in the whole agent.
    """

    live: tuple[Track, ...] = ()
    next_id: int = 1
    stride: int = 1

    def renamed(self, track: TrackId, now_ns: int) -> tuple["Tracks", Track]:
        """Returns the tracks with one under a new id that starts now (another face has taken its place), and that one."""
        old = next(t for t in self.live if t.id == track)
        new = replace(old, id=TrackId(self.next_id), started_ns=now_ns)
        live = tuple(new if t.id == track else t for t in self.live)
        return Tracks(live, self.next_id + self.stride, self.stride), new

    def adopted(self, track: TrackId, by: TrackId) -> "Tracks":
        """Returns the tracks with one under the id of an earlier one, of which it is known to be the same face."""
        live = tuple(replace(t, id=by) if t.id == track else t for t in self.live if t.id != by)
        return Tracks(live, self.next_id, self.stride)


@dataclass(frozen=True, slots=True)
class Advance:
    """What one frame did to the tracks. continued: for each given box, in its order, the track that it belongs to."""

    tracks: Tracks
    continued: tuple[Track, ...]
    lost: tuple[Track, ...]


def overlaps(boxes: F32, others: F32) -> F32:
    """Returns intersection over union (n, m) of boxes (n, 4) with boxes (m, 4)."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared = (high - low).clip(min=0).prod(axis=2)
    whole = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)[:, None] + (others[:, 2:] - others[:, :2]).prod(axis=1)[None, :] - shared
    result: F32 = shared / np.maximum(whole, 1e-6)
    return result


def advance(tracks: Tracks, boxes: F32, now_ns: int) -> Advance:
    """Gives each box (n, 4) of a frame to the track that it overlaps most, the best pair first; the rest begin tracks of their own.

    A track that was not seen for too long is lost even where a face stands in its place: nobody knows whose it is.
    """
    lost = tuple(t for t in tracks.live if now_ns - t.seen_ns > LOST_AFTER_NS)
    live = tuple(t for t in tracks.live if now_ns - t.seen_ns <= LOST_AFTER_NS)
    owner = _owners(live, boxes, now_ns)
    next_id, continued = tracks.next_id, []
    for row, box in enumerate(boxes.tolist()):
        if row in owner:
            continued.append(_moved(owner[row], tuple(box), now_ns))
        else:
            continued.append(Track(TrackId(next_id), tuple(box), (0.0, 0.0), now_ns, now_ns))
            next_id += tracks.stride
    seen = {t.id for t in continued}
    unseen = tuple(t for t in live if t.id not in seen)
    return Advance(Tracks((*continued, *unseen), next_id, tracks.stride), tuple(continued), lost)


def _owners(live: Sequence[Track], boxes: F32, now_ns: int) -> dict[int, Track]:
    if not live or not len(boxes):
        return {}
    expected = np.array([t.expected(now_ns) for t in live], dtype=np.float32)
    shares = overlaps(boxes, expected)
    owner: dict[int, Track] = {}
    taken: set[int] = set()
    for place in np.argsort(-shares, axis=None, kind="stable").tolist():
        row, column = divmod(place, len(live))
        if shares[row, column] < OVERLAP_MIN:
            break
        if row not in owner and column not in taken:
            owner[row] = live[column]
            taken.add(column)
    return owner


def _moved(track: Track, box: tuple[float, float, float, float], now_ns: int) -> Track:
    seconds = max((now_ns - track.seen_ns) / 1e9, 1e-3)
    moved = ((box[0] + box[2] - track.box[0] - track.box[2]) / 2 / seconds, (box[1] + box[3] - track.box[1] - track.box[3]) / 2 / seconds)
    velocity = (
        VELOCITY_WEIGHT * moved[0] + (1 - VELOCITY_WEIGHT) * track.velocity[0],
        VELOCITY_WEIGHT * moved[1] + (1 - VELOCITY_WEIGHT) * track.velocity[1],
    )
    return replace(track, box=box, velocity=velocity, seen_ns=now_ns)
