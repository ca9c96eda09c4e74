"""Two people at one authority at once: no release is replaced by an older one, and no suspension is lost."""

import fcntl
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from queue import Queue

import cv2
import numpy as np
import pytest

from agent.authority import cli, lock
from agent.authority.authority import Authority
from agent.authority.errors import AuthorityError
from agent.authority.files import write_whole
from agent.authority.keys import KEYED_ROLES, SINGLE
from agent.authority.lock import FILE, locked
from agent.authority.people import Enrolment
from agent.authority.people import enrol as enrol_folder
from agent.authority.register import Bound
from agent.authority.synthetic import QUALITY
from agent.biometrics.template import Metric
from agent.core.identity import PersonStatus
from agent.core.inputs import Box
from agent.roster.document import TemplateForm
from agent.vision.frame import U8
from agent.vision.sampler import Sample
from tests.authority.test_authority import BOUND, NOW_S, Defaults, enrol, fetched

SECRET = b"open sesame"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    quorums = dict.fromkeys(KEYED_ROLES, SINGLE)
    made = Authority.found(tmp_path / "authority", site="site", pack="mtcnn-dlib", quorums=quorums, passphrase=SECRET, now_s=NOW_S)
    made.register.bind(BOUND)
    enrol(made, 3)
    return made.folder


def opened(folder: Path) -> Authority:
    return Authority(folder, passphrase=lambda _: SECRET)


def test_who_is_suspended_while_somebody_types_a_passphrase_is_suspended_in_what_they_sign(folder: Path, tmp_path: Path) -> None:
    theirs: list[int] = []

    def typing(_what: str) -> bytes:
        other = opened(folder)
        other.set_status("p0001", PersonStatus.SUSPENDED, now_s=NOW_S)
        theirs.append(other.release(Defaults(), now_s=NOW_S).version)
        return SECRET

    ours = Authority(folder, passphrase=typing).release(Defaults(), now_s=NOW_S).version
    assert (theirs, ours) == ([1], 2)
    opened(folder).export(tmp_path / "out")
    roster = fetched(opened(folder), tmp_path / "out")
    assert (roster.version, [each.status for each in roster.people]) == (2, ["active", "suspended", "active"])


def test_releases_at_once_come_one_after_the_other(folder: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        releases = list(pool.map(lambda _: opened(folder).release(Defaults(), now_s=NOW_S).version, range(4)))
    assert sorted(releases) == [1, 2, 3, 4]
    assert opened(folder).repository.version() == 4


@pytest.mark.parametrize("command", ["release", "rotate", "export", "calibrate"])
def test_what_is_signed_is_changed_by_one_command_at_a_time(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    said: Queue[str] = Queue()
    monkeypatch.setattr(lock, "on_terminal", said.put)
    opened(folder).release(Defaults(), now_s=NOW_S)
    commands: dict[str, Callable[[Authority], object]] = {
        "release": lambda authority: authority.release(Defaults(), now_s=NOW_S),
        "rotate": lambda authority: authority.rotate("enrol", None, passphrase=SECRET, now_s=NOW_S),
        "export": lambda authority: authority.export(tmp_path / "out"),
        "calibrate": lambda authority: authority.keep_measurement(None),
    }
    with ThreadPoolExecutor(1) as pool:
        with locked(folder, "release"):
            done = pool.submit(commands[command], opened(folder))
            assert "waiting for 'gate-roster release'" in said.get(timeout=20)
            assert not done.done()
        done.result(timeout=20)


def test_two_writers_of_one_file_do_not_disturb_each_other(tmp_path: Path) -> None:
    contents = [bytes([number]) * 10_000 for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda data: write_whole(tmp_path / "one", data), contents * 4))
    assert (tmp_path / "one").read_bytes() in contents
    assert [each.name for each in tmp_path.iterdir()] == ["one"]


def test_who_waits_is_told_for_whom_and_not_for_ever(tmp_path: Path) -> None:
    said: list[str] = []
    with locked(tmp_path, "release"):
        with pytest.raises(AuthorityError) as caught, locked(tmp_path, "export", wait_s=0.2, say=said.append):
            pytest.fail("two had the lock")
        assert f"'gate-roster release' (process {os.getpid()}) still works in {tmp_path} after 0.2 s" in str(caught.value)
        assert said == [f"waiting for 'gate-roster release' (process {os.getpid()}), which works in {tmp_path}"]
    with locked(tmp_path, "export", wait_s=0, say=said.append):  # free again, and nothing of the first is in the way
        assert len(said) == 1


def test_nobody_waits_for_a_release_to_suspend_or_remove_a_person(folder: Path) -> None:
    with locked(folder, "release"):
        assert cli.main(["suspend", "p0001", "--authority", str(folder)]) == 0
        assert cli.main(["remove", "p0002", "--authority", str(folder)]) == 0
    assert {each.id: str(each.status) for each in opened(folder).register.people()} == {"p0000": "active", "p0001": "suspended"}


def test_two_enrolments_at_once_are_refused_because_neither_would_see_the_others_people(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "open_pack", lambda _folder: pytest.fail("a pack was opened for nothing"))
    (tmp_path / "pictures" / "somebody").mkdir(parents=True)
    with (folder / cli.ENROLLING).open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert cli.main(["enrol", str(tmp_path / "pictures"), "--authority", str(folder)]) == 1
    assert "another process still works in" in capsys.readouterr().err


# --- while people are being enrolled ----------------------------------------------------------------------------------------------


class Eye:
    """Makes samples of made-up pictures: the colour in their middle is whose face it is."""

    metric = Metric.EUCLIDEAN

    def sample_faces(self, image: U8) -> list[Sample]:
        colour = image[image.shape[0] // 2, image.shape[1] // 2].astype(int)
        template = np.zeros(128, dtype=np.float32)
        template[colour[0] // 10], template[127] = 1.0, colour[1] / 400
        middle = np.full((5, 2), image.shape[0] / 2, dtype=np.float32)
        chip = np.zeros((8, 8, 3), dtype=np.uint8)
        return [Sample(Box(0, 0, 9, 9), 1.0, middle, chip, replace(QUALITY, eye_distance_px=20.0), None, template)]


def faces(folder: Path, names: Sequence[str]) -> Path:
    random = np.random.default_rng(1)
    for number, name in enumerate(names):
        (folder / name).mkdir(parents=True)
        for picture in range(3):
            image = random.integers(256, size=(200, 200, 3), dtype=np.uint8)
            image[90:110, 90:110] = (10 * number, 40 * picture, 0)
            cv2.imwrite(str(folder / name / f"{picture}.png"), image)
    return folder


def enrolled(authority: Authority, folder: Path, during: Callable[[str], None]) -> dict[str, Enrolment]:
    bound = Bound(pack=BOUND.pack, form=TemplateForm(length=128, metric=Metric.EUCLIDEAN))
    done = enrol_folder(
        authority, folder, sampler=Eye(), bound=bound, defaults=Defaults(), now_s=NOW_S, progress=lambda _done, _of, name: during(name)
    )
    return {each.person: each for each in done}


def test_a_suspension_and_a_removal_while_people_are_enrolled_stay(tmp_path: Path) -> None:
    quorums = dict.fromkeys(KEYED_ROLES, SINGLE)
    authority = Authority.found(tmp_path / "a", site="site", pack="mtcnn-dlib", quorums=quorums, passphrase=None, now_s=NOW_S)
    names = ("anna", "bela", "cora", "dora", "elsa")
    pictures = faces(tmp_path / "pictures", names)
    assert [each.refused for each in enrolled(authority, pictures, lambda _: None).values()] == [None] * 5
    authority.register.remove("elsa")  # before: who enrols her again means it

    def meanwhile(name: str) -> None:
        if name == "bela":  # the second of five is next: what follows lies before the writing of the last ones
            authority.set_status("cora", PersonStatus.SUSPENDED, now_s=NOW_S)
            authority.register.remove("dora")

    again = enrolled(authority, pictures, meanwhile)
    assert {each.id: str(each.status) for each in authority.register.people()} == {
        "anna": "active",
        "bela": "active",
        "cora": "suspended",
        "elsa": "active",
    }
    assert "was removed while this enrolment ran" in (again["dora"].refused or "")
    assert not any("stays in force" in each for each in again["dora"].warnings)
    assert "is suspended and stays so; see: gate-roster resume" in again["cora"].warnings


def test_a_lookalike_who_is_nobody_is_named(tmp_path: Path) -> None:
    quorums = dict.fromkeys(KEYED_ROLES, SINGLE)
    authority = Authority.found(tmp_path / "a", site="site", pack="mtcnn-dlib", quorums=quorums, passphrase=None, now_s=NOW_S)
    pictures = faces(tmp_path / "pictures", ("anna", "bela"))
    (pictures / "anna" / "person.toml").write_text('lookalike_of = ["bela", "bella"]')
    warnings = enrolled(authority, pictures, lambda _: None)["anna"].warnings
    assert [each for each in warnings if "lookalike_of" in each] == ["lookalike_of names 'bella', who is nobody; see: gate-roster list"]


def test_the_lock_is_a_file_of_its_own_that_a_killed_process_does_not_hold(tmp_path: Path) -> None:
    child = os.fork()
    if not child:
        with locked(tmp_path, "release"):
            os._exit(0)  # without unlocking, as a kill does
    os.waitpid(child, 0)
    assert str(child) in (tmp_path / FILE).read_text()
    with locked(tmp_path, "release", wait_s=0):
        assert str(os.getpid()) in (tmp_path / FILE).read_text()
