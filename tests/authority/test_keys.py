"""Keys: new ones are protected and as many as before, those out of force are not opened, and half a file is in nobody's way."""

from pathlib import Path

import pytest

from agent.authority import cli
from agent.authority import repository as repositories
from agent.authority.authority import Authority
from agent.authority.errors import AuthorityError, PublishError
from agent.authority.keys import KEYED_ROLES, SINGLE, Quorum, generate
from tests.authority.test_authority import BOUND, NOW_S, Defaults, enrol

OLD, NEW = b"open sesame", b"another one"


def found(folder: Path, *, passphrase: bytes | None, root: Quorum = SINGLE, enrolling: Quorum = SINGLE) -> Path:
    quorums = {**dict.fromkeys(KEYED_ROLES, SINGLE), "root": root, "enrol": enrolling}
    made = Authority.found(folder, site="site", pack="mtcnn-dlib", quorums=quorums, passphrase=passphrase, now_s=NOW_S)
    made.register.bind(BOUND)
    enrol(made, 1)
    return folder


def opened(folder: Path, *passphrases: bytes, asked: list[str] | None = None) -> Authority:
    """An operator who types these passphrases, one after the other."""
    rest = iter(passphrases)

    def typed(what: str) -> bytes:
        if asked is not None:
            asked.append(Path(what).name)
        return next(rest)

    return Authority(folder, passphrase=typed)


def secret(folder: Path, name: str, content: bytes) -> str:
    file = folder / name
    file.write_bytes(content + b"\n")
    file.chmod(0o600)
    return str(file)


def test_a_rotation_keeps_how_many_keys_there_are_and_how_many_must_sign(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = found(tmp_path / "a", passphrase=None, root=Quorum(3, 5), enrolling=Quorum(2, 3))
    for role, keys, threshold in (("root", 5, 3), ("enrol", 3, 2), ("snapshot", 1, 1)):
        assert cli.main(["rotate", role, "--authority", str(folder)]) == 0
        assert f"role '{role}' has {keys} new key(s), of which {threshold} must sign, without passphrase" in capsys.readouterr().out
    repository = opened(folder).repository
    assert (repository.quorum("root"), repository.quorum("enrol")) == (Quorum(3, 5), Quorum(2, 3))
    assert cli.main(["rotate", "enrol", "--quorum", "1/2", "--authority", str(folder)]) == 0
    assert repository.quorum("enrol") == Quorum(1, 2)
    assert opened(folder).release(Defaults(), now_s=NOW_S).version == 1


@pytest.mark.parametrize("role", ["root", "enrol", "revoke"])
def test_new_keys_have_a_passphrase_where_the_old_ones_have_one(tmp_path: Path, capsys: pytest.CaptureFixture[str], role: str) -> None:
    folder = found(tmp_path / "a", passphrase=OLD)
    file = secret(tmp_path, "old", OLD)
    assert cli.main(["rotate", role, "--authority", str(folder)]) == 2  # nobody types one here
    assert "a passphrase is needed" in capsys.readouterr().err
    assert not list((folder / "keys").glob(f"{role}-2-*"))
    assert cli.main(["rotate", role, "--authority", str(folder), "--passphrase-file", file]) == 0
    assert "with a passphrase" in capsys.readouterr().out
    assert b"ENCRYPTED" in (folder / "keys" / f"{role}-2-1.pem").read_bytes()
    assert opened(folder, OLD, OLD).release(Defaults(), now_s=NOW_S).version == 1


def test_a_new_passphrase_opens_the_next_release_and_the_old_one_is_asked_of_nobody(tmp_path: Path) -> None:
    folder = found(tmp_path / "a", passphrase=OLD)
    old, new = secret(tmp_path, "old", OLD), secret(tmp_path, "new", NEW)
    command = ["rotate", "enrol", "--authority", str(folder), "--passphrase-file", old, "--new-passphrase-file", new]
    assert cli.main(command) == 0
    asked: list[str] = []
    assert opened(folder, NEW, asked=asked).release(Defaults(), now_s=NOW_S).version == 1
    assert asked == ["enrol-2-1.pem"]
    asked.clear()
    opened(folder, OLD, asked=asked).rotate("enrol", None, passphrase=NEW, now_s=NOW_S)
    assert asked == ["root-1-1.pem"]


def test_one_passphrase_of_several_keys_is_asked_for_once(tmp_path: Path) -> None:
    folder = found(tmp_path / "a", passphrase=OLD, root=Quorum(2, 3), enrolling=Quorum(2, 3))
    asked: list[str] = []
    both = opened(folder, OLD, asked=asked)
    both.rotate("enrol", None, passphrase=OLD, now_s=NOW_S)
    both.release(Defaults(), now_s=NOW_S)
    assert asked == ["root-1-1.pem"]


def without_first_line(folder: Path) -> None:
    """As the key files of before there was one."""
    for file in (folder / "keys").iterdir():
        file.write_bytes(file.read_bytes().partition(b"\n")[2])


def test_keys_of_an_earlier_version_still_sign_and_the_newest_are_tried_first(tmp_path: Path) -> None:
    folder = found(tmp_path / "a", passphrase=OLD)
    opened(folder, OLD).rotate("enrol", None, passphrase=NEW, now_s=NOW_S)
    without_first_line(folder)
    asked: list[str] = []
    assert opened(folder, NEW, asked=asked).release(Defaults(), now_s=NOW_S).version == 1
    assert asked == ["enrol-2-1.pem"]


@pytest.mark.parametrize("content", [b"", b"Key-Id: 00", b"-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2Vw"])
def test_half_a_key_file_is_in_nobodys_way(tmp_path: Path, content: bytes) -> None:
    folder = found(tmp_path / "a", passphrase=None)
    for role in KEYED_ROLES:
        half = folder / "keys" / f"{role}-2-1.pem"
        half.write_bytes(content)
        half.chmod(0o600)
    made = opened(folder)
    assert made.release(Defaults(), now_s=NOW_S).version == 1
    made.rotate("root", None, passphrase=None, now_s=NOW_S)
    assert opened(folder).release(Defaults(), now_s=NOW_S).version == 2
    (folder / "keys" / "enrol-1-1.pem").write_bytes(content)
    with pytest.raises(
        AuthorityError, match=r"0 key\(s\) of role 'enrol'.*restore from the backup what is cut short: enrol-2-1\.pem, enrol-1-1"
    ):
        opened(folder).release(Defaults(), now_s=NOW_S)


@pytest.mark.parametrize("role", KEYED_ROLES)
def test_a_rotation_that_cannot_end_leaves_no_key_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, role: str) -> None:
    folder = found(tmp_path / "a", passphrase=None)
    before = {file.name for file in (folder / "keys").iterdir()}

    def full(file: Path, _data: bytes, **_options: int) -> None:
        raise OSError(28, "No space left on device", str(file))

    with monkeypatch.context() as broken:
        broken.setattr(repositories, "write_whole", full)
        with pytest.raises(AuthorityError, match="No space left"):
            opened(folder).rotate(role, None, passphrase=None, now_s=NOW_S)
    assert {file.name for file in (folder / "keys").iterdir()} == before
    assert opened(folder).release(Defaults(), now_s=NOW_S).version == 1


def test_a_rotation_of_root_that_was_cut_between_its_two_files_is_mended_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = found(tmp_path / "a", passphrase=None)
    whole = repositories.write_whole  # type: ignore[attr-defined]

    def full_at_targets(file: Path, data: bytes) -> None:
        if file.name.endswith("targets.json"):
            raise OSError(28, "No space left on device", str(file))
        whole(file, data)

    with monkeypatch.context() as broken:
        broken.setattr(repositories, "write_whole", full_at_targets)
        with pytest.raises(AuthorityError, match="No space left"):
            opened(folder).rotate("root", None, passphrase=None, now_s=NOW_S)
    assert (folder / "keys" / "root-2-1.pem").exists()  # they are in force
    opened(folder).rotate("root", None, passphrase=None, now_s=NOW_S)
    assert opened(folder).release(Defaults(), now_s=NOW_S).version == 1


def test_files_of_other_names_are_left_alone(tmp_path: Path) -> None:
    folder = found(tmp_path / "a", passphrase=None)
    for name in ("keys/enrol-old.pem", "keys/root-x-1.pem", "repository/metadata/old.root.json", "repository/metadata/my.targets.json"):
        (folder / name).write_bytes(b"mine")
        (folder / name).chmod(0o600)
    made = opened(folder)
    for role in ("enrol", "root"):
        made.rotate(role, None, passphrase=None, now_s=NOW_S)
    assert opened(folder).release(Defaults(), now_s=NOW_S).version == 1
    opened(folder).export(tmp_path / "out")
    assert not (tmp_path / "out" / "metadata" / "old.root.json").exists()


def test_missing_targets_are_named(tmp_path: Path) -> None:
    folder = found(tmp_path / "a", passphrase=None)
    (folder / "repository" / "metadata" / "1.targets.json").unlink()
    with pytest.raises(PublishError, match="holds no targets metadata"):
        opened(folder).release(Defaults(), now_s=NOW_S)


def test_a_key_is_never_written_over(tmp_path: Path) -> None:
    generate(tmp_path, {"root": SINGLE}, generation=1, passphrase=None)
    before = (tmp_path / "root-1-1.pem").read_bytes()
    with pytest.raises(FileExistsError):
        generate(tmp_path, {"root": SINGLE}, generation=1, passphrase=None)
    assert (tmp_path / "root-1-1.pem").read_bytes() == before
