import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.biometrics.calibration import Method
from agent.biometrics.errors import GalleryError, TemplateError
from agent.biometrics.gallery import Enrolled, Gallery, build
from agent.biometrics.normalisation import reference_halves, smallest
from agent.biometrics.template import Metric, fuse
from tests.biometrics import slow_reference as slow

SINGLE_PRECISION = 2e-3
"""Largest error of a score: a distance of nought, out of squares of length one in single precision, comes out as up to 7e-4."""


def people_of(rng: np.random.Generator, *, people: int, length: int = 16, duplicates: int = 0) -> list[Enrolled]:
    """People with one to four references each; the last `duplicates` of them are other people's faces under a second name."""
    enrolled = []
    for i in range(people):
        centre = rng.normal(size=length) / np.sqrt(length)
        references = centre + rng.normal(scale=0.2 / np.sqrt(length), size=(rng.integers(1, 5), length))
        enrolled.append(Enrolled(slow.record(f"p{i}"), references.astype(np.float32)))
    for i in range(duplicates):
        enrolled[-1 - i] = Enrolled(enrolled[-1 - i].record, enrolled[i].templates)
    return enrolled


def gallery_of(enrolled: list[Enrolled], *, metric: Metric = Metric.EUCLIDEAN, method: Method = Method.COHORT, k: int = 30) -> Gallery:
    return build(enrolled, metric=metric, calibration=slow.calibration(method, k=k), version=7, pack="pack-1")


@settings(max_examples=60, deadline=None)
@given(
    people=st.integers(1, 60),
    k=st.integers(1, 40),
    duplicates=st.integers(0, 3),
    metric=st.sampled_from(Metric),
    method=st.sampled_from(Method),
    seed=st.integers(0, 2**32 - 1),
    known=st.booleans(),
)
def test_every_score_and_the_two_best_are_those_of_the_slow_reference(
    *, people: int, k: int, duplicates: int, metric: Metric, method: Method, seed: int, known: bool
) -> None:
    rng = np.random.default_rng(seed)
    if method is Method.COHORT:
        people = max(people, k + 1)
    enrolled = people_of(rng, people=people, duplicates=min(duplicates, people // 2))
    probe = rng.normal(size=16).astype(np.float32) / 4
    if known:
        probe = (enrolled[rng.integers(people)].templates[0] + 0.02 * probe).astype(np.float32)
    gallery = gallery_of(enrolled, metric=metric, method=method, k=k)

    expected = slow.scores(enrolled, probe, metric=metric, calibration=gallery.calibration)
    found = gallery.scores(fuse(probe[None], metric))
    np.testing.assert_allclose(found, expected, atol=SINGLE_PRECISION)

    candidates = gallery.identify(probe)
    best_first = sorted(expected, reverse=True)[:2]
    by_name = {each.record.person: score for each, score in zip(enrolled, expected, strict=True)}
    assert [round(by_name[c.record.person], 4) for c in candidates] == pytest.approx(best_first, abs=SINGLE_PRECISION)
    assert [c.score for c in candidates] == pytest.approx(best_first, abs=SINGLE_PRECISION)
    assert len({c.record.person for c in candidates}) == min(2, people)


def test_the_two_best_of_thousands_are_named_exactly_as_in_double_precision() -> None:
    rng = np.random.default_rng(5)
    table = (rng.normal(size=(6000, 128)) / 11).astype(np.float32)
    enrolled = [Enrolled(slow.record(f"p{i}"), row[None]) for i, row in enumerate(table)]
    gallery = gallery_of(enrolled)
    halves = gallery.halves
    assert halves is not None
    for _ in range(40):
        probe = table[rng.integers(6000)] + rng.normal(size=128).astype(np.float32) * rng.choice([0.01, 0.06])
        apart = np.linalg.norm(table.astype(np.float64) - probe, axis=1)
        nearest = np.argsort(apart)[:31]
        cohort = np.full(6000, apart[nearest[:30]].sum())
        cohort[nearest] = apart[nearest].sum() - apart[nearest]
        expected = np.argsort(-(cohort / 60 + halves - apart), kind="stable")[:2]
        assert [c.record.person for c in gallery.identify(probe)] == [f"p{i}" for i in expected]


@settings(max_examples=60, deadline=None)
@given(size=st.integers(1, 9000), count=st.integers(1, 40), steps=st.sampled_from([1, 3, 10**6]), seed=st.integers(0, 2**32 - 1))
def test_the_smallest_values_are_found_with_and_without_ties(*, size: int, count: int, steps: int, seed: int) -> None:
    values = np.random.default_rng(seed).integers(0, steps, size).astype(np.float32)
    count = min(count, size)
    found = smallest(values, count)
    assert len(set(found.tolist())) == count
    np.testing.assert_array_equal(np.sort(values[found]), np.sort(values)[:count])


def test_nobody_is_in_the_cohort_of_their_own_references_across_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    table = rng.normal(size=(50, 8)).astype(np.float32)
    whole = reference_halves(table, metric=Metric.EUCLIDEAN, k=5)
    monkeypatch.setattr("agent.biometrics.normalisation.BLOCK_ELEMENTS", 350)
    np.testing.assert_array_equal(reference_halves(table, metric=Metric.EUCLIDEAN, k=5), whole)
    apart = np.sort(np.linalg.norm(table[:, None].astype(np.float64) - table[None], axis=2), axis=1)
    np.testing.assert_allclose(whole, apart[:, 1:6].mean(axis=1) / 2, rtol=1e-5)


def test_a_probe_that_resembles_many_scores_lower_than_one_that_resembles_only_its_own_reference() -> None:
    rng = np.random.default_rng(2)
    crowd = [Enrolled(slow.record(f"c{i}"), rng.normal(scale=0.02, size=(1, 32)).astype(np.float32)) for i in range(60)]
    alone = Enrolled(slow.record("alone"), np.full((1, 32), 0.3, np.float32))
    gallery = gallery_of([*crowd, alone])
    step = np.full(32, 0.01, np.float32)
    assert gallery.identify(alone.templates[0] + step)[0].score > gallery.identify(crowd[0].templates[0] + step)[0].score + 0.3


def test_an_empty_gallery_names_nobody_and_one_person_stands_alone() -> None:
    assert gallery_of([]).identify(np.zeros(16, np.float32)) == ()
    one = people_of(np.random.default_rng(0), people=1)
    assert [c.record.person for c in gallery_of(one, method=Method.PLAIN).identify(one[0].templates[0])] == ["p0"]


def test_a_gallery_cannot_be_written_to() -> None:
    gallery = gallery_of(people_of(np.random.default_rng(0), people=40))
    assert gallery.halves is not None
    for array in (gallery.table, gallery.norms, gallery.halves):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


@pytest.mark.parametrize(
    ("enrolled", "method", "sentence"),
    [
        ([("a", np.ones((1, 4))), ("a", np.ones((1, 4)))], Method.PLAIN, "person 'a' stands twice"),
        ([("a", np.ones((1, 4))), ("b", np.ones((1, 5)))], Method.PLAIN, "several lengths"),
        ([("a", np.ones((0, 4)))], Method.PLAIN, "'a' has no template"),
        ([(f"p{i}", np.ones((1, 4))) for i in range(30)], Method.COHORT, "too few for a cohort of 30"),
        ([(f"p{i}", np.ones((1, 4))) for i in range(301)], Method.PLAIN, "301 people .* allows 300"),
    ],
)
def test_a_roster_that_cannot_be_searched_is_refused_with_the_reason(
    enrolled: list[tuple[str, np.ndarray]], method: Method, sentence: str
) -> None:
    people = [Enrolled(slow.record(name), templates.astype(np.float32)) for name, templates in enrolled]
    with pytest.raises(GalleryError, match=sentence):
        build(people, metric=Metric.EUCLIDEAN, calibration=slow.calibration(method, people_max=300), version=1, pack="p")


def test_a_template_or_probe_that_is_not_finite_is_refused() -> None:
    people = people_of(np.random.default_rng(0), people=3)
    gallery = gallery_of(people, method=Method.PLAIN)
    with pytest.raises(TemplateError, match="not finite"):
        gallery.identify(np.full(16, np.nan, np.float32))
    with pytest.raises(TemplateError, match="length 16"):
        gallery.identify(np.zeros(15, np.float32))
    people[1].templates[0, 3] = np.inf
    with pytest.raises(TemplateError, match="not finite"):
        gallery_of(people, method=Method.PLAIN)


def test_the_fusion_of_raw_templates_is_their_mean_and_of_cosine_templates_the_mean_direction() -> None:
    two = np.array([[2, 0, 0], [0, 1, 0]], np.float32)
    np.testing.assert_array_equal(fuse(two, Metric.EUCLIDEAN), np.array([1, 0.5, 0], np.float32))
    np.testing.assert_allclose(fuse(two, Metric.COSINE), np.array([1, 1, 0]) / np.sqrt(2), rtol=1e-6)
    with pytest.raises(TemplateError, match="no template"):
        fuse(two[:0], Metric.EUCLIDEAN)
    with pytest.raises(TemplateError, match="null"):
        fuse(np.zeros((1, 3), np.float32), Metric.COSINE)
