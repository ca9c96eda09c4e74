"""A folder as a TUF repository: the same for a folder that is synchronised, a mounted stick, and what trust.db holds. No sockets."""

import errno
import os
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

from tuf.api.exceptions import DownloadError, DownloadHTTPError, DownloadLengthMismatchError
from tuf.ngclient import FetcherInterface

from agent.roster.errors import Reason, RosterError
from agent.roster.plain_file import open_plain

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

    def document(self, url: str, length: int) -> Path:
        """Returns a file with what lies at `url`, not yet verified, which nobody but the caller changes from now on.

        A file and not bytes: the document of a large roster is larger than the gallery that is made of it.

        Raises:
            DownloadError: it is not there, cannot be read, or is longer than `length`.
            RosterError: NOT_STORED; the disk would not take a copy.
        """
        raise NotImplementedError

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
    """`metadata/...` and `targets/...` under a folder. Regular files only: a pipe or a device would block the thread.

    Args:
        copy: where a document is copied to before it is verified, so that nobody can exchange it between its verification and its use.
            None: it is verified where it lies; only for who owns the folder, the authority.
    """

    def __init__(self, folder: Path, *, copy: Path | None = None) -> None:
        super().__init__()
        self._folder = folder
        self._copy = copy

    def document(self, url: str, length: int) -> Path:
        self.last = (url, b"")
        if self._copy is None:
            os.close(self._descriptor(url))
            return self._folder / url
        _copy(self.fetch(url), self._copy, url=url, length=length)
        return self._copy

    def _fetch(self, url: str) -> Iterator[bytes]:
        return _chunks(self._descriptor(url))

    def _descriptor(self, url: str) -> int:
        path = self._folder / url
        try:
            return open_plain(path, follow_links=False)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise DownloadHTTPError(f"{path} is not there", _NOT_FOUND) from error
        except OSError as error:
            raise DownloadError(f"{path} cannot be read ({_why(error)})") from error

    def held(self, url: str, *, bytes_max: int) -> bytes | None:
        """What lies at `url`; None where that is nothing, no regular file, or longer than `bytes_max`: verifying it says which."""
        try:
            return self.download_bytes(url, bytes_max)
        except (DownloadError, OSError):
            return None


def _why(error: OSError) -> str:
    return "it is a link, and no regular file" if error.errno == errno.ELOOP else str(error.strerror)


def _chunks(descriptor: int) -> Iterator[bytes]:
    with os.fdopen(descriptor, "rb") as source:
        while chunk := source.read(_CHUNK_BYTES):
            yield chunk


def _copy(chunks: Iterator[bytes], file: Path, *, url: str, length: int) -> None:
    """Write at most `length` bytes to a file of our own. Readable by the owner alone; a link in its place is not followed."""
    copied = 0
    try:
        sink = os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600), "wb", buffering=0)
    except OSError as error:
        raise _not_stored(file, error) from error
    with sink:
        for chunk in chunks:
            copied += len(chunk)
            if copied > length:
                raise DownloadLengthMismatchError(f"{url} is longer than {length} bytes")
            try:
                _write(sink, chunk)
            except OSError as error:
                raise _not_stored(file, error) from error


def _write(sink: FileIO, chunk: bytes) -> None:
    rest = memoryview(chunk)
    while rest:
        rest = rest[sink.write(rest) :]


def _not_stored(file: Path, error: OSError) -> RosterError:
    return RosterError(Reason.NOT_STORED, f"the disk would not take a copy of the offered roster ({file}: {error.strerror}); make room")


class KeptRepository(Repository):
    """What the gate installed earlier: its time stamp and its document. Other metadata are the client's own local files."""

    def __init__(self, *, timestamp: bytes, document: Path) -> None:
        super().__init__()
        self._timestamp = timestamp
        self._document = document

    def _fetch(self, url: str) -> Iterator[bytes]:
        if url == TIMESTAMP:
            return iter((self._timestamp,))
        raise DownloadHTTPError(f"{url} is not kept", _NOT_FOUND)

    def document(self, url: str, length: int) -> Path:  # noqa: ARG002  its name and length stand in the metadata, which are verified
        self.last = (url, b"")
        return self._document


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
