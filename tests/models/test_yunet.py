"""YuNet against OpenCV's own decoding of it, and on portraits; and the freeing of a published graph's sizes."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from models.build import recipes
from models.build.free_sizes import with_sizes
from models.build.graph import GraphWriter
from models.digests import sha256_hex
from models.errors import ImageError, SourceError
from models.families import DETECTORS
from models.manifest import YunetPart
from models.manifest_reader import load
from models.picture import F32
from models.places import manifests_folder
from models.session import Session
from models.yunet import SAME_FACE_OVERLAP, Yunet
from tests.models.portraits import U8
from tests.models.shared import weights

FILE = "face_detection_yunet_2023mar.onnx"

Edges = list[float]
"""x0, y0, x1, y1."""


@pytest.fixture
def part() -> YunetPart:
    detector = load(manifests_folder() / "yunet-mobilefacenet" / "manifest.toml").detector
    assert isinstance(detector, YunetPart)
    return detector


@pytest.fixture
def yunet(tmp_path: Path, part: YunetPart) -> Yunet:
    content = recipes.yunet(weights(FILE).read_bytes(), part)
    assert sha256_hex(content) == part.graphs["yunet"].sha256, "the manifest names what the recipe makes"
    file = tmp_path / "yunet.onnx"
    file.write_bytes(content)
    session = Session(file, sha256=sha256_hex(content), spec=DETECTORS["yunet"][0], threads=1)
    return Yunet(session, width=320, height=256, near_px=128, threshold=0.6, overlap_max=0.3)


def shrunk(image: U8) -> U8:
    """A picture that fits into the searched one: both decoders then see the same pixels."""
    scale = min(320 / image.shape[1], 256 / image.shape[0])
    size = (int(image.shape[1] * scale), int(image.shape[0] * scale))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def judged(canvas: U8, *, overlap_max: float) -> F32:
    """OpenCV's rows, best first: x, y, width, height, five points, score."""
    judge = cv2.FaceDetectorYN.create(str(weights(FILE)), "", (canvas.shape[1], canvas.shape[0]), 0.6, overlap_max, 5000)
    return np.asarray(judge.detect(canvas)[1], dtype=np.float32)


def corners(row: F32) -> Edges:
    x, y, width, height = row[:4].tolist()
    return [x, y, x + width, y + height]


def share(one: Edges, other: Edges) -> float:
    """Intersection over union, in the plainest way."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    both = max(width, 0) * max(height, 0)
    return both / (sum((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in (one, other)) - both)


@pytest.mark.parametrize("portrait", ["astronaut", "hopper", "both"])
def test_the_decoding_agrees_with_opencvs_own(yunet: Yunet, astronaut: U8, hopper: U8, portrait: str) -> None:
    pictures = {"astronaut": [shrunk(astronaut)], "hopper": [shrunk(hopper)], "both": [shrunk(astronaut)[:, :160], shrunk(hopper)[:, :160]]}
    canvas = np.zeros((256, 320, 3), np.uint8)
    for at, picture in enumerate(pictures[portrait]):
        canvas[: picture.shape[0], 160 * at : 160 * at + picture.shape[1]] = picture
    rows = judged(canvas, overlap_max=0.3)
    found = yunet._found(np.ascontiguousarray(canvas.transpose(2, 0, 1)[None], np.float32))
    assert len(found) == len(rows) >= len(pictures[portrait])
    assert np.abs(found.boxes[:, :2] - rows[:, :2]).max() < 0.05
    assert np.abs(found.boxes[:, 2:] - found.boxes[:, :2] - rows[:, 2:4]).max() < 0.05
    assert np.abs(found.scores - rows[:, 14]).max() < 1e-3
    candidates = judged(canvas, overlap_max=1.0)
    assert len(candidates) > 2 * len(rows), "several cells see one face"
    for row, landmarks in zip(rows, found.landmarks, strict=True):
        agree = [each for each in candidates if share(corners(each), corners(row)) >= SAME_FACE_OVERLAP]
        mean = sum(each[14] * each[4:14] for each in agree) / sum(each[14] for each in agree)
        assert np.abs(landmarks.ravel() - mean).max() < 0.05


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.3])
@pytest.mark.parametrize("portrait", ["astronaut", "hopper"])
def test_one_face_is_found_at_every_scale_with_its_eyes_in_place(
    yunet: Yunet, request: pytest.FixtureRequest, portrait: str, scale: float
) -> None:
    image = np.asarray(cv2.resize(request.getfixturevalue(portrait), None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
    found = yunet.detect(image, min_face_px=40)
    eyes = np.array({"astronaut": [[203, 101], [247, 103]], "hopper": [[223, 191], [309, 189]]}[portrait], np.float32) * scale
    assert len(found) == 1
    assert np.linalg.norm(found.landmarks[0, :2] - eyes, axis=1).max() < 0.12 * np.linalg.norm(eyes[1] - eyes[0])


def test_a_known_face_is_followed_and_a_place_without_one_is_dropped(yunet: Yunet, astronaut: U8) -> None:
    found = yunet.detect(astronaut, min_face_px=60)
    nothing = np.array([10, 400, 90, 480], np.float32)
    moved = found.boxes[0] + np.array([8, -6, 8, -6], np.float32)
    refined = yunet.refine(astronaut, np.stack([nothing, moved]))
    assert refined.origin.tolist() == [1]
    apart = np.linalg.norm(refined.landmarks[0] - found.landmarks[0], axis=1).mean()
    assert apart < 0.06 * np.linalg.norm(found.landmarks[0, 1] - found.landmarks[0, 0])
    assert len(yunet.refine(astronaut, np.empty((0, 4), np.float32))) == 0


def test_nothing_is_found_where_nobody_is_and_small_faces_are_left_out(yunet: Yunet, astronaut: U8) -> None:
    assert len(yunet.detect(np.zeros((480, 640, 3), np.uint8), min_face_px=60)) == 0
    assert len(yunet.detect(np.zeros((1, 900, 3), np.uint8), min_face_px=60)) == 0
    assert len(yunet.detect(astronaut, min_face_px=400)) == 0


def test_a_crowd_is_found_whole_although_only_the_nearest_are_looked_at_again(yunet: Yunet, astronaut: U8) -> None:
    face = np.asarray(cv2.resize(astronaut[20:240, 110:330], (150, 150), interpolation=cv2.INTER_AREA), np.uint8)
    crowd = np.full((480, 640, 3), 110, np.uint8)
    for row in range(2):
        for column in range(3):
            crowd[60 + 200 * row : 210 + 200 * row, 20 + 210 * column : 170 + 210 * column] = face
    found = yunet.detect(crowd, min_face_px=40)
    assert len(found) == 6
    eyes = np.linalg.norm(found.landmarks[:, 1] - found.landmarks[:, 0], axis=1)
    assert eyes.max() < 1.25 * eyes.min()


@pytest.mark.parametrize("enlarged", [1, 2])
def test_detection_finds_the_faces_that_opencvs_own_finds_at_320x240(yunet: Yunet, astronaut: U8, hopper: U8, enlarged: int) -> None:
    small = np.full((240, 320, 3), 110, np.uint8)
    for at, (picture, side) in enumerate(((hopper[:600, :450], 53), (astronaut[:400, 60:360], 106), (astronaut[:400, 60:360], 64))):
        person = cv2.resize(picture, (side, side * 4 // 3), interpolation=cv2.INTER_AREA)
        small[10 : 10 + person.shape[0], 106 * at :][:, :side] = person
    rows = judged(small, overlap_max=0.3)
    assert rows[:, 2].argmax() > 0, "the nearest face is not the surest one"
    found = yunet.detect(small.repeat(enlarged, axis=0).repeat(enlarged, axis=1), min_face_px=10)
    assert len(found) == len(rows) == 3
    assert found.scores.tolist() == sorted(found.scores.tolist(), reverse=True)
    shares = sorted(max(share(box, corners(enlarged * row)) for box in found.boxes.tolist()) for row in rows)
    # The nearest face was looked at again, in a cut-out; the others are where OpenCV has them.
    assert shares[0] > 0.8
    assert shares[1] > 0.99


def test_what_is_no_picture_is_refused(yunet: Yunet) -> None:
    with pytest.raises(ImageError, match="type float32"):
        yunet.detect(np.zeros((100, 100, 3), np.float32), min_face_px=60)
    with pytest.raises(ImageError, match="finds faces from 10 pixels"):
        yunet.detect(np.zeros((100, 100, 3), np.uint8), min_face_px=9)
    with pytest.raises(ImageError, match=r"must be \(n, 4\)"):
        yunet.refine(np.zeros((100, 100, 3), np.uint8), np.zeros(4, np.float32))


def fixed_graph() -> bytes:
    writer = GraphWriter()
    return writer.finish("toy", image=(1, 3, 6, 6), value=writer.node("Relu", ["image"]), output=(1, 3, 6, 6))


def test_a_freed_graph_computes_the_same_at_any_size(tmp_path: Path) -> None:
    import onnxruntime  # noqa: PLC0415  only this test needs it bare

    freed = with_sizes(fixed_graph(), {"image": (1, 3, "height", "width"), "output": (1, 3, "height", "width")})
    file = tmp_path / "free.onnx"
    file.write_bytes(freed)
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    for height, width in ((6, 6), (9, 300)):
        image = np.random.default_rng(1).normal(size=(1, 3, height, width)).astype(np.float32)
        assert np.array_equal(session.run(None, {"image": image})[0], np.maximum(image, 0))


@pytest.mark.parametrize(
    ("sizes", "says"),
    [
        ({"image": (1,)}, "'output' that its family does not know"),
        ({"image": (1,), "output": (1,), "score": (1,)}, "no input or output score"),
    ],
)
def test_a_graph_with_other_ends_is_refused(sizes: dict[str, tuple[int, ...]], says: str) -> None:
    with pytest.raises(SourceError, match=says):
        with_sizes(fixed_graph(), sizes)


def test_bytes_that_are_no_model_are_refused() -> None:
    whole, sizes = fixed_graph(), {"image": (1,), "output": (1,)}
    for wrong in (b"", b"\xff" * 40, b"not a model at all", whole[: len(whole) // 2], whole[:-3]):
        with pytest.raises(SourceError):
            with_sizes(wrong, sizes)
