"""Searches of a calibration against the gallery that a gate would search, built anew for every one of them."""

import tracemalloc

import numpy as np
import pytest

from agent.biometrics import trials
from agent.biometrics.calibration import Method
from agent.biometrics.gallery import Enrolled, Gallery, build
from agent.biometrics.template import Metric, fuse
from agent.biometrics.trials import genuine_trials, people_of, stranger_trials
from tests.biometrics import slow_reference as slow

MARGIN = 0.02
TOLERANCE = 2e-3  # single precision, as in test_gallery


def references(seed: int, *, people: int = 24) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(people, 16)) / 4
    return [(c + rng.normal(scale=0.1, size=(rng.integers(1, 5), 16))).astype(np.float32) for c in centres]


def gallery(rows: list[tuple[int, np.ndarray]], *, metric: Metric, k: int) -> Gallery:
    calibration = slow.calibration(Method.COHORT if k else Method.PLAIN, k=k or 1)
    return build([Enrolled(slow.record(f"p{i}"), each) for i, each in rows], metric=metric, calibration=calibration, version=1, pack="pack")


@pytest.mark.parametrize("metric", Metric)
@pytest.mark.parametrize("k", [0, 2, 5])
def test_a_stranger_searches_a_roster_from_which_they_are_missing(*, metric: Metric, k: int) -> None:
    people = references(1)
    searched = stranger_trials(people_of(people, metric), k=k, margin=MARGIN)
    expected = []
    for i, mine in enumerate(people):
        without = gallery([(j, each) for j, each in enumerate(people) if j != i], metric=metric, k=k)
        expected += [without.identify(probe) for probe in mine]
    np.testing.assert_allclose(searched.score, [best.score for best, _ in expected], atol=TOLERANCE)
    leads = np.array([best.score - second.score for best, second in expected])
    clear = np.abs(leads - MARGIN) > TOLERANCE
    np.testing.assert_array_equal(searched.found[clear], (leads >= MARGIN)[clear])
    assert (searched.people, searched.person.tolist()) == (len(people) - 1, [i for i, mine in enumerate(people) for _ in mine])


@pytest.mark.parametrize("metric", Metric)
@pytest.mark.parametrize("k", [0, 2, 5])
def test_a_rightful_person_is_searched_with_a_picture_that_is_not_in_their_row(*, metric: Metric, k: int) -> None:
    people = references(2)
    searched = genuine_trials(people_of(people, metric), k=k, margin=MARGIN)
    expected = []
    for i, mine in enumerate(people):
        for held in range(len(mine) if len(mine) > 1 else 0):
            rows = [(j, np.delete(mine, held, axis=0) if j == i else each) for j, each in enumerate(people)]
            expected.append(gallery(rows, metric=metric, k=k).scores(fuse(mine[held][None], metric))[i])
    np.testing.assert_allclose(searched.score, expected, atol=TOLERANCE)


def test_every_person_counts_once() -> None:
    searched = stranger_trials(people_of(references(3), Metric.EUCLIDEAN), k=2, margin=0)
    assert np.bincount(searched.person, searched.weights()) == pytest.approx(np.ones(24))


def test_a_part_of_the_people_is_searched_as_if_the_others_were_not_there() -> None:
    people = references(4)
    chosen = np.array([20, 3, 7, 11, 1, 0, 15])
    of_part = stranger_trials(people_of(people, Metric.EUCLIDEAN).drawn(chosen), k=2, margin=0)
    alone = stranger_trials(people_of([people[i] for i in sorted(chosen)], Metric.EUCLIDEAN), k=2, margin=0)
    np.testing.assert_array_equal(of_part.score, alone.score)


def test_blocks_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    people = people_of(references(5), Metric.EUCLIDEAN)
    whole = stranger_trials(people, k=3, margin=0).score, genuine_trials(people, k=3, margin=0).score
    monkeypatch.setattr("agent.biometrics.trials.BLOCK_ELEMENTS", 100)
    parts = stranger_trials(people, k=3, margin=0).score, genuine_trials(people, k=3, margin=0).score
    np.testing.assert_allclose(whole[0], parts[0], atol=1e-5)
    np.testing.assert_allclose(whole[1], parts[1], atol=1e-5)


def test_searching_many_strangers_holds_their_results_and_not_their_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trials, "BLOCK_ELEMENTS", 40_000)
    people = people_of([np.asarray(each, dtype=np.float32) for each in np.random.default_rng(8).normal(size=(800, 3, 8))], Metric.EUCLIDEAN)
    tables = 8 * 800 * 800 * 3  # of scores, in double precision: 15 MB
    tracemalloc.start()
    try:
        stranger_trials(people, k=2, margin=0)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < tables / 2


def test_the_pictures_that_search_are_those_that_were_asked_for() -> None:
    people = people_of(references(5), Metric.EUCLIDEAN)
    several = np.flatnonzero(np.bincount(people.owner)[people.owner] > 1)
    some = several[::3]
    whole, part = genuine_trials(people, k=3, margin=0), genuine_trials(people, k=3, margin=0, probes=some)
    np.testing.assert_array_equal(part.score, whole.score[np.isin(several, some)])
    compared: list[int] = []
    stranger_trials(people, k=3, margin=0, probes=some, did=compared.append)
    assert sum(compared) == len(some) * people.count
