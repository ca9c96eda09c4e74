"""Fetches a published weight file: what was broken off is resumed, nothing beyond the named size is read, the digest decides at the end.

Where the bytes come from does not matter then: any host may be redirected to, as long as the way there stays encrypted.
"""

import http.client
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO, Protocol
from urllib.parse import urlsplit

from models.build import sources
from models.errors import FetchError
from models.manifest import Download

TIMEOUT_S = 20.0
"""Of connecting and of each read."""

TRIES_MAX = 5
"""Attempts in a row that bring nothing; one that brings bytes begins the count anew."""

PAUSE_S = 1.0
"""Before the second attempt; twice as long before each further one."""

CHUNK_BYTES = 1 << 16
PARTIAL_CONTENT, RANGE_NOT_SATISFIABLE = 206, 416

Progress = Callable[[str, int, int], None]
"""Told what is fetched, how many bytes are there and how many there will be."""


class _Opener(Protocol):
    def open(self, fullurl: urllib.request.Request, data: None = None, timeout: float = TIMEOUT_S) -> http.client.HTTPResponse: ...


class _StayEncrypted(urllib.request.HTTPRedirectHandler):
    def redirect_request(  # noqa: PLR0917  the standard library's own signature
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: http.client.HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        if urlsplit(req.full_url).scheme == "https" and urlsplit(newurl).scheme != "https":
            raise FetchError(f"{req.full_url} redirects to {newurl}, which is not encrypted; it is not followed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> _Opener:
    """HTTP and HTTPS, through the proxy that the environment names, and nothing else: no files, no FTP."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
        _StayEncrypted(),
    ):
        opener.add_handler(handler)
    return opener


def fetch(download: Download, packs: Path, *, progress: Progress, pause_s: float = PAUSE_S) -> Path:
    """Returns where the file lies afterwards; nothing is fetched if it is there already. packs: folder of the built packs.

    Raises:
        FetchError: not reachable, refused by the server, or another file than the manifest names.
    """
    file = sources.stored(download, packs)
    if file.is_file() and sources.is_it(download, file.read_bytes()):
        return file
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(file.name + ".part")
    opener, tries = _opener(), 0
    while True:
        before = _length(part)
        try:
            _take(opener, download, part, progress=progress)
        except urllib.error.HTTPError as reason:
            with reason:
                raise FetchError(f"{download.address} answers {reason.code} {reason.reason}; {_otherwise(download)}") from None
        except (OSError, http.client.HTTPException) as reason:
            tries = 0 if _length(part) > before else tries + 1
            if tries >= TRIES_MAX:
                raise FetchError(f"{download.address} cannot be reached ({_words(reason)}); {_otherwise(download)}") from reason
            time.sleep(pause_s * 2 ** max(tries - 1, 0))
            continue
        return _checked(download, part, file)


def _length(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _take(opener: _Opener, download: Download, part: Path, *, progress: Progress) -> None:
    """Appends what the server still has. A connection that breaks raises, and what came is kept."""
    have = _length(part)
    if have == download.size:
        return
    if have > download.size:
        part.unlink()
        have = 0
    request = urllib.request.Request(download.address, headers={"User-Agent": "gate-agent", "Accept-Encoding": "identity"})  # noqa: S310  the opener knows HTTP only
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        response = opener.open(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as reason:
        if reason.code != RANGE_NOT_SATISFIABLE or not have:
            raise
        reason.close()
        part.unlink()  # the server's file is shorter than what is here: what is here is of another one
        _take(opener, download, part, progress=progress)
        return
    with response:
        resumed = response.status == PARTIAL_CONTENT and response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        _append(response, download, part, have if resumed else 0, progress=progress)


def _append(response: http.client.HTTPResponse, download: Download, part: Path, have: int, *, progress: Progress) -> None:
    """Writes what comes behind the first `have` bytes."""
    with part.open("ab" if have else "wb") as stream:
        while chunk := response.read1(CHUNK_BYTES):
            have += len(chunk)
            if have > download.size:
                part.unlink()
                raise FetchError(
                    f"{download.address} sends more than the {download.size} bytes of {download.file}; it is another file; "
                    f"{_otherwise(download)}"
                )
            stream.write(chunk)
            progress(download.file, have, download.size)
    if response.length:  # what the server promised and did not send
        raise http.client.IncompleteRead(b"", response.length)


def _checked(download: Download, part: Path, file: Path) -> Path:
    """Puts the fetched file in its place, or throws it away if it is another one."""
    with part.open("rb") as stream:
        content = stream.read()
        os.fsync(stream.fileno())
    if not sources.is_it(download, content):
        part.unlink()
        named = download.sha256 or f"git blob {download.git_blob}"
        raise FetchError(
            f"{download.address} sent {len(content)} bytes that are not {download.file}: their digest is not {named}; "
            f"nothing of it was kept; {_otherwise(download)}"
        )
    part.rename(file)
    return file


def _otherwise(download: Download) -> str:
    return f"without internet bring {download.file} on a stick: gate-agent models import FILE --pack NAME"


def _words(reason: BaseException) -> str:
    inner = reason.reason if isinstance(reason, urllib.error.URLError) else reason
    return str(inner) or type(inner).__name__
