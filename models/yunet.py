"""YuNet (Wu et al. 2023): one small network that finds faces and five landmarks on three grids, decoded in vectorised numpy.

A frame is shrunk to fit into one fixed size and searched whole; pictures are never enlarged for that. The nearest face is then looked at
once more in a cut-out, where it has the same size whatever its size in the frame. A known face is followed in such a cut-out alone.

About ten cells see the same face, each with landmarks of its own. The box is the best cell's, as the authors have it; the landmarks are the
mean over the cells that agree with it, which costs nothing and leaves a quarter fewer misses than the best cell's (CARD.md of
yunet-mobilefacenet has the figures of both).
"""

from functools import lru_cache

import cv2
import numpy as np

from models.boxes import I64, overlaps, suppress
from models.detector import Detections
from models.errors import ImageError
from models.families import YUNET_HEADS, YUNET_STRIDES
from models.picture import F32, U8, Halvings, crops, resized
from models.session import Session

SMALLEST_PX = 10
"""Least side of a face in the searched picture that the network finds. Source: its authors."""

NEAR_PART = 0.625
"""Part of the cut-out that the face fills: it may be 0.3 of its side away from where it is expected and is still whole. In a cut-out of 128
pixels it is 80 wide. Measured: 64 leave a tenth more misses; 80 in a cut-out of 160 leave as many, at half as much time again."""

FOLLOWED_OVERLAP = 0.3
"""Least overlap, intersection over union, of what is found in a cut-out and the face that was expected there."""

SAME_PLACE_OVERLAP = 0.5
"""The same for a face of this very frame: in 1,256 press pictures the least was 0.6. Where it is not met, the search's find stays."""

BELOW_ASKED = 2 / 3
"""Faces down to this part of the asked side are returned, so that a person can be told to come closer; as MTCNN does of itself."""

SAME_FACE_OVERLAP = 0.7
"""Least overlap, intersection over union, of a cell's box with the best one's for its landmarks to count."""

NOBODY = Detections(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty((0, 5, 2), np.float32))


class Yunet:
    """Not for use by two threads at a time."""

    def __init__(self, session: Session, *, width: int, height: int, near_px: int, threshold: float, overlap_max: float) -> None:
        """width, height: the searched picture; near_px: side of a cut-out; threshold: least score, 0..1."""
        self._session = session
        self._width, self._height, self._near_px = width, height, near_px
        self._threshold, self._overlap_max = threshold, overlap_max
        self._canvas = np.zeros((height, width, 3), dtype=np.uint8)

    def detect(self, image: U8, *, min_face_px: int) -> Detections:
        if min_face_px < SMALLEST_PX:
            raise ImageError(f"faces of {min_face_px} pixels were asked for; this detector finds faces from {SMALLEST_PX} pixels")
        halvings = Halvings(image)
        seen = self._searched(halvings, image.shape[0], image.shape[1])
        sides = (seen.boxes[:, 2:] - seen.boxes[:, :2]).max(axis=1)
        large = np.flatnonzero(sides >= BELOW_ASKED * min_face_px)
        if len(large) == 0:
            return NOBODY
        boxes, scores, landmarks = seen.boxes[large], seen.scores[large], seen.landmarks[large]
        nearest = int(sides[large].argmax())
        again = self._looked_at(halvings, boxes[nearest : nearest + 1], least_overlap=SAME_PLACE_OVERLAP)
        if len(again):
            boxes[nearest], scores[nearest], landmarks[nearest] = again.boxes[0], again.scores[0], again.landmarks[0]
        best = np.argsort(-scores, kind="stable")
        return Detections(boxes[best], scores[best], landmarks[best])

    def refine(self, image: U8, boxes: F32) -> Detections:
        if boxes.ndim != 2 or boxes.shape[1] != 4:  # noqa: PLR2004
            raise ImageError(f"boxes of shape {boxes.shape} were given; they must be (n, 4): x0, y0, x1, y1")
        return self._looked_at(Halvings(image), boxes.astype(np.float32))

    def _searched(self, halvings: Halvings, height: int, width: int) -> Detections:
        """Returns the faces of a whole picture, best first."""
        scale = min(self._width / width, self._height / height, 1.0)
        columns, rows = max(round(width * scale), 1), max(round(height * scale), 1)
        source, _ = halvings.for_scale(scale)
        self._canvas[rows:] = 0
        self._canvas[:rows, columns:] = 0
        self._canvas[:rows, :columns] = source if source.shape[:2] == (rows, columns) else resized(source, width=columns, height=rows)
        found = self._found(_planes(self._canvas))
        return _moved(found, by=np.array([width / columns, height / rows], np.float32), to=np.zeros(2, np.float32))

    def _looked_at(self, halvings: Halvings, boxes: F32, *, least_overlap: float = FOLLOWED_OVERLAP) -> Detections:
        """Returns what stands at each box, in their order and without those where no face is any more; `origin` says which."""
        centres = (boxes[:, :2] + boxes[:, 2:]) / 2
        half = np.maximum((boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True), 1) / 2 / NEAR_PART
        squares = np.concatenate([centres - half, centres + half], axis=1).astype(np.float32)
        followed, origin = [NOBODY], []
        for index, square in enumerate(squares):
            found = self._found(crops(halvings, square[None], self._near_px))
            found = _moved(found, by=np.repeat((square[2] - square[0]) / np.float32(self._near_px), 2), to=square[:2])
            shares = overlaps(found.boxes, boxes[index : index + 1])[:, 0]
            if len(found) and shares.max() >= least_overlap:
                there = [int(shares.argmax())]
                followed.append(Detections(found.boxes[there], found.scores[there], found.landmarks[there]))
                origin.append(index)
        return Detections(
            np.concatenate([each.boxes for each in followed]),
            np.concatenate([each.scores for each in followed]),
            np.concatenate([each.landmarks for each in followed]),
            np.array(origin, dtype=np.int64),
        )

    def _found(self, picture: F32) -> Detections:
        """The faces of one picture (1, 3, h, w), in its own pixels, best first."""
        cls, obj, box, points = self._heads(picture)
        strengths = cls[:, 0] * obj[:, 0]
        good: I64 = np.flatnonzero(strengths > self._threshold**2)
        if len(good) == 0:
            return NOBODY
        scores = np.sqrt(strengths[good])
        cells, strides = (each[good] for each in _grid(picture.shape[2], picture.shape[3]))
        centres = (cells + box[good, :2]) * strides
        half = np.exp(box[good, 2:]) * strides / 2
        boxes = np.concatenate([centres - half, centres + half], axis=1)
        landmarks = (points[good].reshape(-1, 5, 2) + cells[:, None]) * strides[:, None]
        best = suppress(boxes, scores, overlap_max=self._overlap_max)
        weights = np.where(overlaps(boxes[best], boxes) >= SAME_FACE_OVERLAP, scores, 0)
        weights /= weights.sum(axis=1, keepdims=True)
        return Detections(boxes[best], scores[best], (weights @ landmarks.reshape(-1, 10)).reshape(-1, 5, 2))

    def _heads(self, picture: F32) -> list[F32]:
        """Each head over all cells, (cells, numbers), the finest grid first."""
        outputs = self._session.run_all(picture)
        per_head = len(YUNET_STRIDES)
        return [np.concatenate([each[0] for each in outputs[i * per_head : (i + 1) * per_head]]) for i in range(len(YUNET_HEADS))]


def _planes(picture: U8) -> F32:
    """Returns (h, w, 3) as (1, 3, h, w): as `planes`, in two thirds of its time where the picture is large."""
    height, width, _ = picture.shape
    return np.asarray(cv2.transpose(picture.reshape(-1, 3)), dtype=np.float32).reshape(1, 3, height, width)


@lru_cache(maxsize=4)
def _grid(height: int, width: int) -> tuple[F32, F32]:
    """Returns the column and row (cells, 2) and the stride (cells, 1) of every cell, in the order of the heads."""
    cells, strides = [], []
    for stride in YUNET_STRIDES:
        rows, columns = np.mgrid[: height // stride, : width // stride]
        cells.append(np.stack([columns.ravel(), rows.ravel()], axis=1).astype(np.float32))
        strides.append(np.full((rows.size, 1), stride, np.float32))
    return np.concatenate(cells), np.concatenate(strides)


def _moved(found: Detections, *, by: F32, to: F32) -> Detections:
    """From the pixels of a shrunk or cut-out picture to the whole one's. by, to: (2,).

    A corner lies on a pixel's edge, a landmark on its centre.
    """
    boxes = found.boxes * np.concatenate([by, by]) + np.concatenate([to, to])
    landmarks = (found.landmarks + np.float32(0.5)) * by + to - np.float32(0.5)
    return Detections(boxes, found.scores, landmarks)
