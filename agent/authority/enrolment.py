"""From one person's pictures to the samples that serve, each refusal with its reason and what to do.

A picture is refused where it cannot serve: unreadable, no face, several faces, unfit (too small, turned, blurred, dark, bright), or unlike
the person's other pictures.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Final, Protocol

import cv2
import numpy as np

from agent.authority.errors import PictureError
from agent.biometrics.comparison import distance_table
from agent.biometrics.template import Metric, comparable
from agent.core.inputs import SampleFault, SampleQuality
from agent.roster.document import REFERENCES_MAX
from agent.vision.frame import U8
from agent.vision.sampler import Sample

PICTURE_BYTES_MAX: Final = 64 * 2**20
SUFFIXES: Final = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})

SECOND_FACE: Final = 0.5
"""A second face of this part of the largest one's size makes it uncertain whose picture it is; a smaller one is a bystander."""

UNLIKE: Final = 1.5
"""Distance of a picture to the nearest other of the same person, over the pack's plain threshold, from which it shows somebody else."""

SAME_PICTURE: Final = 0.01
"""Distance of two pictures, over the pack's plain threshold, up to which they are one picture twice. A copy is 0, the same picture saved
with less quality 0.06 and more; the nearest two of 867 people 0.18 and, by another pack's cosine, 0.018."""

FRAME: Final = 0.25
"""Width of the rim that is put around a picture, in its longer side."""

LARGER: Final = 3
LARGER_PX_MAX: Final = 4_000
"""A picture without a face is looked at again so much larger, up to this side, to tell a small face from none."""

CUT_OFF: Final = 0.25
"""Eyes, nose and mouth must lie so far inside of the picture, in eye distances; nearer to the edge, cheek or chin are missing."""

REMEDIES: Final[Mapping[SampleFault, str]] = MappingProxyType(
    {
        SampleFault.TOO_FAR: "the face is too small; take it from nearer, or with more pixels",
        SampleFault.TOO_CLOSE: "the face is cut off; take it from further away",
        SampleFault.POSE: "the head is turned; have the person look straight ahead",
        SampleFault.BLUR: "it is blurred; hold camera and person still",
        SampleFault.DARK: "it is too dark; light the face from the front",
        SampleFault.BRIGHT: "it is too bright; avoid direct light",
        SampleFault.SEVERAL_FACES: "several faces; crop it to the person",
        SampleFault.OUTSIDE_LANE: "the face is at the edge; take it from the middle",
    }
)


class Sampler(Protocol):
    """What makes samples: vision.sampler.Sampler."""

    metric: Metric

    def sample_faces(self, image: U8) -> list[Sample]: ...


@dataclass(frozen=True, slots=True)
class Picture:
    """What became of one picture.

    Attributes:
        quality: figures of the face; None where none was found.
        reason: why it does not serve; None when it does.
    """

    file: str
    quality: SampleQuality | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Portraits:
    """A person's pictures. samples: those that serve, by file."""

    pictures: tuple[Picture, ...]
    samples: Mapping[str, Sample]


def portraits(folder: Path, sampler: Sampler, *, same_face: float) -> Portraits:
    """Look at every picture in a person's folder. same_face: the pack's plain threshold, a distance."""
    pictures, samples = [], {}
    for file in sorted(each for each in folder.iterdir() if each.suffix.lower() in SUFFIXES):
        sample, reason = _sample(file, sampler)
        pictures.append(Picture(file.name, None if sample is None else sample.quality, reason))
        if sample is not None and reason is None:
            samples[file.name] = sample
    refused = _copies(samples, metric=sampler.metric, limit=SAME_PICTURE * same_face)
    others = {name: sample for name, sample in samples.items() if name not in refused}
    refused |= _strangers(others, metric=sampler.metric, limit=UNLIKE * same_face)
    largest_first = sorted(samples.keys() - refused.keys(), key=lambda name: -samples[name].quality.eye_distance_px)
    refused |= dict.fromkeys(largest_first[REFERENCES_MAX:], f"not needed: the {REFERENCES_MAX} larger ones serve")
    return Portraits(
        pictures=tuple(replace(p, reason=refused.get(p.file, p.reason)) for p in pictures),
        samples=MappingProxyType({name: sample for name, sample in samples.items() if name not in refused}),
    )


def _sample(file: Path, sampler: Sampler) -> tuple[Sample | None, str | None]:
    """The largest face of a picture, and why it does not serve."""
    try:
        image = read_picture(file)
    except PictureError as error:
        return None, str(error)
    found = sampler.sample_faces(_framed(image))
    if not found:
        return None, REMEDIES[SampleFault.TOO_FAR] if _is_small(
            image, sampler
        ) else "no face is found; the face must be large and look ahead"
    largest = found[0]
    if len(found) > 1 and found[1].quality.eye_distance_px > SECOND_FACE * largest.quality.eye_distance_px:
        return None, f"{REMEDIES[SampleFault.SEVERAL_FACES]} ({len(found)} found)"
    fault = SampleFault.TOO_CLOSE if _is_cut_off(largest, image) else largest.fault
    return largest, None if fault is None else REMEDIES[fault]


def _is_small(image: U8, sampler: Sampler) -> bool:
    """Whether there is a face after all, too small to be looked for."""
    if max(image.shape[:2]) * LARGER > LARGER_PX_MAX:
        return False
    return bool(sampler.sample_faces(_framed(np.asarray(cv2.resize(image, None, fx=LARGER, fy=LARGER), dtype=np.uint8))))


def _framed(image: U8) -> U8:
    """The picture with its edge continued: a passport crop ends at the hair, where the detector and the aligned chip still look."""
    rim = round(FRAME * max(image.shape[:2]))
    return np.asarray(cv2.copyMakeBorder(image, rim, rim, rim, rim, cv2.BORDER_REPLICATE), dtype=np.uint8)


def _is_cut_off(sample: Sample, image: U8) -> bool:
    """Whether part of the face itself lies outside of the picture that was given."""
    rim = round(FRAME * max(image.shape[:2]))
    room = CUT_OFF * sample.quality.eye_distance_px
    places = sample.landmarks - rim
    return bool((places < room).any() or (places[:, 0] > image.shape[1] - room).any() or (places[:, 1] > image.shape[0] - room).any())


def _copies(samples: Mapping[str, Sample], *, metric: Metric, limit: float) -> dict[str, str]:
    """Pictures that are there already under another file's name. A copy says nothing new, and makes a person look easier to know."""
    names = list(samples)
    if len(names) < 2:  # noqa: PLR2004  a pair
        return {}
    table = comparable(np.stack([sample.template for sample in samples.values()]), metric)
    apart = distance_table(table, table, metric=metric)
    found: dict[str, str] = {}
    for number, name in enumerate(names):
        earlier = next((other for place, other in enumerate(names[:number]) if apart[number, place] <= limit and other not in found), None)
        if earlier is not None:
            found[name] = f"the same picture as '{earlier}'; take another one"
    return found


def _strangers(samples: Mapping[str, Sample], *, metric: Metric, limit: float) -> dict[str, str]:
    """Pictures that show somebody else than the person's others. Of two that differ nobody knows which is right: both are refused."""
    if len(samples) < 2:  # noqa: PLR2004  a pair
        return {}
    table = comparable(np.stack([sample.template for sample in samples.values()]), metric)
    apart = distance_table(table, table, metric=metric)
    np.fill_diagonal(apart, np.inf)
    nearest = zip(samples, apart.min(axis=1).tolist(), strict=True)
    return {name: f"unlike the person's other pictures (distance {d:.2f}); check whose it is" for name, d in nearest if d > limit}


def read_picture(file: Path) -> U8:
    """A picture as uint8 (h, w, 3) BGR, upright as its EXIF says. Raises PictureError in the words of a report."""
    try:
        if file.stat().st_size > PICTURE_BYTES_MAX:
            raise PictureError(f"the file is larger than {PICTURE_BYTES_MAX >> 20} MB; save it smaller")
        data = np.frombuffer(file.read_bytes(), dtype=np.uint8)
        image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    except OSError as error:
        raise PictureError(f"the file cannot be read ({error.strerror})") from error
    except cv2.error:
        image = None
    if image is None:
        raise PictureError("the file is no picture that can be read; save it again as JPEG or PNG")
    return np.asarray(image, dtype=np.uint8)
