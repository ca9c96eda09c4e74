"""Rates against figures worked out elsewhere, and curves against counting."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.biometrics.rates import Rate, curve, percent, spread, wider, wilson

SCORES = st.lists(st.one_of(st.integers(-5, 5).map(float), st.just(-np.inf)), min_size=1, max_size=30)


@pytest.mark.parametrize(
    ("events", "of", "low", "high"),
    [(0, 100, 0.0, 0.0370), (1, 10, 0.0179, 0.4042), (50, 100, 0.4038, 0.5962), (10, 10, 0.7225, 1.0)],  # R: binom::binom.wilson
)
def test_wilsons_interval_is_that_of_the_tables(events: int, of: int, low: float, high: float) -> None:
    found = wilson(events, of)
    assert (found.value, found.low, found.high) == (events / of, pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))


def test_no_trial_says_nothing() -> None:
    assert wilson(0, 0) == Rate(0.0, 0.0, 1.0)


@given(genuine=SCORES, impostor=SCORES)
def test_a_curve_counts_what_reaches_each_threshold(genuine: list[float], impostor: list[float]) -> None:
    found = curve(np.array(genuine), np.array(impostor))
    for threshold, positive, negative in zip(found.threshold, found.false_positive, found.false_negative, strict=True):
        assert positive == pytest.approx(sum(s >= threshold for s in impostor) / len(impostor))
        assert negative == pytest.approx(sum(s < threshold for s in genuine) / len(genuine))


@given(genuine=SCORES, impostor=SCORES, rate=st.floats(0, 1))
def test_the_misses_at_a_rate_are_those_of_the_least_threshold_that_keeps_it(
    genuine: list[float], impostor: list[float], rate: float
) -> None:
    threshold, missed = curve(np.array(genuine), np.array(impostor)).miss_at(rate)
    assert sum(s >= threshold for s in impostor) / len(impostor) <= rate + 1e-12
    assert missed == pytest.approx(sum(s < threshold for s in genuine) / len(genuine))


def test_weights_count_like_repetitions_on_a_curve() -> None:
    once = curve(np.array([1.0, 2.0]), np.array([0.0, 1.5]), genuine_weights=np.array([3.0, 1.0]))
    thrice = curve(np.array([1.0, 1.0, 1.0, 2.0]), np.array([0.0, 1.5]))
    np.testing.assert_allclose(once.false_negative, thrice.false_negative)


def test_an_interval_holds_its_own_rate() -> None:
    assert spread(0.5, np.array([0.1, 0.2])) == Rate(0.5, pytest.approx(0.1025), 0.5)
    assert wider(Rate(0.0, 0.0, 0.0), Rate(0.0, 0.0, 0.04)) == Rate(0.0, 0.0, 0.04)


@pytest.mark.parametrize(
    ("part", "words"), [(0.0, "0 %"), (0.00998, "1 %"), (0.0123, "1.2 %"), (0.5, "50 %"), (1.0, "100 %"), (0.00034, "0.034 %")]
)
def test_a_rate_is_said_with_two_figures(part: float, words: str) -> None:
    assert percent(part) == words
