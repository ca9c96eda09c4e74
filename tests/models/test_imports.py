"""Files from a stick, and a site's own ONNX as a pack by a manifest alone."""

import bz2
import json
from pathlib import Path

import numpy as np
import pytest

from models import commands, manifest_reader
from models.build.graph import GraphWriter
from models.digests import git_blob_hex, sha256_hex
from models.errors import ManifestError
from models.pack import Pack, open_pack
from models.places import manifests_folder
from tests.models.portraits import U8, installed_file

SIDE = 112


@pytest.fixture
def packs(packs_folder: Path, tmp_path: Path) -> Path:
    """A folder of packs of this test's own, in which the default pack is built."""
    folder = tmp_path / "built"
    folder.mkdir()
    (folder / "mtcnn-dlib").symlink_to(packs_folder / "mtcnn-dlib")
    return folder


def own_embedder() -> bytes:
    """An ArcFace-like network that is no good, of the right shape: a row of the chip's means, mixed."""
    writer = GraphWriter()
    pooled = writer.node("AveragePool", ["image"], kernel_shape=[SIDE // 4, SIDE // 4], strides=[SIDE // 4, SIDE // 4])
    flat = writer.node("Flatten", [pooled], axis=1)
    mixed = np.random.default_rng(7).normal(size=(48, 32)).astype(np.float32)
    return writer.finish("own", image=(1, 3, SIDE, SIDE), value=writer.dense(flat, mixed), output=(1, 32))


def own_manifest(folder: Path, onnx: bytes, **changes: str) -> Path:
    """Writes manifest.toml and CARD.md of a site's pack: the recommended pack's, with another embedder."""
    text = (manifests_folder() / "mobilefacenet" / "manifest.toml").read_text()
    old = manifest_reader.load(manifests_folder() / "mobilefacenet" / "manifest.toml").embedder.graphs["embedder"].sha256
    replaced = {
        'name = "mobilefacenet"': 'name = "site-arcface"',
        old: sha256_hex(onnx),
        'input = "input"': 'input = "image"',
        "template_length = 128": "template_length = 32",
        "size = 3973728": f"size = {len(onnx)}",
        **changes,
    }
    for before, after in replaced.items():
        assert before in text
        text = text.replace(before, after)
    folder.mkdir()
    (folder / "manifest.toml").write_text(text)
    (folder / "CARD.md").write_text("# Pack site-arcface\n\nMeasured: nothing.\n")
    return folder / "manifest.toml"


def run(*arguments: object) -> int:
    return commands.main([str(each) for each in arguments])


def test_a_sites_own_onnx_becomes_a_pack_by_a_manifest_alone(
    packs: Path, tmp_path: Path, astronaut: U8, capsys: pytest.CaptureFixture[str]
) -> None:
    onnx = own_embedder()
    manifest = own_manifest(tmp_path / "site", onnx)
    (tmp_path / "stick.bin").write_bytes(onnx)
    assert run("import", tmp_path / "stick.bin", "--manifest", manifest, "--into", packs, "--json") == 0
    said = capsys.readouterr()
    assert "stick.bin is the published mobilefacenet.onnx" in said.err
    built = json.loads(said.out)
    assert (built["name"], built["kind"], built["state"]) == ("site-arcface", "recognition", "built")
    opened: Pack = open_pack(Path(built["folder"]))
    faces = np.random.default_rng(3).integers(0, 256, (3, SIDE, SIDE, 3), dtype=np.uint8)
    templates = opened.embedder.embed(faces)
    assert templates.shape == (3, 32)
    assert np.abs(np.linalg.norm(templates, axis=1) - 1).max() < 1e-5
    assert np.abs(templates - opened.embedder.embed(faces[:, :, ::-1])).max() < 1e-5, "mirrored, though the graph takes one chip at a time"
    assert len(opened.detector.detect(astronaut, min_face_px=60)) == 1


def test_the_chip_reaches_the_graph_as_the_manifest_says(packs: Path, tmp_path: Path) -> None:
    onnx = own_embedder()
    (tmp_path / "own.onnx").write_bytes(onnx)
    manifest = own_manifest(
        tmp_path / "site",
        onnx,
        **{"mirror = true": "mirror = false", 'channels = "rgb"': 'channels = "bgr"', 'metric = "cosine"': 'metric = "euclidean"'},
    )
    assert run("import", tmp_path / "own.onnx", "--manifest", manifest, "--into", packs) == 0
    opened = open_pack(packs / "site-arcface")
    part = opened.manifest.embedder
    rgb = np.random.default_rng(3).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    formed = (rgb[..., ::-1].astype(np.float64) - part.mean) * part.scale
    means = formed.reshape(4, 28, 4, 28, 3).mean(axis=(1, 3)).transpose(2, 0, 1).reshape(-1)
    expected = means @ np.random.default_rng(7).normal(size=(48, 32)).astype(np.float32)
    assert np.abs(opened.embedder.embed(rgb[None])[0] - expected).max() < 1e-4


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"template_length = 32": "template_length = 64"}, r"output 'output' of shape \[1, 32\], 'embedder' needs \[-1, 64\]"),
        ({'output = "output"': 'output = "fc1"'}, r"has the outputs \['output'\], 'embedder' needs exactly \['fc1'\]"),
        ({"mean = [123.675": "mean = [323.675"}, "embedder.mean"),
        ({'licence = "Apache-2.0"\n': ""}, "source[3].licence is missing"),
        ({"chip_px = 112": "chip_px = 128"}, "family 'arcface' has 112"),
    ],
)
def test_a_pack_of_the_wrong_shape_or_without_a_licence_does_not_appear(
    packs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, str], says: str
) -> None:
    onnx = own_embedder()
    (tmp_path / "own.onnx").write_bytes(onnx)
    manifest = own_manifest(tmp_path / "site", onnx, **changes)
    into = tmp_path / "packs"
    into.mkdir()
    for name in ("pnet", "rnet", "onet"):
        (into / ".sources").mkdir(exist_ok=True)
        content = (packs / "mtcnn-dlib" / f"{name}.onnx").read_bytes()
        (into / ".sources" / sha256_hex(content)).write_bytes(content)
    assert run("import", tmp_path / "own.onnx", "--manifest", manifest, "--into", into) == 1
    said = capsys.readouterr().err
    assert says.replace("\\", "") in said
    assert [each.name for each in into.iterdir() if not each.name.startswith(".")] == []


def test_a_pack_without_a_card_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    onnx = own_embedder()
    manifest = own_manifest(tmp_path / "site", onnx)
    (tmp_path / "site" / "CARD.md").unlink()
    assert run("build", "--manifest", manifest, "--into", tmp_path) == 1
    assert "CARD.md is missing; write there what was measured" in capsys.readouterr().err


def test_a_file_that_belongs_to_nothing_is_refused_naming_what_is_wanted_and_none_is_taken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    onnx = own_embedder()
    manifest = own_manifest(tmp_path / "site", onnx)
    (tmp_path / "right.onnx").write_bytes(onnx)
    (tmp_path / "wrong.onnx").write_bytes(onnx[:-1])
    assert run("import", tmp_path / "right.onnx", tmp_path / "wrong.onnx", "--manifest", manifest, "--into", tmp_path / "packs") == 1
    said = capsys.readouterr().err
    for named in ("wrong.onnx has SHA-256", "nothing of pack site-arcface has", "mobilefacenet.onnx", "pnet.onnx"):
        assert named in said
    assert not (tmp_path / "packs").exists()


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("import", tmp_path / "gone.onnx", "--into", tmp_path) == 1
    assert "gone.onnx cannot be read (No such file or directory)" in capsys.readouterr().err


def test_a_source_that_was_never_brought_is_named_with_both_ways_to_bring_it(packs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("build", "--pack", "opencv-zoo", "--into", packs) == 1
    said = capsys.readouterr().err
    assert "was neither fetched nor imported; run: gate-agent models fetch NAME, or gate-agent models import FILE --pack NAME" in said


def test_git_names_a_file_as_git_does() -> None:
    assert git_blob_hex(b"hello\n") == "ce013625030ba8dba906f756967f9e9ca394464a"


@pytest.mark.slow
def test_a_pack_known_by_its_git_name_alone_is_unpacked_built_and_held_to_what_was_built(
    packs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The default's own weights, packed as Taguchi's are published: same network, so the same recipe."""
    packed = bz2.compress(installed_file("face_recognition_models", "dlib_face_recognition_resnet_model_v1.dat").read_bytes(), 1)
    text = (manifests_folder() / "mtcnn-taguchi" / "manifest.toml").read_text()
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "manifest.toml").write_text(text.replace("0cf5fe1be0cd76ed4825477b2757049d67425766", git_blob_hex(packed)))
    (tmp_path / "site" / "CARD.md").write_text("# Pack mtcnn-taguchi\n")
    (tmp_path / "packed").write_bytes(packed)
    assert run("import", tmp_path / "packed", "--manifest", tmp_path / "site" / "manifest.toml", "--into", packs) == 0
    assert "UNVERIFIED" in capsys.readouterr().out
    ours = manifest_reader.load(manifests_folder() / "mtcnn-dlib" / "manifest.toml").embedder.graphs["embedder"].sha256
    assert open_pack(packs / "mtcnn-taguchi").manifest.embedder.graphs["embedder"].sha256 == ours


def test_an_unknown_digest_is_allowed_only_in_a_pack_that_says_it_is_not_verified(tmp_path: Path) -> None:
    text = (manifests_folder() / "mtcnn-taguchi" / "manifest.toml").read_text()
    (tmp_path / "manifest.toml").write_text(text.replace("verified = false", "verified = true"))
    with pytest.raises(ManifestError, match="a verified pack names the digest of every graph"):
        manifest_reader.load(tmp_path / "manifest.toml")


@pytest.mark.parametrize("name", ["minifasnet", "mobilefacenet", "mtcnn-dlib", "mtcnn-taguchi", "opencv-zoo", "yunet-mobilefacenet"])
def test_every_pack_has_a_card_and_says_there_when_it_is_not_verified(name: str) -> None:
    folder = manifests_folder() / name
    manifest = manifest_reader.load_any(folder / "manifest.toml")
    card = (folder / "CARD.md").read_text()
    assert card.startswith(f"# Pack {name}\n")
    assert ("UNVERIFIED" in card) is not manifest.verified
