"""The calibration record: how scores of a roster are made and from which score on a candidate counts. It travels in the signed release.

The gate does what the record says and never chooses for itself. `measured` records (a fitted tail, a target FPIR, a largest N) have their
fields here, so that the roster's format need not change, and are refused until this version can follow them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from math import isfinite
from typing import Protocol

from agent.biometrics.errors import CalibrationError
from agent.core.inputs import CalibrationKind

MIN_PEOPLE_FOR_COHORT = 100
"""Fewer people than this are compared without a cohort, which would be no neighbourhood but a sample of everybody (docs/adr/0009)."""

PEOPLE_PER_COHORT_MEMBER = 60
"""A pack default's cohort is one sixtieth of the roster: so chosen, one threshold gives about one FPIR from 100 to 900 people, where a
cohort of fixed size needs another threshold for each size of roster. Measured: docs/adr/0009."""

MIN_COHORT = 2

MAX_PEOPLE_PACK_DEFAULT = 300
"""A pack's default threshold makes no FPIR claim; more people need a measured calibration. Source: the roster format."""

MAX_COHORT = 1000
"""Largest k that a record may name."""


_MEASURED = "the calibration record is 'measured'; this version follows only 'pack-default', release with that"


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
        tail, n_max, fpir: of a measured record; None in a pack default.
    """

    kind: CalibrationKind
    method: Method
    k: int
    threshold: float
    margin: float
    people_max: int
    tail: tuple[float, ...] | None = None
    n_max: int | None = None
    fpir: float | None = None

    def __post_init__(self) -> None:
        if self.kind is CalibrationKind.MEASURED or (self.tail, self.n_max, self.fpir) != (None, None, None):
            raise CalibrationError(_MEASURED)
        if not 1 <= self.k <= MAX_COHORT:
            raise CalibrationError(f"the calibration record has k = {self.k}; 1 to {MAX_COHORT} is possible")
        if not isfinite(self.threshold):
            raise CalibrationError(f"the calibration record has the threshold {self.threshold}; a finite number is needed")
        if not (isfinite(self.margin) and self.margin >= 0):
            raise CalibrationError(f"the calibration record has the margin {self.margin}; a finite number from 0 up is needed")
        if self.people_max < 1:
            raise CalibrationError(f"the calibration record allows {self.people_max} people; at least 1 is needed")

    def as_record(self) -> dict[str, object]:
        """The record as the roster's document holds it: plain values, every field named."""
        return {f.name: list(v) if isinstance(v := getattr(self, f.name), tuple) else v for f in fields(self)} | {
            "kind": str(self.kind),
            "method": str(self.method),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, object]) -> "Calibration":
        """Returns the calibration that `as_record` wrote.

        Raises:
            CalibrationError: an unknown or missing field, a value of the wrong type or outside its limits, or a measured record.
        """
        names = {f.name for f in fields(cls)}
        if record.keys() != names:
            wrong = sorted(map(str, record.keys() ^ names))
            raise CalibrationError(f"the calibration record has unknown or missing fields: {', '.join(wrong)}")
        try:
            kind, method = CalibrationKind(str(record["kind"])), Method(str(record["method"]))
        except ValueError as error:
            raise CalibrationError(f"the calibration record cannot be followed by this version: {error}") from None
        if kind is CalibrationKind.MEASURED or any(record[name] is not None for name in ("tail", "n_max", "fpir")):
            raise CalibrationError(_MEASURED)
        people_max = _whole(record, "people_max")
        if people_max > MAX_PEOPLE_PACK_DEFAULT:
            raise CalibrationError(
                f"the calibration record allows {people_max} people; with a pack's default {MAX_PEOPLE_PACK_DEFAULT} at most are possible"
            )
        return cls(
            kind=kind,
            method=method,
            k=_whole(record, "k"),
            threshold=_number(record, "threshold"),
            margin=_number(record, "margin"),
            people_max=people_max,
        )


def _number(record: Mapping[str, object], name: str) -> float:
    value = record[name]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise CalibrationError(f"the calibration record has {name} = {value!r}; a number is needed")
    return float(value)


def _whole(record: Mapping[str, object], name: str) -> int:
    value = record[name]
    if isinstance(value, bool) or not isinstance(value, int):
        raise CalibrationError(f"the calibration record has {name} = {value!r}; a whole number is needed")
    return value


def pack_default(defaults: PackDefaults, *, people: int) -> Calibration:
    """Returns the record that a release of so many people carries when nothing was measured on them."""
    cohort = people >= MIN_PEOPLE_FOR_COHORT
    return Calibration(
        kind=CalibrationKind.PACK_DEFAULT,
        method=Method.COHORT if cohort else Method.PLAIN,
        k=min(max(people // PEOPLE_PER_COHORT_MEMBER, MIN_COHORT), defaults.cohort_size),
        threshold=-(defaults.threshold_normalised if cohort else defaults.threshold_plain),
        margin=defaults.margin,
        people_max=min(defaults.people_max, MAX_PEOPLE_PACK_DEFAULT),
    )
