"""Templates: mirrored, batched, and the same person nearer than another."""

import cv2
import numpy as np
import pytest

from models.alignment import chips
from models.errors import ImageError
from models.pack import Pack
from tests.models.portraits import U8


def chip(pack: Pack, image: U8) -> U8:
    landmarks = pack.detector.detect(image, min_face_px=50).landmarks[:1]
    return chips(image, landmarks, template=np.array(pack.manifest.embedder.alignment, np.float32), chip_px=pack.embedder.chip_px)


def test_a_mirrored_chip_has_the_same_template(pack: Pack, astronaut: U8) -> None:
    face = chip(pack, astronaut)
    assert np.abs(pack.embedder.embed(face) - pack.embedder.embed(face[:, :, ::-1])).max() < 1e-5


def test_many_chips_at_once_give_what_each_gives_alone(pack: Pack, astronaut: U8, hopper: U8) -> None:
    faces = np.concatenate([chip(pack, astronaut), chip(pack, hopper)])[[0, 1, 1, 0, 1, 0, 0]]
    alone = np.concatenate([pack.embedder.embed(face[None]) for face in faces])
    together = pack.embedder.embed(faces)
    assert together.shape == (7, pack.embedder.dim)
    assert together.dtype == np.float32
    assert np.abs(together - alone).max() < 1e-5


def test_the_same_person_is_near_and_another_is_far_at_the_packs_threshold(pack: Pack, astronaut: U8, hopper: U8) -> None:
    def template(image: U8) -> np.ndarray:
        return pack.embedder.embed(chip(pack, image))[0]

    reference, threshold = template(astronaut), pack.manifest.comparison.threshold_plain
    smaller = np.asarray(cv2.resize(astronaut, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA), np.uint8)
    blurred = np.asarray(cv2.GaussianBlur(astronaut, (0, 0), 1.5), np.uint8)
    darker = (astronaut // 2).astype(np.uint8)
    turned = np.asarray(cv2.warpAffine(astronaut, cv2.getRotationMatrix2D((224, 120), 12, 1.0), (512, 512)), np.uint8)
    for again in (smaller, blurred, darker, turned):
        assert np.linalg.norm(template(again) - reference) < threshold
    assert np.linalg.norm(template(hopper) - reference) > threshold


def test_no_chip_gives_no_template(pack: Pack) -> None:
    assert pack.embedder.embed(np.empty((0, 150, 150, 3), np.uint8)).shape == (0, 128)


@pytest.mark.parametrize("wrong", [np.zeros((1, 112, 112, 3), np.uint8), np.zeros((150, 150, 3), np.uint8), np.zeros((1, 150, 150, 3))])
def test_chips_of_another_shape_or_type_are_refused(pack: Pack, wrong: U8) -> None:
    with pytest.raises(ImageError, match=r"must be uint8 of \(n, 150, 150, 3\)"):
        pack.embedder.embed(wrong)
