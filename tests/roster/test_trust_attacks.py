"""What an attacker, or a tired operator, can do to a release: each is refused with its reason, and the roster in force stays."""

import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from securesystemslib.signer import CryptoSigner

from agent.authority.keys import KeyRing, Quorum, ids_of
from agent.authority.repository import Repository
from agent.authority.synthetic import DAY_S, SyntheticAuthority
from agent.core.inputs import RosterLoaded
from agent.core.moment import ClockQuality
from agent.roster.document import DOCUMENT_BYTES_MAX
from agent.roster.errors import RosterError
from tests.roster.conftest import NOW_S, Gate

Make = Callable[..., Gate]


def install(authority: SyntheticAuthority, gate: Gate, **options: int) -> None:
    authority.publish(**options)
    authority.export(gate.folder)
    (said,) = gate.look()
    assert isinstance(said, RosterLoaded), said


def refused(gate: Gate) -> str:
    """The one reason of the last look; the roster in force is the one from before."""
    before = list(gate.used)
    gate.look()
    assert gate.used == before
    return gate.refusals()[-1] if gate.refusals() else "nothing was refused"


def metadata(gate: Gate, name: str) -> Path:
    return gate.folder / "metadata" / name


def document(gate: Gate) -> Path:
    (file,) = sorted((gate.folder / "targets" / "enrol").iterdir())
    return file


def test_a_signed_release_is_put_in_force(authority: SyntheticAuthority, gate: Gate) -> None:
    install(authority, gate, people=5)
    assert (gate.used[0].people, gate.used[0].version, gate.used[0].pack) == (5, 1, authority.pack)
    assert gate.said == [
        RosterLoaded(
            version=1,
            people=5,
            pack=authority.pack,
            calibration=gate.used[0].calibration.kind,
            threshold=gate.used[0].threshold,
            stale_after_s=NOW_S + 7 * DAY_S,
            expires_s=NOW_S + 30 * DAY_S,
        )
    ]


def test_an_older_release_is_a_rollback(authority: SyntheticAuthority, gate: Gate, tmp_path: Path) -> None:
    authority.publish()
    authority.export(tmp_path / "old")
    install(authority, gate)
    assert gate.versions() == [2]
    shutil.rmtree(gate.folder)
    shutil.copytree(tmp_path / "old", gate.folder)
    assert refused(gate) == "rollback"


def test_zeroed_local_metadata_do_not_let_a_rollback_in(authority: SyntheticAuthority, gate: Gate, tmp_path: Path) -> None:
    """The first gap that was measured: the client alone takes the older release then."""
    authority.publish()
    authority.export(tmp_path / "old")
    install(authority, gate)
    assert gate.store is not None
    gate.store.close()
    with closing(sqlite3.connect(gate.trust_db)) as connection, connection:
        connection.execute("UPDATE metadata SET content = zeroblob(length(content))")
    shutil.rmtree(gate.folder)
    shutil.copytree(tmp_path / "old", gate.folder)
    gate.boot().turn()
    assert (gate.refusals(), gate.used) == (["unreadable", "rollback"], [])


def test_zeroed_local_metadata_are_healed_by_the_newest_release(authority: SyntheticAuthority, gate: Gate) -> None:
    install(authority, gate)
    assert gate.store is not None
    gate.store.close()
    with closing(sqlite3.connect(gate.trust_db)) as connection, connection:
        connection.execute("UPDATE metadata SET content = zeroblob(length(content))")
    gate.boot().turn()
    assert (gate.refusals(), gate.versions()) == (["unreadable"], [1])


def test_a_new_time_stamp_over_an_old_snapshot_is_refused(authority: SyntheticAuthority, gate: Gate) -> None:
    """Mix and match: parts of two releases, each genuine."""
    authority.publish()
    authority.export(gate.folder)
    one = {name: metadata(gate, name).read_bytes() for name in ("1.snapshot.json", "1.enrol.json")}
    authority.publish(people=4)
    authority.export(gate.folder)
    metadata(gate, "2.snapshot.json").write_bytes(one["1.snapshot.json"])
    assert refused(gate) == "tampered"
    authority.export(gate.folder)
    metadata(gate, "2.enrol.json").write_bytes(one["1.enrol.json"])
    assert refused(gate) == "tampered"


@pytest.mark.parametrize("name", ["timestamp.json", "1.snapshot.json", "1.targets.json", "1.enrol.json"])
def test_metadata_changed_after_signing_are_refused(authority: SyntheticAuthority, gate: Gate, name: str) -> None:
    authority.publish()
    authority.export(gate.folder)
    content = json.loads(metadata(gate, name).read_bytes())
    content["signed"]["expires"] = "2199-01-01T00:00:00Z"
    metadata(gate, name).write_text(json.dumps(content))
    assert refused(gate) == "tampered"


@pytest.mark.parametrize("change", [lambda b: b[:-1], lambda b: b + b"\0", lambda b: b[:500] + bytes([b[500] ^ 1]) + b[501:]])
def test_a_document_changed_after_signing_is_refused(authority: SyntheticAuthority, gate: Gate, change: Callable[[bytes], bytes]) -> None:
    authority.publish()
    authority.export(gate.folder)
    document(gate).write_bytes(change(document(gate).read_bytes()))
    assert refused(gate) == "tampered"


def test_a_release_that_nobody_confirms_any_more_is_a_freeze(authority: SyntheticAuthority, gate: Gate) -> None:
    authority.publish()
    authority.export(gate.folder)
    gate.clock.wall_s = NOW_S + 7 * DAY_S
    assert refused(gate) == "freeze"
    gate.clock.wall_s -= 1
    authority.publish()
    authority.export(gate.folder)
    gate.look()
    assert gate.versions() == [2]


def test_a_release_of_another_authority_is_refused(authority: SyntheticAuthority, make_gate: Make, tmp_path: Path) -> None:
    other = SyntheticAuthority(tmp_path / "other", now_s=NOW_S)
    gate = make_gate(authority, root=other.repository.first_root())
    authority.publish()
    authority.export(gate.folder)
    assert refused(gate) == "wrong_root"


@pytest.mark.parametrize("root", [b"", b"{}", b"\0" * 100, b'{"signed": {"_type": "root"}, "signatures": []}'])
def test_a_root_that_is_none_is_named(authority: SyntheticAuthority, gate: Gate, root: bytes) -> None:
    authority.publish()
    authority.export(gate.folder)
    (gate.disk / "root.json").write_bytes(root)
    assert refused(gate) == "wrong_root"
    (gate.disk / "root.json").unlink()
    gate.boot()
    assert refused(gate) == "unreadable"


class StolenRing(KeyRing):
    """Keys that somebody copied; they sign whether or not they are in force."""

    def __init__(self, folder: Path, *, stolen: str, ours: KeyRing) -> None:
        super().__init__(folder, passphrase=lambda _what: b"")
        self._stolen = stolen
        self._stolen_ids = ids_of(folder, stolen, 1)
        self._ours = ours

    def signers(self, role: str, *, key_ids: set[str], threshold: int) -> tuple[CryptoSigner, ...]:
        if role != self._stolen:
            return self._ours.signers(role, key_ids=key_ids, threshold=threshold)
        return super().signers(role, key_ids=self._stolen_ids, threshold=1)


@pytest.mark.parametrize("role", ["enrol", "timestamp", "snapshot"])
def test_a_revoked_keys_signature_is_refused(authority: SyntheticAuthority, gate: Gate, role: str) -> None:
    """Whoever kept the old key can still sign, with every other key genuine; the gate has learned that the old one no longer counts."""
    install(authority, gate)
    ours = KeyRing(authority.folder / "keys", passphrase=lambda _what: b"")
    thief = Repository(authority.repository.folder, StolenRing(authority.folder / "keys", stolen=role, ours=ours))
    forged = thief.sign(authority.document(9, version=2), version=2, times=authority.times())
    authority.export(gate.folder)
    (authority.repository.folder / "metadata" / "timestamp.json").write_bytes(forged)
    authority.export(gate.folder)
    gate.look()
    assert gate.versions() == [1, 2]  # before the key is revoked its signature counts: what is refused below is the revocation

    authority.rotate(role)
    install(authority, gate)
    forged = thief.sign(authority.document(9, version=4), version=4, times=authority.times())
    (authority.repository.folder / "metadata" / "timestamp.json").write_bytes(forged)
    authority.export(gate.folder)
    assert refused(gate) == "wrong_root"


def test_the_authority_does_not_publish_what_a_gate_would_refuse(authority: SyntheticAuthority) -> None:
    authority.publish()
    authority.rotate("enrol")
    ours = KeyRing(authority.folder / "keys", passphrase=lambda _what: b"")
    stale = Repository(authority.repository.folder, StolenRing(authority.folder / "keys", stolen="enrol", ours=ours))
    with pytest.raises(RosterError) as caught:
        stale.publish(authority.document(3, version=2), version=2, times=authority.times())
    assert (caught.value.reason, authority.repository.version()) == ("wrong_root", 1)


def test_a_new_root_is_followed_and_remembered(authority: SyntheticAuthority, gate: Gate) -> None:
    install(authority, gate)
    authority.rotate("root")
    authority.rotate("timestamp")
    install(authority, gate)
    gate.boot().turn()
    assert (gate.versions(), gate.refusals()) == ([2], [])
    assert gate.store is not None
    assert gate.store.floors().versions["root"] == 3


def test_a_root_that_the_one_before_did_not_sign_is_refused(authority: SyntheticAuthority, gate: Gate, tmp_path: Path) -> None:
    install(authority, gate)
    other = SyntheticAuthority(tmp_path / "other", now_s=NOW_S)
    other.rotate("root")
    authority.publish()
    authority.export(gate.folder)
    shutil.copy(other.repository.folder / "metadata" / "2.root.json", metadata(gate, "2.root.json"))
    assert refused(gate) == "wrong_root"


def test_too_few_signatures_are_refused(authority: SyntheticAuthority, gate: Gate) -> None:
    install(authority, gate)
    authority.rotate("root", quorum=Quorum(2, 3))
    authority.publish()
    authority.export(gate.folder)
    content = json.loads(metadata(gate, "2.root.json").read_bytes())
    content["signatures"] = content["signatures"][:2]  # the old key and one of the new
    metadata(gate, "2.root.json").write_text(json.dumps(content))
    assert refused(gate) == "tampered"


def test_another_pack_another_site_another_key_are_refused(authority: SyntheticAuthority, make_gate: Make, tmp_path: Path) -> None:
    authority.publish()
    key = SyntheticAuthority(tmp_path / "other", now_s=NOW_S).key
    wrong_site, wrong_key, wrong_pack = make_gate(authority, site="elsewhere"), make_gate(authority, key=key), make_gate(authority)
    wrong_pack.pack = "pack-ffffffffffff"
    wrong_pack.boot()
    for gate, reason in ((wrong_site, "wrong_site"), (wrong_key, "wrong_key"), (wrong_pack, "wrong_pack")):
        authority.export(gate.folder)
        assert refused(gate) == reason


def test_a_document_signed_under_another_number_is_refused(authority: SyntheticAuthority, gate: Gate) -> None:
    """An older roster, signed anew as a newer one."""
    authority.publish()
    times = authority.times()
    authority.repository.publish(authority.document(5, version=1), version=2, times=times)
    authority.export(gate.folder)
    assert refused(gate) == "tampered"


def test_a_site_key_that_others_may_read_is_refused(authority: SyntheticAuthority, gate: Gate) -> None:
    (gate.disk / "site.key").chmod(0o640)
    authority.publish()
    authority.export(gate.folder)
    assert refused(gate) == "unreadable"


def test_more_people_than_a_pack_default_permits_are_refused(authority: SyntheticAuthority, gate: Gate) -> None:
    authority.publish(people=301)
    authority.export(gate.folder)
    assert refused(gate) == "too_many_people"
    authority.publish(people=300)
    authority.export(gate.folder)
    gate.look()
    assert gate.used[-1].people == 300


def test_a_file_that_never_ends_is_not_read_to_its_end(authority: SyntheticAuthority, gate: Gate) -> None:
    authority.publish()
    authority.export(gate.folder)
    with metadata(gate, "timestamp.json").open("r+b") as sink:
        sink.truncate(DOCUMENT_BYTES_MAX)  # a hole: no disk is used
    assert refused(gate) == "too_large"


def test_a_missing_file_and_a_pipe_are_named(authority: SyntheticAuthority, gate: Gate) -> None:
    authority.publish()
    authority.export(gate.folder)
    metadata(gate, "1.enrol.json").unlink()
    assert refused(gate) == "unreadable"
    os.mkfifo(metadata(gate, "1.enrol.json"))
    assert refused(gate) == "unreadable"


# --- time -------------------------------------------------------------------------------------------------------------------------


def test_a_clock_of_1970_that_is_not_known_does_not_keep_a_release_out(authority: SyntheticAuthority, gate: Gate) -> None:
    gate.clock.wall_s, gate.clock.quality = 0, ClockQuality.UNKNOWN
    install(authority, gate)
    assert gate.store is not None
    assert gate.store.floors().issued_s == NOW_S


def test_a_clock_set_back_does_not_let_a_release_in_that_the_gate_knows_has_expired(
    authority: SyntheticAuthority, gate: Gate, tmp_path: Path
) -> None:
    """The third gap: the newest signed issue time is a floor under every later check."""
    gate.clock.quality = ClockQuality.HELD
    authority.publish(version=5)
    authority.export(tmp_path / "kept back")
    authority.now_s += 8 * DAY_S
    install(authority, gate, version=6)
    assert gate.store is not None
    gate.store.close()
    with closing(sqlite3.connect(gate.trust_db)) as connection, connection:
        connection.execute("UPDATE floor SET value = 1 WHERE name <> 'time'")  # so that only the time can refuse it
        connection.execute("DELETE FROM metadata")
    shutil.rmtree(gate.folder)
    shutil.copytree(tmp_path / "kept back", gate.folder)
    gate.boot().turn()
    assert gate.refusals()[-1] == "freeze"


def test_a_clock_of_2100_refuses_but_spoils_nothing(authority: SyntheticAuthority, gate: Gate) -> None:
    authority.publish()
    authority.export(gate.folder)
    gate.clock.wall_s = 4_102_444_800
    assert refused(gate) == "expired"
    gate.clock.wall_s = NOW_S
    gate.boot().turn()
    assert gate.versions() == [1]


def test_an_issue_time_ahead_of_a_steered_clock_is_refused(authority: SyntheticAuthority, gate: Gate) -> None:
    gate.clock.wall_s = NOW_S - DAY_S - 1
    authority.publish()
    authority.export(gate.folder)
    assert refused(gate) == "future"
    gate.clock.wall_s += 1
    gate.boot().turn()
    assert gate.versions() == [1]


def test_a_wrong_issue_time_expires_a_gate_until_a_new_root_comes(authority: SyntheticAuthority, gate: Gate) -> None:
    """One future-dated signature must not last for ever: people come together, sign a new root, and the time floor is set anew."""
    gate.clock.quality = ClockQuality.HELD
    authority.now_s = NOW_S + 1000 * DAY_S
    authority.rotate("root")  # valid in that future
    install(authority, gate)
    authority.now_s = NOW_S
    authority.publish()
    authority.export(gate.folder)
    assert refused(gate) == "freeze"
    authority.rotate("root")
    authority.publish()
    authority.export(gate.folder)
    gate.look()
    assert gate.versions() == [1, 3]
    assert gate.store is not None
    assert gate.store.floors().issued_s == NOW_S


def test_an_expired_roster_is_kept_and_said_to_be_expired(authority: SyntheticAuthority, gate: Gate) -> None:
    """Whether entry denies is the core's decision; the loader never deletes."""
    install(authority, gate)
    gate.clock.wall_s = NOW_S + 31 * DAY_S
    gate.boot().turn()
    assert gate.versions() == [1]
    assert isinstance(gate.said[0], RosterLoaded)
    assert gate.said[0].expires_s == NOW_S + 30 * DAY_S


def test_one_bad_release_is_one_event(authority: SyntheticAuthority, gate: Gate) -> None:
    install(authority, gate)
    authority.publish()
    authority.export(gate.folder)
    document_of_two = max((gate.folder / "targets" / "enrol").iterdir(), key=lambda f: f.stat().st_mtime_ns)
    document_of_two.write_bytes(b"no roster")
    for _ in range(3):
        gate.look()
    assert gate.refusals() == ["tampered"]
