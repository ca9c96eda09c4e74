"""calibration.json: what `gate-roster calibrate` found, for the releases that follow. Figures only; nothing of anybody's face is in it.

It decides who is let in, so it is not believed: the register keeps its digest, and every figure has limits.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from math import isfinite
from pathlib import Path
from typing import Final

from agent.authority.errors import AuthorityError, PublishError
from agent.authority.files import write_whole
from agent.biometrics.calibration import MAX_PEOPLE, Calibration, Method, cohort_for
from agent.biometrics.errors import CalibrationError
from agent.biometrics.tail import FAMILY, Tail
from agent.core.inputs import CalibrationKind
from agent.roster.document import TIME_MAX_S

FILE: Final = "calibration.json"
FORMAT: Final = "gate-roster-calibration/1"

CHANGED_MAX: Final = 0.5
"""Part of the measured people by which a roster may shrink before it has to be measured anew: half of others are other people."""


@dataclass(frozen=True, slots=True)
class CalibrationFile:
    """A measurement, as the releases need it.

    Attributes:
        pack: id of the pack whose references were measured.
        people: how many were measured.
        fpir, fnir: the targets, per attempt.
        n_max: the largest roster at which both hold; 0: none.
        fit: goodness of the tail's fit.
        misses: FNIR predicted for rosters of some sizes: (people, rate), ascending.
    """

    pack: str
    date_s: int
    people: int
    margin: float
    fpir: float
    fnir: float
    n_max: int
    fit: float
    tail: Tail
    misses: tuple[tuple[int, float], ...]

    def __post_init__(self) -> None:
        """Raises CalibrationError: a figure that no measurement gives."""
        sizes = [size for size, _ in self.misses]
        rules = {
            f"people = {self.people}; 1 to {MAX_PEOPLE} is possible": 1 <= self.people <= MAX_PEOPLE,
            f"people = {self.people} and a tail of {self.tail.people:g}; it is of the same people, or of all but oneself": self.tail.people
            in (self.people - 1, self.people),
            f"n_max = {self.n_max}; 0 to {MAX_PEOPLE} is possible": 0 <= self.n_max <= MAX_PEOPLE,
            f"fpir = {self.fpir}; a rate within 0 and 1 is needed": 0 < self.fpir < 1,
            f"fnir = {self.fnir}; a rate from 0 to 1 is needed": 0 <= self.fnir <= 1,
            f"fit = {self.fit}; a part from 0 to 1 is needed": 0 <= self.fit <= 1,
            f"margin = {self.margin}; a finite number from 0 up is needed": isfinite(self.margin) and self.margin >= 0,
            f"date_s = {self.date_s}; it is no time": 0 <= self.date_s <= TIME_MAX_S,
            "misses that do not rise in people, or are no rates": sizes == sorted(set(sizes))
            and all(size >= 1 and 0 <= rate <= 1 for size, rate in self.misses),
        }
        wrong = [sentence for sentence, holds in rules.items() if not holds]
        if wrong:
            raise CalibrationError(f"the measurement has {wrong[0]}")

    def save(self, folder: Path) -> str:
        """Returns the digest of the file, without which `load` does not believe it."""
        content = asdict(self) | {"format": FORMAT, "tail": self.tail.figures()}
        data = json.dumps(content, indent=1).encode() + b"\n"
        write_whole(folder / FILE, data)
        return _digest(data)

    def calibration(self, people: int) -> Calibration:
        """The record of a release of so many people.

        Raises:
            PublishError: the pack is unfit for so many.
        """
        if people > self.n_max:
            raise PublishError(
                f"pack '{self.pack}' is unfit for {people} people: measured on {self.people}, an FPIR of {self.fpir:g} and an FNIR of "
                f"{self.fnir:g} hold together for {self.n_max or 'no number of'} people. Enrol more and better pictures, take "
                "a better pack, or state other targets: gate-roster calibrate --fpir RATE --fnir RATE (docs/CALIBRATION.md)"
            )
        if people < CHANGED_MAX * self.people:
            raise PublishError(
                f"{people} people are enrolled and {self.people} were when the roster was measured: these figures are of others; "
                "run: gate-roster calibrate, or gate-roster calibrate --discard for the pack's default"
            )
        threshold = self.tail.threshold(self.fpir, people=people)
        if threshold <= 0:
            raise PublishError(
                f"the measurement asks for a threshold of {threshold:g}; from 0 down a face is no nearer to somebody than to everybody: "
                "state a lower rate for strangers: gate-roster calibrate --fpir RATE"
            )
        return Calibration(
            kind=CalibrationKind.MEASURED,
            method=Method.COHORT,
            k=cohort_for(people),
            threshold=threshold,
            margin=self.margin,
            people_max=self.n_max,
            tail=self.tail,
            n_max=self.n_max,
            fpir=self.fpir,
            fnir=next((rate for size, rate in self.misses if size >= people), 1.0),
            tail_family=FAMILY,
            fit=self.fit,
            date=self.date_s,
            pack=self.pack,
            people=self.people,
        )


def load(folder: Path, *, digest: str | None) -> CalibrationFile | None:
    """The measurement of an authority; None where nothing was measured.

    digest: of the file that `save` wrote last, as the register has it; None: there is none.

    Raises:
        AuthorityError: the file is missing, damaged, or not the one that was written.
    """
    file = folder / FILE
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        if digest is None:
            return None
        raise AuthorityError(f"{file} is gone, and a measurement is in force; {_REMEDY}") from None
    except OSError as error:
        raise AuthorityError(f"{file} cannot be read ({error.strerror}); mend its rights") from error
    try:
        found = _parsed(data)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError, CalibrationError) as error:
        raise AuthorityError(f"{file} is damaged ({error!s:.200}); {_REMEDY}") from error
    if _digest(data) != digest:
        raise AuthorityError(f"{file} is not what gate-roster calibrate wrote last; it must not be edited or exchanged; {_REMEDY}")
    return found


_REMEDY: Final = "restore it, or run: gate-roster calibrate, or gate-roster calibrate --discard for the pack's default"


def _parsed(data: bytes) -> CalibrationFile:
    content = json.loads(data)
    if content["format"] != FORMAT:
        raise ValueError(f"format {content['format']!r:.40}")
    if not isinstance(content["pack"], str):
        raise TypeError("pack is no name")
    if unknown := sorted(content.keys() - {"format", *(field.name for field in fields(CalibrationFile))}):
        raise ValueError(f"unknown: {unknown[0]!r:.40}")
    return CalibrationFile(
        pack=content["pack"],
        date_s=_whole(content["date_s"]),
        people=_whole(content["people"]),
        margin=_number(content["margin"]),
        fpir=_number(content["fpir"]),
        fnir=_number(content["fnir"]),
        n_max=_whole(content["n_max"]),
        fit=_number(content["fit"]),
        tail=Tail.of([_number(figure) for figure in content["tail"]]),
        misses=tuple((_whole(people), _number(rate)) for people, rate in content["misses"]),
    )


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r:.40} is no number")
    return float(value)


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{value!r:.40} is no whole number")
    return value


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
