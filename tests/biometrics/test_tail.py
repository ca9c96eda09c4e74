"""The tail against laws whose answer is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.biometrics import tail_fit
from agent.biometrics.errors import CalibrationError
from agent.biometrics.tail import GROWTH, SHAPE, Tail
from agent.biometrics.tail_fit import Searches, fit, goodness, growth_of, start_of


def searches(scores: np.ndarray, *, found: np.ndarray | None = None, person: np.ndarray | None = None) -> Searches:
    n = len(scores)
    found = np.ones(n, bool) if found is None else found
    return Searches(np.arange(n) if person is None else person, scores, found, np.ones(n))


def tails() -> st.SearchStrategy[Tail]:
    return st.builds(
        Tail,
        people=st.integers(100, 20_000).map(float),
        share=st.floats(0.001, 0.2),
        start=st.floats(-1, 1),
        scale=st.floats(0.001, 1),
        shape=st.floats(*SHAPE),
        growth=st.floats(*GROWTH),
        decline=st.floats(0, 1),
        searches=st.floats(1, 4),
    )


@given(tail=tails(), rate=st.floats(1e-5, 0.5), people=st.integers(1, 200_000))
def test_at_its_threshold_a_tail_gives_the_rate_that_was_asked_for_or_less(*, tail: Tail, rate: float, people: int) -> None:
    threshold = tail.threshold(rate, people=people)
    found = tail.rate(threshold, people=people)
    assert found == pytest.approx(rate, rel=1e-6) or (threshold == tail.start and found <= rate * (1 + 1e-9))


@given(tail=tails(), rate=st.floats(1e-4, 0.4), people=st.integers(1, 100_000))
def test_more_people_or_a_stricter_target_never_lower_the_threshold(*, tail: Tail, rate: float, people: int) -> None:
    here = tail.threshold(rate, people=people)
    assert tail.threshold(rate, people=people + 1) >= here - 1e-12
    assert tail.threshold(rate / 2, people=people) >= here - 1e-12


@pytest.mark.parametrize("shape", [0.0, 0.2])
def test_a_tail_that_is_known_is_found_again(shape: float) -> None:
    seed = 20261122
    rng = np.random.default_rng(seed)
    beyond = -np.log(rng.random(200_000)) if shape == 0 else (rng.random(200_000) ** -shape - 1) / shape
    found = fit(searches(0.3 + 0.05 * beyond), people=1000, attempt=1)  # a Pareto tail cut anywhere is one of the same shape
    assert found.shape == pytest.approx(shape, abs=0.03), seed
    threshold = found.threshold(0.001, people=1000)
    assert float((0.3 + 0.05 * beyond >= threshold).mean()) == pytest.approx(0.001, rel=0.2), seed


def test_a_threshold_for_ten_times_the_people_holds_where_people_are_independent() -> None:
    seed = 4
    rng = np.random.default_rng(seed)
    small, large = (rng.gumbel(size=(60_000, n)).max(axis=1) for n in (5, 50))
    tail = fit(searches(small), people=5, growth=1.0, attempt=1)
    observed = float((large >= tail.threshold(0.01, people=50)).mean())
    assert 0.007 < observed < 0.014, (observed, seed)


def test_growth_is_one_for_independent_people_and_less_where_some_resemble_many() -> None:
    rng = np.random.default_rng(5)
    alike = np.array([0.0, 0.0, 0.0, 3.0])[rng.integers(4, size=20_000)]
    for shift, low, high in ((0.0, 0.9, 1.1), (alike, 0.2, 0.85)):
        rows = []
        for people in (10, 20, 40):
            best = rng.gumbel(size=(20_000, people)).max(axis=1) + shift
            rows.append((people, searches(best).rates(np.array([6.0, 7.0]))))
        growth = growth_of(rows)
        assert growth is not None
        assert low < growth < high


def test_growth_says_nothing_where_nothing_was_seen() -> None:
    assert growth_of([(10, np.zeros(2)), (20, np.zeros(2))]) is None
    assert growth_of([(10, np.array([0.1]))]) is None


def test_only_what_leads_by_the_margin_is_in_the_tail() -> None:
    rng = np.random.default_rng(6)
    scores, found = rng.exponential(size=4000), rng.random(4000) < 0.4
    tail = fit(searches(scores, found=found), people=100, attempt=1)
    threshold = tail.threshold(0.004, people=100)
    assert float((found & (scores >= threshold)).mean()) == pytest.approx(0.004, rel=0.35)


def test_goodness_tells_a_tail_from_what_is_none() -> None:
    rng = np.random.default_rng(7)
    true = searches(rng.exponential(size=3000))
    steps = searches(np.concatenate([rng.uniform(0, 1, 2800), rng.choice([1.0, 5.0, 5.01], 200)]))
    assert goodness(true, fit(true, people=100), simulations=200, seed=1) > 0.1
    assert goodness(steps, fit(steps, people=100), simulations=200, seed=1) < 0.02


def test_weights_count_like_repetitions() -> None:
    rng = np.random.default_rng(8)
    scores, times = rng.exponential(size=500), rng.integers(0, 4, 500)
    weighted = Searches(np.arange(500), scores, np.ones(500, bool), times.astype(float))
    repeated = Searches(np.repeat(np.arange(500), times), np.repeat(scores, times), np.ones(times.sum(), bool), np.ones(times.sum()))
    assert start_of(weighted, 0.05) == start_of(repeated, 0.05)
    one, two = fit(weighted, people=100), fit(repeated, people=100)
    assert (one.share, one.start) == (pytest.approx(two.share), two.start)
    assert (one.scale, one.shape) == (pytest.approx(two.scale, rel=0.05), pytest.approx(two.shape, abs=0.05))


def true_rates(rng: np.random.Generator, *, people: int, rosters: int, rate: float) -> np.ndarray:
    """How often strangers truly reach the threshold for `rate`, where best scores follow Gumbel's law; one for each roster."""
    thresholds = [fit(searches(rng.gumbel(size=people)), people=people, attempt=1).threshold(rate, people=people) for _ in range(rosters)]
    return np.asarray(-np.expm1(-np.exp(-np.array(thresholds))))


@pytest.mark.parametrize(("people", "within"), [(100, 0.9), (300, 0.97)])
def test_few_people_keep_strangers_to_twice_the_target_in_nine_rosters_of_ten(people: int, within: float) -> None:
    seed = 20261123
    found = true_rates(np.random.default_rng(seed), people=people, rosters=300, rate=0.01)
    assert float((found <= 0.02).mean()) >= within, seed
    assert 0.009 <= float(found.mean()) <= 0.0125, seed


def test_without_the_body_as_few_people_would_break_it_in_one_roster_of_six(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail_fit, "BODY_PEOPLE", 1e-9)
    found = true_rates(np.random.default_rng(20261123), people=100, rosters=300, rate=0.01)
    assert float((found > 0.02).mean()) > 1 / 6


def test_a_tail_that_the_body_does_not_explain_is_believed_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A roster with doubles: one person in nine finds their other name, far above everybody."""
    rng = np.random.default_rng(9)
    scores = rng.gumbel(size=400)
    scores[:45] += 12
    with_body = fit(searches(scores), people=400)
    monkeypatch.setattr(tail_fit, "BODY_PEOPLE", 1e-9)
    alone = fit(searches(scores), people=400)
    assert with_body.figures() == pytest.approx(alone.figures(), rel=1e-6)


def test_many_people_in_the_tail_outvote_a_body_that_says_otherwise() -> None:
    seed = 10
    rng = np.random.default_rng(seed)
    high = rng.random(20_000) < 0.05
    scores = np.where(high, 3 + rng.exponential(size=20_000), 3 - np.abs(rng.normal(size=20_000)))  # no Gumbel law
    tail = fit(searches(scores), people=20_000, attempt=1)
    assert 0.05 * np.exp(-(tail.threshold(0.002, people=20_000) - 3)) == pytest.approx(0.002, rel=0.15), seed


@given(seed=st.integers(0, 2**32 - 1), shift=st.floats(-5, 5), stretch=st.floats(0.01, 20))
def test_the_threshold_moves_and_stretches_with_the_scores(*, seed: int, shift: float, stretch: float) -> None:
    scores = np.random.default_rng(seed).gumbel(size=150)
    here = fit(searches(scores), people=150).threshold(0.01, people=150)
    there = fit(searches(shift + stretch * scores), people=150).threshold(0.01, people=150)
    assert there == pytest.approx(shift + stretch * here, rel=1e-6, abs=1e-6)


def test_too_few_strangers_are_no_tail() -> None:
    with pytest.raises(CalibrationError, match="enrol more people"):
        fit(searches(np.arange(50.0)), people=50)


@pytest.mark.parametrize("rate", [0.0, 1.0, -1.0, float("nan")])
def test_a_target_that_is_no_rate_is_refused(rate: float) -> None:
    tail = Tail(people=100, share=0.1, start=0, scale=1, shape=0, growth=1, decline=0, searches=1)
    with pytest.raises(CalibrationError, match="target FPIR"):
        tail.threshold(rate, people=100)
