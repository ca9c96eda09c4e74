"""Takes files from a stick into the store of a pack's sources: each is recognised by its digest, whatever it is called."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from models.build import sources
from models.digests import sha256_hex
from models.errors import SourceError
from models.manifest import AnyManifest, Download
from models.manifest_reader import SIZE_MAX


def take(files: Sequence[Path], manifest: AnyManifest, packs: Path) -> Iterator[tuple[Path, str]]:
    """Copies each file to where the builder looks for it; yields it and what it was recognised as. packs: folder of the built packs.

    All files are looked at before one is taken.

    Raises:
        SourceError: a file cannot be read, or is none of what the pack is made of.
    """
    recognised = [(file, *_recognised(file, manifest, packs)) for file in files]
    for file, content, where, what in recognised:
        where.parent.mkdir(parents=True, exist_ok=True)
        partial = where.with_name(where.name + ".new")
        with partial.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        partial.rename(where)
        yield file, what


def _recognised(file: Path, manifest: AnyManifest, packs: Path) -> tuple[bytes, Path, str]:
    content = _content(file)
    for source in manifest.sources:
        if isinstance(source, Download) and sources.is_it(source, content):
            return content, sources.stored(source, packs), f"the published {source.file}"
    digest = sha256_hex(content)
    for graph in manifest.graphs:
        if graph.sha256 == digest:
            return content, packs / sources.STORE / digest, f"the built {graph.file}"
    published = [f"{each.file} ({each.sha256 or 'git blob ' + each.git_blob})" for each in manifest.sources if isinstance(each, Download)]
    built = [f"{graph.file} ({graph.sha256})" for graph in manifest.graphs if graph.sha256]
    raise SourceError(f"{file} has SHA-256 {digest}, which nothing of pack {manifest.name} has; it takes: {', '.join(published + built)}")


def _content(file: Path) -> bytes:
    try:
        if (size := file.stat().st_size) > SIZE_MAX:
            raise SourceError(f"{file} has {size} bytes; a weight file has at most {SIZE_MAX}")
        return file.read_bytes()
    except OSError as reason:
        raise SourceError(f"{file} cannot be read ({reason.strerror})") from reason
