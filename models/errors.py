"""Errors of this package. Each carries a full sentence: the thing, the place, the limit and what to do."""

from pathlib import Path


class ModelError(Exception):
    """Root of every error that this package raises on purpose."""


class SourceError(ModelError):
    """A published weight file is missing or is not the one that the manifest names."""


class FetchError(ModelError):
    """A published weight file cannot be fetched, or what came is another file."""


class ManifestError(ModelError):
    """A manifest has an unknown key, lacks one, or holds a value outside its limits."""


class FamilyError(ModelError):
    """A manifest names a family or a part that this version cannot run."""


class PackMissingError(ModelError):
    """No built pack of that name, or a file of it is absent."""


class PackDamagedError(ModelError):
    """A file of a pack is not the one that its manifest names, or cannot be loaded."""


class GraphShapeError(ModelError):
    """A graph's inputs or outputs have other names, shapes or types than its family needs."""


class GraphFailedError(ModelError):
    """A graph that was verified and loaded fails on an input."""


class ToolMissingError(ModelError):
    """A package that is needed to build a pack is not installed here."""


class ImageError(ModelError):
    """A picture or a box given to a model has the wrong shape, type or size."""


def wrong_digest(*, file: Path, expected: str, found: str, remedy: str) -> str:
    """Returns the sentence for a file with the wrong content."""
    return f"{file} has SHA-256 {found}, expected {expected}: it is damaged or another version; {remedy}"
