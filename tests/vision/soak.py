"""Frames of changing sizes and face counts without an end: how far does resident memory move? `python -m tests.vision.soak FRAMES`."""

import itertools
import json
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

from agent.biometrics.gallery import Gallery
from agent.core.identity import Direction, TrackId
from agent.core.inputs import Pad, PadVerdict, ProbeCompared
from agent.diagnostics.bench.figures import resident_mb
from agent.vision.frame import U8, Frame
from agent.vision.recogniser import CameraState, Recogniser
from agent.vision.sampler import Sampler
from tests.vision import pack
from tests.vision.scenes import FRAME_NS, At, draw

SIZES = ((160, 120), (200, 152), (240, 180), (256, 192), (320, 240), (352, 288), (400, 224), (480, 360), (640, 480))
EYE_PX = 24.0
COUNTS = (0, 1, 1, 2, 3, 5)
STAY_FRAMES = (1, 30)  # how long one size and number of people last
WATCH_SHARE = 0.3  # of the stays in which somebody was compared


@dataclass(frozen=True, slots=True)
class Flatness:
    """Resident memory, MB: after the first pass over everything, then the least, the greatest and the last of what was read."""

    frames: int
    probes: int
    first_mb: float
    least_mb: float
    greatest_mb: float
    last_mb: float
    seconds: float

    @property
    def spread(self) -> float:
        """Greatest departure from the first, as a share of it."""
        return max(self.greatest_mb - self.first_mb, self.first_mb - self.least_mb) / self.first_mb


def pictures() -> dict[tuple[int, int], dict[int, list[U8]]]:
    """By size and number of people, two pictures of each."""

    def people(count: int, size: tuple[int, int], seed: int) -> list[At]:
        columns = min(count, max(size[0] // 75, 1))
        names = itertools.cycle(("astronaut", "hopper"))
        return [
            At(name, size[0] * (0.5 + i % columns) / columns + seed, EYE_PX + i % 2, y=45.0 + 65 * (i // columns))
            for i, name in zip(range(count), names, strict=False)
        ]

    return {size: {count: [draw(people(count, size, seed), seed=seed, size=size) for seed in (0, 1)] for count in COUNTS} for size in SIZES}


def stays(rng: random.Random) -> Iterator[tuple[tuple[int, int], int, int]]:
    """Size, people and frames: everything once, then as chance has it."""
    for size, count in itertools.product(SIZES, COUNTS):
        yield size, count, 12
    while True:
        yield rng.choice(SIZES), rng.choice(COUNTS), rng.randint(*STAY_FRAMES)


def soak(frames: int, gallery: Gallery, *, seed: int = 1) -> Flatness:
    sampler = Sampler(pack.sampler().pack, replace(pack.BOUNDS, min_eye_distance_px=20))
    looking = Recogniser(sampler, frames=3, pad=Pad(PadVerdict.OFF))
    drawn, rng, state = pictures(), random.Random(seed), CameraState()
    number, probes, first_mb, read = 0, 0, 0.0, list[float]()
    all_once = 12 * len(SIZES) * len(COUNTS)
    began = time.monotonic()
    for size, count, length in stays(rng):
        watched: TrackId | None = None
        for i in range(length):
            number += 1
            frame = Frame(number, number * FRAME_NS, drawn[size][count][i % 2])
            sight = looking.see(state, frame, camera="entry", direction=Direction.ENTRY, gallery=gallery, watched=watched)
            state = sight.state
            compared = [each for each in sight.inputs if isinstance(each, ProbeCompared)]
            probes += len(compared)
            if compared and watched is None and rng.random() < WATCH_SHARE:
                watched = compared[0].track
            if number == 2 * all_once:
                first_mb = resident_mb()
            elif number > 2 * all_once and number % 100 == 0:
                read.append(resident_mb())
        if number >= frames:
            return Flatness(number, probes, first_mb, min(read), max(read), read[-1], time.monotonic() - began)
    raise AssertionError("stays end")


if __name__ == "__main__":
    flat = soak(int(sys.argv[1]), pack.gallery_of("astronaut", "hopper"))
    print(json.dumps({f: getattr(flat, f) for f in Flatness.__dataclass_fields__} | {"spread": flat.spread}))
