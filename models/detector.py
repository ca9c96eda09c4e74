"""Faces and their five landmarks in a picture: the port, and the MTCNN cascade (Zhang et al. 2016) in vectorised numpy.

P-Net slides over a pyramid of the picture and proposes, R-Net sorts the proposals out, O-Net confirms and places the landmarks.
"""

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from models.boxes import I64, shifted, squared, suppress
from models.errors import ImageError
from models.picture import F32, U8, Halvings, crops, planes, pyramid, resized
from models.session import Session

WINDOW_PX = 12
"""Side of P-Net's window; also the smallest face that can be asked for."""

STRIDE_PX = 2
RNET_PX = 24
ONET_PX = 48

PROPOSALS_MAX = 256
"""Most proposals that go on to R-Net, and a quarter as many to O-Net: bounds the time a crowd or a printed wallpaper can cost."""

CROPS_AT_ONCE = 32
"""Most crops in one call of R-Net or O-Net; one person's proposals fit into one call."""


@dataclass(frozen=True, slots=True)
class Detections:
    """Faces in one picture; n may be 0."""

    boxes: F32
    """(n, 4) x0, y0, x1, y1 in pixels of the picture; may reach outside it."""
    scores: F32
    """(n,) detector score, 0..1."""
    landmarks: F32
    """(n, 5, 2) left eye, right eye, nose, left and right mouth corner as seen in the picture, x and y in pixels."""
    origin: I64 = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    """From `refine`: (n,) index of the given box that each row continues. From `detect`: empty."""

    def __len__(self) -> int:
        return len(self.scores)


class Detector(Protocol):
    def detect(self, image: U8, *, min_face_px: int) -> Detections:
        """Returns all faces, best score first. image: uint8 (h, w, 3) BGR; min_face_px: least side of a face's box to look for.

        Raises:
            ImageError: another type or shape of picture, or min_face_px below what the family can do.
        """
        ...

    def refine(self, image: U8, boxes: F32) -> Detections:
        """Returns what has become of known faces, in the order of the given boxes and without those that are no face any more.

        image: as `detect`; boxes: (n, 4), for instance of the frame before. Far cheaper than `detect`: nothing is searched.
        """
        ...


class Mtcnn:
    """The cascade. Not for use by two threads at a time."""

    def __init__(self, *, pnet: Session, rnet: Session, onet: Session, pyramid_factor: float, thresholds: tuple[float, ...]) -> None:
        """thresholds: least score to go on, 0..1, of P-, R- and O-Net."""
        self._pnet, self._rnet, self._onet = pnet, rnet, onet
        self._factor = pyramid_factor
        self._least_logits = tuple(float(np.log(each / (1 - each))) for each in thresholds)

    def detect(self, image: U8, *, min_face_px: int) -> Detections:
        if min_face_px < WINDOW_PX:
            raise ImageError(f"faces of {min_face_px} pixels were asked for; this detector finds faces from {WINDOW_PX} pixels")
        halvings = Halvings(image)
        boxes = self._proposals(halvings, image.shape[0], image.shape[1], min_face_px)
        boxes, _ = self._sorted_out(halvings, boxes, np.arange(len(boxes)))
        found = self._confirmed(halvings, boxes, np.arange(len(boxes)))
        best = suppress(found.boxes, found.scores, overlap_max=0.7, of_smaller=True)
        return Detections(found.boxes[best], found.scores[best], found.landmarks[best])

    def refine(self, image: U8, boxes: F32) -> Detections:
        if boxes.ndim != 2 or boxes.shape[1] != 4:  # noqa: PLR2004
            raise ImageError(f"boxes of shape {boxes.shape} were given; they must be (n, 4): x0, y0, x1, y1")
        halvings = Halvings(image)
        moved, kept = self._sorted_out(halvings, boxes.astype(np.float32), np.arange(len(boxes)), suppressed=False)
        return self._confirmed(halvings, moved, kept)

    def _proposals(self, halvings: Halvings, height: int, width: int, min_face_px: int) -> F32:
        found, scores = [np.empty((0, 4), np.float32)], [np.empty(0, np.float32)]
        levels = pyramid(height, width, first=WINDOW_PX / min_face_px, factor=self._factor, least_px=WINDOW_PX)
        for columns, rows in levels:
            source, _ = halvings.for_scale(max(columns / width, rows / height))
            output = self._pnet.run(planes(resized(source, width=columns, height=rows)[None]))[0]
            at_row, at_column = np.nonzero(output[0] > self._least_logits[0])
            if len(at_row) == 0:
                continue
            logit = output[0, at_row, at_column]
            corner = np.stack([at_column, at_row], axis=1).astype(np.float32) * STRIDE_PX
            windows = np.concatenate([corner, corner + WINDOW_PX], axis=1) * np.array([width / columns, height / rows] * 2, np.float32)
            stay = suppress(windows, logit, overlap_max=0.5)
            found.append(shifted(windows[stay], output[1:, at_row[stay], at_column[stay]].T))
            scores.append(logit[stay])
        boxes, logits = np.concatenate(found), np.concatenate(scores)
        return boxes[suppress(boxes, logits, overlap_max=0.7)[:PROPOSALS_MAX]]

    def _sorted_out(self, halvings: Halvings, boxes: F32, origin: I64, *, suppressed: bool = True) -> tuple[F32, I64]:
        if len(boxes) == 0:
            return boxes, origin
        squares = squared(boxes)
        output = _judged(self._rnet, halvings, squares, RNET_PX)
        good = np.nonzero(output[:, 0] > self._least_logits[1])[0]
        moved = shifted(squares[good], output[good, 1:5])
        if suppressed:
            # On the moved boxes, not on the proposals as published: recall stays and O-Net sees half as many.
            stay = suppress(moved, output[good, 0], overlap_max=0.7)[: PROPOSALS_MAX // 4]
            good, moved = good[stay], moved[stay]
        return moved, origin[good]

    def _confirmed(self, halvings: Halvings, boxes: F32, origin: I64) -> Detections:
        if len(boxes) == 0:
            return Detections(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty((0, 5, 2), np.float32), origin)
        squares = squared(boxes)
        output = _judged(self._onet, halvings, squares, ONET_PX)
        good = np.nonzero(output[:, 0] > self._least_logits[2])[0]
        squares, output = squares[good], output[good]
        points = output[:, 5:].reshape(-1, 2, 5).transpose(0, 2, 1)  # five x, then five y -> five points
        landmarks = squares[:, None, :2] + points * (squares[:, None, 2:] - squares[:, None, :2])
        return Detections(shifted(squares, output[:, 1:5]), _sigmoid(output[:, 0]), landmarks, origin[good])


def _judged(session: Session, halvings: Halvings, squares: F32, side_px: int) -> F32:
    """Returns the network's output for each square, in parts that keep a crowd from needing more memory than one person does."""
    parts = [
        session.run(crops(halvings, squares[start : start + CROPS_AT_ONCE], side_px)) for start in range(0, len(squares), CROPS_AT_ONCE)
    ]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _sigmoid(logits: F32) -> F32:
    return (1 / (1 + np.exp(-logits))).astype(np.float32)
