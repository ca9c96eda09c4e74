import json
from dataclasses import dataclass

import pytest

from agent.biometrics.calibration import Calibration, Method, pack_default
from agent.biometrics.errors import CalibrationError
from agent.biometrics.tail import Tail
from agent.core.inputs import CalibrationKind


@dataclass(frozen=True)
class Defaults:
    people_max: int = 300
    cohort_size: int = 30
    threshold_plain: float = 0.5
    threshold_normalised: float = -0.1
    margin: float = 0.03


@pytest.mark.parametrize(
    ("people", "method", "k", "threshold"),
    [
        (1, Method.PLAIN, 2, -0.5),
        (99, Method.PLAIN, 2, -0.5),
        (100, Method.COHORT, 2, 0.1),
        (300, Method.COHORT, 5, 0.1),
        (15000, Method.COHORT, 30, 0.1),
    ],
)
def test_a_default_record_names_a_cohort_that_grows_with_the_roster(*, people: int, method: Method, k: int, threshold: float) -> None:
    calibration = pack_default(Defaults(), people=people)
    assert (calibration.method, calibration.k, calibration.threshold) == (method, k, threshold)


def test_a_record_survives_being_written_down() -> None:
    calibration = pack_default(Defaults(), people=200)
    assert Calibration.from_record(json.loads(json.dumps(calibration.as_record()))) == calibration


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"kind": "measured"}, "unknown or missing fields: date, fit, fnir, pack, people, tail_family"),
        ({"fpir": 0.01}, "only a 'measured' one has"),
        ({"kind": "guessed"}, "guessed"),
        ({"method": "guess"}, "guess"),
        ({"k": 0}, "k = 0"),
        ({"k": True}, "k = True"),
        ({"threshold": float("nan")}, "threshold nan"),
        ({"threshold": "0.1"}, "threshold = '0.1'"),
        ({"margin": -0.1}, "margin -0.1"),
        ({"people_max": 301}, "301 people"),
        ({"people_max": 0}, "0 people"),
        ({"colour": 1}, "colour"),
    ],
)
def test_a_record_that_this_version_cannot_follow_is_refused(change: dict[str, object], sentence: str) -> None:
    with pytest.raises(CalibrationError, match=sentence):
        Calibration.from_record({**pack_default(Defaults(), people=10).as_record(), **change})


@pytest.mark.parametrize("measured", [False, True])
def test_a_record_with_a_field_missing_is_refused(*, measured: bool) -> None:
    record = (MEASURED if measured else pack_default(Defaults(), people=10)).as_record()
    del record["margin"]
    with pytest.raises(CalibrationError, match="margin"):
        Calibration.from_record(record)


TAIL = Tail(people=900, share=0.05, start=0.07, scale=0.03, shape=0.1, growth=0.8, decline=0.4, searches=1.2)
MEASURED = Calibration(
    kind=CalibrationKind.MEASURED,
    method=Method.COHORT,
    k=16,
    threshold=TAIL.threshold(0.01, people=1000),
    margin=0.05,
    people_max=5000,
    tail=TAIL,
    n_max=5000,
    fpir=0.01,
    fnir=0.02,
    tail_family="generalised-pareto",
    fit=0.4,
    date=1_790_000_000,
    pack="pack-000000000000",
    people=900,
)


def test_a_measured_record_survives_being_written_down() -> None:
    assert Calibration.from_record(json.loads(json.dumps(MEASURED.as_record()))) == MEASURED


def test_a_measured_threshold_is_that_of_the_gates_own_number_of_people() -> None:
    assert MEASURED.threshold_for(1000) == MEASURED.threshold
    assert MEASURED.threshold_for(300) < MEASURED.threshold_for(1000) < MEASURED.threshold_for(5000)
    default = pack_default(Defaults(), people=200)
    assert default.threshold_for(3) == default.threshold


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"tail": None}, "tail = None"),
        ({"tail": [1.0, 2.0]}, "2 figures; 8 make one"),
        ({"tail": [900, 0.05, 0.07, -0.03, 0.1, 0.8, 0.4, 1.2]}, "a scale above 0"),
        ({"tail": [900, 0.05, 0.07, 0.03, -0.4, 0.8, 0.4, 1.2]}, "a shape from 0"),
        ({"tail": [900, 0.05, 0.07, 0.03, 0.1, 0.1, 0.4, 1.2]}, "a growth from 0.5"),
        ({"tail": [900, 0.05, float("nan"), 0.03, 0.1, 0.8, 0.4, 1.2]}, "a finite start"),
        ({"tail_family": "guess"}, "family 'guess'"),
        ({"n_max": 4999}, "n_max = 4999 and people_max = 5000"),
        ({"n_max": 300_000, "people_max": 300_000}, "one up to 200000"),
        ({"fpir": 0.0}, "fpir = 0.0"),
        ({"fpir": 1.0}, "fpir = 1.0"),
        ({"fit": 1.5}, "fit = 1.5"),
        ({"date": "today"}, "date = 'today'"),
        ({"pack": 7}, "pack = 7"),
    ],
)
def test_a_measured_record_that_makes_no_sense_is_refused(change: dict[str, object], sentence: str) -> None:
    with pytest.raises(CalibrationError, match=sentence):
        Calibration.from_record({**MEASURED.as_record(), **change})
