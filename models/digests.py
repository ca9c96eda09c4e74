"""SHA-256 of files, checked on the very bytes that are used afterwards."""

import hashlib
from pathlib import Path

from models.errors import ModelError, wrong_digest


def sha256_hex(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def git_blob_hex(content: bytes) -> str:
    """Returns the name that git gives a file of this content: SHA-1 over a header and the bytes."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def read_verified(file: Path, *, sha256: str, error: type[ModelError], missing: type[ModelError], remedy: str) -> bytes:
    """Returns the file's bytes, having checked their digest: nothing can be swapped between the check and the use.

    Raises:
        missing: the file cannot be read.
        error: its digest is another one. Both name the file and say `remedy`.
    """
    try:
        content = file.read_bytes()
    except OSError as reason:
        raise missing(f"{file} cannot be read ({reason.strerror}); {remedy}") from reason
    found = sha256_hex(content)
    if found != sha256:
        raise error(wrong_digest(file=file, expected=sha256, found=found, remedy=remedy))
    return content
