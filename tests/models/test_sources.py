"""Published weights are found without importing their packages, and refused before a byte of them is parsed."""

import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from models.build import builder, sources
from models.digests import sha256_hex
from models.errors import SourceError
from models.manifest import Manifest, Source


def source(manifest: Manifest, part: str) -> Source:
    return next(each for each in manifest.sources if isinstance(each, Source) and each.part == part)


@pytest.fixture
def another_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that Python finds before the real packages; what is installed there is what `locate` finds."""
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def install(folder: Path, wanted: Source, content: bytes) -> Path:
    about = folder / f"{wanted.distribution}-{wanted.version}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {wanted.distribution}\nVersion: {wanted.version}\n")
    file = folder / wanted.file
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    return file


@pytest.mark.parametrize("part", ["pnet", "embedder"])
def test_a_weight_file_with_one_bit_flipped_is_refused_naming_file_digests_and_remedy(
    manifest: Manifest, another_install: Path, part: str
) -> None:
    wanted = source(manifest, part)
    content = bytearray(sources.locate(wanted).read_bytes())
    content[len(content) // 2] ^= 1
    file = install(another_install, wanted, bytes(content))
    with pytest.raises(SourceError) as refusal:
        sources.read(wanted, Path("nowhere"))
    for named in (str(file), wanted.sha256, sha256_hex(bytes(content)), "pip install --force-reinstall"):
        assert named in str(refusal.value)


class Bomb:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.mark,)


def test_a_weight_file_that_would_run_code_is_refused_unread(manifest: Manifest, another_install: Path, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    hostile = pickle.dumps(Bomb(mark))
    wanted = source(manifest, "pnet")
    install(another_install, wanted, hostile)
    with pytest.raises(SourceError):
        list(builder.graphs(manifest, packs=tmp_path, report=lambda _what, _number, _of: None))
    assert not mark.exists()
    # With the digest it claims to have, it would have run: the check is what stands between.
    accepting = replace(manifest, sources=(replace(wanted, sha256=sha256_hex(hostile)),))
    with pytest.raises((SourceError, TypeError, ValueError)):
        list(builder.graphs(accepting, packs=tmp_path, report=lambda _what, _number, _of: None))
    assert mark.exists()


def test_a_package_that_is_not_installed_is_named_with_the_command_that_installs_it(manifest: Manifest) -> None:
    absent = replace(source(manifest, "pnet"), distribution="no-such-weights", version="9.9")
    with pytest.raises(SourceError, match=r"no-such-weights==9\.9 is not installed.*pip install"):
        sources.read(absent, Path("nowhere"))


def test_a_file_missing_from_its_package_is_named(manifest: Manifest) -> None:
    absent = replace(source(manifest, "pnet"), file="mtcnn/assets/weights/gone.lz4")
    with pytest.raises(SourceError, match=r"gone\.lz4 cannot be read"):
        sources.read(absent, Path("nowhere"))


def test_neither_opening_a_pack_nor_its_commands_import_what_only_a_builder_has() -> None:
    code = (
        "import sys, models.pack, models.commands, models.build.builder;"
        "print(*sorted({'onnx', 'joblib', 'lz4', 'tensorflow', 'mtcnn', 'face_recognition_models'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == ""
