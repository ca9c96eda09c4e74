"""Builds a pack: sources found and verified, graphs written, digests compared with the manifest, one folder put in place at the end."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

from models.build import dlib_resnet, mtcnn, sources
from models.digests import sha256_hex
from models.errors import FamilyError, PackDamagedError, ToolMissingError
from models.manifest import CARD, FILE, Manifest

Recipe = Callable[[bytes, tuple[float, ...], float], bytes]
"""Verified content of one weight file, mean and scale of its input as the manifest names them, to the bytes of one ONNX graph."""

RECIPES: Mapping[tuple[str, str], Recipe] = MappingProxyType(
    {
        ("mtcnn", "pnet"): mtcnn.pnet,
        ("mtcnn", "rnet"): mtcnn.rnet,
        ("mtcnn", "onet"): mtcnn.onet,
        ("dlib-resnet", "embedder"): dlib_resnet.embedder,
    },
)
"""(family, part) -> how its graph is built."""

Report = Callable[[str, int, int], None]
"""Told before each stage: what is done now, its number from 1, how many there are."""


def graphs(manifest: Manifest, *, report: Report) -> Iterator[tuple[str, str, bytes]]:
    """Yields (file name, digest that the manifest names, bytes) of each graph, built from its verified source.

    Raises:
        SourceError: a source is missing, or is not the one that the manifest names.
        ToolMissingError: `onnx`, `joblib` or `lz4` is not installed.
        FamilyError: a part has no recipe.
    """
    by_part = {source.part: source for source in manifest.sources}
    wanted = [(whole, part, graph) for whole in (manifest.detector, manifest.embedder) for part, graph in whole.graphs.items()]
    for number, (whole, part, graph) in enumerate(wanted, start=1):
        report(graph.file, number, len(wanted))
        recipe, source = RECIPES.get((whole.family, part)), by_part.get(part)
        if recipe is None or source is None:
            raise FamilyError(f"pack {manifest.name}: part {part!r} cannot be built here; import the pack from a file instead")
        content = sources.read(source)
        try:
            yield graph.file, graph.sha256, recipe(content, whole.mean, whole.scale)
        except ImportError as reason:
            raise ToolMissingError(
                f"the Python package {reason.name!r} is needed to build a pack; pip install 'gate-agent[build]'"
            ) from reason


def build(manifest: Manifest, *, manifest_folder: Path, into: Path, report: Report) -> Path:
    """Builds the pack into `into/<name>` and returns that folder. It appears complete or not at all; an earlier one is replaced.

    manifest_folder: where the pack's manifest.toml and CARD.md are copied from. Raises as `graphs`, and
    PackDamagedError where a built graph is not the one that the manifest names.
    """
    into.mkdir(parents=True, exist_ok=True)
    with _one_at_a_time(into):
        partial = Path(tempfile.mkdtemp(prefix=f".{manifest.name}.", dir=into))
        try:
            for file, digest, content in graphs(manifest, report=report):
                if (found := sha256_hex(content)) != digest:
                    raise PackDamagedError(
                        f"built {file} has SHA-256 {found}, the manifest of {manifest.name} names {digest}; "
                        "another version of onnx writes other bytes: install the locked one",
                    )
                _write(partial / file, content)
            for name in (FILE, CARD):
                _write(partial / name, (manifest_folder / name).read_bytes())
            partial.chmod(0o755)
            return _put_in_place(partial, into / manifest.name)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _write(file: Path, content: bytes) -> None:
    with file.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def _put_in_place(partial: Path, final: Path) -> Path:
    """Moves a complete folder to its name. Between the two renames there is no pack for a moment: a reader sees it missing, never mixed."""
    aside = partial.with_name(partial.name + ".old")
    if final.exists():
        final.rename(aside)
    partial.rename(final)
    shutil.rmtree(aside, ignore_errors=True)
    folder = os.open(final.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return final
