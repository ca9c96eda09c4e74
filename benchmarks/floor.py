"""What recognition of one frame costs over the bare onnxruntime calls that it cannot do without.

The fixed list: P-Net on the pyramid of the frame's size, R-Net on 8 windows, O-Net on 3, the embedder on 2 chips (a face and its mirror
image). Both are measured in the same process in interleaved blocks, and only their ratio is told apart from one machine to the next.

    python -m benchmarks.floor [--blocks 20] [--json]
"""

import argparse
import importlib.metadata
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from models.alignment import chips
from models.families import DETECTORS, EMBEDDERS, row
from models.manifest import Manifest
from models.pack import Pack, find_pack, open_pack
from models.picture import F32, U8, pyramid
from models.places import DEFAULT_PACK, built_folder
from models.session import Session

FRAME_SIZE = (640, 480)
MIN_FACE_PX = 100
RNET_WINDOWS = 8
ONET_WINDOWS = 3
EMBEDDER_CHIPS = 2
BLOCKS = 20
RUNS = 15
"""Runs of each side in one block; a block's figure is their median."""


def bare_calls(
    directory: Path, manifest: Manifest, *, frame_size: tuple[int, int] = FRAME_SIZE, min_face_px: int = MIN_FACE_PX, threads: int = 1
) -> Callable[[], None]:
    """Returns the fixed list as one call, on inputs made beforehand. directory: of the built pack; frame_size: width, height."""
    specs = {
        spec.part: spec
        for spec in (
            *row(DETECTORS, manifest.detector.family, kind="detector", place=str(directory)),
            *row(EMBEDDERS, manifest.embedder.family, kind="embedder", place=str(directory)),
        )
    }
    graphs = {**manifest.detector.graphs, **manifest.embedder.graphs}
    sessions = {
        part: Session(directory / graph.file, sha256=graph.sha256, spec=specs[part], threads=threads) for part, graph in graphs.items()
    }
    width, height = frame_size
    levels = pyramid(height, width, first=12 / min_face_px, factor=manifest.detector.pyramid_factor, least_px=12)
    chip = manifest.embedder.chip_px
    shapes = [
        *[("pnet", (1, 3, rows, columns)) for columns, rows in levels],
        ("rnet", (RNET_WINDOWS, 3, 24, 24)),
        ("onet", (ONET_WINDOWS, 3, 48, 48)),
        ("embedder", (EMBEDDER_CHIPS, 3, chip, chip)),
    ]
    generator = np.random.default_rng(0)
    calls: list[tuple[Session, F32]] = [(sessions[part], generator.integers(0, 256, shape).astype(np.float32)) for part, shape in shapes]

    def run() -> None:
        for session, image in calls:
            session.run(image)

    return run


def recognition(pack: Pack, frame: U8) -> Callable[[], None]:
    """Returns detection, alignment and mirrored template of one frame as one call. Quality and search are not the models' part."""
    template, chip_px = np.array(pack.manifest.embedder.alignment, np.float32), pack.manifest.embedder.chip_px

    def run() -> None:
        found = pack.detector.detect(frame, min_face_px=MIN_FACE_PX)
        pack.embedder.embed(chips(frame, found.landmarks, template=template, chip_px=chip_px))

    return run


def portrait_frame() -> U8:
    """Returns a frame of 640x480 with one face of about 110 pixels: scikit-image's portrait, read as a file."""
    files = importlib.metadata.files("scikit-image") or []
    image = cv2.imread(str(next(file.locate() for file in files if file.name == "astronaut.png")))
    frame = np.full((FRAME_SIZE[1], FRAME_SIZE[0], 3), 110, np.uint8)
    frame[:, 60:572] = image[:480]
    return frame


def median_ms(run: Callable[[], None]) -> float:
    took = []
    for _ in range(RUNS):
        began = time.perf_counter()
        run()
        took.append(time.perf_counter() - began)
    return statistics.median(took) * 1000


def measure(blocks: int) -> dict[str, object]:
    """Returns medians in milliseconds and the ratio of the two with its spread over the blocks."""
    cv2.setNumThreads(1)
    directory = find_pack(DEFAULT_PACK, (built_folder(),))
    pack = open_pack(directory)
    floor, whole = bare_calls(directory, pack.manifest), recognition(pack, portrait_frame())
    median_ms(floor), median_ms(whole)  # warm
    pairs = [(median_ms(floor), median_ms(whole)) for _ in range(blocks)]
    ratios = sorted(with_all / bare for bare, with_all in pairs)
    return {
        "pack": pack.id,
        "blocks": blocks,
        "bare_ms": round(statistics.median(bare for bare, _ in pairs), 3),
        "recognition_ms": round(statistics.median(with_all for _, with_all in pairs), 3),
        "ratio": {"median": round(statistics.median(ratios), 3), "min": round(ratios[0], 3), "max": round(ratios[-1], 3)},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Recognition of a frame over its bare onnxruntime calls.")
    parser.add_argument("--blocks", type=int, default=BLOCKS)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    figures = measure(args.blocks)
    print(json.dumps(figures) if args.json else "\n".join(f"{name:<16} {value}" for name, value in figures.items()))


if __name__ == "__main__":
    main()
