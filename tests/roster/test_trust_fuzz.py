"""Whatever stands in a release's files: it is a release, or a RosterError; nothing else ever leaves `trust`."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tuf.api.metadata import Metadata, MetaFile, TargetFile

from agent.authority import repository as repositories
from agent.authority.synthetic import SyntheticAuthority
from agent.core.moment import NS_PER_S, ClockQuality, Moment
from agent.roster import trust
from agent.roster.document import DOCUMENT_BYTES_MAX
from agent.roster.errors import Reason, RosterError
from agent.roster.folder import FolderRepository
from tests.roster.conftest import NOW_S

MOMENT = Moment(0, NOW_S * NS_PER_S, ClockQuality.SYNCHRONISED, "boot")
FILES = ("metadata/timestamp.json", "metadata/1.snapshot.json", "metadata/1.targets.json", "metadata/1.enrol.json", "metadata/2.root.json")


@pytest.fixture(scope="module")
def published() -> Iterator[SyntheticAuthority]:
    with tempfile.TemporaryDirectory() as name:
        authority = SyntheticAuthority(Path(name), now_s=NOW_S)
        authority.publish()
        yield authority


class Altered(FolderRepository):
    """A release with one file exchanged."""

    def __init__(self, folder: Path, name: str, content: bytes) -> None:
        super().__init__(folder)
        self._name = name
        self._content = content

    def _fetch(self, url: str) -> Iterator[bytes]:
        return iter((self._content,)) if url == self._name else super()._fetch(url)


def outcome(authority: SyntheticAuthority, name: str, content: bytes) -> Reason | None:
    """None where it verifies all the same."""
    repository = Altered(authority.repository.folder, name, content)
    try:
        trust.verify_offer(repository, root=authority.repository.first_root(), kept={}, floors=trust.NO_FLOORS, moment=MOMENT)
    except RosterError as error:
        return error.reason
    return None


@given(st.sampled_from(FILES), st.binary(max_size=200))
@settings(max_examples=150, deadline=None)
def test_any_bytes_in_any_file_are_refused(published: SyntheticAuthority, name: str, content: bytes) -> None:
    assert outcome(published, name, content) in (Reason.UNREADABLE, Reason.TAMPERED, Reason.WRONG_ROOT)


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.lists(st.integers(), max_size=2) | st.just({})


@st.composite
def changed(draw: st.DrawFn, content: Any) -> bytes:
    """JSON with one value, anywhere, replaced."""
    tree = json.loads(json.dumps(content))
    place = tree
    while True:
        key = draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        if not isinstance(place[key], dict | list) or not place[key] or draw(st.booleans()):
            place[key] = draw(VALUES)
            return json.dumps(tree).encode()
        place = place[key]


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_one_changed_value_in_any_file_is_refused_or_changes_nothing(published: SyntheticAuthority, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(FILES[:4]))
    content = (published.repository.folder / name).read_bytes()
    offered = data.draw(changed(json.loads(content)))
    reason = outcome(published, name, offered)
    if reason is None:  # what is signed is the meaning: an absent spec_version, for one, means the client's own
        assert Metadata.from_bytes(offered).signed == Metadata.from_bytes(content).signed


@pytest.mark.parametrize("content", [b"[" * 100_000, b'{"signed":' * 50_000, b'{"signatures": 1, "signed": {}}', b"\xff\xfe{}", b"null"])
def test_json_made_to_hurt_is_refused(published: SyntheticAuthority, content: bytes) -> None:
    assert outcome(published, "metadata/timestamp.json", content) is Reason.UNREADABLE


def test_a_signed_document_that_is_too_long_is_not_fetched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Signed by the operators themselves: still no reason to fill the gate's memory."""

    class Long(TargetFile):
        @classmethod
        def from_data(cls, path: str, data: Any, algorithms: Any = None) -> TargetFile:
            info = TargetFile.from_data(path, data, algorithms)
            info.length = DOCUMENT_BYTES_MAX + 1
            return info

    monkeypatch.setattr(repositories, "TargetFile", Long)
    authority = SyntheticAuthority(tmp_path, now_s=NOW_S)
    with pytest.raises(RosterError) as caught:
        authority.publish()
    assert caught.value.reason is Reason.TOO_LARGE


def test_a_release_without_a_roster_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(repositories, "TARGET", "enrol/other.cbor")
    with pytest.raises(RosterError) as caught:
        SyntheticAuthority(tmp_path, now_s=NOW_S).publish()
    assert caught.value.reason is Reason.MALFORMED


def test_a_snapshot_that_forgets_the_operators_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    original = repositories.Snapshot

    def forgetful(*, meta: dict[str, MetaFile], **rest: Any) -> Any:
        return original(meta={"targets.json": meta["targets.json"]}, **rest)

    forgetful.type = original.type  # type: ignore[attr-defined]
    monkeypatch.setattr(repositories, "Snapshot", forgetful)
    with pytest.raises(RosterError) as caught:
        SyntheticAuthority(tmp_path, now_s=NOW_S).publish()
    assert caught.value.reason is Reason.TAMPERED
