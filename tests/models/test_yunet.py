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
from models.places import manifests_folder
from models.session import Session
from models.yunet import Yunet
from tests.models.portraits import U8
from tests.models.shared import weights

FILE = "face_detection_yunet_2023mar.onnx"


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
    return Yunet(session, width=320, height=256, near_px=160, threshold=0.6, overlap_max=0.3)


def shrunk(image: U8) -> U8:
    """A picture that fits into the searched one: both decoders then see the same pixels."""
    scale = min(320 / image.shape[1], 256 / image.shape[0])
    size = (int(image.shape[1] * scale), int(image.shape[0] * scale))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


@pytest.mark.parametrize("portrait", ["astronaut", "hopper"])
def test_the_decoding_agrees_with_opencvs_own(yunet: Yunet, request: pytest.FixtureRequest, portrait: str) -> None:
    picture = shrunk(request.getfixturevalue(portrait))
    canvas = np.zeros((256, 320, 3), np.uint8)
    canvas[: picture.shape[0], : picture.shape[1]] = picture
    judge = cv2.FaceDetectorYN.create(str(weights(FILE)), "", (320, 256), 0.6, 0.3, 5000)
    rows = np.asarray(judge.detect(canvas)[1])
    found = yunet._found(np.ascontiguousarray(canvas.transpose(2, 0, 1)[None], np.float32))
    assert len(found) == len(rows) >= 1
    assert np.abs(found.boxes[:, :2] - rows[:, :2]).max() < 0.05
    assert np.abs(found.boxes[:, 2:] - found.boxes[:, :2] - rows[:, 2:4]).max() < 0.05
    assert np.abs(found.landmarks.reshape(-1, 10) - rows[:, 4:14]).max() < 0.05
    assert np.abs(found.scores - rows[:, 14]).max() < 1e-3


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
