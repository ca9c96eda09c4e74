"""What presentation attack detection says of one track: the scores of its newest frames, fused into one verdict beside the match.

It looks at the frames that make the probe, each of them: no others are asked of a grant, and on those the face is near, sharp and alone.
One frame says nothing: until the pack's number of frames is there the verdict is inconclusive, so that a single blurred look neither
lets an attack through nor turns a person away. The score that is fused, and logged, is the mean of the newest frames' scores.
"""

from typing import Protocol

import numpy as np

from agent.core.inputs import Box, Pad, PadVerdict
from agent.vision.frame import U8
from models.errors import GraphFailedError
from models.pack import PadPack
from models.pad import Pad as PadNetwork

Scores = tuple[float, ...]
"""Of one track's newest frames, newest last: 0 (attack) to 1 (bona fide)."""


class AttackDetection(Protocol):
    def has_room(self, image: U8, box: Box) -> bool:
        """Whether the frame shows enough around a face to tell. image, box: as of `scored`."""
        ...

    def scored(self, scores: Scores, image: U8, box: Box) -> Scores:
        """Returns the track's scores with those of one more frame. image: uint8 (h, w, 3) BGR, whole; box: the face in it."""
        ...

    def verdict(self, scores: Scores) -> Pad:
        """Returns what the scores say together."""
        ...


class Fixed:
    """No detection runs: each probe carries the same verdict."""

    def __init__(self, pad: Pad) -> None:
        self._pad = pad

    def has_room(self, image: U8, box: Box) -> bool:  # noqa: ARG002  a port's signature
        return True

    def scored(self, scores: Scores, image: U8, box: Box) -> Scores:  # noqa: ARG002  a port's signature
        return scores

    def verdict(self, scores: Scores) -> Pad:  # noqa: ARG002  a port's signature
        return self._pad


class Detection:
    """A PAD pack at work. Not for two threads at a time."""

    def __init__(self, network: PadNetwork, *, bona_fide_min: float, attack_max: float, frames: int, most: int, crop: float) -> None:
        """frames: least that a verdict needs; most: frames that are fused, as many as templates; crop: sides of a face to be seen."""
        self._network, self._crop = network, crop
        self._bona_fide_min, self._attack_max = bona_fide_min, attack_max
        self._frames, self._most = frames, max(most, frames)

    def has_room(self, image: U8, box: Box) -> bool:
        """A sheet or a screen is told by what is around it: without that, measured, up to half of them are taken for live."""
        height, width = image.shape[:2]
        return bool((box.x1 - box.x0) * self._crop <= width and (box.y1 - box.y0) * self._crop <= height)

    def warm_up(self) -> None:
        """Runs the networks once, so that what fails fails before anybody comes, and the first person does not wait.

        Raises:
            ModelError: they cannot run, or give no number.
        """
        (score,) = self._network.score(np.zeros((480, 640, 3), dtype=np.uint8), np.array([[270, 190, 370, 290]], dtype=np.float32))
        if not np.isfinite(score):
            raise GraphFailedError(f"the networks give {score} for a black picture, not a score of 0 to 1; use another pack")

    def scored(self, scores: Scores, image: U8, box: Box) -> Scores:
        score = self._network.score(image, np.array([[box.x0, box.y0, box.x1, box.y1]], dtype=np.float32))[0]
        return (*scores, float(score))[-self._most :]

    def verdict(self, scores: Scores) -> Pad:
        if not scores:
            return Pad(PadVerdict.INCONCLUSIVE)
        score = float(np.mean(scores))
        if len(scores) < self._frames or not np.isfinite(score):
            return Pad(PadVerdict.INCONCLUSIVE, score if np.isfinite(score) else None)
        if score >= self._bona_fide_min:
            return Pad(PadVerdict.BONA_FIDE, score)
        return Pad(PadVerdict.ATTACK if score <= self._attack_max else PadVerdict.INCONCLUSIVE, score)


def detection(pack: PadPack, *, most: int) -> Detection:
    """Returns the detection of an opened pack, with the bounds of its manifest."""
    part = pack.manifest.pad
    return Detection(
        pack.pad, bona_fide_min=part.bona_fide_min, attack_max=part.attack_max, frames=part.frames, most=most, crop=part.near_crop
    )
