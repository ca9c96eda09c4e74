"""The gallery: everybody who may be let through, as one immutable value that a probe is compared with.

One row for each person: the mean of their references (docs/adr/0009). A search is one product of the table with the probe, and what
follows touches only vectors; the few nearest are compared again in double precision before they are named.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from agent.biometrics.calibration import Calibration, Method
from agent.biometrics.comparison import distances, exact_distances, squared_norms
from agent.biometrics.errors import GalleryError, TemplateError
from agent.biometrics.normalisation import normalised, reference_halves, smallest
from agent.biometrics.template import F32, Metric, comparable
from agent.core.identity import AccessRecord, Candidate, PersonId

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
    """Returns the gallery of a few people who are at hand.

    Raises:
        TemplateError: a person's templates cannot be compared.
        GalleryError: a person stands twice or has no template, lengths differ, or the calibration record does not fit the number of people.
    """
    shapes = {each.templates.shape[1:] for each in enrolled}
    if len(shapes) > 1:
        raise GalleryError(f"the roster's templates have several lengths: {sorted(shapes)}; all must come from one model pack")
    bare = [each.record.person for each in enrolled if not len(each.templates)]
    if bare:
        raise GalleryError(f"person '{bare[0]}' has no template; enrol them again")
    length = enrolled[0].templates.shape[-1] if enrolled else 0
    assembly = Assembly([each.record for each in enrolled], length=length, metric=metric, calibration=calibration)
    if enrolled:
        assembly.add(np.concatenate([each.templates for each in enrolled]), np.array([len(each.templates) for each in enrolled]))
    return assembly.gallery(version=version, pack=pack)


class Assembly:
    """A gallery in the making: the references come in blocks, so that never all of them lie in memory, and go straight to their places.

    Args:
        records: of everybody, in the order in which their references come.
        length: of a template.

    Raises:
        GalleryError: a person stands twice, or the calibration record does not fit the number of people.
    """

    def __init__(self, records: Sequence[AccessRecord], *, length: int, metric: Metric, calibration: Calibration) -> None:
        _check([record.person for record in records], calibration)
        self._records = tuple(records)
        self._metric = metric
        self._calibration = calibration
        self._table = np.empty((len(records), length), np.float32)
        self._filled = 0

    def add(self, references: F32, counts: npt.NDArray[np.int64]) -> None:
        """The next people's references (n, d) one after the other, and how many of them each person has (at least one).

        Raises:
            TemplateError: a template cannot be compared.
        """
        end = self._filled + len(counts)
        self._table[self._filled : end] = _means(comparable(references, self._metric), counts, self._metric)
        self._filled = end

    def gallery(self, *, version: int, pack: str, halves: F32 | None = None) -> Gallery:
        """Returns the gallery, once everybody's references were added.

        halves: the references' cohort halves (people,), where somebody has computed them; else they are computed if the method needs them.

        Raises:
            GalleryError: references of some people are missing.
        """
        if self._filled != len(self._records):
            raise GalleryError(f"{len(self._records)} people and references of {self._filled}; make the roster again")
        norms = squared_norms(self._table)
        if self._calibration.method is not Method.COHORT or not self._records:
            halves = None
        elif halves is None:
            halves = reference_halves(self._table, metric=self._metric, k=self._calibration.k)
        for each in (self._table, norms, halves):
            if each is not None:
                each.setflags(write=False)
        return Gallery(
            version=version,
            pack=pack,
            metric=self._metric,
            calibration=self._calibration,
            records=self._records,
            table=self._table,
            norms=norms,
            halves=halves,
        )


def _means(references: F32, counts: npt.NDArray[np.int64], metric: Metric) -> F32:
    """The mean (people, d) of each person's references, as they are compared."""
    first = np.cumsum(counts) - counts
    sums = references[first].astype(np.float64)
    for nth in range(1, int(counts.max(initial=1))):  # one pass for each further reference; numpy's reduceat takes six times as long
        more = counts > nth
        sums[more] += references[first[more] + nth]
    sums /= counts[:, None]
    return comparable(sums.astype(np.float32), metric)


def _check(names: Sequence[PersonId], calibration: Calibration) -> None:
    people = len(names)
    if len(set(names)) < people:
        twice = next(person for person, count in Counter(names).items() if count > 1)
        raise GalleryError(f"person '{twice}' stands twice in the roster; put the references of one person together")
    if people > calibration.people_max:
        raise GalleryError(
            f"the roster has {people} people and its calibration record ({calibration.kind}) allows {calibration.people_max}; "
            "calibrate on the roster's own people and release again"
        )
    if people and calibration.method is Method.COHORT and people <= calibration.k:
        raise GalleryError(
            f"the roster has {people} people, too few for a cohort of {calibration.k} others; release again, which compares without one"
        )
