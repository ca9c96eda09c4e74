"""From one person's pictures to the samples that serve, each refusal with its reason and what to do.

A picture is refused where it cannot serve: unreadable, no face, several faces, unfit (too small, turned, blurred, dark, bright), the same
shot as another, or unlike the person's other pictures. Where the pictures fall into groups, nobody can know which is the person.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Final, Protocol

import cv2
import numpy as np

from agent.authority.errors import PictureError
from agent.authority.one_person import Group, groups, is_one_person, same_shots
from agent.authority.person_file import FILE
from agent.authority.picture_file import read_picture
from agent.biometrics.template import Metric
from agent.core.inputs import SampleFault, SampleQuality
from agent.roster.document import REFERENCES_MAX
from agent.vision.frame import U8
from agent.vision.rim import framed, rim_px
from agent.vision.sampler import Sample
from models.errors import ImageError

SUFFIXES: Final = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})

SECOND_FACE: Final = 0.5
"""A second face of this part of the largest one's size makes it uncertain whose picture it is; a smaller one is a bystander."""

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
    """A person's pictures.

    Attributes:
        samples: of the pictures that serve, by file; none where `groups` are several.
        passed_over: other files and folders, which nobody looked at.
        groups: what hangs together, where that is not one person.
    """

    pictures: tuple[Picture, ...]
    samples: Mapping[str, Sample]
    passed_over: tuple[str, ...] = ()
    groups: tuple[Group, ...] = ()


def portraits(folder: Path, sampler: Sampler, *, same_face: float, same_person: tuple[str, ...] = ()) -> Portraits:
    """Look at every picture in a person's folder.

    same_face: the pack's plain threshold, a distance. same_person: files of which somebody has said that they show one person.

    Raises:
        OSError: the folder cannot be listed.
    """
    pictures, samples = [], {}
    files = sorted(each for each in folder.iterdir() if each.name != FILE and not each.name.startswith("."))
    for file in (each for each in files if _is_picture(each)):
        sample, reason = _sample(file, sampler)
        pictures.append(Picture(file.name, None if sample is None else sample.quality, reason))
        if sample is not None and reason is None:
            samples[file.name] = sample
    templates = {name: sample.template for name, sample in samples.items()}
    shots = same_shots(templates, metric=sampler.metric, threshold=same_face)
    refused = {name: f"the same shot as '{earlier}'; take another one" for name, earlier in shots.items()}
    others = {name: template for name, template in templates.items() if name not in refused}
    found = groups(others, metric=sampler.metric, threshold=same_face, same=same_person)
    if is_one_person(found):
        refused |= {name: "unlike the person's other pictures; check whose it is" for group in found[1:] for name in group.files}
        found = ()
    else:
        refused |= {name: f"of group {number}, unlike the others" for number, group in enumerate(found, start=1) for name in group.files}
    largest_first = sorted(samples.keys() - refused.keys(), key=lambda name: -samples[name].quality.eye_distance_px)
    refused |= dict.fromkeys(largest_first[REFERENCES_MAX:], f"not needed: the {REFERENCES_MAX} larger ones serve")
    return Portraits(
        pictures=tuple(replace(p, reason=refused.get(p.file, p.reason)) for p in pictures),
        samples=MappingProxyType({name: sample for name, sample in samples.items() if name not in refused}),
        passed_over=tuple(each.name for each in files if not _is_picture(each)),
        groups=found,
    )


def _is_picture(file: Path) -> bool:
    return file.suffix.lower() in SUFFIXES


def _sample(file: Path, sampler: Sampler) -> tuple[Sample | None, str | None]:
    """The largest face of a picture, and why it does not serve."""
    try:
        return _looked_at(read_picture(file), sampler)
    except PictureError as error:
        return None, str(error)
    except (ImageError, cv2.error) as error:  # of this picture alone; the others are looked at
        return None, f"it cannot be looked at ({error}); save it again as JPEG or PNG"


def _looked_at(image: U8, sampler: Sampler) -> tuple[Sample | None, str | None]:
    found = sampler.sample_faces(framed(image))
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
    return bool(sampler.sample_faces(framed(np.asarray(cv2.resize(image, None, fx=LARGER, fy=LARGER), dtype=np.uint8))))


def _is_cut_off(sample: Sample, image: U8) -> bool:
    """Whether part of the face itself lies outside of the picture that was given."""
    rim = rim_px(image)
    room = CUT_OFF * sample.quality.eye_distance_px
    places = sample.landmarks - rim
    return bool((places < room).any() or (places[:, 0] > image.shape[1] - room).any() or (places[:, 1] > image.shape[0] - room).any())
