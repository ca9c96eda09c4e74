"""MiniFASNet from its state file to a score: against numpy always, against PyTorch where it is installed."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from models.build import torch_file
from models.build.minifasnet import network
from models.digests import sha256_hex
from models.errors import ImageError, SourceError
from models.families import PADS
from models.pad import MiniFasnet, surroundings
from models.session import Session
from tests.models import reference
from tests.models.portraits import U8
from tests.models.shared import weights
from tests.models.state_file import small_fasnet, state_file

SEED = 20261122
TOLERANCE = 1e-4
PUBLISHED = ("2.7_80x80_MiniFASNetV2.pth", "4_0_0_80x80_MiniFASNetV1SE.pth")


def pictures(count: int) -> U8:
    return np.random.default_rng(SEED).integers(0, 256, (count, 80, 80, 3), dtype=np.uint8)


def as_planes(seen: U8) -> np.ndarray:
    return np.ascontiguousarray(seen.transpose(0, 3, 1, 2), dtype=np.float32)


def session(folder: Path, content: bytes, part: int = 0) -> Session:
    file = folder / f"{part}.onnx"
    file.write_bytes(content)
    return Session(file, sha256=sha256_hex(content), spec=PADS["minifasnet"][part], threads=1)


def test_a_network_of_random_weights_agrees_with_the_reference(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for seed in range(3):
        state, seen = small_fasnet(seed), pictures(3)
        found = session(tmp_path, network(state_file(monkeypatch, state))).run(as_planes(seen))
        expected = np.stack([reference.MiniFasnet(state).logits(bgr.astype(np.float64)) for bgr in seen])
        assert np.abs(expected).max() > 0.01
        assert np.abs(found - expected).max() < TOLERANCE * np.abs(expected).max(), seed


@pytest.mark.parametrize("slope", [-0.4, 0.0, 1.0, 1.7])
def test_any_slope_of_a_bend_agrees_with_the_reference(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, slope: float) -> None:
    state, seen = small_fasnet(5), pictures(2)
    for name in state:
        if name.endswith("prelu.weight"):
            state[name][0] = slope
    found = session(tmp_path, network(state_file(monkeypatch, state))).run(as_planes(seen))
    expected = np.stack([reference.MiniFasnet(state).logits(bgr.astype(np.float64)) for bgr in seen])
    assert np.abs(expected).max() > 0.01
    assert np.abs(found - expected).max() < TOLERANCE * np.abs(expected).max()


@pytest.mark.parametrize("harm", ["gone", "new"])
def test_a_state_of_another_network_is_refused(monkeypatch: pytest.MonkeyPatch, harm: str) -> None:
    state = small_fasnet(1)
    if harm == "gone":
        del state["module.conv_45.project.bn.bias"]
    else:
        state["module.attention.weight"] = np.ones(3, np.float32)
    with pytest.raises(SourceError, match=r"conv_45\.project\.bn\.bias|attention\.weight"):
        network(state_file(monkeypatch, state))


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_networks_agree_with_the_reference(tmp_path: Path, name: str) -> None:
    content, seen = weights(name).read_bytes(), pictures(2)
    found = session(tmp_path, network(content)).run(as_planes(seen))
    whole = reference.MiniFasnet(torch_file.tensors(content))
    expected = np.stack([whole.logits(bgr.astype(np.float64)) for bgr in seen])
    assert np.abs(expected).max() > 0.1
    assert np.abs(found - expected).max() < TOLERANCE * np.abs(expected).max()


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_networks_agree_with_pytorch_where_it_is_installed(tmp_path: Path, name: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is no part of the project; where it is installed it is the judge")
    from tests.models.torch_judge import logits  # noqa: PLC0415  needs torch

    file, planes = weights(name), as_planes(pictures(4))
    state = torch.load(file, map_location="cpu", weights_only=True)
    for key, array in torch_file.tensors(file.read_bytes()).items():
        assert np.array_equal(state[key].numpy(), array), key
    expected = logits(state, planes)
    assert np.abs(session(tmp_path, network(file.read_bytes())).run(planes) - expected).max() < TOLERANCE * np.abs(expected).max()


@pytest.fixture
def pad(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MiniFasnet:
    near, far = (session(tmp_path, network(state_file(monkeypatch, small_fasnet(seed))), part) for part, seed in ((0, 1), (1, 2)))
    return MiniFasnet(near=near, far=far, near_crop=2.7, far_crop=4.0)


def test_a_score_is_the_mean_of_what_both_networks_give_the_class_live(pad: MiniFasnet) -> None:
    frame = np.random.default_rng(SEED).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    boxes = np.array([[250, 180, 330, 280], [10, 20, 110, 120]], np.float32)
    expected = []
    for box in boxes:
        shares = []
        for seed, crop in ((1, 2.7), (2, 4.0)):
            x0, y0, x1, y1 = surroundings(box, crop=crop, width=640, height=480)
            look = np.asarray(cv2.resize(frame[y0:y1, x0:x1], (80, 80)), np.float64)
            shares.append(reference.softmax(reference.MiniFasnet(small_fasnet(seed)).logits(look))[1])
        expected.append(np.mean(shares))
    assert np.abs(pad.score(frame, boxes) - expected).max() < TOLERANCE


def test_what_is_looked_at_lies_in_the_picture() -> None:
    rng = np.random.default_rng(SEED)
    for _ in range(500):
        width, height = (int(each) for each in rng.integers(60, 900, 2))
        x0, y0 = rng.uniform(-20, width - 5), rng.uniform(-20, height - 5)
        box = np.array([x0, y0, x0 + rng.uniform(4, width), y0 + rng.uniform(4, height)], np.float32)
        left, top, right, bottom = surroundings(box, crop=2.7, width=width, height=height)
        assert 0 <= left < right <= width, (box, width, height)
        assert 0 <= top < bottom <= height, (box, width, height)


def test_what_is_looked_at_is_the_box_times_the_crop_moved_into_the_picture() -> None:
    assert surroundings(np.array([300, 200, 400, 300], np.float32), crop=2.0, width=640, height=480) == (250, 150, 451, 351)
    assert surroundings(np.array([0, 0, 100, 100], np.float32), crop=2.0, width=640, height=480) == (0, 0, 201, 201)


def test_a_box_without_a_side_has_no_score_and_the_others_have_theirs(pad: MiniFasnet) -> None:
    frame = np.random.default_rng(SEED).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    face, nothing = [250, 180, 330, 280], ([10, 10, 10, 50], [60, 50, 10, 10], [np.nan, 0, 5, 5], [0, 0, np.inf, 9], [5, 5, 5.4, 90])
    scores = pad.score(frame, np.array([nothing[0], face, *nothing[1:]], np.float32))
    assert np.isnan(scores).tolist() == [True, False, True, True, True, True]
    assert scores[1] == pad.score(frame, np.array([face], np.float32))[0]


def test_no_box_gives_no_score_and_what_is_no_box_is_refused(pad: MiniFasnet) -> None:
    frame = np.zeros((480, 640, 3), np.uint8)
    assert pad.score(frame, np.empty((0, 4), np.float32)).tolist() == []
    with pytest.raises(ImageError, match=r"must be \(n, 4\)"):
        pad.score(frame, np.array([10, 10, 50, 50], np.float32))
