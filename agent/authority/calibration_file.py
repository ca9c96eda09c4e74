"""calibration.json: what `gate-roster calibrate` found, for the releases that follow. Figures only; nothing of anybody's face is in it."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from agent.authority.errors import AuthorityError, PublishError
from agent.authority.files import write_whole
from agent.biometrics.calibration import Calibration, Method, cohort_for
from agent.biometrics.errors import CalibrationError
from agent.biometrics.tail import FAMILY, Tail
from agent.core.inputs import CalibrationKind

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

    def save(self, folder: Path) -> None:
        content = asdict(self) | {"format": FORMAT, "tail": self.tail.figures()}
        write_whole(folder / FILE, json.dumps(content, indent=1).encode() + b"\n")

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
        return Calibration(
            kind=CalibrationKind.MEASURED,
            method=Method.COHORT,
            k=cohort_for(people),
            threshold=self.tail.threshold(self.fpir, people=people),
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


def load(folder: Path) -> CalibrationFile | None:
    """The measurement of an authority; None where nothing was measured. Raises AuthorityError: the file is damaged."""
    file = folder / FILE
    try:
        content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise _damaged(file, error) from error
    try:
        rest = {key: value for key, value in content.items() if key not in ("format", "tail", "misses")}
        if content["format"] != FORMAT:
            raise ValueError(f"format {content['format']!r:.40}")  # noqa: TRY301  one sentence for every fault
        misses = tuple((int(people), float(rate)) for people, rate in content["misses"])
        return CalibrationFile(**rest, tail=Tail.of([float(f) for f in content["tail"]]), misses=misses)
    except (KeyError, TypeError, ValueError, AttributeError, CalibrationError) as error:
        raise _damaged(file, error) from error


def _damaged(file: Path, error: Exception) -> AuthorityError:
    return AuthorityError(f"{file} is damaged ({error}); run: gate-roster calibrate")
