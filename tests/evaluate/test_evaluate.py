"""`gate-agent evaluate` on pictures made from the two portraits that come with packages, and its arithmetic on made-up templates."""

import json
import os
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.biometrics.template import Metric
from agent.charts import PAGE_STYLE
from agent.cli import main
from agent.core.inputs import Box, SampleQuality
from agent.diagnostics.evaluate import report
from agent.diagnostics.evaluate.found import WorstCase
from agent.diagnostics.evaluate.identification import Folders, Probe, evaluate_identification, gallery_of, read_folders, rule_of
from agent.diagnostics.evaluate.pad import Presentation, evaluate_pad, read_presentations, score_presentations
from agent.diagnostics.evaluate.pairs import Pair, evaluate_pairs, read_pairs
from agent.diagnostics.evaluate.report import contact_sheet
from agent.diagnostics.evaluate.samples import Acquired, Looker, acquire, read
from agent.errors import UsageError
from agent.vision.sampler import Sample
from models.detector import Detections
from models.errors import ModelError
from models.pack import find_pack, open_pack
from models.places import built_folder
from tests.authority.conftest import U8, installed, moved
from tests.authority.test_authority import Defaults
from tests.sim import pad_pack

PAIR_KEYS = {"pairs", "failed_to_acquire", "threshold", "fmr", "fnmr", "fnmr_at_fmr0"}
SEARCH_KEYS = {"gallery", "probes", "strangers", "rank1", "threshold", "fpir", "fnir", "fnir_at_fpir"}


@pytest.fixture(scope="module")
def portraits() -> dict[str, U8]:
    try:
        find_pack("mtcnn-dlib", (built_folder(),))
    except ModelError as error:
        pytest.skip(f"the default pack is not built here: {error}")
    astronaut = installed("skimage", "data/astronaut.png")
    admiral = installed("matplotlib", "mpl-data/sample_data/grace_hopper.jpg")
    return {
        "astronaut": np.asarray(cv2.imread(str(astronaut))[:300], dtype=np.uint8),
        "admiral": np.asarray(cv2.imread(str(admiral)), dtype=np.uint8),
    }


def write(folder: Path, **files: U8 | bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        if isinstance(content, bytes):
            (folder / f"{name}.png").write_bytes(content)
        else:
            cv2.imwrite(str(folder / f"{name}.png"), content)


def last_line(text: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(text.strip().splitlines()[-1])
    return found


def test_pairs_of_two_people_are_told_apart_and_what_cannot_be_read_is_named(
    tmp_path: Path, portraits: dict[str, U8], capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = portraits["astronaut"], portraits["admiral"]
    write(
        tmp_path / "faces",
        a1=a,
        a2=moved(a, x=4, light=0.9),
        b1=b,
        b2=moved(b, x=-5, light=1.1),
        torn=b"\x89PNG torn",
        wall=np.full_like(a, 90),
    )
    rows = [("a1", "a2", "Yes"), ("b1", "b2", "yes"), ("a1", "b1", "No"), ("a2", "b2", " NO "), ("a1", "torn", "Yes"), ("wall", "b1", "No")]
    table = "file_x,file_y,Decision\n" + "\n".join(f"{x}.png,{y}.png,{d}" for x, y, d in rows)
    (tmp_path / "pairs.csv").write_text(table)
    out = tmp_path / "out"
    words = ["evaluate", "--pairs", str(tmp_path / "pairs.csv"), "--images", str(tmp_path / "faces"), "--out", str(out), "--json"]
    assert main(words) == 0
    printed = capsys.readouterr().out
    values = last_line(printed)
    assert set(values) == PAIR_KEYS
    assert (values["pairs"], values["failed_to_acquire"], values["fmr"], values["fnmr"]) == (6, 2, 0.0, 0.0)
    assert "torn.png: the file is no picture that can be read" in printed
    assert "wall.png: no face" in printed
    page = (out / "report.html").read_text()
    assert "torn.png" in page
    assert "<script" not in page
    ET.fromstring((out / "det.svg").read_text())
    sheet = cv2.imread(str(out / "worst.png"))
    assert sheet is not None
    assert len(np.unique(sheet.reshape(-1, 3), axis=0)) > 1000  # pictures, not a blank sheet


def test_a_person_is_found_and_a_stranger_is_not(tmp_path: Path, portraits: dict[str, U8], capsys: pytest.CaptureFixture[str]) -> None:
    a, b = portraits["astronaut"], portraits["admiral"]
    write(tmp_path / "gallery" / "astronaut", one=a, two=moved(a, x=3))
    write(tmp_path / "probes" / "astronaut", three=moved(a, x=-6, light=1.1), torn=b"")
    write(tmp_path / "probes" / "unknown" / "admiral", one=b)
    words = ["--gallery", str(tmp_path / "gallery"), "--probes", str(tmp_path / "probes"), "--out", str(tmp_path / "out"), "--json"]
    assert main(["evaluate", *words]) == 0
    values = last_line(capsys.readouterr().out)
    assert set(values) == SEARCH_KEYS
    assert (values["gallery"], values["probes"], values["strangers"]) == (1, 2, 1)
    assert (values["fpir"], values["fnir"], values["rank1"]) == (0.0, 0.5, 0.5)  # the torn probe counts as missed
    assert set(values["fnir_at_fpir"]) == {"0.1", "0.01"}  # type: ignore[call-overload]


def test_attacks_are_evaluated_by_the_command_with_a_report(
    tmp_path: Path, portraits: dict[str, U8], capsys: pytest.CaptureFixture[str]
) -> None:
    packs = tmp_path / "packs"
    pad_pack.write_pack(packs, pad_pack.by_colour())
    (packs / "mtcnn-dlib").symlink_to(built_folder() / "mtcnn-dlib")
    blue = {name: np.clip(image + np.array([90, 0, -90], np.int16), 0, 255).astype(np.uint8) for name, image in portraits.items()}
    write(tmp_path / "set" / "bona_fide", **portraits)
    write(tmp_path / "set" / "screen", **blue, torn=b"")
    write(tmp_path / "set" / "seen-as-live", astronaut=portraits["astronaut"])
    words = ["--pad", str(tmp_path / "set"), "--pad-pack", pad_pack.NAME, "--packs-dir", str(packs), "--out", str(tmp_path / "out")]
    assert main(["evaluate", *words, "--json"]) == 0
    said = capsys.readouterr().out
    assert last_line(said) == {
        "bona_fide": 2,
        "attacks": {"screen": 2, "seen-as-live": 1},
        "failed_to_acquire": 1,
        "threshold": 0.6,
        "apcer": {"screen": 0.0, "seen-as-live": 1.0},
        "bpcer": 0.0,
    }
    assert "torn.png" in said
    page = (tmp_path / "out" / "report.html").read_text()
    assert "no attack test" in page
    assert "torn.png" in page
    assert cv2.imread(str(tmp_path / "out" / "worst.png")) is not None


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "say what to evaluate"),
        (["--pairs", "a.csv", "--pad", "b"], "say what to evaluate"),
        (["--gallery", "a"], "needs both --gallery DIR and --probes DIR"),
        (["--pairs", "none.csv"], "none.csv cannot be read"),
        (["--gallery", "none", "--probes", "none"], "none is not a folder"),
        (["--pairs", "none.csv", "--calibration", "c.json"], "--calibration goes with --gallery only"),
        (["--pad", "none", "--images", "b"], "--images goes with --pairs only"),
        (["--gallery", "a", "--probes", "b", "--threshold", "1", "--calibration", "c"], "not both"),
        (["--pad", "none", "--threshold", "7"], "lies within 0 and 1"),
    ],
)
def test_wrong_use_is_told_in_a_sentence(words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", *words]) == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--threshold", "nan"], "neither infinite nor nan"),
        (["--threshold", "-inf"], "neither infinite nor nan"),
        (["--threshold", "x"], "invalid"),
        (["--fpir", "7"], "it lies within 0 and 1"),
        (["--fpir", "nan"], "it lies within 0 and 1"),
        (["--fpir", "0"], "it lies within 0 and 1"),
        (["--min-face", "-5"], "12 to 4096 pixels are possible"),
        (["--min-face", "0"], "12 to 4096 pixels are possible"),
    ],
)
def test_a_figure_that_cannot_be_is_wrong_use(words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["evaluate", "--gallery", "a", "--probes", "b", f"{words[0]}={words[1]}"])
    assert left.value.code == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("file_x,file_y\na,b\n", "no column 'Decision'"),
        ("file_x,file_y,Decision\n", "holds no pairs"),
        ("file_x,file_y,Decision\na,b,maybe\n", "pairs.csv:2: the decision is 'maybe'"),
        ("file_x,file_y,Decision\na,,Yes\n", "pairs.csv:2: a file's name is missing"),
    ],
)
def test_a_table_that_cannot_be_read_is_named_with_its_line(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "pairs.csv").write_text(text)
    with pytest.raises(UsageError, match=sentence):
        read_pairs(tmp_path / "pairs.csv", tmp_path)


def test_probes_of_nobody_in_the_gallery_are_no_strangers_by_accident(tmp_path: Path) -> None:
    write(tmp_path / "gallery" / "ada", a=b"x")
    write(tmp_path / "probes" / "eve", a=b"x")
    with pytest.raises(UsageError, match="put strangers' pictures in"):
        read_folders(tmp_path / "gallery", tmp_path / "probes")


def test_files_that_are_no_pictures_are_named_and_are_no_probes(tmp_path: Path, portraits: dict[str, U8]) -> None:
    write(tmp_path / "gallery" / "ada", a=portraits["astronaut"])
    write(tmp_path / "probes" / "ada", torn=b"\x89PNG torn")
    write(tmp_path / "probes" / "unknown" / "eve", a=portraits["admiral"])
    notes = [tmp_path / "gallery" / "ada" / "person.toml", tmp_path / "probes" / "unknown" / "eve" / "notes.txt"]
    for file in notes:
        file.write_text("no picture")
    bare = tmp_path / "probes" / "unknown" / "picture-without-a-suffix"
    bare.write_bytes((tmp_path / "gallery" / "ada" / "a.png").read_bytes())
    found = read_folders(tmp_path / "gallery", tmp_path / "probes")
    assert found.references == {"ada": (tmp_path / "gallery" / "ada" / "a.png",)}
    assert [(probe.file.name, probe.person) for probe in found.probes] == [("torn.png", "ada"), (bare.name, None), ("a.png", None)]
    assert list(found.others) == notes


@pytest.mark.parametrize("threshold", [-0.4, -3.0, 1.0])
def test_the_trade_off_is_drawn_where_a_rate_is_nought(tmp_path: Path, threshold: float) -> None:
    templates = acquired({"a": [0, 0], "b": [0.3, 0], "c": [2, 0], "d": [2.4, 0]})
    pairs = tuple(Pair(Path(x), Path(y), same) for x, y, same in (("a", "b", True), ("c", "d", True), ("a", "c", False), ("b", "d", False)))
    found = evaluate_pairs(pairs, templates, threshold=threshold)
    report.write(found, tmp_path)
    drawn = ET.fromstring((tmp_path / "det.svg").read_text())
    lines = [path.get("d", "") for path in drawn.iter("{http://www.w3.org/2000/svg}path") if path.get("stroke-width") == "1.8"]
    assert any(line.count("L") >= 2 for line in lines), lines
    assert {case.words.partition(",")[0] for case in found.worst} <= {
        "nearest: two people",
        "nearest: one person",
        "WRONG: two people",
        "MISSED: one person",
    }


def acquired(templates: dict[str, list[float]]) -> Acquired:
    return Acquired(Metric.EUCLIDEAN, {Path(name): np.array(t, np.float32) for name, t in templates.items()}, {})


def test_rates_of_pairs_are_counted_at_the_threshold() -> None:
    found = acquired({"a": [0, 0], "b": [0.3, 0], "c": [0.5, 0], "d": [2, 0]})
    files = {name: Path(name) for name in "abcd"}
    same, other = [("a", "b"), ("a", "c"), ("b", "d")], [("c", "d"), ("a", "d"), ("b", "c"), ("c", "b")]
    pairs = tuple(Pair(files[x], files[y], True) for x, y in same) + tuple(Pair(files[x], files[y], False) for x, y in other)
    values = evaluate_pairs(pairs, found, threshold=-0.4).values
    assert values["fmr"] == pytest.approx(2 / 4)  # b and c, twice, 0.2 apart
    assert values["fnmr"] == pytest.approx(2 / 3)
    assert values["fnmr_at_fmr0"] == pytest.approx(1.0)  # none is nearer than those


def test_pairs_of_one_kind_alone_say_nothing() -> None:
    found = acquired({"a": [0, 0], "b": [1, 0]})
    with pytest.raises(UsageError, match="no pair of two people"):
        evaluate_pairs((Pair(Path("a"), Path("b"), True),), found, threshold=-0.5)


def test_a_gallery_is_searched_at_a_threshold_that_was_measured_on_it_alone() -> None:
    rng = np.random.default_rng(9)
    people = {f"p{i:03d}": rng.normal(size=20) / np.sqrt(20) for i in range(200)}
    files: dict[str, list[float]] = {}
    for name, centre in people.items():
        for shot in range(4):
            files[f"{name}/{shot}"] = list(centre + rng.normal(scale=0.15, size=20) / np.sqrt(20))
    for i in range(600):
        files[f"unknown/{i}"] = list(rng.normal(size=20) / np.sqrt(20) * np.sqrt(1 + 0.15**2))
    found = acquired(files)
    references = {name: np.stack([found.templates[Path(f"{name}/{shot}")] for shot in range(3)]) for name in people}
    probes = tuple(Probe(Path(f"{name}/3"), name) for name in people) + tuple(Probe(Path(f"unknown/{i}"), None) for i in range(600))
    folders = Folders({name: (Path(f"{name}/0"),) for name in people}, probes)
    rule = rule_of(list(references.values()), found, defaults=Defaults(margin=0.0), fpir=0.05, threshold=None, tail=None)
    assert "measured on the gallery" in rule.source
    result = evaluate_identification(folders, found, gallery=gallery_of(references, found, rule, pack="p"), source=rule.source)
    assert result.values["threshold"] == rule.calibration.threshold
    assert (result.values["gallery"], result.values["probes"], result.values["strangers"]) == (200, 200, 600)
    assert 0.025 < float(str(result.values["fpir"])) < 0.1
    assert float(str(result.values["fnir"])) < 0.05
    by_hand = rule_of(list(references.values()), found, defaults=Defaults(), fpir=0.05, threshold=0.2, tail=None)
    assert (by_hand.calibration.threshold, by_hand.source) == (0.2, "given by hand")


def test_few_people_are_searched_with_the_packs_default() -> None:
    found = acquired({"a": [0, 0]})
    rule = rule_of([np.zeros((1, 2), np.float32)], found, defaults=Defaults(), fpir=0.01, threshold=None, tail=None)
    assert (rule.calibration.threshold, "makes no claim" in rule.source) == (-0.5, True)


def test_attacks_are_counted_by_kind_and_whoever_does_not_reach_the_bound_does_not_pass() -> None:
    scores = {"bona_fide": [0.9, 0.7, 0.5, 0.2], "print": [0.1, 0.2], "screen": [0.65, 0.1, 0.3]}
    presentations = [Presentation(Path(f"{kind}/{i}"), kind) for kind, values in scores.items() for i in range(len(values) + 1)]
    known = {Path(f"{kind}/{i}"): value for kind, values in scores.items() for i, value in enumerate(values)}
    lost = {Path(f"{kind}/{len(values)}"): "no face" for kind, values in scores.items()}
    found = evaluate_pad(presentations, known, lost, threshold=0.6, pack="pad-1")
    assert found.values == {
        "bona_fide": 4,
        "attacks": {"print": 2, "screen": 3},
        "failed_to_acquire": 3,
        "threshold": 0.6,
        "apcer": {"print": 0.0, "screen": pytest.approx(1 / 3)},
        "bpcer": 0.5,
    }
    assert ("worst attack", "screen") in found.facts
    assert (found.axes[0], found.at) == ("APCER of screen, the worst attack", (pytest.approx(1 / 3), 0.5))
    assert "no attack test" in found.note
    assert found.worst[0].words == "WRONG: screen, 0.650"


def test_an_attack_in_which_no_face_was_found_is_not_called_detected() -> None:
    presentations = [Presentation(Path("bona_fide/0"), "bona_fide"), Presentation(Path("mask/0"), "mask")]
    found = evaluate_pad(presentations, {Path("bona_fide/0"): 0.9}, {Path("mask/0"): "no face"}, threshold=0.6, pack="pad-1")
    assert (found.values["apcer"], found.values["bpcer"], found.curve, found.at) == ({"mask": None}, 0.0, None, None)
    assert dict(found.facts)["worst attack"] == "not known: no face was found"


def test_single_pictures_fill_the_rows_of_a_contact_sheet_and_pairs_stay_side_by_side() -> None:
    def shape(files: int) -> tuple[int, ...]:
        return contact_sheet([WorstCase(f"WRONG: {n}", (Path("none.png"),) * files) for n in range(6)]).shape

    assert shape(1)[0] * 2 == shape(2)[0]


def test_every_face_is_scored_where_it_stands_in_its_picture(tmp_path: Path) -> None:
    class Brightness:
        """A network that says how bright the box is."""

        def score(self, image: np.ndarray, boxes: np.ndarray) -> np.ndarray:
            x0, y0, x1, y1 = boxes[0].astype(int)
            return np.array([image[y0:y1, x0:x1].mean() / 255], dtype=np.float32)

    image = np.zeros((100, 100, 3), np.uint8)
    image[10:30, 20:60] = 255
    sample = Sample(
        box=Box(20, 10, 60, 30),
        score=1.0,
        landmarks=np.zeros((5, 2), np.float32),
        chip=image,
        quality=SampleQuality(40, 0, 100, 100, 0),
        fault=None,
        template=np.zeros(2, np.float32),
    )
    looks = [(tmp_path / "a", image, sample), (tmp_path / "b", None, "torn"), (tmp_path / "c", image, "no face")]
    scores, failures = score_presentations(looks, Brightness())
    assert (scores, failures) == ({tmp_path / "a": 1.0}, {tmp_path / "b": "torn", tmp_path / "c": "no face"})


def test_attacks_alone_or_people_alone_are_no_evaluation(tmp_path: Path) -> None:
    write(tmp_path / "bona_fide", a=b"x")
    with pytest.raises(UsageError, match="a sub-folder for each kind of attack"):
        read_presentations(tmp_path)
    write(tmp_path / "print", b=b"x")
    assert [p.kind for p in read_presentations(tmp_path)] == ["bona_fide", "print"]


def test_an_uncertain_face_is_taken_at_the_second_look_and_refused_as_a_gate_would(tmp_path: Path, portraits: dict[str, U8]) -> None:
    pack = open_pack(find_pack("mtcnn-dlib", (built_folder(),)))

    class Doubtful:
        """The detector, less sure of itself."""

        def detect(self, image: U8, *, min_face_px: int) -> Detections:
            found = pack.detector.detect(image, min_face_px=min_face_px)
            return Detections(found.boxes, found.scores * np.float32(0.85), found.landmarks)

        def refine(self, image: U8, boxes: np.ndarray) -> Detections:  # noqa: ARG002  a port's signature
            raise AssertionError("single pictures are searched whole")

    write(tmp_path, face=portraits["astronaut"])
    doubtful = replace(pack, detector=Doubtful())

    def look(*, gate_quality: bool) -> Acquired:
        return acquire([tmp_path / "face.png"], doubtful, min_face_px=40, gate_quality=gate_quality, progress=lambda *_: None)

    assert list(look(gate_quality=False).templates) == [tmp_path / "face.png"]
    assert look(gate_quality=True).failures == {tmp_path / "face.png": "no face of 40 pixels or more is found"}


# --- files that somebody else made ------------------------------------------------------------------------------------------------


def sparse_png(file: Path) -> None:
    """A header alone, of 32,000 x 32,000 pixels."""
    file.write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (32_000).to_bytes(4, "big") * 2 + b"\1\0\0\0\0")


UNREADABLE: dict[str, tuple[Callable[[Path], object], str]] = {
    "a pipe": (os.mkfifo, "it is not a regular file"),
    "a device": (lambda file: file.symlink_to("/dev/zero"), "it is not a regular file"),
    "too many pixels": (sparse_png, "32000x32000 pixels are too many; at most 100 million are read"),
    "a folder": (Path.mkdir, "it is not a regular file"),
    "absent": (lambda _file: None, "the file cannot be read (No such file or directory)"),
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_a_file_that_is_a_trap_is_named_and_holds_nobody_up(tmp_path: Path, kind: str) -> None:
    lay, words = UNREADABLE[kind]
    lay(tmp_path / "x.png")
    assert read(tmp_path / "x.png") == words


def test_a_name_that_no_file_can_have_is_not_acquired(tmp_path: Path) -> None:
    assert read(tmp_path / "a\0b.png") == "the file cannot be read (embedded null byte)"


def test_a_pipe_among_a_persons_pictures_is_listed_and_not_looked_at(tmp_path: Path) -> None:
    write(tmp_path / "gallery" / "ada", a=b"x")
    write(tmp_path / "probes" / "ada", b=b"x")
    os.mkfifo(tmp_path / "probes" / "ada" / "c.png")
    assert read_folders(tmp_path / "gallery", tmp_path / "probes").others == (tmp_path / "probes" / "ada" / "c.png",)


def test_pictures_of_the_gallery_among_the_probes_are_remarked(
    tmp_path: Path, portraits: dict[str, U8], capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = portraits["astronaut"], portraits["admiral"]
    write(tmp_path / "gallery" / "astronaut", one=a)
    write(tmp_path / "probes" / "astronaut", same=a, other=moved(a, x=5))
    write(tmp_path / "probes" / "unknown", stranger=b)
    words = ["--gallery", str(tmp_path / "gallery"), "--probes", str(tmp_path / "probes"), "--out", str(tmp_path / "out")]
    assert main(["evaluate", *words]) == 0
    assert "WARNING: 1 of 3 probes are pictures of the gallery itself" in capsys.readouterr().out
    assert "WARNING: 1 of 3 probes" in (tmp_path / "out" / "report.html").read_text()
    (tmp_path / "probes" / "astronaut" / "same.png").unlink()
    assert main(["evaluate", *words]) == 0
    assert "WARNING" not in capsys.readouterr().out


def test_a_crop_that_ends_at_the_hair_is_looked_at_with_a_rim_as_enrolment_does(tmp_path: Path, portraits: dict[str, U8]) -> None:
    """No face without a rim: a sampler that finds one only where the picture was continued."""
    seen = []

    class Rimmed(Looker):
        def __init__(self) -> None:
            self._looks, self._strict, self._min_face_px = (self,), False, 40  # type: ignore[assignment]

        def sample_faces(self, image: U8) -> list[Sample]:
            seen.append(image.shape)
            return []

    write(tmp_path, a=portraits["astronaut"])
    ((_, _, why),) = Rimmed().subjects([tmp_path / "a.png"], progress=lambda *_: None)
    height, width = portraits["astronaut"].shape[:2]
    rim = round(0.25 * max(height, width))
    assert (seen, why) == ([(height, width, 3), (height + 2 * rim, width + 2 * rim, 3)], "no face of 40 pixels or more is found")


def test_a_curve_without_an_inside_is_not_drawn_and_the_old_picture_goes(tmp_path: Path) -> None:
    templates = acquired({"a": [0, 0], "b": [0.3, 0], "c": [2, 0]})
    pairs = (Pair(Path("a"), Path("b"), True), Pair(Path("a"), Path("c"), False))
    (tmp_path / "det.svg").write_text("old")
    found = evaluate_pairs(pairs, templates, threshold=-0.5)
    report.write(found, tmp_path)
    assert not (tmp_path / "det.svg").exists()
    assert "No trade-off is drawn" in (tmp_path / "report.html").read_text()
    assert "det.svg" not in "".join(report.text(found, tmp_path))


def test_a_rate_of_one_is_said_as_a_hundred() -> None:
    templates = acquired({"a": [0, 0], "b": [3, 0], "c": [1, 0]})
    pairs = (Pair(Path("a"), Path("b"), True), Pair(Path("a"), Path("c"), False))
    found = evaluate_pairs(pairs, templates, threshold=-0.5)
    assert "100 % (at" in dict(found.facts)["FNMR where no pair of two matched"]


def test_a_page_fits_a_telephone() -> None:
    """Neither a column of the charts nor a table may be wider than the screen."""
    assert "minmax(min(420px,100%),560px)" in PAGE_STYLE
    assert "overflow-x:auto" in PAGE_STYLE[PAGE_STYLE.index("table{") :].split("}")[0]
