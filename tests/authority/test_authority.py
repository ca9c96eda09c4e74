"""Releases: what is signed, which version it gets, and what an interruption or a full stick leaves behind."""

import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest

from agent.authority import export as exporting
from agent.authority import repository as repositories
from agent.authority.authority import Authority
from agent.authority.errors import AuthorityError, PublishError, RegisterError
from agent.authority.keys import KEYED_ROLES, SINGLE, Quorum
from agent.authority.register import Bound, Register
from agent.authority.synthetic import FORM, QUALITY, templates
from agent.biometrics.template import F32
from agent.core.identity import PersonId, PersonStatus
from agent.core.moment import NS_PER_S, ClockQuality, Moment
from agent.roster import codec, trust
from agent.roster.document import TIME_MAX_S, Person, Roster
from agent.roster.errors import RosterError
from agent.roster.folder import FolderRepository
from agent.roster.people import gallery_of
from agent.roster.secrecy import SiteKey, seal
from agent.settings import ConfigError

NOW_S = 1_790_000_000
BOUND = Bound(pack="pack-000000000000", form=FORM)


@dataclass(frozen=True, slots=True)
class Defaults:
    """What a pack's manifest says of comparison."""

    people_max: int = 300
    cohort_size: int = 30
    threshold_plain: float = 0.5
    threshold_normalised: float = -0.1
    margin: float = 0.03


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    quorums = dict.fromkeys(KEYED_ROLES, SINGLE)
    made = Authority.found(tmp_path / "authority", site="site", pack="mtcnn-dlib", quorums=quorums, passphrase=None, now_s=NOW_S)
    made.register.bind(BOUND)
    return made


def enrol(authority: Authority, people: int, *, levels: tuple[str, ...] = ("always",)) -> None:
    key = authority.key()
    for number, table in enumerate(templates(people)):
        name = f"p{number:04d}"
        make = partial(record, authority, templates=table, levels=levels, name=name, key=key)
        authority.register.change(name, make, now_s=NOW_S)


def record(
    authority: Authority, _before: Person | None, revision: int, *, templates: F32, levels: tuple[str, ...], name: str, key: SiteKey
) -> Person:
    return Person(
        id=PersonId(name),
        revision=revision,
        status=PersonStatus.ACTIVE,
        not_before_s=0,
        not_after_s=TIME_MAX_S,
        levels=levels,
        quality=(QUALITY,) * len(templates),
        sealed=seal(key, templates, form=FORM, binding=authority.binding(name, revision, pack=BOUND.pack)),
    )


def fetched(authority: Authority, folder: Path) -> Roster:
    """What a gate with the authority's root reads in a folder."""
    moment = Moment(0, NOW_S * NS_PER_S, ClockQuality.SYNCHRONISED, "boot")
    root = (authority.folder / "root.json").read_bytes()
    release = trust.verify_offer(FolderRepository(folder), root=root, kept={}, floors=trust.NO_FLOORS, moment=moment)
    return codec.decode(release.document.read_bytes())


def test_a_release_holds_the_people_the_levels_and_the_calibration(authority: Authority, tmp_path: Path) -> None:
    enrol(authority, 5)
    published = authority.release(Defaults(), now_s=NOW_S)
    authority.export(tmp_path / "out")
    roster = fetched(authority, tmp_path / "out")
    assert (roster.version, len(roster.people), roster.site, roster.pack) == (published.version, 5, "site", BOUND.pack)
    assert (roster.stale_after_s - NOW_S, roster.expires_s - NOW_S) == (7 * 86_400, 30 * 86_400)
    first = roster.levels["always"][0]
    assert (first.origin, first.destination) == ("park-a", "bridge")
    assert gallery_of(roster, authority.key()).threshold == -0.5


def test_from_a_hundred_people_on_scores_are_normalised_by_the_roster(authority: Authority) -> None:
    enrol(authority, 100)
    assert authority.release(Defaults(), now_s=NOW_S).threshold == 0.1


def test_three_hundred_and_one_people_are_not_released_with_a_pack_default(authority: Authority) -> None:
    enrol(authority, 301)
    with pytest.raises(PublishError, match=r"301 people are enrolled.*at most 300"):
        authority.release(Defaults(), now_s=NOW_S)
    authority.register.remove("p0007")
    assert authority.release(Defaults(), now_s=NOW_S).people == 300


def test_a_version_is_never_used_twice_also_when_publishing_fails(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    enrol(authority, 2)
    assert authority.release(Defaults(), now_s=NOW_S).version == 1

    def full(file: Path, _data: bytes, **_options: int) -> None:
        raise OSError(28, "No space left on device", str(file))

    with monkeypatch.context() as broken:
        broken.setattr(repositories, "write_whole", full)
        with pytest.raises(PublishError, match="No space left"):
            authority.release(Defaults(), now_s=NOW_S)
    assert authority.repository.version() == 1
    assert authority.release(Defaults(), now_s=NOW_S).version == 3


def test_a_register_from_an_old_backup_does_not_bring_a_version_back(authority: Authority, tmp_path: Path) -> None:
    enrol(authority, 2)
    shutil.copy(authority.folder / "register.db", tmp_path / "backup.db")
    for _ in range(3):
        authority.release(Defaults(), now_s=NOW_S)
    shutil.copy(tmp_path / "backup.db", authority.folder / "register.db")
    assert authority.release(Defaults(), now_s=NOW_S).version == 4


def test_nobody_enrolled_is_no_release(authority: Authority) -> None:
    with pytest.raises(PublishError, match="nobody is enrolled"):
        authority.release(Defaults(), now_s=NOW_S)


def test_the_last_person_can_be_revoked_measured_or_not(authority: Authority, tmp_path: Path) -> None:
    enrol(authority, 1)
    authority.release(Defaults(), now_s=NOW_S)
    authority.register.remove("p0000")
    authority.register.keep("calibration", "of a measurement that nobody needs for an empty roster")
    published = authority.release(Defaults(), now_s=NOW_S)
    assert (published.version, published.people) == (2, 0)
    authority.export(tmp_path / "out")
    gallery = gallery_of(fetched(authority, tmp_path / "out"), authority.key())
    assert (gallery.people, gallery.identify(templates(1)[0][0])) == (0, ())


def test_an_authority_whose_root_has_expired_is_told_to_rotate_it(authority: Authority) -> None:
    enrol(authority, 1)
    late = NOW_S + 731 * 86_400
    with pytest.raises(PublishError, match=r"expired at 2028-\d\d-\d\d .*run gate-roster rotate root"):
        authority.release(Defaults(), now_s=late)
    authority.rotate("root", None, passphrase=None, now_s=late)
    assert authority.release(Defaults(), now_s=late).version == 1


def test_a_release_says_when_the_one_before_was_issued(authority: Authority) -> None:
    enrol(authority, 1)
    assert [authority.release(Defaults(), now_s=now_s).before_s for now_s in (NOW_S, NOW_S + 60, NOW_S - 60)] == [None, NOW_S, NOW_S + 60]


def test_a_level_that_is_not_defined_is_named_before_anything_is_signed(authority: Authority) -> None:
    enrol(authority, 1, levels=("night",))
    with pytest.raises(PublishError, match="'p0000' has the access level 'night'"):
        authority.release(Defaults(), now_s=NOW_S)


def test_suspending_and_removing_reach_the_next_release(authority: Authority, tmp_path: Path) -> None:
    enrol(authority, 3)
    suspended = authority.set_status("p0001", PersonStatus.SUSPENDED, now_s=NOW_S)
    authority.register.remove("p0002")
    authority.release(Defaults(), now_s=NOW_S)
    authority.export(tmp_path / "out")
    roster = fetched(authority, tmp_path / "out")
    assert [(p.id, p.status, p.revision) for p in roster.people] == [("p0000", "active", 1), ("p0001", "suspended", 2)]
    assert suspended.revision == 2
    assert gallery_of(roster, authority.key()).people == 2  # the references open under their new revision


def test_a_removed_persons_references_are_gone_and_the_revision_goes_on(authority: Authority) -> None:
    enrol(authority, 2)
    sealed = authority.register.person("p0001").sealed
    authority.register.remove("p0001")
    for file in authority.folder.glob("register.db*"):
        assert sealed[:64] not in file.read_bytes()
    assert authority.register.revisions()["p0001"] == 2
    with pytest.raises(RegisterError, match="'p0001' is not enrolled"):
        authority.register.person("p0001")
    with pytest.raises(RegisterError, match="'p0001' is not enrolled"):
        authority.register.remove("p0001")


def test_references_of_another_pack_do_not_mix(authority: Authority) -> None:
    enrol(authority, 1)
    with pytest.raises(RegisterError, match="cannot be compared"):
        authority.register.bind(Bound(pack="other-000000000000", form=FORM))
    authority.register.remove("p0000")
    authority.register.bind(Bound(pack="other-000000000000", form=FORM))  # nobody is left: another pack may begin
    assert authority.register.bound() == Bound(pack="other-000000000000", form=FORM)


def test_a_record_is_made_from_the_one_in_force_and_nothing_comes_between(authority: Authority) -> None:
    enrol(authority, 1)
    seen: list[tuple[str, int]] = []

    def made(before: Person | None, revision: int) -> Person:
        assert before is not None
        seen.append((before.status, revision))
        other = sqlite3.connect(authority.folder / "register.db", timeout=0)
        with closing(other), pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("UPDATE person SET status = 'suspended'")
        return replace(before, revision=revision)

    authority.set_status("p0000", PersonStatus.SUSPENDED, now_s=NOW_S)
    authority.register.change("p0000", made, now_s=NOW_S)
    assert seen == [("suspended", 3)]
    assert authority.register.person("p0000").status is PersonStatus.SUSPENDED


def test_a_record_that_cannot_be_made_leaves_the_one_before(authority: Authority) -> None:
    enrol(authority, 1)
    before = authority.register.person("p0000")

    def fails(_before: Person | None, _revision: int) -> Person:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        authority.register.change("p0000", fails, now_s=NOW_S)
    assert authority.register.person("p0000") == before


# --- keys -------------------------------------------------------------------------------------------------------------------------


def test_thresholds_are_in_the_metadata_and_needed_for_signing(tmp_path: Path) -> None:
    quorums = {**dict.fromkeys(KEYED_ROLES, SINGLE), "root": Quorum(3, 5), "enrol": Quorum(2, 3)}
    made = Authority.found(tmp_path / "a", site="site", pack="mtcnn-dlib", quorums=quorums, passphrase=None, now_s=NOW_S)
    root = made.repository.root()
    assert (root.signed.roles["root"].threshold, len(root.signed.roles["root"].keyids), len(root.signatures)) == (3, 5, 5)
    made.register.bind(BOUND)
    enrol(made, 1)
    (tmp_path / "a" / "keys" / "enrol-1-1.pem").unlink()  # one operator is away: two are enough
    assert made.release(Defaults(), now_s=NOW_S).version == 1
    (tmp_path / "a" / "keys" / "enrol-1-2.pem").unlink()
    with pytest.raises(AuthorityError, match=r"1 key\(s\) of role 'enrol'.*2 are needed"):
        Authority(tmp_path / "a", passphrase=lambda _: b"").release(Defaults(), now_s=NOW_S)


def test_encrypted_keys_need_their_passphrase(tmp_path: Path) -> None:
    quorums = dict.fromkeys(KEYED_ROLES, SINGLE)
    made = Authority.found(tmp_path / "a", site="site", pack="mtcnn-dlib", quorums=quorums, passphrase=b"open sesame", now_s=NOW_S)
    made.register.bind(BOUND)
    enrol(made, 1)
    for file in (tmp_path / "a" / "keys").iterdir():
        assert file.stat().st_mode & 0o777 == 0o600
        assert (b"ENCRYPTED" in file.read_bytes()) == file.name.startswith(("root", "enrol", "revoke"))
    with pytest.raises(AuthorityError, match="a wrong passphrase"):
        Authority(tmp_path / "a", passphrase=lambda _: b"close sesame").release(Defaults(), now_s=NOW_S)
    asked: list[str] = []
    again = Authority(tmp_path / "a", passphrase=lambda what: (asked.append(what), b"open sesame")[1])
    assert again.release(Defaults(), now_s=NOW_S).people == 1
    assert [Path(what).name for what in asked] == ["enrol-1-1.pem"]


def test_a_key_that_others_may_read_is_not_used(authority: Authority) -> None:
    enrol(authority, 1)
    (authority.folder / "keys" / "timestamp-1-1.pem").chmod(0o644)
    with pytest.raises(AuthorityError, match="chmod 600"):
        authority.release(Defaults(), now_s=NOW_S)


@pytest.mark.parametrize("role", KEYED_ROLES)
def test_every_role_can_be_given_new_keys(authority: Authority, tmp_path: Path, role: str) -> None:
    enrol(authority, 2)
    authority.release(Defaults(), now_s=NOW_S)
    authority.rotate(role, Quorum(1, 2), passphrase=None, now_s=NOW_S)
    for file in (authority.folder / "keys").glob(f"{role}-1-*.pem"):
        file.unlink()
    again = Authority(authority.folder, passphrase=lambda _: b"")
    assert again.release(Defaults(), now_s=NOW_S).version == 2
    again.export(tmp_path / "out")
    assert fetched(authority, tmp_path / "out").version == 2  # under the first root, which gates were given


def test_an_authority_is_never_made_over_another(authority: Authority) -> None:
    with pytest.raises(AuthorityError, match="is not empty"):
        Authority.found(authority.folder, site="s", pack="p", quorums=dict.fromkeys(KEYED_ROLES, SINGLE), passphrase=None, now_s=NOW_S)


@pytest.mark.parametrize(
    ("name", "error"), [("authority.toml", ConfigError), ("register.db", RegisterError), ("repository/metadata/1.root.json", PublishError)]
)
def test_a_missing_part_is_named(authority: Authority, name: str, error: type[Exception]) -> None:
    enrol(authority, 1)
    (authority.folder / name).unlink()
    with pytest.raises(error, match=Path(name).name if name != "repository/metadata/1.root.json" else "holds no root"):
        Authority(authority.folder, passphrase=lambda _: b"").release(Defaults(), now_s=NOW_S)


def test_a_missing_site_key_is_named(authority: Authority) -> None:
    (authority.folder / "site.key").unlink()
    with pytest.raises(RosterError, match=r"site\.key cannot be read"):
        authority.key()


def test_a_damaged_register_is_named(authority: Authority) -> None:
    (authority.folder / "register.db").write_bytes(b"not a database" * 1000)
    with pytest.raises(RegisterError, match=r"register\.db cannot be used"):
        Register(authority.folder / "register.db").people()


# --- export -----------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def released(authority: Authority) -> Authority:
    enrol(authority, 2)
    authority.release(Defaults(), now_s=NOW_S)
    return authority


def test_nothing_published_is_nothing_to_export(authority: Authority, tmp_path: Path) -> None:
    with pytest.raises(PublishError, match="no release is published yet"):
        authority.export(tmp_path / "out")


@pytest.mark.parametrize("cut", range(4))
def test_an_export_cut_short_leaves_the_release_before_whole(
    released: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut: int
) -> None:
    """A stick pulled out at each of the four files that are new: document, enrol, snapshot, time stamp."""
    stick = tmp_path / "stick"
    released.export(stick)
    released.release(Defaults(), now_s=NOW_S)
    whole, written = exporting.write_whole, []

    def pulled(file: Path, data: bytes) -> None:
        if len(written) == cut:
            file.with_name(f".{file.name}.new").write_bytes(data[: len(data) // 2])
            raise OSError(5, "Input/output error")
        written.append(file.name)
        whole(file, data)

    monkeypatch.setattr(exporting, "write_whole", pulled)
    with pytest.raises(PublishError, match="Input/output error"):
        released.export(stick)
    assert (fetched(released, stick).version, len(written)) == (1, cut)
    monkeypatch.undo()
    assert (released.export(stick), fetched(released, stick).version) == (2, 2)


def test_an_export_keeps_the_release_before_for_whoever_reads_it_now_and_no_older(released: Authority, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    for _ in range(4):
        released.export(folder)
        released.release(Defaults(), now_s=NOW_S)
    released.export(folder)
    assert sorted(f.name for f in (folder / "metadata").glob("*.enrol.json")) == ["4.enrol.json", "5.enrol.json"]
    assert len(list((folder / "targets" / "enrol").iterdir())) == 2
    assert fetched(released, folder).version == 5


def test_an_export_never_takes_a_folder_back(released: Authority, tmp_path: Path) -> None:
    shutil.copytree(released.folder / "repository", tmp_path / "old")
    released.release(Defaults(), now_s=NOW_S)
    released.export(tmp_path / "out")
    with pytest.raises(PublishError, match="holds release 2, newer than 1"):
        exporting.export(tmp_path / "old", tmp_path / "out")


def test_an_export_leaves_other_files_alone(released: Authority, tmp_path: Path) -> None:
    (tmp_path / "stick" / "holiday").mkdir(parents=True)
    (tmp_path / "stick" / "holiday" / "beach.jpg").write_bytes(b"sun")
    (tmp_path / "stick" / "metadata.json").write_bytes(b"{}")
    released.export(tmp_path / "stick")
    released.export(tmp_path / "stick")
    assert (tmp_path / "stick" / "holiday" / "beach.jpg").read_bytes() == b"sun"
    assert (tmp_path / "stick" / "metadata.json").read_bytes() == b"{}"


def test_an_export_deletes_nothing_that_it_did_not_write(released: Authority, tmp_path: Path) -> None:
    stick = tmp_path / "stick"
    theirs = {
        stick / "metadata" / "x.json": b"{}",
        stick / "metadata" / "1.enrol.json": b"another's",
        stick / "targets" / "2025" / "old.cbor": b"old",
        stick / "targets" / "enrol" / "other.cbor": b"other",
    }
    for file, content in theirs.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    for version in range(2, 6):
        released.release(Defaults(), now_s=NOW_S)
        assert released.export(stick) == version
    assert {file: file.read_bytes() for file in theirs} == theirs
    assert sorted(f.name for f in (stick / "metadata").glob("*.snapshot.json")) == ["4.snapshot.json", "5.snapshot.json"]


def test_another_authoritys_release_is_not_replaced(released: Authority, tmp_path: Path) -> None:
    quorums = dict.fromkeys(KEYED_ROLES, SINGLE)
    other = Authority.found(tmp_path / "other", site="site", pack="mtcnn-dlib", quorums=quorums, passphrase=None, now_s=NOW_S)
    other.register.bind(BOUND)
    enrol(other, 3)
    for _ in range(2):
        other.release(Defaults(), now_s=NOW_S)
    released.export(tmp_path / "stick")
    with pytest.raises(PublishError, match="holds a release that is not of this authority"):
        other.export(tmp_path / "stick")
    assert len(fetched(released, tmp_path / "stick").people) == 2
