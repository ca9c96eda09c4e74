"""One picture against one: FMR and FNMR at a threshold fixed beforehand."""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from agent.biometrics.comparison import exact_distances
from agent.biometrics.rates import F64, Rate, curve, percent, spread, wider, wilson
from agent.biometrics.template import F32, Metric, comparable
from agent.diagnostics.evaluate.found import Found, WorstCase
from agent.diagnostics.evaluate.samples import Acquired
from agent.errors import UsageError

Flags = npt.NDArray[np.bool_]

COLUMNS: Final = ("file_x", "file_y", "Decision")
_ANSWERS: Final = {"yes": True, "no": False}
REPEATS: Final = 500
SEED: Final = 7
WORST: Final = 12  # of each kind


@dataclass(frozen=True, slots=True)
class Pair:
    one: Path
    other: Path
    same: bool


def read_pairs(file: Path, images: Path) -> tuple[Pair, ...]:
    """The rows of a CSV file. Raises UsageError: unreadable, a column missing, or a decision that is neither Yes nor No."""
    try:
        with file.open(newline="", encoding="utf-8-sig") as source:
            rows = csv.DictReader(source)
            missing = [name for name in COLUMNS if name not in (rows.fieldnames or ())]
            if missing:
                raise UsageError(f"{file} has no column '{missing[0]}'; the first line must name {', '.join(COLUMNS)}")
            pairs = tuple(_pair(row, images, place=f"{file}:{rows.line_num}") for row in rows)
    except OSError as error:
        raise UsageError(f"{file} cannot be read ({error.strerror}); give a CSV file with the columns {', '.join(COLUMNS)}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{file} is no CSV file in UTF-8: {error}") from error
    if not pairs:
        raise UsageError(f"{file} holds no pairs")
    return pairs


def _pair(row: dict[str, str | None], images: Path, *, place: str) -> Pair:
    one, other, decision = (row[name] or "" for name in COLUMNS)
    same = _ANSWERS.get(decision.strip().lower())
    if same is None:
        raise UsageError(f"{place}: the decision is {decision!r:.40}; write Yes for one person, No for two")
    if not one or not other:
        raise UsageError(f"{place}: a file's name is missing")
    return Pair(images / one.strip(), images / other.strip(), same)


def evaluate_pairs(pairs: tuple[Pair, ...], acquired: Acquired, *, threshold: float, source: str = "given by hand") -> Found:
    """Rates of the pairs of which both pictures gave a template. threshold: a score, higher is more alike; source: where from, in words."""
    usable = [p for p in pairs if p.one in acquired.templates and p.other in acquired.templates]
    scores = np.array([_score(acquired.templates[p.one], acquired.templates[p.other], acquired.metric) for p in usable])
    same = np.array([p.same for p in usable], dtype=bool)
    if not same.any() or same.all():
        kind = "one person" if not same.any() else "two people"
        raise UsageError(f"no pair of {kind} is left to compare ({len(usable)} of {len(pairs)} pairs gave templates); nothing can be said")
    fmr, fnmr = _rates(usable, scores, same, threshold)
    found = curve(scores[same], scores[~same])
    zero_threshold, fnmr_at_fmr0 = found.miss_at(0.0)
    failed = len(acquired.failures)
    return Found(
        title="One picture against one",
        facts=(
            (
                "pairs",
                f"{len(pairs)}, of which {len(usable)} could be compared: {int(same.sum())} of one person, {int((~same).sum())} of two",
            ),
            ("not acquired", f"{failed} of {failed + len(acquired.templates)} pictures"),
            ("threshold", f"{threshold:.4f}, {source}, fixed beforehand (a score: minus the distance)"),
            ("FMR", str(fmr)),
            ("FNMR", str(fnmr)),
            ("FNMR where no pair of two matched", f"{percent(fnmr_at_fmr0)} (at {zero_threshold:.4f}, chosen afterwards)"),
            ("intervals", "95 %, by drawing the pictures anew: a picture's pairs are not independent"),
        ),
        values={
            "pairs": len(pairs),
            "failed_to_acquire": failed,
            "threshold": threshold,
            "fmr": fmr.value,
            "fnmr": fnmr.value,
            "fnmr_at_fmr0": fnmr_at_fmr0,
        },
        failures=acquired.failures,
        curve=found,
        at=(fmr.value, fnmr.value),
        worst=_worst(usable, scores, same, threshold),
    )


def _score(one: F32, other: F32, metric: Metric) -> float:
    both = comparable(np.stack([one, other]), metric)
    return -float(exact_distances(both[:1], both[1], metric=metric)[0])


def _rates(pairs: list[Pair], scores: F64, same: Flags, threshold: float) -> tuple[Rate, Rate]:
    """FMR and FNMR. A drawing gives each picture a number of times that it was drawn, and a pair the product of its two."""
    number = {file: i for i, file in enumerate(sorted({f for p in pairs for f in (p.one, p.other)}))}
    one, other = np.array([number[p.one] for p in pairs]), np.array([number[p.other] for p in pairs])
    random = np.random.default_rng(SEED)
    times = [np.bincount(random.integers(len(number), size=len(number)), minlength=len(number)) for _ in range(REPEATS)]
    weights = [(each[one] * each[other]).astype(np.float64) for each in times]

    def rate(kind: Flags, wrong: Flags) -> Rate:
        drawn = [float(weight[kind] @ wrong[kind]) / float(weight[kind].sum()) for weight in weights if weight[kind].any()]
        plain = wilson(int(wrong[kind].sum()), int(kind.sum()))
        return plain if not drawn else wider(plain, spread(plain.value, np.array(drawn)))

    return rate(~same, scores >= threshold), rate(same, scores < threshold)


def _worst(pairs: list[Pair], scores: F64, same: Flags, threshold: float) -> tuple[WorstCase, ...]:
    """Two people who are most alike, and one person who is least."""
    found = []
    for kind, sign, words, wrong_words in (
        (~same, -1, "nearest: two people", "WRONG: two people"),
        (same, 1, "nearest: one person", "MISSED: one person"),
    ):
        places = np.flatnonzero(kind)
        for place in places[np.argsort(sign * scores[places], kind="stable")][:WORST].tolist():
            wrong = (scores[place] >= threshold) != same[place]
            found.append(WorstCase(f"{wrong_words if wrong else words}, {scores[place]:.3f}", (pairs[place].one, pairs[place].other)))
    return tuple(sorted(found, key=lambda case: case.words.startswith("nearest")))
