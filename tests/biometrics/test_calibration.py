import json
from dataclasses import dataclass

import pytest

from agent.biometrics.calibration import Calibration, Method, pack_default
from agent.biometrics.errors import CalibrationError


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
        ({"kind": "measured"}, "measured"),
        ({"fpir": 0.01}, "measured"),
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


def test_a_record_with_a_field_missing_is_refused() -> None:
    record = pack_default(Defaults(), people=10).as_record()
    del record["margin"]
    with pytest.raises(CalibrationError, match="margin"):
        Calibration.from_record(record)
