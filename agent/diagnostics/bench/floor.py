"""The bare onnxruntime calls that recognition of one frame cannot do without: the floor that recognition.py is measured against.

The fixed list: P-Net on the pyramid of the frame's size, R-Net on 8 windows, O-Net on 3, the embedder on 2 chips (a face and its mirror
image).
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from models.manifest import Manifest, MtcnnPart
from models.picture import F32, pyramid
from models.session import Session

FRAME_SIZE = (640, 480)
MIN_FACE_PX = 100
RNET_WINDOWS = 8
ONET_WINDOWS = 3
EMBEDDER_CHIPS = 2


def bare_calls(
    directory: Path, manifest: Manifest, *, frame_size: tuple[int, int] = FRAME_SIZE, min_face_px: int = MIN_FACE_PX, threads: int = 1
) -> Callable[[], None]:
    """Returns the fixed list as one call, on inputs made beforehand. directory: of the built pack; frame_size: width, height."""
    assert isinstance(manifest.detector, MtcnnPart), "the fixed list is that of a cascade"
    specs = {spec.part: spec for part in manifest.parts for spec in part.specs}
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
