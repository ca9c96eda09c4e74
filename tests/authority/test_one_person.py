"""Which pictures hang together, among made-up templates on a line: their distances are what stands there."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.authority.one_person import LINKED, SAME_SHOT, Group, groups, is_one_person, same_shots
from agent.biometrics.template import F32, Metric

THRESHOLD = 0.5
STEP = LINKED * THRESHOLD


def line(places: Sequence[float]) -> dict[str, F32]:
    """Pictures a, b, c ... at these places, in links."""
    return {chr(ord("a") + n): np.array([place * STEP, 0], np.float32) for n, place in enumerate(places)}


def found(places: Sequence[float], *, same: Sequence[str] = ()) -> list[str]:
    every = groups(line(places), metric=Metric.EUCLIDEAN, threshold=THRESHOLD, same=same)
    return ["".join(group.files) for group in every]


def test_pictures_hang_together_over_any_number_of_links() -> None:
    assert found([0, 0.9, 1.8, 2.7, 3.6]) == ["abcde"]
    assert found([3.6, 0, 1.8, 0.9, 2.7]) == ["abcde"]
    assert found([0, 0.9, 5, 5.5, 5.6]) == ["cde", "ab"]
    assert found([0, 2, 4]) == ["a", "b", "c"]
    assert found([]) == []


def test_what_somebody_has_looked_at_is_linked() -> None:
    assert found([0, 0.9, 5, 5.5, 9], same=["b", "d"]) == ["abcd", "e"]
    assert found([0, 0.9, 5], same=["c"]) == ["ab", "c"]  # with no other one it says nothing
    assert found([0, 3], same=["a", "ghost"]) == ["a", "b"]


@pytest.mark.parametrize(
    ("sizes", "is_one"),
    [
        ((), True),
        ((1,), True),
        ((2, 1), True),
        ((3, 1, 1), True),
        ((1, 1), False),
        ((2, 2), False),
        ((5, 2), False),
        ((2, 1, 1), False),
        ((12, 2), False),
    ],
)
def test_one_person_is_most_pictures_and_no_second_group(sizes: tuple[int, ...], *, is_one: bool) -> None:
    assert is_one_person([Group(tuple(f"{n}-{i}" for i in range(size))) for n, size in enumerate(sizes)]) is is_one


@given(st.lists(st.floats(0, 30, allow_nan=False), max_size=12), st.randoms(use_true_random=False))
def test_the_order_of_the_files_decides_nothing(places: list[float], random: object) -> None:
    table = line(places)
    names = list(table)
    random.shuffle(names)  # type: ignore[attr-defined]
    ways = [groups({n: table[n] for n in order}, metric=Metric.EUCLIDEAN, threshold=THRESHOLD) for order in (list(table), names)]
    straight, shuffled = ({frozenset(group.files) for group in way} for way in ways)
    assert straight == shuffled
    assert sorted(name for group in straight for name in group) == sorted(table)


@given(st.lists(st.floats(-1, 1, allow_nan=False, width=32), min_size=2, max_size=8))
def test_no_two_pictures_that_are_left_are_one_shot(places: list[float]) -> None:
    table = {str(n): np.array([place, 0], np.float32) for n, place in enumerate(places)}
    again = same_shots(table, metric=Metric.EUCLIDEAN, threshold=THRESHOLD)
    left = [float(template[0]) for name, template in table.items() if name not in again]
    assert left
    gaps = np.diff(sorted(left))
    assert (gaps >= SAME_SHOT * THRESHOLD - 1e-3).all()
    assert set(again.values()) <= table.keys() - again.keys()


def test_a_cosine_tells_shots_by_the_root_of_its_distance() -> None:
    """A cosine distance is half the square of the way between unit vectors, so that both metrics tell the same shots."""
    pictures = {}
    for name, degrees in (("a", 0.0), ("b", 13.0), ("c", 40.0)):
        angle = np.radians(degrees)
        pictures[name] = np.array([np.cos(angle), np.sin(angle)], np.float32)
    assert same_shots(pictures, metric=Metric.COSINE, threshold=0.55) == {"b": "a"}  # 1 - cos 13 degrees is 0.026, of 40 degrees 0.23
    as_ways = same_shots(pictures, metric=Metric.EUCLIDEAN, threshold=float(np.sqrt(2 * 0.55)))
    assert as_ways == {"b": "a"}


def test_a_group_in_a_sentence_is_short() -> None:
    assert str(Group(("a", "b"))) == "a, b"
    assert str(Group(tuple("abcdef"))) == "a, b, c, d and 2 more"
