"""The detector stage beside OpenCV's own FaceDetectorYN, the same network: `python benchmarks/detector.py [FACES]`. Prints one JSON object.

Both are given the same frames, one thread, the pack's threshold and its overlap; compared are `Yunet.detect`, asked for the smallest faces
it finds, and `FaceDetectorYN.detect` at 320x240. Frames of 640x480 are shrunk by each side itself, and that is counted. Milliseconds are of
the processor, which other work on the machine stretches little, in interleaved blocks; `bare` is onnxruntime with the network alone.

FACES: a folder with `groups/*.jpg` and `lfw-dev/people/*/*.jpg` (default: ../shared/faces). Without it the frames are drawn from the two
portraits of the demo, and there is no recall. A face to be found is:
- in a group: what two different networks, this one and the MTCNN of the default pack, both find in the picture at its full size;
- on a press picture: the face in the middle, which is how those pictures were cut. They come smaller and smaller.
"""

import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as a gate runs; before numpy is loaded

import cv2
import numpy as np

from agent.biometrics.rates import wilson
from agent.diagnostics.bench.figures import spread
from agent.diagnostics.walkup import place, portrait, wall
from agent.vision.frame import F32, U8
from models.boxes import overlaps
from models.families import DETECTORS
from models.manifest import YunetPart
from models.pack import find_pack, open_pack
from models.places import DEFAULT_PACK, built_folder
from models.session import Session
from models.yunet import SMALLEST_PX

PACK = "yunet-mobilefacenet"
SMALL, CAMERA = (320, 240), (640, 480)  # width, height
BLOCKS, CALLS = 20, 15  # calls of each side in a block, one frame after the other; a block's figure is their median
PRESS_EVERY = 10  # a press picture in so many
PRESS_SIDES = (240, 120, 80, 56, 40, 32)  # of a press picture in the frame, pixels
PRESS_FACE = (0.4, 0.5)  # width and height of its face, parts of that side
SAME = 0.4  # least overlap, intersection over union, of two boxes about one face
GREY = 110  # around a picture that does not fill the frame

Find = Callable[[U8], F32]
"""Returns a picture's faces: (n, 4) x0, y0, x1, y1."""


def main(faces: Path) -> None:
    cv2.setNumThreads(1)
    folder = find_pack(PACK, (built_folder(),))
    pack = open_pack(folder, threads=1)
    part = pack.manifest.detector
    assert isinstance(part, YunetPart)
    graph = folder / part.graphs["yunet"].file
    network = Session(graph, sha256=part.graphs["yunet"].sha256, spec=DETECTORS["yunet"][0], threads=1)
    blank = np.zeros((1, 3, part.input_height, part.input_width), np.float32)

    def opencvs(size: tuple[int, int]) -> Find:
        judge = cv2.FaceDetectorYN.create(str(graph), "", size, part.threshold, part.overlap_max, 5000)
        return lambda image: _boxes(judge.detect(image if image.shape[1::-1] == size else cv2.resize(image, size))[1])

    def ours(image: U8) -> F32:
        return pack.detector.detect(image, min_face_px=SMALLEST_PX).boxes

    theirs = opencvs(SMALL)
    groups = [_read(file) for file in sorted(faces.glob("groups/*.jpg"))]
    press = [_read(file) for file in sorted(faces.glob("lfw-dev/people/*/*.jpg"))[::PRESS_EVERY]]
    stills = {"nobody": [wall(CAMERA)], "one face": press[:CALLS], "group": groups} if groups and press else drawn()
    figures: dict[str, object] = {"pack": pack.id, "opencv": cv2.__version__, "blocks": BLOCKS}
    for width, height in (SMALL, CAMERA):
        for name, images in stills.items():
            frames = [fitted(image, (width, height)) for image in images]
            figures[f"{name}, {width}x{height}"] = beside(frames, ours=ours, theirs=theirs, bare=lambda: network.run_all(blank))
    if groups:
        other = open_pack(find_pack(DEFAULT_PACK, (built_folder(),)), threads=1).detector
        truths = [
            both(opencvs(image.shape[1::-1])(image), other.detect(image, min_face_px=20).boxes) * _scale(image, SMALL) for image in groups
        ]
        figures["recall, groups"] = recall([fitted(image, SMALL) for image in groups], truths, ours=ours, theirs=theirs)
    for side in PRESS_SIDES if press else ():
        frames = [centred(image, side) for image in press]
        half = np.array(PRESS_FACE) * side / 2
        middle = (np.concatenate([-half, half])[None] + np.array(SMALL * 2) / 2).astype(np.float32)
        figures[f"recall, one face, picture of {side} pixels"] = recall(frames, [middle] * len(frames), ours=ours, theirs=theirs)
    print(json.dumps(figures, indent=1))


def drawn() -> dict[str, list[U8]]:
    """One, two and five of the demo's people before a wall."""
    people = [portrait("astronaut"), portrait("hopper")]
    crowd = wall(CAMERA)
    for i in range(5):
        crowd = place(crowd, people[i % 2], at=(70 + 125 * i, 150 + 60 * (i % 2)), eye_px=34)
    one = [place(wall(CAMERA), each, at=(320, 200), eye_px=50) for each in people]
    two = place(one[0], people[1], at=(140, 220), eye_px=44)
    return {"nobody": [wall(CAMERA)], "one face": one, "two": [two], "crowd": [crowd]}


def beside(frames: Sequence[U8], *, ours: Find, theirs: Find, bare: Callable[[], object]) -> dict[str, object]:
    """Times of the three sides, and the ratios of the blocks."""
    sides: list[Callable[[U8], object]] = [ours, theirs, lambda _: bare()]
    blocks = []
    for _ in range(BLOCKS + 1):  # the first one warms up and is not counted
        calls = [[_took_ms(side, frames[i % len(frames)]) for side in sides] for i in range(CALLS)]
        blocks.append([statistics.median(each) for each in zip(*calls, strict=True)])
    del blocks[0]
    names = ("ours_ms", "theirs_ms", "bare_ms")
    return {
        **{name: round(statistics.median(block[side] for block in blocks), 3) for side, name in enumerate(names)},
        "ours_over_theirs": spread([block[0] / block[1] for block in blocks]),
        "ours_over_bare": spread([block[0] / block[2] for block in blocks]),
    }


def recall(frames: Sequence[U8], truths: Sequence[F32], *, ours: Find, theirs: Find) -> dict[str, object]:
    """Of the faces that are there, (n, 4) for each frame: how many each side finds, and what it finds besides."""
    of, figures, seen = sum(len(truth) for truth in truths), dict[str, object](), []
    for name, find in (("ours", ours), ("theirs", theirs)):
        found = [find(frame) for frame in frames]
        hits = [overlaps(truth, boxes).max(axis=1, initial=0) >= SAME for truth, boxes in zip(truths, found, strict=True)]
        rate = wilson(int(sum(each.sum() for each in hits)), of)
        seen.append(np.concatenate(hits))
        figures[name] = {
            "found": int(seen[-1].sum()),
            "recall": round(rate.value, 4),
            "95 %": [round(rate.low, 4), round(rate.high, 4)],
            "besides": sum(len(boxes) for boxes in found) - int(seen[-1].sum()),
        }
    return {"faces": of, **figures, "only_ours": int((seen[0] & ~seen[1]).sum()), "only_theirs": int((seen[1] & ~seen[0]).sum())}


def both(boxes: F32, others: F32) -> F32:
    """Those of the first that the second has too."""
    found: F32 = boxes[overlaps(boxes, others).max(axis=1, initial=0) >= SAME]
    return found


def fitted(image: U8, size: tuple[int, int]) -> U8:
    """The picture shrunk or enlarged into the upper left of a frame, its proportions kept."""
    return _pasted(image, scale=_scale(image, size), size=size, middle=False)


def centred(image: U8, side: int) -> U8:
    return _pasted(image, scale=side / max(image.shape[:2]), size=SMALL, middle=True)


def _pasted(image: U8, *, scale: float, size: tuple[int, int], middle: bool) -> U8:
    width, height = round(image.shape[1] * scale), round(image.shape[0] * scale)
    x, y = ((size[0] - width) // 2, (size[1] - height) // 2) if middle else (0, 0)
    frame = np.full((size[1], size[0], 3), GREY, np.uint8)
    frame[y : y + height, x : x + width] = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return frame


def _scale(image: U8, size: tuple[int, int]) -> float:
    return float(min(wanted / side for wanted, side in zip(size, image.shape[1::-1], strict=True)))


def _read(file: Path) -> U8:
    return np.asarray(cv2.imread(str(file)), dtype=np.uint8)


def _boxes(rows: object) -> F32:
    """FaceDetectorYN's rows begin with x, y, width, height; nobody is None."""
    if rows is None:
        return np.empty((0, 4), np.float32)
    corners = np.asarray(rows, dtype=np.float32)[:, :4].copy()
    corners[:, 2:] += corners[:, :2]
    return corners


def _took_ms(call: Callable[[U8], object], frame: U8) -> float:
    """Milliseconds of this thread on the processor. No side may use another one."""
    everybody, began = time.process_time(), time.thread_time()
    call(frame)
    took, whole = time.thread_time() - began, time.process_time() - everybody
    assert whole < 1.5 * took + 1e-3, f"{whole:.4f} s on all threads, {took:.4f} s on one: this is to be compared on one thread"
    return took * 1e3


if __name__ == "__main__":
    default = Path(__file__).resolve().parents[2] / "shared" / "faces"
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else default)
