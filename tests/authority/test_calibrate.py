"""Calibration from a register to the gate that follows it, with made-up people whose faces resemble each other as real ones do."""

import json
import os
import re
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from agent.authority import calibrate_report, calibration_file
from agent.authority.authority import Authority
from agent.authority.calibrate import Calibrated, calibrate
from agent.authority.calibrate_command import discard
from agent.authority.cli import main
from agent.authority.errors import AuthorityError, PublishError
from agent.authority.keys import KEYED_ROLES, SINGLE
from agent.authority.synthetic import FORM, QUALITY
from agent.biometrics.errors import CalibrationError
from agent.biometrics.measurement import Targets
from agent.biometrics.measuring import PAIRS_MAX
from agent.biometrics.template import fuse
from agent.core.identity import PersonId, PersonStatus
from agent.roster import codec, trust
from agent.roster.document import TIME_MAX_S, Person
from agent.roster.errors import Reason, RosterError
from agent.roster.people import gallery_of
from agent.roster.secrecy import seal
from models.errors import ModelError
from models.pack import find_pack, read_manifest
from models.places import built_folder
from tests.authority.test_authority import BOUND, NOW_S, Defaults

PEOPLE = 260
FACE_NUMBERS = 24
"""Faces vary in so many directions here: few enough that some strangers look alike."""


def faces(rng: np.random.Generator, people: int, *, pictures: int, blur: float) -> np.ndarray:
    """Pictures (people, pictures, 128) of people; each picture is its face and something of the day."""
    centres = np.zeros((people, 1, FORM.length))
    centres[:, 0, :FACE_NUMBERS] = rng.normal(size=(people, FACE_NUMBERS)) / np.sqrt(FACE_NUMBERS) / 2
    noise = np.zeros((people, pictures, FORM.length))
    noise[:, :, :FACE_NUMBERS] = rng.normal(size=(people, pictures, FACE_NUMBERS)) * blur / np.sqrt(FACE_NUMBERS)
    return np.asarray(centres + noise, dtype=np.float32)


def found_authority(folder: Path) -> Authority:
    quorums = dict.fromkeys(KEYED_ROLES, SINGLE)
    made = Authority.found(folder, site="site", pack="mtcnn-dlib", quorums=quorums, passphrase=None, now_s=NOW_S)
    made.register.bind(BOUND)
    return made


def enrol(authority: Authority, pictures: np.ndarray, *, pack: str = BOUND.pack) -> None:
    key = authority.key()
    for number, each in enumerate(pictures):
        name = f"p{number:04d}"
        binding = authority.binding(name, 1, pack=pack)
        person = Person(
            id=PersonId(name),
            revision=1,
            status=PersonStatus.ACTIVE,
            not_before_s=0,
            not_after_s=TIME_MAX_S,
            levels=("always",),
            quality=(QUALITY,) * len(each),
            sealed=seal(key, each, form=FORM, binding=binding),
            group="blurred" if number % 4 == 0 else "sharp",
        )
        authority.register.change(name, lambda _before, _revision, person=person: person, now_s=NOW_S)


def measured(authority: Authority, *, fpir: float = 0.02, fnir: float = 0.2) -> Calibrated:
    targets = Targets(fpir=fpir, fnir=fnir)
    return calibrate(authority, targets=targets, margin=0.02, now_s=NOW_S, pairs_max=PAIRS_MAX, progress=lambda *_: None)


@pytest.fixture(scope="module")
def population() -> np.ndarray:
    pictures = faces(np.random.default_rng(11), PEOPLE + 1500, pictures=4, blur=0.22)
    pictures[:PEOPLE:4, :, :FACE_NUMBERS] += np.random.default_rng(13).normal(scale=0.05, size=(PEOPLE // 4, 4, FACE_NUMBERS))
    return pictures


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """In memory where there is such a place: a register waits for the disk at each of hundreds of people."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory) as name:
        yield Path(name)


@pytest.fixture(scope="module")
def authority(folder: Path, population: np.ndarray) -> Authority:
    made = found_authority(folder / "measured")
    enrol(made, population[:PEOPLE, :3])
    return made


@pytest.fixture(scope="module")
def done(authority: Authority) -> Calibrated:
    return measured(authority)


def test_the_threshold_keeps_strangers_to_what_was_predicted(authority: Authority, done: Calibrated, population: np.ndarray) -> None:
    authority.keep_measurement(done.file)
    authority.release(Defaults(), now_s=NOW_S)
    gallery = gallery_of(newest(authority), authority.key())
    assert gallery.threshold == pytest.approx(done.here.threshold)

    def is_found(probe: np.ndarray, name: str | None) -> bool:
        best, second = gallery.identify(fuse(probe[None], gallery.metric))
        taken = best.score >= gallery.threshold and best.score - second.score >= gallery.margin
        return taken and name in (None, best.record.person)

    strangers = np.mean([is_found(each[0], None) for each in population[PEOPLE:]])
    missed = np.mean([not is_found(each[3], f"p{i:04d}") for i, each in enumerate(population[:PEOPLE])])
    assert 0.5 * done.file.fpir < strangers < 2 * done.file.fpir
    assert missed == pytest.approx(done.here.fnir.value, abs=0.06)
    discard(authority)


def newest(authority: Authority) -> codec.Roster:
    folder = authority.folder / "repository" / "targets" / "enrol"
    return codec.decode(max(folder.iterdir(), key=lambda file: codec.decode(file.read_bytes()).version).read_bytes())


def test_the_signed_record_says_all_that_a_gate_needs(authority: Authority, done: Calibrated) -> None:
    authority.keep_measurement(done.file)
    published = authority.release(Defaults(), now_s=NOW_S)
    record = newest(authority).calibration
    assert (published.calibration, published.threshold) == ("measured", record.threshold)
    assert (record.fpir, record.n_max, record.people_max) == (0.02, done.file.n_max, done.file.n_max)
    assert (record.pack, record.date, record.people, record.k) == (BOUND.pack, NOW_S, PEOPLE, 4)
    assert record.tail == done.measurement.tail
    fewer = replace(newest(authority), people=newest(authority).people[: PEOPLE // 2])
    assert gallery_of(fewer, authority.key()).threshold == record.threshold_for(PEOPLE // 2) < record.threshold
    discard(authority)


def test_a_gate_refuses_a_record_of_another_pack_or_for_fewer_people(authority: Authority, done: Calibrated) -> None:
    authority.keep_measurement(done.file)
    authority.release(Defaults(), now_s=NOW_S)
    roster = newest(authority)
    discard(authority)
    expected = trust.Expected(site="site", pack=BOUND.pack, template_length=FORM.length, metric=FORM.metric)
    release = trust.Release(version=roster.version, document=b"", metadata={}, versions={})
    trust.admit(roster, release=release, expected=expected)
    for change, reason in (
        ({"pack": "other-000000000000"}, Reason.WRONG_PACK),
        ({"n_max": PEOPLE - 1, "people_max": PEOPLE - 1}, Reason.TOO_MANY_PEOPLE),
    ):
        with pytest.raises(RosterError) as caught:
            trust.admit(replace(roster, calibration=replace(roster.calibration, **change)), release=release, expected=expected)
        assert caught.value.reason is reason


def test_an_unfit_pack_is_not_released(authority: Authority) -> None:
    done = measured(authority, fpir=0.0005, fnir=0.001)
    assert not done.fit
    assert calibrate_report.verdict(done).startswith("UNFIT")
    authority.keep_measurement(done.file)
    with pytest.raises(PublishError, match=f"is unfit for {PEOPLE} people"):
        authority.release(Defaults(), now_s=NOW_S)
    discard(authority)
    assert authority.release(Defaults(), now_s=NOW_S).calibration == "pack-default"


def test_the_largest_roster_is_where_the_misses_pass_their_target(done: Calibrated) -> None:
    measurement, n_max = done.measurement, done.file.n_max
    assert measurement.missed(measurement.threshold(n_max)) <= done.file.fnir
    assert n_max == measurement.reach or measurement.missed(measurement.threshold(n_max + 1)) > done.file.fnir
    assert done.n_max_interval[0] <= n_max <= done.n_max_interval[1]


def test_a_roster_that_is_another_is_measured_again(done: Calibrated) -> None:
    with pytest.raises(PublishError, match="these figures are of others"):
        done.file.calibration(PEOPLE // 2 - 1)


def test_the_people_of_the_worst_group_are_named_first(done: Calibrated) -> None:
    by_name = {group.group: group for group in done.groups}
    assert (by_name["blurred"].people, by_name["sharp"].people) == (PEOPLE // 4, PEOPLE * 3 // 4)
    blurred, sharp = by_name["blurred"].fnir, by_name["sharp"].fnir
    assert blurred is not None
    assert sharp is not None
    assert blurred.value > sharp.value
    assert done.groups[0].fpir.value == max(group.fpir.value for group in done.groups)


def test_one_person_under_two_names_is_named(folder: Path, population: np.ndarray) -> None:
    authority = found_authority(folder / "two-names")
    pictures = population[:150, :3].copy()
    pictures[77] = population[5, 1:4] + 0.001
    enrol(authority, pictures)
    (first, *_) = measured(authority).lookalikes
    assert (first.one, first.other) == ("p0005", "p0077")


def test_too_few_people_are_told_so(folder: Path, population: np.ndarray) -> None:
    authority = found_authority(folder / "few")
    enrol(authority, population[:99, :3])
    with pytest.raises(CalibrationError, match="99 people are too few"):
        measured(authority)
    enrol_one_picture = found_authority(folder / "single")
    enrol(enrol_one_picture, population[:120, :1])
    with pytest.raises(CalibrationError, match="nobody has two references"):
        measured(enrol_one_picture)


def test_a_record_survives_its_file_and_a_damaged_one_is_named(done: Calibrated, tmp_path: Path) -> None:
    assert calibration_file.load(tmp_path, digest=None) is None
    digest = done.file.save(tmp_path)
    assert calibration_file.load(tmp_path, digest=digest) == done.file
    content = json.loads((tmp_path / calibration_file.FILE).read_text())
    nan, tail = float("nan"), content["tail"]
    for broken in (
        *({**content, "tail": [1, 2]}, {**content, "format": "x"}, {**content, "colour": 1}, {"format": content["format"]}, []),
        *({**content, "n_max": "x"}, {**content, "n_max": 10**9}, {**content, "n_max": 10.5}, {**content, "people": 5}),
        *({**content, name: value} for name in ("fpir", "fnir", "fit", "margin") for value in (nan, -0.1, "0.1", True)),
        *({**content, "tail": [nan, *tail[1:]]}, {**content, "tail": [*tail[:2], 10**400, *tail[3:]]}),
        *({**content, "misses": [[5, 0.1], [5, 0.2]]}, {**content, "misses": [[5, nan]]}, {**content, "misses": 1}),
        {**content, "date_s": -1},
    ):
        (tmp_path / calibration_file.FILE).write_text(json.dumps(broken))
        with pytest.raises(AuthorityError, match="is damaged"):
            calibration_file.load(tmp_path, digest=digest)


def test_the_page_needs_nothing_else_and_its_pictures_are_whole(done: Calibrated) -> None:
    page = calibrate_report.html(done)
    assert re.findall(r"(?:src|href)=|url\(|<script|@import", page) == []
    pictures = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(pictures) == 4
    for picture in pictures:
        assert "nan" not in ET.fromstring(picture).get("viewBox", "nan")
        assert "nan" not in picture
        assert "inf" not in re.sub(r"<t.*?</t", "", picture)


def test_every_size_of_the_report_stands_in_text_page_and_values(done: Calibrated) -> None:
    text, page, values = "\n".join(calibrate_report.text(done, "page")), calibrate_report.html(done), calibrate_report.json_values(done)
    json.dumps(values)
    for row in done.table:
        assert f"{row.threshold:.4f}" in text
        assert f"{row.threshold:.4f}" in page
    assert [row.people for row in done.table] == [300, 1_000, 5_000, 15_000, 50_000, 100_000]


def test_more_strangers_than_the_cap_are_sampled(authority: Authority) -> None:
    few = calibrate(
        authority, targets=Targets(0.02, 0.2), margin=0.02, now_s=NOW_S, pairs_max=PEOPLE * 400, progress=lambda *_: None
    ).measurement
    assert (few.sampled, len(few.strangers.person)) == (True, 400)


@pytest.mark.parametrize(("fpir", "fnir"), [(0.0, 0.1), (1.0, 0.1), (0.01, 1.5)])
def test_a_target_that_is_no_rate_is_refused(*, fpir: float, fnir: float) -> None:
    with pytest.raises(CalibrationError, match="a rate lies within 0 and 1"):
        Targets(fpir, fnir)


def test_the_command_measures_releases_and_refuses(
    folder: Path, population: np.ndarray, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    try:
        manifest = read_manifest(find_pack("mtcnn-dlib", (built_folder(),)))
    except ModelError as error:
        pytest.skip(f"the default pack is not built here: {error}")
    authority = found_authority(folder / "command")
    authority.register.bind(replace(BOUND, pack=manifest.id))
    enrol(authority, population[:120, :3], pack=manifest.id)
    words = ["--authority", str(authority.folder), "--json"]

    page = tmp_path / "page.html"
    assert main(["calibrate", "--fpir", "0.05", "--fnir", "0.9", "--report", str(page), *words]) == 0
    values = json.loads(capsys.readouterr().out)
    assert (values["fit"], values["people"], values["report"]) == (True, 120, str(page))
    assert page.read_text().startswith("<!doctype html>")
    assert main(["release", *words]) == 0
    assert json.loads(capsys.readouterr().out)["calibration"] == "measured"

    assert main(["calibrate", "--fpir", "0.0001", "--fnir", "0.0001", *words]) == 3
    assert json.loads(capsys.readouterr().out)["n_max"] < 120
    assert main(["release", *words]) == 1
    assert "is unfit for 120 people" in capsys.readouterr().err

    assert main(["calibrate", "--discard", *words]) == 0
    capsys.readouterr()
    assert main(["release", *words]) == 0
    assert json.loads(capsys.readouterr().out)["calibration"] == "pack-default"
    for wrong, words_found in ((["--report", str(tmp_path)], "no place for a page"), (["--pairs", "0"], "leaves nothing to compare")):
        assert main(["calibrate", *wrong, *words]) == 2
        assert words_found in capsys.readouterr().err
    assert main(["calibrate", "--fpir", "2", *words]) == 1
    assert "the target --fpir is 2.0" in capsys.readouterr().err


def test_the_bar_moves_in_steps_that_a_person_can_watch(authority: Authority) -> None:
    told: list[tuple[int, int]] = []
    targets = Targets(fpir=0.02, fnir=0.2)
    calibrate(authority, targets=targets, margin=0.02, now_s=NOW_S, pairs_max=PAIRS_MAX, progress=lambda *at: told.append(at))
    assert told[0] == (0, 100)
    assert told[-1] == (100, 100)
    assert told == sorted(set(told))
    assert max(after - before for (before, _), (after, _) in pairwise(told)) <= 20


def test_where_all_would_be_too_many_the_pictures_of_everybody_are_drawn_from(authority: Authority) -> None:
    few = calibrate(
        authority, targets=Targets(fpir=0.05, fnir=0.5), margin=0.02, now_s=NOW_S, pairs_max=300 * PEOPLE, progress=lambda *_: None
    ).measurement
    assert few.sampled
    for searches in (few.strangers, few.genuine):
        assert len(searches.person) == 300
        assert float(np.mean(searches.person)) == pytest.approx(PEOPLE / 2, rel=0.15)


def test_a_measurement_that_somebody_edited_or_took_away_is_not_signed(authority: Authority, done: Calibrated) -> None:
    authority.keep_measurement(done.file)
    file = authority.folder / calibration_file.FILE
    kept = file.read_bytes()
    content = json.loads(kept)
    content["tail"][2] -= 0.01  # every figure within its limits
    file.write_text(json.dumps(content))
    with pytest.raises(AuthorityError, match="is not what gate-roster calibrate wrote last"):
        authority.release(Defaults(), now_s=NOW_S)
    file.unlink()
    with pytest.raises(AuthorityError, match="is gone, and a measurement is in force"):
        authority.release(Defaults(), now_s=NOW_S)
    file.write_bytes(kept)
    assert authority.release(Defaults(), now_s=NOW_S).calibration == "measured"
    discard(authority)
    file.write_bytes(kept)  # it was discarded; nobody brings it back by hand
    with pytest.raises(AuthorityError, match="is not what"):
        authority.release(Defaults(), now_s=NOW_S)
    discard(authority)


def test_a_threshold_that_lets_strangers_in_is_never_released(done: Calibrated) -> None:
    with pytest.raises(PublishError, match=r"asks for a threshold of -4\.\d+"):
        replace(done.file, tail=replace(done.file.tail, start=-5.0)).calibration(PEOPLE)
