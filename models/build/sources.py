"""Finds published weight files inside installed packages without importing those packages.

Importing `mtcnn` would pull TensorFlow, and `face_recognition_models` asks for a module that new Pythons lack; only their files are wanted.
"""

import importlib.metadata
from pathlib import Path

from models.digests import read_verified
from models.errors import SourceError
from models.manifest import Source


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


def read(source: Source) -> bytes:
    """Returns the file's bytes, whose digest was checked before anything could parse them.

    Raises:
        SourceError: absent, unreadable, or another file than the manifest names.
    """
    remedy = f"reinstall it: pip install --force-reinstall --no-deps {source.distribution}=={source.version}"
    return read_verified(locate(source), sha256=source.sha256, error=SourceError, missing=SourceError, remedy=remedy)
