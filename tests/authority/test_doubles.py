"""Who has the face of a new person, among made-up people of whom it is known."""

from dataclasses import dataclass

import numpy as np
import pytest

from agent.authority.doubles import KnownFaces
from agent.biometrics.calibration import Calibration, Method
from agent.biometrics.gallery import Enrolled, build
from agent.biometrics.template import F32, Metric
from agent.core.identity import AccessRecord, PersonId, PersonStatus
from agent.core.inputs import CalibrationKind

SEED = 5


@dataclass(frozen=True)
class Defaults:
    people_max: int = 300
    cohort_size: int = 30
    threshold_plain: float = 0.5
    threshold_normalised: float = -0.1
    margin: float = 0.03


def made_up(people: int) -> F32:
    """Means (people, 32): each person somewhere else, half of them crowded, where distances say little."""
    random = np.random.default_rng(SEED)
    means = random.normal(size=(people, 32)) / np.sqrt(32)
    means[: people // 2] *= 0.4
    return np.asarray(means, dtype=np.float32)


def known(means: F32, *, without: int | None = None) -> KnownFaces:
    return KnownFaces(
        ((f"p{number:03d}", mean) for number, mean in enumerate(means) if number != without), metric=Metric.EUCLIDEAN, defaults=Defaults()
    )


def test_nobody_is_enrolled_and_nobody_is_alike() -> None:
    assert known(made_up(0)).alike("p000", np.zeros(32, np.float32)) == ()


@pytest.mark.parametrize("people", [20, 300])
def test_one_person_under_two_names_is_told_from_everybody_else(people: int) -> None:
    means = made_up(people)
    last = people - 1
    found = known(means).alike("other-name", means[last] + np.float32(0.01))
    assert [(each.person, each.is_one) for each in found] == [(f"p{last:03d}", True)]
    assert (found[0].score is None) == (people < 100)


def test_in_a_crowd_the_same_distance_says_less_among_many() -> None:
    means = made_up(300)
    crowded, alone = means[3], means[299]
    apart = np.zeros(32, dtype=np.float32)
    apart[0] = 0.33
    faces = known(means)
    assert not any(each.is_one for each in faces.alike("new", crowded + apart))
    assert [each.person for each in faces.alike("new", alone + apart) if each.is_one] == ["p299"]
    of_few = known(means[:50]).alike("new", crowded + apart)  # few people: the distance alone counts
    assert of_few[0].is_one


def test_the_score_is_the_one_that_a_gate_would_give() -> None:
    """Of the same cohort; a gallery of everybody enrolled, searched with the new mean."""
    means = made_up(301)
    new, others = means[300], means[:300]
    nearest = int(np.linalg.norm(others - new, axis=1).argmin())
    close = np.asarray(others[nearest] + 0.2 * (new - others[nearest]), dtype=np.float32)
    calibration = Calibration(kind=CalibrationKind.PACK_DEFAULT, method=Method.COHORT, k=5, threshold=0.1, margin=0.03, people_max=300)
    rows = [Enrolled(AccessRecord(PersonId(f"p{i:03d}"), PersonStatus.ACTIVE, 0, 1, ()), each[None]) for i, each in enumerate(others)]
    best = build(rows, metric=Metric.EUCLIDEAN, calibration=calibration, version=1, pack="p").identify(close)[0]
    found = known(others).alike("new", close)[0]
    assert found.person == best.record.person
    assert found.score == pytest.approx(best.score, abs=1e-5)


def test_a_person_who_is_enrolled_again_is_not_their_own_double() -> None:
    means = made_up(150)
    means[8] = means[7] + np.float32(0.02)  # a twin, in whose cohort the person themselves would be the nearest
    faces = known(means)
    before = faces.alike("p007", means[7] + np.float32(0.01))
    assert [each.person for each in before] == ["p008"]
    without = known(means, without=7).alike("p007", means[7] + np.float32(0.01))
    assert [(each.person, each.score) for each in before] == [(each.person, pytest.approx(each.score, abs=1e-6)) for each in without]


def test_everybody_is_kept_as_the_table_grows() -> None:
    means = made_up(300)
    faces = known(means[:0])
    for number, mean in enumerate(means):
        faces.put(f"p{number:03d}", mean)
    faces.put("p005", means[6])
    kept = [faces.mean(f"p{number:03d}") for number in (0, 5, 299)]
    assert all(np.array_equal(row, mean) for row, mean in zip(kept, means[[0, 6, 299]], strict=True))
    assert faces.mean("nobody") is None
