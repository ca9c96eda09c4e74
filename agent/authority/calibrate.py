"""`gate-roster calibrate`: measure on the roster's own people which threshold keeps strangers out, and for how many people."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from agent.authority.authority import Authority
from agent.authority.calibration_file import CalibrationFile
from agent.authority.errors import PublishError
from agent.biometrics.comparison import distance_table
from agent.biometrics.measurement import GroupRates, Measurement, Row, Targets
from agent.biometrics.measuring import Progress, measure
from agent.biometrics.template import F32, Metric
from agent.biometrics.trials import people_of
from agent.roster.secrecy import unseal

SIZES: Final = (300, 1_000, 5_000, 15_000, 50_000, 100_000)
"""Sizes of roster that a report tells of."""

GRID: Final = tuple(round(100 * 1.25**step) for step in range(36))
"""Sizes whose predicted FNIR is kept for releases: each a quarter larger than the last, to more than a roster may hold."""

SEED: Final = 20_140_802
"""Of the drawings; the same register gives the same figures."""

LOOKALIKES_MAX: Final = 20  # pairs in a report


@dataclass(frozen=True, slots=True)
class Lookalikes:
    """Two people of the roster who would be taken for each other at the operating threshold.

    Attributes:
        score: the highest that a reference of one had against the other.
        distance: of their rows; below the pack's plain threshold it may be one person under two names.
    """

    one: str
    other: str
    score: float
    distance: float


@dataclass(frozen=True, slots=True, eq=False)
class Calibrated:
    """A measurement with what a report needs besides."""

    measurement: Measurement
    file: CalibrationFile
    n_max_interval: tuple[int, int]
    here: Row  # for the people who are enrolled
    table: tuple[Row, ...]
    groups: tuple[GroupRates, ...]
    lookalikes: tuple[Lookalikes, ...]

    @property
    def fit(self) -> bool:
        """Whether a release of everybody who is enrolled would be signed."""
        return self.here.people <= self.file.n_max


def calibrate(authority: Authority, *, targets: Targets, margin: float, now_s: int, pairs_max: int, progress: Progress) -> Calibrated:
    """Measure on everybody who is enrolled. margin: by how much a candidate has to lead, as the release will say.

    Raises:
        PublishError: nobody is enrolled.
        CalibrationError: too few people or pictures.
    """
    people, bound = authority.register.people(), authority.register.bound()
    if not people or bound is None:
        raise PublishError("nobody is enrolled; run: gate-roster enrol FOLDER")
    key = authority.key()
    references = [
        unseal(key, each.sealed, form=bound.form, binding=authority.binding(each.id, each.revision, pack=bound.pack)) for each in people
    ]
    searched = people_of(references, bound.form.metric)
    found = measure(searched, margin=margin, targets=targets, seed=SEED, progress=progress, pairs_max=pairs_max)
    n_max = found.n_max()
    file = CalibrationFile(
        pack=bound.pack,
        date_s=now_s,
        people=len(people),
        margin=margin,
        fpir=targets.fpir,
        fnir=targets.fnir,
        n_max=n_max,
        fit=found.goodness,
        tail=found.tail,
        misses=tuple((size, found.fnir(found.threshold(size)).value) for size in GRID),
    )
    return Calibrated(
        measurement=found,
        file=file,
        n_max_interval=found.n_max_interval(),
        here=found.row(len(people)),
        table=tuple(found.row(size) for size in SIZES),
        groups=found.groups([each.group for each in people]),
        lookalikes=_lookalikes(found, [each.id for each in people], searched.rows(), metric=searched.metric),
    )


def _lookalikes(found: Measurement, names: Sequence[str], rows: F32, *, metric: Metric) -> tuple[Lookalikes, ...]:
    """The pairs above the threshold of the people who are enrolled, the most alike first."""
    threshold = found.threshold(found.people)
    pairs: dict[tuple[int, int], float] = {}
    for person, other, score in zip(
        found.strangers.person.tolist(), found.strangers.other.tolist(), found.strangers.score.tolist(), strict=True
    ):
        if score >= threshold:
            pair = (min(person, other), max(person, other))
            pairs[pair] = max(pairs.get(pair, -np.inf), score)
    best = sorted(pairs.items(), key=lambda item: -item[1])[:LOOKALIKES_MAX]
    return tuple(
        Lookalikes(names[a], names[b], score, float(distance_table(rows[[a]], rows[[b]], metric=metric)[0, 0])) for (a, b), score in best
    )
