"""Fetching against a real HTTP server of this machine: broken off, resumed, redirected, wrong, absent."""

import hashlib
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from models.build import fetch
from models.build.sources import STORE, stored
from models.errors import FetchError
from models.manifest import Download

CONTENT = np.random.default_rng(20261122).bytes(300_000)

Answer = Callable[[BaseHTTPRequestHandler, int], None]
"""What the server does with one GET; given how many bytes the client has already."""


def send(handler: BaseHTTPRequestHandler, content: bytes, have: int, *, stop_after: int | None = None) -> None:
    """Answers as a file server does: the rest, as partial content where a range was asked for; breaks off after so many bytes."""
    rest = content[have:]
    handler.send_response(206 if have else 200)
    if have:
        handler.send_header("Content-Range", f"bytes {have}-{len(content) - 1}/{len(content)}")
    handler.send_header("Content-Length", str(len(rest)))
    handler.end_headers()
    handler.wfile.write(rest[:stop_after])


@contextmanager
def serving(*answers: Answer) -> Iterator[tuple[str, list[int]]]:
    """A server that gives one answer after the other, the last one for ever; yields its address and what each client had already."""
    asked: list[int] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            asked.append(int(found[1]) if found else 0)
            answers[min(len(asked), len(answers)) - 1](self, asked[-1])

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/weights.onnx", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def download(address: str, content: bytes = CONTENT) -> Download:
    return Download("embedder", address, "weights.onnx", len(content), hashlib.sha256(content).hexdigest(), "", "MIT")


def fetched(wanted: Download, packs: Path) -> Path:
    return fetch.fetch(wanted, packs, progress=lambda _what, _have, _of: None, pause_s=0)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")


def left_over(packs: Path) -> list[str]:
    return sorted(file.name for file in (packs / STORE).iterdir())


def test_a_file_is_fetched_once_and_its_progress_is_told(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    with serving(lambda handler, have: send(handler, CONTENT, have)) as (address, asked):
        wanted = download(address)
        for _ in range(2):
            file = fetch.fetch(wanted, tmp_path, progress=lambda *args: told.append(args))
    assert file == stored(wanted, tmp_path)
    assert file.read_bytes() == CONTENT
    assert asked == [0]
    assert told[-1] == ("weights.onnx", len(CONTENT), len(CONTENT))
    assert [have for _, have, _ in told] == sorted(have for _, have, _ in told)
    assert left_over(tmp_path) == [wanted.sha256]


def test_a_connection_that_breaks_is_resumed_where_it_broke(tmp_path: Path) -> None:
    def cut(handler: BaseHTTPRequestHandler, have: int) -> None:
        send(handler, CONTENT, have, stop_after=70_000)

    with serving(cut, cut, cut, lambda handler, have: send(handler, CONTENT, have)) as (address, asked):
        assert fetched(download(address), tmp_path).read_bytes() == CONTENT
    assert asked == [0, 70_000, 140_000, 210_000]


def test_what_an_earlier_call_left_is_resumed_too(tmp_path: Path) -> None:
    with serving(lambda handler, have: send(handler, CONTENT, have)) as (address, asked):
        wanted = download(address)
        stored(wanted, tmp_path).parent.mkdir()
        stored(wanted, tmp_path).with_name(f"{wanted.sha256}.part").write_bytes(CONTENT[:1000])
        assert fetched(wanted, tmp_path).read_bytes() == CONTENT
    assert asked == [1000]


def test_a_server_that_knows_no_ranges_begins_anew(tmp_path: Path) -> None:
    with serving(lambda handler, _: send(handler, CONTENT, 0, stop_after=5000), lambda handler, _: send(handler, CONTENT, 0)) as (
        address,
        asked,
    ):
        assert fetched(download(address), tmp_path).read_bytes() == CONTENT
    assert asked == [0, 5000]


def test_a_server_that_never_gets_on_is_given_up_naming_what_to_do(tmp_path: Path) -> None:
    with (
        serving(lambda handler, have: send(handler, CONTENT, have, stop_after=0)) as (address, asked),
        pytest.raises(FetchError, match=r"cannot be reached .*gate-agent models import FILE"),
    ):
        fetched(download(address), tmp_path)
    assert len(asked) == fetch.TRIES_MAX


def test_another_file_is_refused_and_nothing_of_it_is_kept(tmp_path: Path) -> None:
    with (
        serving(lambda handler, have: send(handler, CONTENT[::-1], have)) as (address, _),
        pytest.raises(FetchError, match=r"300000 bytes that are not weights\.onnx: their digest is not [0-9a-f]{64}"),
    ):
        fetched(download(address), tmp_path)
    assert left_over(tmp_path) == []


def test_a_longer_file_is_refused_before_it_is_read_to_its_end(tmp_path: Path) -> None:
    with (
        serving(lambda handler, have: send(handler, CONTENT * 20, have)) as (address, _),
        pytest.raises(FetchError, match="sends more than the 300000 bytes"),
    ):
        fetched(download(address), tmp_path)
    assert left_over(tmp_path) == []


def test_a_left_over_of_another_file_does_not_poison_the_next_try(tmp_path: Path) -> None:
    def ranged(handler: BaseHTTPRequestHandler, have: int) -> None:
        if have >= len(CONTENT) // 2:
            handler.send_error(416)
            return
        send(handler, CONTENT, have)

    with serving(ranged) as (address, asked):
        wanted = download(address)
        part = stored(wanted, tmp_path).with_name(f"{wanted.sha256}.part")
        part.parent.mkdir()
        part.write_bytes(b"x" * 200_000)
        assert fetched(wanted, tmp_path).read_bytes() == CONTENT
    assert asked == [200_000, 0]


def test_a_redirect_to_another_host_is_followed_and_the_digest_decides(tmp_path: Path) -> None:
    with serving(lambda handler, have: send(handler, CONTENT, have)) as (there, asked):

        def redirect(handler: BaseHTTPRequestHandler, _: int) -> None:
            handler.send_response(302)
            handler.send_header("Location", there.replace("127.0.0.1", "localhost"))
            handler.send_header("Content-Length", "0")
            handler.end_headers()

        with serving(redirect) as (here, _):
            assert fetched(download(here), tmp_path).read_bytes() == CONTENT
    assert asked == [0]


@pytest.mark.parametrize("where", ["file:///etc/hostname", "ftp://127.0.0.1/weights.onnx"])
def test_a_redirect_to_anything_but_http_is_refused(tmp_path: Path, where: str) -> None:
    def redirect(handler: BaseHTTPRequestHandler, _: int) -> None:
        handler.send_response(302)
        handler.send_header("Location", where)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    with serving(redirect) as (address, _), pytest.raises(FetchError):
        fetched(download(address), tmp_path)


def test_a_redirect_away_from_encryption_is_refused() -> None:
    request = fetch.urllib.request.Request("https://example.org/weights.onnx")
    with pytest.raises(FetchError, match="is not encrypted"):
        fetch._StayEncrypted().redirect_request(request, None, 302, "", None, "http://example.org/weights.onnx")  # type: ignore[arg-type]


def test_a_file_that_is_not_there_is_said_with_the_servers_words(tmp_path: Path) -> None:
    with (
        serving(lambda handler, _: handler.send_error(404)) as (address, asked),
        pytest.raises(FetchError, match="answers 404 Not Found; without internet bring"),
    ):
        fetched(download(address), tmp_path)
    assert asked == [0], "a refusal is not asked again"


def test_without_a_network_one_sentence_says_so(tmp_path: Path) -> None:
    with serving(lambda handler, have: send(handler, CONTENT, have)) as (address, _):
        pass  # the port was ours and nobody listens there now
    with pytest.raises(FetchError, match=r"cannot be reached \(.*refused.*\); without internet bring weights\.onnx on a stick"):
        fetched(download(address), tmp_path)
