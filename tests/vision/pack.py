"""The real default pack for tests that need faces; skipped with the reason where it is not built."""

from functools import cache

import numpy as np
import pytest

from agent.biometrics.calibration import pack_default
from agent.biometrics.gallery import Enrolled, Gallery, build
from agent.biometrics.quality import Bounds
from agent.diagnostics.walkup import PortraitMissingError, enrolment_pictures, portrait
from agent.vision.sampler import Sampler, open_sampler
from models.errors import ModelError
from models.places import DEFAULT_PACK, built_folder
from tests.biometrics.slow_reference import record

BOUNDS = Bounds(min_eye_distance_px=40, max_yaw=0.35, min_blur=15, min_brightness=50, max_brightness=210, max_clipped=0.1)


@cache
def sampler() -> Sampler:
    try:
        return open_sampler(DEFAULT_PACK, (built_folder(),), threads=1, bounds=BOUNDS)
    except ModelError as error:
        pytest.skip(f"the default pack is not built: {error}")


def person(name: str):  # noqa: ANN201  a fixture's value
    try:
        return portrait(name)
    except PortraitMissingError as error:
        pytest.skip(str(error))


@cache
def gallery_of(*names: str) -> Gallery:
    """Portraits enrolled from three pictures each."""
    enrolled = []
    for name in names:
        samples = [sampler().sample_faces(picture) for picture in enrolment_pictures(person(name), 3, seed=9)]
        assert [len(each) for each in samples] == [1, 1, 1]
        enrolled.append(Enrolled(record(name), np.stack([each[0].template for each in samples])))
    calibration = pack_default(sampler().pack.manifest.comparison, people=len(enrolled))
    return build(enrolled, metric=sampler().metric, calibration=calibration, version=4, pack=sampler().pack.id)
