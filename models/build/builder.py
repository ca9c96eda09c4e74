"""Builds a pack: sources found and verified, graphs written, digests compared with the manifest, one folder put in place at the end."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from models.build import sources
from models.build.recipes import RECIPES
from models.digests import sha256_hex
from models.errors import FamilyError, PackDamagedError, ToolMissingError
from models.manifest import CARD, FILE, AnyManifest
from models.manifest_reader import UNKNOWN
from models.pack import open_any

Report = Callable[[str, int, int], None]
"""Told before each stage: what is done now, its number from 1, how many there are."""


def graphs(manifest: AnyManifest, *, packs: Path, report: Report) -> Iterator[tuple[str, str, bytes]]:
    """Yields (file name, digest that the manifest names, bytes) of each graph, built from its verified source.

    A graph that is here ready-made, imported (`sources.STORE`) or in another built pack, is taken as it is: nothing is needed to build it.
    packs: folder of the built packs.

    Raises:
        SourceError: a source is missing, or is not the one that the manifest names.
        ToolMissingError: `onnx`, `joblib` or `lz4` is not installed.
        FamilyError: a part has no recipe, or no source.
    """
    by_part = {source.part: source for source in manifest.sources}
    wanted = [(whole, part, graph) for whole in manifest.parts for part, graph in whole.graphs.items()]
    for number, (whole, part, graph) in enumerate(wanted, start=1):
        report(graph.file, number, len(wanted))
        if (ready := sources.ready_made(graph, packs)) is not None:
            yield graph.file, graph.sha256, ready
            continue
        recipe, source = RECIPES.get((whole.family, part)), by_part.get(part)
        if recipe is None or source is None:
            raise FamilyError(f"pack {manifest.name}: no [[source]] of its manifest is for the part {part!r}; add it")
        content = sources.read(source, packs)
        try:
            yield graph.file, graph.sha256, recipe(content, whole)
        except ImportError as reason:
            raise ToolMissingError(
                f"the Python package {reason.name!r} is needed to build {graph.file}; pip install 'gate-agent[build]', "
                "or build the pack elsewhere and bring its files: gate-agent models import FILE"
            ) from reason


def build(manifest: AnyManifest, *, manifest_folder: Path, into: Path, report: Report) -> Path:
    """Builds the pack into `into/<name>` and returns that folder. It appears complete or not at all; an earlier one is replaced.

    manifest_folder: where the pack's manifest.toml and CARD.md are copied from. Raises as `graphs` and `open_any`, and
    PackDamagedError where a built graph is not the one that the manifest names.
    """
    into.mkdir(parents=True, exist_ok=True)
    text = (manifest_folder / FILE).read_bytes()
    with _one_at_a_time(into):
        partial = Path(tempfile.mkdtemp(prefix=f".{manifest.name}.", dir=into))
        try:
            for file, digest, content in graphs(manifest, packs=into, report=report):
                found = sha256_hex(content)
                if not digest:
                    text = _named(text, file=file, sha256=found)
                elif found != digest:
                    raise PackDamagedError(
                        f"built {file} has SHA-256 {found}, the manifest of {manifest.name} names {digest}; "
                        "another version of onnx writes other bytes: install the locked one",
                    )
                _write(partial / file, content)
            _write(partial / FILE, text)
            _write(partial / CARD, (manifest_folder / CARD).read_bytes())
            open_any(partial)  # every graph loads and has the shapes of its family, or the pack does not appear
            partial.chmod(0o755)
            return _put_in_place(partial, into / manifest.name)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def _named(manifest: bytes, *, file: str, sha256: str) -> bytes:
    """Returns the manifest with a digest that nobody knew before: from here on the built graph is held to it."""
    before = f'file = "{file}", sha256 = "{UNKNOWN}"'.encode()
    if manifest.count(before) != 1:
        raise PackDamagedError(f"the manifest does not say exactly once {before.decode()!r}; write it so, in one line")
    return manifest.replace(before, f'file = "{file}", sha256 = "{sha256}"'.encode())


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
