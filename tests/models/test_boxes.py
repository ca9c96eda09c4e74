"""Suppression against the plain greedy definition."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.boxes import shifted, squared, suppress

Box = tuple[float, float, float, float]

sides = st.integers(1, 12)
corners = st.integers(0, 20)
faces = st.lists(st.tuples(corners, corners, sides, sides, st.integers(0, 5)), max_size=12)


def overlap(a: Box, b: Box, *, of_smaller: bool) -> float:
    wide = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    high = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    area_a, area_b = (a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1])
    return wide * high / (min(area_a, area_b) if of_smaller else area_a + area_b - wide * high)


@given(faces, st.sampled_from([0.25, 0.5, 0.7]), st.booleans())
def test_suppression_keeps_what_the_greedy_definition_keeps(found: list[tuple[int, ...]], limit: float, of_smaller: bool) -> None:
    boxes: list[Box] = [(float(x), float(y), float(x + w), float(y + h)) for x, y, w, h, _ in found]
    scores = [float(score) for *_, score in found]
    expected: list[int] = []
    for index in sorted(range(len(boxes)), key=lambda i: -scores[i]):
        if all(overlap(boxes[index], boxes[kept], of_smaller=of_smaller) <= limit for kept in expected):
            expected.append(index)
    as_array = np.array(boxes, np.float32).reshape(-1, 4)
    assert suppress(as_array, np.array(scores, np.float32), overlap_max=limit, of_smaller=of_smaller).tolist() == expected


def test_an_offset_is_in_parts_of_the_boxs_own_sides() -> None:
    moved = shifted(np.array([[10, 10, 30, 50]], np.float32), np.array([[0.5, 0.25, -0.5, 0]], np.float32))
    assert moved.tolist() == [[20, 20, 20, 50]]


def test_a_square_keeps_the_middle_and_the_longer_side() -> None:
    assert squared(np.array([[10, 10, 30, 50]], np.float32)).tolist() == [[0, 10, 40, 50]]
