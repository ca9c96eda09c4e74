"""`gate-roster init` makes a whole authority that gates can follow, or nothing."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agent.authority import cli, founding, plan
from agent.authority import repository as repositories
from agent.authority.authority import Authority
from agent.authority.errors import AuthorityError
from agent.authority.keys import KEYED_ROLES, SINGLE
from agent.authority.lock import FILE
from agent.authority.register import Register
from agent.settings import ConfigError
from models.errors import PackMissingError
from tests.authority.test_authority import BOUND, NOW_S, Defaults, enrol


def found(folder: Path, *, site: str = "site") -> Authority:
    quorums = dict.fromkeys(KEYED_ROLES, SINGLE)
    return Authority.found(folder, site=site, pack="mtcnn-dlib", quorums=quorums, passphrase=None, now_s=NOW_S)


@pytest.mark.parametrize("is_there", [False, True])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
@pytest.mark.parametrize("step", ["register", "signing", "moving"])
def test_a_founding_that_is_cut_short_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, error: BaseException, is_there: bool
) -> None:
    folder = tmp_path / "authority"
    if is_there:
        folder.mkdir()

    def cut(*_args: object, **_options: object) -> None:
        raise error

    with monkeypatch.context() as broken:
        match step:
            case "register":
                broken.setattr(Register, "create", cut)
            case "signing":
                broken.setattr(repositories, "write_whole", cut)
            case _:
                broken.setattr(founding, "sync_folder", cut)
        with pytest.raises(AuthorityError if isinstance(error, OSError) else KeyboardInterrupt) as caught:
            found(folder)
    assert isinstance(error, KeyboardInterrupt) or "No space left on device" in str(caught.value)
    assert folder.exists() == is_there
    assert [each.name for each in folder.glob("*") if each.name != FILE] == []
    assert found(folder).plan.site.name == "site"


def test_a_founding_that_is_killed_is_cleared_away_by_the_next(tmp_path: Path) -> None:
    folder = tmp_path / "authority"
    words = "import sys; from pathlib import Path; from agent.authority.founding import in_one_step\n"
    words += "with in_one_step(Path(sys.argv[1]), last='x') as making: (making / 'key').write_text('secret'); print(flush=True); input()"
    child = subprocess.Popen([sys.executable, "-c", words, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    with pytest.raises(AuthorityError, match=rf"'gate-roster init' \(process {child.pid}\) still works in"):
        found(folder)
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert list(folder.glob(".init-*/key"))
    found(folder)
    assert not list(folder.glob(".init-*"))


def test_what_lies_in_a_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"sun")
    with pytest.raises(AuthorityError, match=r"is not empty: 'holiday\.jpg' is in it"):
        found(tmp_path)
    assert (tmp_path / "holiday.jpg").read_bytes() == b"sun"


@pytest.mark.parametrize("name", ["a/b", " ", "../x", "深圳", "a b", "x\ny"])
def test_a_site_that_no_gate_would_accept_is_refused_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    assert cli.main(["init", str(tmp_path / "a"), "--site", name]) == 2
    assert "letters, digits, '.', '_' and '-' only" in capsys.readouterr().err
    with pytest.raises(ConfigError):
        found(tmp_path / "a", site=name)
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("pack", "words"), [("nosuch", "'nosuch' is no pack that is known here; one of: "), ("minifasnet", "'minifasnet' makes no templates")]
)
def test_a_pack_that_cannot_enrol_anybody_is_refused_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], pack: str, words: str
) -> None:
    assert cli.main(["init", str(tmp_path / "a"), "--pack", pack]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "a").exists()


def test_an_authority_may_be_made_where_no_pack_is_built_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> Path:
        raise PackMissingError("no folder of model packs")

    monkeypatch.setattr(cli, "built_folder", none)
    assert cli.main(["init", str(tmp_path / "a"), "--pack", "mobilefacenet"]) == 0


def test_ctrl_c_says_what_holds_after_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(*_args: object, **_options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Register, "create", interrupted)
    cli.main(["init", str(tmp_path / "a")])
    assert capsys.readouterr().err == "gate-roster: stopped; nothing is made\n"


# --- site and key are what references are sealed for ------------------------------------------------------------------------------


def test_another_site_name_or_key_is_refused_before_anything_is_signed(tmp_path: Path) -> None:
    made, other = found(tmp_path / "a"), found(tmp_path / "b")
    made.register.bind(BOUND)
    enrol(made, 2)
    file, key = made.folder / plan.FILE, made.folder / "site.key"
    ours = file.read_text(), key.read_text()
    file.write_text(ours[0].replace('name = "site"', 'name = "bridge-2"'))
    with pytest.raises(AuthorityError, match="names the site 'bridge-2', and everybody's references are encrypted for 'site'"):
        Authority(made.folder, passphrase=lambda _: b"").release(Defaults(), now_s=NOW_S)
    file.write_text(ours[0])
    key.write_text((other.folder / "site.key").read_text())
    with pytest.raises(AuthorityError, match=r"site\.key is the key '[0-9a-f]{16}', and everybody's"):
        Authority(made.folder, passphrase=lambda _: b"").release(Defaults(), now_s=NOW_S)
    key.write_text(ours[1])
    assert Authority(made.folder, passphrase=lambda _: b"").release(Defaults(), now_s=NOW_S).version == 1


@pytest.mark.slow
def test_an_init_that_is_killed_at_any_moment_can_be_run_again(tmp_path: Path) -> None:
    run = [sys.executable, "-m", "agent.authority.cli", "init"]
    began = time.monotonic()
    subprocess.run([*run, tmp_path / "whole"], check=True, capture_output=True)
    took = time.monotonic() - began
    for number in range(16):
        folder = tmp_path / f"a{number}"
        child = subprocess.Popen([*run, folder], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            child.wait(timeout=took * (0.6 + 0.025 * number))
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        if (folder / plan.FILE).exists():
            assert Authority(folder, passphrase=lambda _: b"").repository.version() == 0
        else:
            assert cli.main(["init", str(folder)]) == 0
        assert Authority(folder, passphrase=lambda _: b"").register.people() == ()
