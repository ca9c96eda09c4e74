"""A built pack is found, verified and opened; whatever is wrong with it is said with what to do."""

import shutil
from pathlib import Path

import pytest

from models.errors import ManifestError, ModelError, PackDamagedError, PackMissingError
from models.manifest import Manifest
from models.pack import Pack, find_pack, list_packs, open_pack, verify_pack

NAME = "mtcnn-dlib"
REMEDY = "gate-agent models build"


@pytest.fixture
def copy(packs_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(packs_folder / NAME, tmp_path / NAME))


def test_an_intact_pack_opens_and_carries_the_committed_manifest(pack: Pack, manifest: Manifest) -> None:
    assert (pack.id, pack.manifest) == (manifest.id, manifest)
    assert (pack.embedder.dim, pack.embedder.chip_px) == (128, 150)
    assert pack.id.startswith("mtcnn-dlib-")


@pytest.mark.parametrize("file", ["pnet.onnx", "rnet.onnx", "onet.onnx", "embedder.onnx"])
@pytest.mark.parametrize("check", [open_pack, verify_pack])
def test_a_graph_with_one_bit_flipped_is_refused(copy: Path, file: str, check: object) -> None:
    content = bytearray((copy / file).read_bytes())
    content[-1000] ^= 4
    (copy / file).write_bytes(content)
    assert callable(check)
    with pytest.raises(PackDamagedError, match=f"{file} has SHA-256 .*{REMEDY}"):
        check(copy)


def test_a_missing_graph_is_named(copy: Path) -> None:
    (copy / "onet.onnx").unlink()
    for check in (open_pack, verify_pack):
        with pytest.raises(PackMissingError, match=rf"onet\.onnx cannot be read .*{REMEDY}"):
            check(copy)


def test_a_graph_of_another_network_under_its_right_digest_is_refused(copy: Path, manifest: Manifest) -> None:
    text = (copy / "manifest.toml").read_text()
    graphs = manifest.detector.graphs
    text = text.replace(graphs["rnet"].sha256, graphs["onet"].sha256).replace('"rnet.onnx"', '"onet.onnx"')
    (copy / "manifest.toml").write_text(text)
    with pytest.raises(ModelError, match=r"onet\.onnx has input 'image' of shape .*needs \[None, 3, 24, 24\]"):
        open_pack(copy)


def test_a_manifest_that_was_edited_wrongly_is_refused(copy: Path) -> None:
    (copy / "manifest.toml").write_text((copy / "manifest.toml").read_text() + '\n[extra]\nkey = "value"\n')
    with pytest.raises(ManifestError, match=r"manifest\.toml: extra is not known"):
        open_pack(copy)


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("mtcnn-dlib", "run: gate-agent models build$"),
        ("minifasnet", "run: gate-agent models fetch minifasnet, or gate-agent models import FILE --pack minifasnet"),
        ("of-our-own", "run: gate-agent models import FILE --manifest"),
    ],
)
def test_the_remedy_for_a_pack_that_is_not_there_makes_that_very_pack(tmp_path: Path, name: str, remedy: str) -> None:
    with pytest.raises(PackMissingError, match=remedy):
        find_pack(name, (tmp_path,))
    with pytest.raises(PackMissingError, match=remedy):
        open_pack(tmp_path / name)


def test_an_empty_folder_is_no_pack(tmp_path: Path) -> None:
    with pytest.raises(PackMissingError, match=r"no built model pack in .*gate-agent models import"):
        open_pack(tmp_path)


def test_the_first_folder_that_has_the_pack_is_taken(copy: Path, packs_folder: Path, tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    assert find_pack(NAME, (nowhere, tmp_path, packs_folder)) == copy
    assert list_packs((nowhere, packs_folder, tmp_path)) == (packs_folder / NAME, copy)


def test_a_pack_that_is_nowhere_is_refused_naming_the_places_and_the_packs_there(packs_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(PackMissingError) as refusal:
        find_pack("mobilefacenet", (tmp_path, packs_folder))
    for named in (
        "'mobilefacenet'",
        str(tmp_path),
        str(packs_folder),
        "packs there: mtcnn-dlib",
        "run: gate-agent models fetch mobilefacenet",
    ):
        assert named in str(refusal.value)
