"""Finds published weight files: inside installed packages, without importing them, or in the store of files that were fetched or imported.

Importing `mtcnn` would pull TensorFlow, and `face_recognition_models` asks for a module that new Pythons lack; only their files are wanted.
"""

import bz2
import importlib.metadata
from pathlib import Path

from models.digests import git_blob_hex, read_verified, sha256_hex
from models.errors import SourceError
from models.manifest import Download, Graph, Source

STORE = ".sources"
"""Folder beside the built packs that holds fetched and imported files, each under its digest."""

UNPACKED_MAX = 2**30
"""Most bytes that a packed file may hold."""


def locate(source: Source) -> Path:
    """Returns where the installed distribution keeps the file.

    Raises:
        SourceError: the distribution or the file is not installed.
    """
    wanted = f"{source.distribution}=={source.version}"
    try:
        distribution = importlib.metadata.distribution(source.distribution)
    except importlib.metadata.PackageNotFoundError as reason:
        raise SourceError(
            f"the package {wanted} is not installed, and {source.file} comes from it; pip install {wanted} (extra: build)"
        ) from reason
    return Path(str(distribution.locate_file(source.file)))


def stored(download: Download, packs: Path) -> Path:
    """Returns where the file lies, or will lie, once it was fetched or imported. packs: folder of the built packs."""
    return packs / STORE / (download.sha256 or download.git_blob)


def is_it(download: Download, content: bytes) -> bool:
    """Whether these bytes are the published file."""
    if download.git_blob:
        return git_blob_hex(content) == download.git_blob
    return sha256_hex(content) == download.sha256


def ready_made(graph: Graph, packs: Path) -> bytes | None:
    """Returns a graph's bytes if they are here already: imported, or in a built pack that shares it with this one."""
    if not graph.sha256:
        return None
    for file in (packs / STORE / graph.sha256, *sorted(packs.glob(f"[!.]*/{graph.file}"))):
        if file.is_file() and sha256_hex(content := file.read_bytes()) == graph.sha256:
            return content
    return None


def read(source: Source | Download, packs: Path) -> bytes:
    """Returns the file's bytes, whose digest was checked before anything could parse them; unpacked, where it is packed.

    Raises:
        SourceError: absent, unreadable, or another file than the manifest names.
    """
    if isinstance(source, Source):
        remedy = f"reinstall it: pip install --force-reinstall --no-deps {source.distribution}=={source.version}"
        return read_verified(locate(source), sha256=source.sha256, error=SourceError, missing=SourceError, remedy=remedy)
    file = stored(source, packs)
    remedy = "run: gate-agent models fetch NAME, or gate-agent models import FILE --pack NAME"
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        raise SourceError(f"{source.file} was neither fetched nor imported; {remedy}") from None
    except OSError as reason:
        raise SourceError(f"{file} cannot be read ({reason.strerror}); {remedy}") from reason
    if not is_it(source, content):
        raise SourceError(f"{file} is not the published {source.file}: its digest is another one; {remedy}")
    return _unpacked(source, content)


def _unpacked(source: Download, content: bytes) -> bytes:
    if not source.file.endswith(".bz2"):
        return content
    unpacker = bz2.BZ2Decompressor()
    try:
        unpacked = unpacker.decompress(content, UNPACKED_MAX)
    except OSError as reason:
        raise SourceError(f"{source.file} cannot be unpacked: {reason}") from reason
    if not unpacker.eof:
        raise SourceError(f"{source.file} is cut off, or holds more than {UNPACKED_MAX} bytes")
    return unpacked
