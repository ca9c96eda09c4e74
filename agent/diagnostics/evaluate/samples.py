"""From picture files to templates, with a list of those that gave none. A picture is looked at once, however often it is compared."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

import cv2
import numpy as np

from agent.biometrics.quality import Bounds
from agent.biometrics.template import Metric
from agent.vision.frame import F32, U8
from agent.vision.sampler import FACE_SIDE_IN_EYE_DISTANCES, Sample, Sampler
from models.pack import Pack

SUFFIXES: Final = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
PICTURE_BYTES_MAX: Final = 64 * 2**20

OFF_CENTRE: Final = 0.5
"""By how much of its distance from the middle of the picture a face counts as smaller: the person meant is the large one in the middle."""

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True, eq=False)
class Acquired:
    """What the pictures gave. templates: (d,) by file. failures: why a file gave none, in words."""

    metric: Metric
    templates: Mapping[Path, F32] = field(repr=False)
    failures: Mapping[Path, str]


def acquire(files: Iterable[Path], pack: Pack, *, min_face_px: int, gate_quality: bool, progress: Progress) -> Acquired:
    """Look at every file once. gate_quality: a picture with a fault by the pack's own bounds gives no template."""
    templates, failures = {}, {}
    looker = Looker(pack, min_face_px=min_face_px, strict=gate_quality)
    for file, _, found in looker.subjects(files, progress=progress):
        if isinstance(found, str):
            failures[file] = found
        elif gate_quality and (fault := _fault(found, pack)) is not None:
            failures[file] = f"a gate would refuse it: {fault}"
        else:
            templates[file] = found.template
    return Acquired(looker.metric, MappingProxyType(templates), MappingProxyType(failures))


class Looker:
    """Finds the face meant in each picture. Where none is found, a second look takes an uncertain one, unless `strict`."""

    def __init__(self, pack: Pack, *, min_face_px: int, strict: bool) -> None:
        bounds = _bounds(pack, min_face_px)
        quality = replace(pack.manifest.quality, detector_score_min=0.0)
        uncertain = replace(pack, manifest=replace(pack.manifest, quality=quality))
        self._looks = (Sampler(pack, bounds),) if strict else (Sampler(pack, bounds), Sampler(uncertain, bounds))
        self._min_face_px = min_face_px
        self.metric = Metric(pack.manifest.embedder.metric)

    def subjects(self, files: Iterable[Path], *, progress: Progress) -> Iterator[tuple[Path, U8 | None, Sample | str]]:
        """Each file once, with its picture and the face meant, or why there is none."""
        wanted = sorted(set(files))
        for number, file in enumerate(wanted):
            progress(number, len(wanted), file.name)
            image = read(file)
            if isinstance(image, str):
                yield file, None, image
                continue
            yield file, image, self._subject(image) or f"no face of {self._min_face_px} pixels or more is found"
        progress(len(wanted), len(wanted), "")

    def _subject(self, image: U8) -> Sample | None:
        seen = (subject(sampler.sample_faces(image), image) for sampler in self._looks)
        return next((each for each in seen if each is not None), None)


def read(file: Path) -> U8 | str:
    """A picture as uint8 (h, w, 3) BGR, or why it cannot be read."""
    try:
        if file.stat().st_size > PICTURE_BYTES_MAX:
            return f"the file is larger than {PICTURE_BYTES_MAX >> 20} MB"
        data = np.frombuffer(file.read_bytes(), dtype=np.uint8)
        image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    except OSError as error:
        return f"the file cannot be read ({error.strerror})"
    except cv2.error:
        image = None
    return "the file is no picture that can be read" if image is None else np.asarray(image, dtype=np.uint8)


def subject(samples: list[Sample], image: U8) -> Sample | None:
    """The person meant: the largest face, and of several the one in the middle."""
    middle = np.array([image.shape[1] / 2, image.shape[0] / 2])

    def weight(sample: Sample) -> float:
        return sample.quality.eye_distance_px - OFF_CENTRE * float(np.linalg.norm(sample.landmarks.mean(axis=0) - middle))

    return max(samples, key=weight, default=None)


def pictures(folder: Path) -> list[Path]:
    """Files that are pictures by their name or by their first bytes. A torn one is a picture still, and will be listed as unreadable."""
    return [file for file in _files(folder) if _is_picture(file)]


def other_files(folder: Path) -> list[Path]:
    """Files that are none: notes, person.toml, what a file manager leaves behind."""
    return [file for file in _files(folder) if not _is_picture(file)]


def _files(folder: Path) -> list[Path]:
    return sorted(each for each in folder.iterdir() if not each.is_dir() and not each.name.startswith("."))


def _is_picture(file: Path) -> bool:
    return file.suffix.lower() in SUFFIXES or bool(cv2.haveImageReader(str(file)))


def _bounds(pack: Pack, min_face_px: int) -> Bounds:
    quality = pack.manifest.quality
    return Bounds(
        min_eye_distance_px=min_face_px / FACE_SIDE_IN_EYE_DISTANCES,
        max_yaw=quality.max_yaw,
        min_blur=quality.min_blur,
        min_brightness=quality.min_brightness,
        max_brightness=quality.max_brightness,
        max_clipped=quality.max_clipped,
    )


def _fault(sample: Sample, pack: Pack) -> str | None:
    """What a gate with the pack's own bounds would find wrong."""
    if sample.quality.eye_distance_px < pack.manifest.quality.min_eye_distance_px:
        return "too_far"
    return None if sample.fault is None else str(sample.fault)
