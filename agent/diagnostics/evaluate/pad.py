"""People against attacks: APCER of each kind of attack and BPCER, of single pictures, at the pack's own bound (ISO/IEC 30107-3).

A gate asks several frames and tries again where they are inconclusive; one picture here is one presentation. Whatever does not reach the
bound for bona fide does not pass, so an inconclusive person counts as refused and an inconclusive attack as detected.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from agent.biometrics.rates import curve, wilson
from agent.diagnostics.evaluate.found import Found, WorstCase
from agent.diagnostics.evaluate.samples import pictures
from agent.errors import UsageError
from agent.vision.frame import U8
from agent.vision.sampler import Sample
from models.pad import Pad

BONA_FIDE: Final = "bona_fide"
WORST: Final = 12  # of each kind
NOTE: Final = (
    "One picture is one presentation here; a gate takes the mean of several frames, and tries again. Only attacks made before the lane's "
    "own camera say what the lane lets pass: pictures in which a print or a screen was computed are no attack test."
)


@dataclass(frozen=True, slots=True)
class Presentation:
    """kind: BONA_FIDE, or the name of an attack."""

    file: Path
    kind: str


def read_presentations(folder: Path) -> tuple[Presentation, ...]:
    """Raises UsageError: no such folder, no people, or no attacks."""
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder; give one with {BONA_FIDE}/ and a sub-folder for each kind of attack")
    found = tuple(
        Presentation(file, kind.name)
        for kind in sorted(folder.iterdir())
        if kind.is_dir() and not kind.name.startswith(".")
        for file in pictures(kind)
    )
    if {BONA_FIDE} == {p.kind for p in found} or BONA_FIDE not in {p.kind for p in found}:
        raise UsageError(
            f"{folder} needs pictures in {BONA_FIDE}/ and in a sub-folder for each kind of attack, for example print/, screen/"
        )
    return found


def score_presentations(
    looks: Iterable[tuple[Path, U8 | None, Sample | str]], network: Pad
) -> tuple[Mapping[Path, float], Mapping[Path, str]]:
    """The score of each file with a face, 0 (attack) to 1 (bona fide), and why the others have none."""
    scores, failures = {}, {}
    for file, image, found in looks:
        if isinstance(found, str) or image is None:
            failures[file] = str(found)
            continue
        box = np.array([[found.box.x0, found.box.y0, found.box.x1, found.box.y1]], dtype=np.float32)
        score = float(network.score(image, box)[0])
        if np.isfinite(score):
            scores[file] = score
        else:
            failures[file] = "the attack detection gives no score for the face"
    return scores, failures


def evaluate_pad(
    presentations: Sequence[Presentation], scores: Mapping[Path, float], failures: Mapping[Path, str], *, threshold: float, pack: str
) -> Found:
    """Rates of what has a score. A picture without a face is no presentation: it is counted apart."""
    by_kind = {
        kind: np.array([scores[p.file] for p in presentations if p.kind == kind and p.file in scores])
        for kind in sorted({p.kind for p in presentations})
    }
    people = by_kind.pop(BONA_FIDE)
    bpcer = wilson(int((people < threshold).sum()), len(people))
    apcer = {kind: wilson(int((values >= threshold).sum()), len(values)) for kind, values in by_kind.items()}
    known = {kind: rate.value for kind, rate in apcer.items() if len(by_kind[kind])}
    worst = max(known, key=lambda kind: known[kind], default=None)
    traded, at = (None, None) if worst is None or not len(people) else (curve(people, by_kind[worst]), (known[worst], bpcer.value))
    none = "not known: no face was found"
    return Found(
        title=f"People against attacks, pack {pack}",
        facts=(
            ("pictures", f"{len(presentations)}, {len(scores)} with a face"),
            ("not acquired", f"{len(failures)}"),
            ("threshold", f"{threshold:g}: a score from there on is bona fide; fixed beforehand"),
            ("BPCER", f"{bpcer} of {len(people)} people" if len(people) else none),
            *((f"APCER of {kind}", f"{rate} of {len(by_kind[kind])}" if len(by_kind[kind]) else none) for kind, rate in apcer.items()),
            ("worst attack", worst or none),
        ),
        values={
            "bona_fide": len(people),
            "attacks": {kind: len(values) for kind, values in by_kind.items()},
            "failed_to_acquire": len(failures),
            "threshold": threshold,
            "apcer": {kind: rate.value if len(by_kind[kind]) else None for kind, rate in apcer.items()},
            "bpcer": bpcer.value if len(people) else None,
        },
        failures=failures,
        curve=traded,
        axes=(f"APCER of {worst}, the worst attack", "BPCER"),
        at=at,
        worst=_worst(presentations, scores, threshold),
        note=NOTE,
    )


def _worst(presentations: Sequence[Presentation], scores: Mapping[Path, float], threshold: float) -> tuple[WorstCase, ...]:
    """Attacks that look most live, then people who look least so."""
    known = [p for p in presentations if p.file in scores]
    attacks = sorted((p for p in known if p.kind != BONA_FIDE), key=lambda p: -scores[p.file])[:WORST]
    people = sorted((p for p in known if p.kind == BONA_FIDE), key=lambda p: scores[p.file])[:WORST]

    def case(p: Presentation, is_wrong: bool) -> WorstCase:
        return WorstCase(f"{'WRONG' if is_wrong else 'nearest'}: {p.kind}, {scores[p.file]:.3f}", (p.file,))

    return (*(case(p, scores[p.file] >= threshold) for p in attacks), *(case(p, scores[p.file] < threshold) for p in people))
