"""The built graphs against an independent evaluation of the same weights, and against themselves built again."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from models.alignment import chips
from models.build import builder
from models.digests import sha256_hex
from models.families import DETECTORS, EMBEDDERS
from models.manifest import Manifest
from models.pack import Pack
from models.session import Session
from tests.models import reference
from tests.models.portraits import U8, installed_file

TOLERANCE = 1e-4
SEED = 20261122


@pytest.fixture(scope="module")
def mtcnn() -> reference.Mtcnn:
    return reference.Mtcnn(lambda name: installed_file("mtcnn", name))


@pytest.fixture(scope="module")
def resnet() -> reference.DlibResnet:
    return reference.DlibResnet(installed_file("face_recognition_models", "dlib_face_recognition_resnet_model_v1.dat"))


Run = Callable[[str], Session]


@pytest.fixture(scope="module")
def graph(packs_folder: Path, manifest: Manifest) -> Run:
    """Opens one graph of the pack by its part."""
    specs = {spec.part: spec for rows in (DETECTORS["mtcnn"], EMBEDDERS["dlib-resnet"]) for spec in rows or ()}
    graphs = {**manifest.detector.graphs, **manifest.embedder.graphs}

    def opened(part: str) -> Session:
        file = packs_folder / "mtcnn-dlib" / graphs[part].file
        return Session(file, sha256=graphs[part].sha256, spec=specs[part], threads=1)

    return opened


def random_pictures(count: int, height: int, width: int) -> U8:
    return np.random.default_rng(SEED).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def as_input(bgr: U8) -> NDArray[np.float32]:
    return np.ascontiguousarray(bgr.transpose(0, 3, 1, 2), dtype=np.float32)


def face_score(logit: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-logit.astype(np.float64))))


@pytest.mark.parametrize(("height", "width"), [(12, 12), (29, 40), (58, 77)])
def test_pnet_agrees_with_the_reference(graph: Run, mtcnn: reference.Mtcnn, astronaut: U8, height: int, width: int) -> None:
    run = graph("pnet").run
    for bgr in (random_pictures(1, height, width)[0], np.asarray(cv2.resize(astronaut, (width, height)), np.uint8)):
        output = run(as_input(bgr[None]))[0]
        score, box, _ = mtcnn.pnet(bgr[..., ::-1].astype(np.float64))
        assert np.abs(face_score(output[0]) - score).max() < TOLERANCE
        assert np.abs(output[1:].transpose(1, 2, 0) - box).max() < TOLERANCE


@pytest.mark.parametrize(("part", "side"), [("rnet", 24), ("onet", 48)])
def test_rnet_and_onet_agree_with_the_reference(graph: Run, mtcnn: reference.Mtcnn, astronaut: U8, part: str, side: int) -> None:
    face = np.asarray(cv2.resize(astronaut[58:174, 164:280], (side, side)), np.uint8)
    pictures = np.concatenate([random_pictures(4, side, side), face[None]])
    output = graph(part).run(as_input(pictures))
    for bgr, row in zip(pictures, output, strict=True):
        score, box, landmarks = getattr(mtcnn, part)(bgr[..., ::-1].astype(np.float64))
        assert abs(face_score(row[0]) - score) < TOLERANCE
        assert np.abs(row[1:] - np.concatenate([box, landmarks])).max() < TOLERANCE
    assert face_score(output[-1, 0]) > 0.9 > face_score(output[0, 0]), "the real face is one and noise is none"


def test_the_embedder_agrees_with_the_reference_on_noise_and_on_a_real_chip(
    pack: Pack, resnet: reference.DlibResnet, astronaut: U8
) -> None:
    template = np.array(pack.manifest.embedder.alignment, np.float32)
    landmarks = pack.detector.detect(astronaut, min_face_px=60).landmarks
    pictures = np.concatenate([random_pictures(1, 150, 150), chips(astronaut, landmarks, template=template, chip_px=150)])
    for rgb, found in zip(pictures, pack.embedder.embed(pictures), strict=True):
        wide = rgb.astype(np.float64)
        expected = (resnet.embed(wide) + resnet.embed(wide[:, ::-1])) / 2
        assert np.abs(expected).max() > 0.1
        assert np.abs(found - expected).max() < TOLERANCE


def test_the_reference_read_the_whole_network(resnet: reference.DlibResnet) -> None:
    assert (len(resnet.convs), len(resnet.affines), resnet.fc.shape) == (29, 29, (256, 128))


def test_building_twice_gives_the_same_bytes_and_those_that_the_manifest_names(manifest: Manifest) -> None:
    def built() -> dict[str, bytes]:
        return {
            file: content for file, _, content in builder.graphs(manifest, packs=Path("nowhere"), report=lambda _what, _number, _of: None)
        }

    first = built()
    assert first == built()
    assert {file: sha256_hex(content) for file, content in first.items()} == {graph.file: graph.sha256 for graph in manifest.graphs}
