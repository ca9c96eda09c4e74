"""The default pack, built once a run from the installed weights into a folder of its own, and the two portraits that packages carry."""

import tomllib
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest

from models import manifest_reader
from models.build import builder
from models.manifest import Manifest
from models.pack import Pack, open_pack
from models.places import manifests_folder
from tests.models.portraits import U8, installed_file, picture


@pytest.fixture(scope="session")
def manifest_folder() -> Path:
    return manifests_folder() / "mtcnn-dlib"


@pytest.fixture(scope="session")
def manifest(manifest_folder: Path) -> Manifest:
    return manifest_reader.load(manifest_folder / "manifest.toml")


@pytest.fixture
def document(manifest_folder: Path) -> dict[str, object]:
    """The committed manifest as a plain document, fresh for each test."""
    return tomllib.loads((manifest_folder / "manifest.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def packs_folder(manifest: Manifest, manifest_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    into = tmp_path_factory.mktemp("packs")
    builder.build(manifest, manifest_folder=manifest_folder, into=into, report=lambda _what, _number, _of: None)
    return into


@pytest.fixture(scope="session")
def pack(packs_folder: Path) -> Iterator[Pack]:
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    yield open_pack(packs_folder / "mtcnn-dlib")
    cv2.setNumThreads(threads)


@pytest.fixture(scope="session")
def astronaut() -> U8:
    return picture(installed_file("scikit-image", "astronaut.png"))


@pytest.fixture(scope="session")
def hopper() -> U8:
    return picture(installed_file("matplotlib", "grace_hopper.jpg"))
