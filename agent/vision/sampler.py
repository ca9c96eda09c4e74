"""From a picture to samples: faces found, aligned, judged, made into templates. One way for the gate's frames and enrolment's pictures."""

from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from agent.biometrics.quality import Bounds, fault, measure
from agent.biometrics.template import Metric
from agent.core.inputs import Box, SampleFault, SampleQuality
from agent.vision.frame import F32, U8
from models.alignment import chips
from models.detector import Detections
from models.pack import Pack, find_pack, open_pack

FACE_SIDE_IN_EYE_DISTANCES = 2.5
"""Side of a detector's box over the distance between the eyes; measured on the two portraits of the demo: 2.5 and 2.6. A detector asked
for faces of that side finds most of two thirds of it too: they are told to come closer."""


LANDMARKS_MIN_PX = 2.0
"""Least extent of a face's landmarks, in one direction at least: what an alignment needs, and far below the smallest face looked for."""


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One face of a picture.

    Attributes:
        score: the detector's, 0..1.
        landmarks: (5, 2) pixels of the picture.
        chip: uint8 (chip_px, chip_px, 3) RGB, aligned for the embedder.
        fault: what makes it unfit; None when it is fit.
        template: (d,) float32, mirrored; made for unfit samples too, so that a report can compare them.
    """

    box: Box
    score: float
    landmarks: F32 = field(repr=False)
    chip: U8 = field(repr=False)
    quality: SampleQuality
    fault: SampleFault | None
    template: F32 = field(repr=False)


class Sampler:
    """Makes samples with one pack. Not for two threads at a time."""

    def __init__(self, pack: Pack, bounds: Bounds) -> None:
        self.pack = pack
        self.bounds = bounds
        self.metric = Metric(pack.manifest.embedder.metric)
        self._alignment = np.array(pack.manifest.embedder.alignment, dtype=np.float32)
        self._min_face_px = max(24, round(bounds.min_eye_distance_px * FACE_SIDE_IN_EYE_DISTANCES))
        self._least_score = pack.manifest.quality.detector_score_min

    def detect(self, image: U8) -> Detections:
        """Returns the faces of a picture, uint8 (h, w, 3) BGR, best first."""
        return self._certain(self.pack.detector.detect(image, min_face_px=self._min_face_px))

    def refine(self, image: U8, boxes: F32) -> Detections:
        """Returns what has become of faces (n, 4) that were known a frame ago; fewer where one is gone."""
        return self._certain(self.pack.detector.refine(image, boxes))

    def _certain(self, found: Detections) -> Detections:
        sure = (found.scores >= self._least_score) & _spans(found)
        return found if sure.all() else Detections(found.boxes[sure], found.scores[sure], found.landmarks[sure])

    def aligned(self, image: U8, landmarks: F32) -> U8:
        """Returns the chips (n, chip_px, chip_px, 3) RGB of faces with landmarks (n, 5, 2)."""
        return chips(image, landmarks, template=self._alignment, chip_px=self.pack.manifest.embedder.chip_px)

    def judge(self, image: U8, landmarks: F32, chip: U8) -> tuple[SampleQuality, SampleFault | None]:
        """Returns the figures of one face and what is wrong with it. landmarks: (5, 2); chip: as `aligned` made it."""
        quality = measure(landmarks, np.asarray(cv2.cvtColor(chip, cv2.COLOR_RGB2GRAY), dtype=np.uint8))
        return quality, fault(quality, landmarks=landmarks, frame_size=(image.shape[1], image.shape[0]), bounds=self.bounds)

    def sample_faces(self, image: U8) -> list[Sample]:
        """Returns every face of a picture, the largest first. For enrolment and evaluation; image: uint8 (h, w, 3) BGR."""
        found = self.detect(image)
        aligned = self.aligned(image, found.landmarks)
        templates = self.pack.embedder.embed(aligned)
        samples = []
        for i in range(len(found)):
            quality, wrong = self.judge(image, found.landmarks[i], aligned[i])
            x0, y0, x1, y1 = found.boxes[i].tolist()
            samples.append(
                Sample(
                    box=Box(x0, y0, x1, y1),
                    score=float(found.scores[i]),
                    landmarks=found.landmarks[i],
                    chip=aligned[i],
                    quality=quality,
                    fault=wrong,
                    template=templates[i],
                )
            )
        return sorted(samples, key=lambda s: -s.quality.eye_distance_px)

    def warm_up(self) -> None:
        """Runs every graph once, so that the first person does not wait for memory to be laid out."""
        side = self.pack.manifest.embedder.chip_px
        self.detect(np.zeros((480, 640, 3), dtype=np.uint8))
        self.refine(np.zeros((480, 640, 3), dtype=np.uint8), np.array([[200, 100, 400, 300]], dtype=np.float32))
        self.pack.embedder.embed(np.zeros((1, side, side, 3), dtype=np.uint8))


def _spans(found: Detections) -> npt.NDArray[np.bool_]:
    """Which finds have an extent (n,): a network can answer with a box without a side or with landmarks in one point. That is no face."""
    finite = np.isfinite(found.boxes).all(axis=1) & np.isfinite(found.landmarks).all(axis=(1, 2))
    sides = (found.boxes[:, 2:] - found.boxes[:, :2]).min(axis=1, initial=np.inf)
    extent = np.ptp(found.landmarks, axis=1).max(axis=1, initial=0)
    return np.asarray(finite & (sides >= 1) & (extent >= LANDMARKS_MIN_PX))


def open_sampler(name: str, folders: tuple[Path, ...], *, threads: int, bounds: Bounds) -> Sampler:
    """Returns a sampler with the built pack `name` of the first of `folders` that has it. Raises models.ModelError as `open_pack`."""
    cv2.setNumThreads(1)  # small pictures: a second thread costs more than it brings, and takes the core from the camera
    return Sampler(open_pack(find_pack(name, folders), threads=threads), bounds)
