"""The search and its normalisation once more: slow, in double precision, person by person, straight from the definition."""

import numpy as np

from agent.biometrics.calibration import Calibration, Method
from agent.biometrics.gallery import Enrolled
from agent.biometrics.template import Metric
from agent.core.identity import AccessRecord, PersonId, PersonStatus
from agent.core.inputs import CalibrationKind


def record(name: str) -> AccessRecord:
    return AccessRecord(person=PersonId(name), status=PersonStatus.ACTIVE, not_before_s=0, not_after_s=2**40, rules=())


def calibration(method: Method, *, k: int = 30, threshold: float = 0.1, margin: float = 0.05, people_max: int = 10**6) -> Calibration:
    return Calibration(kind=CalibrationKind.PACK_DEFAULT, method=method, k=k, threshold=threshold, margin=margin, people_max=people_max)


def distance(a: np.ndarray, b: np.ndarray, metric: Metric) -> float:
    a, b = a.astype(np.float64), b.astype(np.float64)
    if metric is Metric.COSINE:
        return float(1 - a @ b / np.sqrt((a @ a) * (b @ b)))
    return float(np.sqrt(((a - b) ** 2).sum()))


def person_template(each: Enrolled, metric: Metric) -> np.ndarray:
    rows = each.templates.astype(np.float64)
    if metric is Metric.COSINE:
        rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return rows.mean(axis=0)


def scores(enrolled: list[Enrolled], probe: np.ndarray, *, metric: Metric, calibration: Calibration) -> list[float]:
    """The score of each person, higher is more alike."""
    people = [person_template(each, metric) for each in enrolled]
    apart = [distance(probe, each, metric) for each in people]
    if calibration.method is Method.PLAIN:
        return [-d for d in apart]

    def half(to_others: list[float]) -> float:
        return sum(sorted(to_others)[: calibration.k]) / calibration.k / 2

    found = []
    for i, reference in enumerate(people):
        of_reference = half([distance(reference, other, metric) for j, other in enumerate(people) if j != i])
        of_probe = half([d for j, d in enumerate(apart) if j != i])
        found.append(of_probe + of_reference - apart[i])
    return found
