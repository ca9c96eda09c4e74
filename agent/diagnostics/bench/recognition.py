"""What the whole recognition of a frame costs over the bare onnxruntime calls that it cannot do without, and what a gate needs of memory.

Whole recognition: detect, align, quality, mirrored template, fusion, normalised search over 15,000 people, as `Recogniser.see` does it for
a frame that it searches whole; beside it a frame in which a known face is followed. The bare calls are the fixed list of floor.py. All are
measured in one process in interleaved blocks, by the processor's time of the one thread that does all of it: a wall clock would count what
others on the machine do. Only the ratios are told apart from one machine to the next.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import cycle, islice

import numpy as np

from agent.biometrics.calibration import Calibration, Method
from agent.biometrics.gallery import Enrolled, Gallery, build
from agent.biometrics.quality import Bounds
from agent.core.identity import AccessRecord, Direction, PersonId, PersonStatus
from agent.core.inputs import CalibrationKind, Pad, PadVerdict, ProbeCompared
from agent.diagnostics.bench.figures import resident_mb, spread
from agent.diagnostics.bench.floor import bare_calls
from agent.diagnostics.walkup import portrait, walk_up
from agent.vision.frame import U8, Frame
from agent.vision.recogniser import SEARCH_EVERY, CameraState, Recogniser
from agent.vision.sampler import Sampler, open_sampler
from models.pack import find_pack
from models.places import DEFAULT_PACK, built_folder

FRAMES = 15  # of each side in one block; a block's figure is their median
REFERENCES = 3
FRAME_NS = 66_666_667
BOUNDS = Bounds(min_eye_distance_px=40, max_yaw=0.35, min_blur=15, min_brightness=50, max_brightness=210, max_clipped=0.1)


def crowd(sampler: Sampler, people: int) -> list[Enrolled]:
    """People who do not exist, spread as real templates of this pack are: about one real template, at real distances from each other."""
    rng = np.random.default_rng(0)
    (sample, *_) = sampler.sample_faces(next(walk_up(portrait("hopper"), frames=1, from_eye_px=60)))
    length = len(sample.template)
    centres = sample.template + rng.normal(scale=0.6 / np.sqrt(length), size=(people, 1, length))
    references = centres + rng.normal(scale=0.25 / np.sqrt(length), size=(people, REFERENCES, length))
    return [Enrolled(_record(f"p{i:06d}"), each) for i, each in enumerate(references.astype(np.float32))]


def _record(name: str) -> AccessRecord:
    return AccessRecord(person=PersonId(name), status=PersonStatus.ACTIVE, not_before_s=0, not_after_s=2**40, rules=())


def gallery_of(sampler: Sampler, enrolled: list[Enrolled], *, k: int = 30) -> Gallery:
    # A record that no release may carry for so many people yet: it is the search that is measured.
    calibration = Calibration(
        kind=CalibrationKind.PACK_DEFAULT, method=Method.COHORT, k=k, threshold=0.13, margin=0.05, people_max=len(enrolled)
    )
    return build(enrolled, metric=sampler.metric, calibration=calibration, version=1, pack=sampler.pack.id)


class Lane:
    """One side of the comparison: a person who stands in the lane, frame after frame."""

    def __init__(self, recogniser: Recogniser, gallery: Gallery, images: list[U8], *, search_each: bool) -> None:
        self._recogniser, self._gallery, self._images = recogniser, gallery, cycle(images)
        self._search_each = search_each
        self._state, self._number = CameraState(), 0

    def frame_ms(self) -> float:
        """Time for one frame; the frames that a followed face is searched on are left to the other side."""
        while True:
            self._number += 1
            frame = Frame(self._number, self._number * FRAME_NS, next(self._images))
            since = SEARCH_EVERY if self._search_each else self._state.since_search
            before = replace(self._state, since_search=since)
            began = time.thread_time()
            sight = self._recogniser.see(before, frame, camera="entry", direction=Direction.ENTRY, gallery=self._gallery, watched=None)
            took_ms = (time.thread_time() - began) * 1000
            self._state = sight.state
            assert [type(each) for each in sight.inputs] == [ProbeCompared], sight.inputs
            searched = sight.state.since_search == 0
            if searched == self._search_each:
                return took_ms


def measure(*, blocks: int, people: int, progress: Callable[[int], None]) -> dict[str, object]:
    """Returns medians in milliseconds, ratios with their spread over the blocks, and memory."""
    began = time.perf_counter()
    directory = find_pack(DEFAULT_PACK, (built_folder(),))
    sampler = open_sampler(DEFAULT_PACK, (built_folder(),), threads=1, bounds=BOUNDS)
    sampler.warm_up()
    opened_s = time.perf_counter() - began
    enrolled = crowd(sampler, people)
    began = time.perf_counter()
    gallery = gallery_of(sampler, enrolled)
    build_s = time.perf_counter() - began
    del enrolled
    images = list(islice(walk_up(portrait("hopper"), frames=60, from_eye_px=48, to_eye_px=60), FRAMES * 2))
    recogniser = Recogniser(sampler, frames=3, pad=Pad(PadVerdict.OFF))
    gate_mb = resident_mb()
    searched, followed = (Lane(recogniser, gallery, images, search_each=each) for each in (True, False))
    bare = bare_calls(directory, sampler.pack.manifest)
    probe = np.ascontiguousarray(gallery.table[7] + np.float32(0.01))
    sides: dict[str, Callable[[], float]] = {
        "bare": lambda: _timed(bare),
        "whole": searched.frame_ms,
        "followed": followed.frame_ms,
        "search": lambda: _timed(lambda: gallery.identify(probe)),
        "product": lambda: _timed(lambda: gallery.table @ probe),
    }
    rows = []
    for block in range(blocks + 1):  # the first one warms up and is not counted
        rows.append({name: statistics.median(side() for _ in range(FRAMES)) for name, side in sides.items()})
        progress(block)
    del rows[0]
    return {
        "pack": sampler.pack.id,
        "people": people,
        "blocks": blocks,
        "opened_s": round(opened_s, 2),
        "gallery_build_s": round(build_s, 2),
        **{f"{name}_ms": round(statistics.median(row[name] for row in rows), 3) for name in sides},
        "whole_over_bare": _ratio(rows, "whole", "bare"),
        "followed_over_bare": _ratio(rows, "followed", "bare"),
        "search_over_product": _ratio(rows, "search", "product"),
        "resident_mb": round(gate_mb),
        "resident_after_mb": round(resident_mb()),
        "highest_mb": round(resident_mb(field="VmHWM")),
    }


def _timed(call: Callable[[], object]) -> float:
    began = time.thread_time()
    call()
    return (time.thread_time() - began) * 1000


def _ratio(rows: list[dict[str, float]], above: str, below: str) -> dict[str, float]:
    return spread([row[above] / row[below] for row in rows])
