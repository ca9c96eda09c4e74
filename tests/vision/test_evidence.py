import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from agent.biometrics.template import Metric
from agent.vision.evidence import Evidence, Verdict, judged

FACES = {"a": np.array([1, 0, 0, 0], np.float32), "b": np.array([0, 1, 0, 0], np.float32), "c": np.array([0, 0, 1, 0], np.float32)}


def shown(faces: str) -> list[tuple[Verdict, str]]:
    """For a sequence of faces: each verdict, and whose templates are fused after it."""
    evidence, found = Evidence(), []
    for number, name in enumerate(faces):
        template = FACES[name] + np.float32(0.001 * (number % 7))
        evidence, verdict = judged(evidence, template, metric=Metric.EUCLIDEAN, unlike=0.5, most=5)
        found.append((verdict, "".join(sorted({"abc"[int(each.argmax())] for each in evidence.templates}))))
    return found


def test_one_odd_template_is_left_out_and_two_in_a_row_are_another_face() -> None:
    same, doubted, replaced = Verdict.SAME, Verdict.DOUBTED, Verdict.REPLACED
    assert shown("aabaa") == [(same, "a"), (same, "a"), (doubted, "a"), (same, "a"), (same, "a")]
    assert shown("aabbb") == [(same, "a"), (same, "a"), (doubted, "a"), (replaced, "b"), (same, "b")]


@given(st.text(alphabet="abc", min_size=1, max_size=40))
def test_templates_of_two_faces_are_never_fused(faces: str) -> None:
    assert {len(owners) for _, owners in shown(faces)} == {1}


def test_the_probe_is_the_mean_of_the_last_five_templates() -> None:
    evidence = Evidence()
    for number in range(8):
        evidence, _ = judged(evidence, np.full(4, number / 100, np.float32), metric=Metric.EUCLIDEAN, unlike=0.5, most=5)
    np.testing.assert_allclose(evidence.probe(Metric.EUCLIDEAN), np.full(4, 0.05), rtol=1e-6)
