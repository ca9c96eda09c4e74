"""The gallery: everybody who may be let through, as one immutable value that a probe is compared with.

One row for each person: the mean of their references (docs/adr/0009). A search is one product of the table with the probe, and what
follows touches only vectors; the few nearest are compared again in double precision before they are named.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from agent.biometrics.calibration import Calibration, Method
from agent.biometrics.comparison import distances, exact_distances, squared_norms
from agent.biometrics.errors import GalleryError, TemplateError
from agent.biometrics.normalisation import normalised, reference_halves, smallest
from agent.biometrics.template import F32, Metric, comparable
from agent.core.identity import AccessRecord, Candidate

CANDIDATES = 2
"""Length of the candidate list: the best and the next other person, for the margin."""

SHORTLIST = 8
"""People whose distance is computed again in double precision; single precision cannot confuse one of the two best with the ninth."""


@dataclass(frozen=True, slots=True, eq=False)
class Enrolled:
    """One person of the roster.

    Attributes:
        templates: (n, d) float32, n >= 1: as the embedder of the roster's pack made them of the reference pictures.
    """

    record: AccessRecord
    templates: F32


@dataclass(frozen=True, slots=True, eq=False)
class Gallery:
    """A roster ready to be searched; swapped by reference, its arrays are read-only.

    Attributes:
        version: of the roster release.
        pack: id of the model pack that its templates were made with.
    """

    version: int
    pack: str
    metric: Metric
    calibration: Calibration
    records: tuple[AccessRecord, ...] = field(repr=False)
    table: F32 = field(repr=False)  # (people, d), as `comparable`
    norms: F32 = field(repr=False)  # (people,)
    halves: F32 | None = field(repr=False)  # (people,): the references' cohort halves; None where the method is plain

    @property
    def people(self) -> int:
        return len(self.records)

    @property
    def threshold(self) -> float:
        """The score from which a candidate counts as a match, for this roster's size."""
        return self.calibration.threshold_for(self.people)

    @property
    def margin(self) -> float:
        return self.calibration.margin

    def scores(self, probe: F32) -> F32:
        """Returns the score (people,) of each person for a probe (d,) that `fuse` made; higher is more alike."""
        apart = distances(self.table, self.norms, probe, metric=self.metric)
        return -apart if self.halves is None else normalised(apart, self.halves, k=self.calibration.k)

    def identify(self, probe: F32) -> tuple[Candidate, ...]:
        """Returns the two best different people for a template (d,), best first; fewer where the roster has fewer. Below the threshold too.

        Raises:
            TemplateError: another length than the gallery's, or not finite.
        """
        if not self.records:
            return ()
        if probe.shape != self.table.shape[1:]:
            raise TemplateError(f"a probe of shape {probe.shape} cannot be compared with templates of length {self.table.shape[1]}")
        point = comparable(probe[None, :], self.metric)[0]
        scores = self.scores(point)
        best = np.sort(smallest(-scores, min(SHORTLIST, self.people)))  # in the roster's order, which decides between equals
        rounded = distances(self.table[best], self.norms[best], point, metric=self.metric)
        exact = scores[best].astype(np.float64) + rounded - exact_distances(self.table[best], point, metric=self.metric)
        order = np.argsort(-exact, kind="stable")[:CANDIDATES]
        return tuple(Candidate(score=float(exact[i]), record=self.records[best[i]]) for i in order)


def build(enrolled: Sequence[Enrolled], *, metric: Metric, calibration: Calibration, version: int, pack: str) -> Gallery:
    """Returns the gallery of a verified roster.

    Raises:
        TemplateError: a person's templates cannot be compared.
        GalleryError: a person stands twice or has no template, lengths differ, or the calibration record does not fit the number of people.
    """
    records = tuple(each.record for each in enrolled)
    _check(enrolled, calibration)
    table, norms, halves = np.empty((0, 0), np.float32), np.empty(0, np.float32), None
    if enrolled:
        counts = np.array([len(each.templates) for each in enrolled])
        references = comparable(np.concatenate([each.templates for each in enrolled]), metric)
        first = np.concatenate([[0], np.cumsum(counts)[:-1]])
        means = np.add.reduceat(references, first, axis=0, dtype=np.float64) / counts[:, None]
        table = comparable(means.astype(np.float32), metric)
        norms = squared_norms(table)
        if calibration.method is Method.COHORT:
            halves = reference_halves(table, metric=metric, k=calibration.k)
    for each in (table, norms, halves):
        if each is not None:
            each.setflags(write=False)
    return Gallery(
        version=version, pack=pack, metric=metric, calibration=calibration, records=records, table=table, norms=norms, halves=halves
    )


def _check(enrolled: Sequence[Enrolled], calibration: Calibration) -> None:
    twice = [person for person, count in Counter(each.record.person for each in enrolled).items() if count > 1]
    if twice:
        raise GalleryError(f"person '{twice[0]}' stands twice in the roster; put the references of one person together")
    shapes = {each.templates.shape[1:] for each in enrolled}
    if len(shapes) > 1:
        raise GalleryError(f"the roster's templates have several lengths: {sorted(shapes)}; all must come from one model pack")
    bare = [each.record.person for each in enrolled if not len(each.templates)]
    if bare:
        raise GalleryError(f"person '{bare[0]}' has no template; enrol them again")
    people = len(enrolled)
    if people > calibration.people_max:
        raise GalleryError(
            f"the roster has {people} people and its calibration record ({calibration.kind}) allows {calibration.people_max}; "
            "calibrate on the roster's own people and release again"
        )
    if enrolled and calibration.method is Method.COHORT and people <= calibration.k:
        raise GalleryError(
            f"the roster has {people} people, too few for a cohort of {calibration.k} others; release again, which compares without one"
        )
