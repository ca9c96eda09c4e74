"""Recognition's memory: a gate runs for months."""

import pytest

from tests.vision import pack
from tests.vision.soak import soak


@pytest.mark.slow
def test_memory_stays_flat_over_frames_of_changing_sizes_and_face_counts() -> None:
    flat = soak(6_000, pack.gallery_of("astronaut", "hopper"))
    assert flat.probes > 300
    assert flat.spread < 0.02, flat
