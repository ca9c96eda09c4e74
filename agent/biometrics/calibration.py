"""The calibration record: how scores of a roster are made and from which score on a candidate counts. It travels in the signed release.

The gate does what the record says and never chooses for itself. A `pack-default` record carries its threshold. A `measured` one carries
the fitted tail of strangers' scores and a target FPIR, from which the gate computes the threshold for the number of people that it holds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from math import isfinite
from typing import Final, Protocol

from agent.biometrics.errors import CalibrationError
from agent.biometrics.tail import FAMILY, Tail
from agent.core.inputs import CalibrationKind

MIN_PEOPLE_FOR_COHORT = 100
"""Fewer people than this are compared without a cohort, which would be no neighbourhood but a sample of everybody (docs/adr/0009)."""

PEOPLE_PER_COHORT_MEMBER = 60
"""A cohort is one sixtieth of the roster: so chosen, one threshold gives about one FPIR from 100 to 900 people, where a cohort of fixed
size needs another threshold for each size of roster. Measured: docs/adr/0009. And what a fixed part of the roster says of a face stays
what it is as the roster grows, so that a rate measured on some people may be continued to more of them (docs/adr/0014)."""

MIN_COHORT = 2

MAX_PEOPLE_PACK_DEFAULT = 300
"""A pack's default threshold makes no FPIR claim; more people need a measured calibration. Source: the roster format."""

MAX_COHORT = 1000
"""Largest k that a record may name."""

MAX_PEOPLE: Final = 200_000
"""As many as a roster's document may hold."""

_MEASURED_ONLY: Final = ("tail", "n_max", "fpir", "fnir", "tail_family", "fit", "date", "pack", "people")
_ALWAYS_WRITTEN: Final = ("tail", "n_max", "fpir")  # null in a pack default, as the format says


class Method(StrEnum):
    PLAIN = "plain"  # score = -distance
    COHORT = "cohort"  # normalisation.py


class PackDefaults(Protocol):
    """What a pack's manifest says of comparison (models.manifest.Comparison). Thresholds are distances there: less is more alike."""

    @property
    def people_max(self) -> int: ...
    @property
    def cohort_size(self) -> int: ...  # the largest
    @property
    def threshold_plain(self) -> float: ...
    @property
    def threshold_normalised(self) -> float: ...
    @property
    def margin(self) -> float: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """How to score and where to decide.

    Attributes:
        k: size of the cohort; kept in a plain record too, so that a record has one shape.
        threshold: the score from which a candidate counts as a match; higher is more alike.
        margin: by how much the first candidate's score must lead the next other person's.
        people_max: the largest roster that this record may be used with.
        tail, n_max, fpir: of a measured record, None in a pack default: the tail of strangers' scores, the largest roster at which both
            targets hold, and the target FPIR.
        fnir, fit, date, pack, people: of a measured record: the FNIR predicted for the roster of the release, how well the tail fits
            (tail.goodness), when it was measured (seconds since 1970), with which pack, and on how many people.
    """

    kind: CalibrationKind
    method: Method
    k: int
    threshold: float
    margin: float
    people_max: int
    tail: Tail | None = None
    n_max: int | None = None
    fpir: float | None = None
    fnir: float | None = None
    tail_family: str | None = None
    fit: float | None = None
    date: int | None = None
    pack: str | None = None
    people: int | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.k <= MAX_COHORT:
            raise CalibrationError(f"the calibration record has k = {self.k}; 1 to {MAX_COHORT} is possible")
        if not isfinite(self.threshold):
            raise CalibrationError(f"the calibration record has the threshold {self.threshold}; a finite number is needed")
        if not (isfinite(self.margin) and self.margin >= 0):
            raise CalibrationError(f"the calibration record has the margin {self.margin}; a finite number from 0 up is needed")
        if self.people_max < 1:
            raise CalibrationError(f"the calibration record allows {self.people_max} people; at least 1 is needed")
        if self.kind is CalibrationKind.MEASURED:
            self._check_measured()
        elif any(getattr(self, name) is not None for name in _MEASURED_ONLY):
            raise CalibrationError("the calibration record is 'pack-default' and holds figures that only a 'measured' one has")

    def _check_measured(self) -> None:
        missing = [name for name in _MEASURED_ONLY if getattr(self, name) is None]
        if missing:
            raise CalibrationError(f"the calibration record is 'measured' and lacks: {', '.join(missing)}; calibrate again")
        if self.tail_family != FAMILY:
            raise CalibrationError(
                f"the calibration record has a tail of the family {self.tail_family!r:.80}; this version follows {FAMILY}"
            )
        for name, rate in (("fpir", self.fpir), ("fnir", self.fnir), ("fit", self.fit)):
            if not (isinstance(rate, float) and 0 <= rate <= 1) or (name == "fpir" and not 0 < rate < 1):
                raise CalibrationError(f"the calibration record has {name} = {rate}; a rate from 0 to 1 is needed")
        if self.n_max != self.people_max or not 1 <= self.people_max <= MAX_PEOPLE:
            raise CalibrationError(
                f"the calibration record has n_max = {self.n_max} and people_max = {self.people_max}; one up to {MAX_PEOPLE} is needed"
            )

    def threshold_for(self, people: int) -> float:
        """The score from which a candidate of a roster of so many people counts as a match."""
        if self.tail is None or self.fpir is None:
            return self.threshold
        return self.tail.threshold(self.fpir, people=people)

    def as_record(self) -> dict[str, object]:
        """The record as the roster's document holds it: plain values, every field of its kind named."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        values |= {"kind": str(self.kind), "method": str(self.method), "tail": None if self.tail is None else list(self.tail.figures())}
        return {name: value for name, value in values.items() if value is not None or name in _ALWAYS_WRITTEN}

    @classmethod
    def from_record(cls, record: Mapping[str, object]) -> "Calibration":
        """Returns the calibration that `as_record` wrote.

        Raises:
            CalibrationError: an unknown or missing field, or a value of the wrong type or outside its limits.
        """
        try:
            kind, method = CalibrationKind(str(record.get("kind"))), Method(str(record.get("method")))
        except ValueError as error:
            raise CalibrationError(f"the calibration record cannot be followed by this version: {error}") from None
        measured = kind is CalibrationKind.MEASURED
        names = {f.name for f in fields(cls)} - (set() if measured else set(_MEASURED_ONLY) - set(_ALWAYS_WRITTEN))
        if record.keys() != names:
            wrong = sorted(map(str, record.keys() ^ names))
            raise CalibrationError(f"the calibration record has unknown or missing fields: {', '.join(wrong)}")
        people_max = _whole(record, "people_max")
        if not measured and people_max > MAX_PEOPLE_PACK_DEFAULT:
            raise CalibrationError(
                f"the calibration record allows {people_max} people; with a pack's default {MAX_PEOPLE_PACK_DEFAULT} at most are possible"
            )
        common = cls(
            kind=CalibrationKind.PACK_DEFAULT,
            method=method,
            k=_whole(record, "k"),
            threshold=_number(record, "threshold"),
            margin=_number(record, "margin"),
            people_max=people_max,
        )
        if measured:
            return replace(
                common,
                kind=kind,
                tail=Tail.of(_numbers(record, "tail")),
                n_max=_whole(record, "n_max"),
                fpir=_number(record, "fpir"),
                fnir=_number(record, "fnir"),
                tail_family=_text(record, "tail_family"),
                fit=_number(record, "fit"),
                date=_whole(record, "date"),
                pack=_text(record, "pack"),
                people=_whole(record, "people"),
            )
        if any(record[name] is not None for name in _ALWAYS_WRITTEN):
            raise CalibrationError("the calibration record is 'pack-default' and holds figures that only a 'measured' one has")
        return common


def cohort_for(people: int) -> int:
    """The size of the cohort that a measured record names for a roster of so many people."""
    return min(max(people // PEOPLE_PER_COHORT_MEMBER, MIN_COHORT), MAX_COHORT)


def _numbers(record: Mapping[str, object], name: str) -> list[float]:
    values = record[name]
    if not isinstance(values, list):
        raise CalibrationError(f"the calibration record has {name} = {values!r:.80}; a list of numbers is needed")
    return [_number({name: value}, name) for value in values]


def _text(record: Mapping[str, object], name: str) -> str:
    value = record[name]
    if not isinstance(value, str):
        raise CalibrationError(f"the calibration record has {name} = {value!r:.80}; a word is needed")
    return value


def _number(record: Mapping[str, object], name: str) -> float:
    value = record[name]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise CalibrationError(f"the calibration record has {name} = {value!r:.80}; a number is needed")
    return float(value)


def _whole(record: Mapping[str, object], name: str) -> int:
    value = record[name]
    if isinstance(value, bool) or not isinstance(value, int):
        raise CalibrationError(f"the calibration record has {name} = {value!r:.80}; a whole number is needed")
    return value


def pack_default(defaults: PackDefaults, *, people: int) -> Calibration:
    """Returns the record that a release of so many people carries when nothing was measured on them."""
    cohort = people >= MIN_PEOPLE_FOR_COHORT
    return Calibration(
        kind=CalibrationKind.PACK_DEFAULT,
        method=Method.COHORT if cohort else Method.PLAIN,
        k=min(cohort_for(people), defaults.cohort_size),
        threshold=-(defaults.threshold_normalised if cohort else defaults.threshold_plain),
        margin=defaults.margin,
        people_max=min(defaults.people_max, MAX_PEOPLE_PACK_DEFAULT),
    )
