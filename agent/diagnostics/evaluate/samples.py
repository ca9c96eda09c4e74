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
from agent.vision.rim import framed
from agent.vision.sampler import FACE_SIDE_IN_EYE_DISTANCES, Sample, Sampler
from models.errors import ImageError
from models.pack import Pack
from models.picture_header import sides

SUFFIXES: Final = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
PICTURE_BYTES_MAX: Final = 64 * 2**20
PICTURE_PIXELS_MAX: Final = 100_000_000
"""300 MB when decoded; twice what the largest cameras take."""

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
        self._strict = strict
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
            try:
                yield (file, *self._found(image))
            except (ImageError, cv2.error) as error:  # of this picture alone
                yield file, image, f"it cannot be looked at ({error})"
        progress(len(wanted), len(wanted), "")

    def _found(self, image: U8) -> tuple[U8, Sample | str]:
        """The picture that was looked at, and the face meant. Where there is none, with a rim: a crop may end at the hair."""
        for look in (image,) if self._strict else (image, framed(image)):
            seen = (subject(sampler.sample_faces(look), look) for sampler in self._looks)
            if (found := next((each for each in seen if each is not None), None)) is not None:
                return look, found
        return image, f"no face of {self._min_face_px} pixels or more is found"


def read(file: Path) -> U8 | str:
    """A picture as uint8 (h, w, 3) BGR, or why it cannot be read."""
    data = _content(file)
    if isinstance(data, str):
        return data
    width, height = sides(data) or (0, 0)
    if width * height > PICTURE_PIXELS_MAX:
        return f"{width}x{height} pixels are too many; at most {PICTURE_PIXELS_MAX // 10**6} million are read"
    try:
        image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_COLOR) if data else None
    except (cv2.error, MemoryError):
        image = None
    return "the file is no picture that can be read" if image is None else np.asarray(image, dtype=np.uint8)


def _content(file: Path) -> bytes | str:
    """A file's bytes, or why it cannot be read."""
    try:
        if file.exists() and not file.is_file():  # reading a pipe would never end, nor a device
            return "it is not a regular file"
        if file.stat().st_size > PICTURE_BYTES_MAX:
            return f"the file is larger than {PICTURE_BYTES_MAX >> 20} MB"
        return file.read_bytes()
    except OSError as error:
        return f"the file cannot be read ({error.strerror})"
    except ValueError as error:  # a name that no file can have
        return f"the file cannot be read ({error})"


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
    return file.is_file() and (file.suffix.lower() in SUFFIXES or bool(cv2.haveImageReader(str(file))))


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
