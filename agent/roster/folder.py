"""A folder as a TUF repository: the same for a folder that is synchronised, a mounted stick, and what trust.db holds. No sockets."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from tuf.api.exceptions import DownloadError, DownloadHTTPError, DownloadLengthMismatchError
from tuf.ngclient import FetcherInterface

METADATA = "metadata"
TARGETS = "targets"
TIMESTAMP = "metadata/timestamp.json"
"""Replaced last by whoever publishes, so its change means that a whole release has arrived."""

_CHUNK_BYTES = 1 << 20
_NOT_FOUND = 404
"""The client's word for "there is none", as from a web server."""


class Repository(FetcherInterface):
    """Where a release comes from. Remembers the last metadata file, so that a refusal can name it.

    Attributes:
        last: url and content of the newest metadata file that was fetched.
    """

    def __init__(self) -> None:
        self.last: tuple[str, bytes] = ("", b"")

    def download_bytes(self, url: str, max_length: int) -> bytes:
        """As the client's own, but in memory: a full /tmp must not keep a gate from its roster."""
        self.last = (url, b"")
        chunks, length = [], 0
        for chunk in self.fetch(url):
            chunks.append(chunk)
            length += len(chunk)
            if length > max_length:
                raise DownloadLengthMismatchError(f"{url} is longer than {max_length} bytes")
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        if url.startswith(METADATA):
            self.last = (url, data)
        return data


class FolderRepository(Repository):
    """`metadata/...` and `targets/...` under a folder. Regular files only: a pipe or a device would block the thread."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def _fetch(self, url: str) -> Iterator[bytes]:
        path = self._folder / url
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise DownloadHTTPError(f"{path} is not there", _NOT_FOUND) from error
        except OSError as error:
            raise DownloadError(f"{path} cannot be read ({error.strerror})") from error
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise DownloadError(f"{path} is not a regular file")
        return _chunks(descriptor)


def _chunks(descriptor: int) -> Iterator[bytes]:
    with os.fdopen(descriptor, "rb") as source:
        while chunk := source.read(_CHUNK_BYTES):
            yield chunk


class KeptRepository(Repository):
    """What the gate installed earlier: its time stamp and its document. Other metadata are the client's own local files."""

    def __init__(self, *, timestamp: bytes, document: bytes) -> None:
        super().__init__()
        self._timestamp = timestamp
        self._document = document

    def _fetch(self, url: str) -> Iterator[bytes]:
        if url == TIMESTAMP:
            return iter((self._timestamp,))
        if url.startswith(f"{TARGETS}/"):
            return iter((self._document,))
        raise DownloadHTTPError(f"{url} is not kept", _NOT_FOUND)


Fingerprint = tuple[tuple[str, int, int, int], ...]


def fingerprint(folder: Path) -> Fingerprint:
    """What a release in a folder looks like from outside: name, size, time and inode of every file. Empty where nothing is there."""
    rows = []
    for part in (METADATA, TARGETS):
        for parent, _, names in os.walk(folder / part):
            for name in names:
                path = Path(parent, name)
                try:
                    found = path.lstat()
                except FileNotFoundError:
                    continue  # it is being exchanged at this moment; the next look sees the rest
                rows.append((str(path.relative_to(folder)), found.st_size, found.st_mtime_ns, found.st_ino))
    return tuple(sorted(rows))
