"""One picture against everybody: FPIR, FNIR and rank 1 at a threshold fixed before a probe is looked at.

The gallery is the gate's own (`gallery.build`), with the evidence rule's threshold and margin. Where the gallery has enough people, the
threshold is measured on them alone, as `gate-roster calibrate` does; the probes then say whether it keeps its promise.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from agent.biometrics.calibration import Calibration, Method, PackDefaults, cohort_for, pack_default
from agent.biometrics.gallery import Enrolled, Gallery, build
from agent.biometrics.measurement import Targets
from agent.biometrics.measuring import PAIRS_MAX, PEOPLE_MIN, measure
from agent.biometrics.rates import curve, percent, wilson
from agent.biometrics.tail import Tail
from agent.biometrics.trials import people_of
from agent.core.identity import AccessRecord, PersonId, PersonStatus
from agent.core.inputs import CalibrationKind
from agent.diagnostics.evaluate.found import Found, WorstCase
from agent.diagnostics.evaluate.samples import Acquired, other_files, pictures
from agent.errors import UsageError

UNKNOWN: Final = "unknown"
FPIRS: Final = (0.1, 0.01)
WORST: Final = 12  # of each kind
LISTED: Final = 5  # files named in a line
SEED: Final = 20_140_802


@dataclass(frozen=True, slots=True)
class Probe:
    file: Path
    person: str | None  # None: a stranger


@dataclass(frozen=True, slots=True)
class Folders:
    """What lies in the two folders. references: files of each person; probes: in their order; others: files that are no pictures."""

    references: Mapping[str, tuple[Path, ...]]
    probes: tuple[Probe, ...]
    others: tuple[Path, ...] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        return (*(file for files in self.references.values() for file in files), *(probe.file for probe in self.probes))


def read_folders(gallery: Path, probes: Path) -> Folders:
    """Raises UsageError: a folder is missing or empty, or there is no stranger and no known person among the probes."""
    named = _sub_folders(gallery)
    people = {name: tuple(pictures(folder)) for name, folder in named.items()}
    others = [file for folder in named.values() for file in other_files(folder)]
    found = []
    for name, folder in _sub_folders(probes).items():
        if name != UNKNOWN and name not in people:
            raise UsageError(
                f"{folder} is of nobody in {gallery}; put strangers' pictures in {probes / UNKNOWN}, people's in their own name"
            )
        found += [Probe(file, None if name == UNKNOWN else name) for place in _with_sub_folders(folder) for file in pictures(place)]
        others += [file for place in _with_sub_folders(folder) for file in other_files(place)]
    if not found:
        raise UsageError(f"{probes} holds no pictures; make a sub-folder for each person, and {UNKNOWN}/ for strangers")
    return Folders(people, tuple(found), tuple(others))


def _sub_folders(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder; give one with a sub-folder for each person")
    found = {each.name: each for each in sorted(folder.iterdir()) if each.is_dir() and not each.name.startswith(".")}
    if not found:
        raise UsageError(f"{folder} holds no sub-folders; make one for each person")
    return found


def _with_sub_folders(folder: Path) -> list[Path]:
    """Strangers may lie in sub-folders of their own."""
    return [folder, *(sub for sub in sorted(folder.iterdir()) if sub.is_dir() and not sub.name.startswith("."))]


@dataclass(frozen=True, slots=True)
class Rule:
    """How the gallery is searched. source: where the threshold comes from, in words."""

    calibration: Calibration
    source: str


def rule_of(
    references: Sequence[npt.NDArray[np.float32]],
    acquired: Acquired,
    *,
    defaults: PackDefaults,
    fpir: float,
    threshold: float | None,
    tail: Tail | None,
) -> Rule:
    """The rule, before any probe is seen. tail: of a calibration's file; threshold: given by hand, which goes first."""
    people = len(references)
    default = replace(pack_default(defaults, people=people), people_max=max(people, 1))
    if people >= PEOPLE_MIN:
        default = replace(default, method=Method.COHORT, k=cohort_for(people))
    if threshold is not None:
        return Rule(replace(default, threshold=threshold), "given by hand")
    if tail is not None:
        return Rule(replace(default, threshold=tail.threshold(fpir, people=people)), f"of the calibration's file, for an FPIR of {fpir:g}")
    if people < PEOPLE_MIN or not any(len(each) > 1 for each in references):
        why = f"fewer than {PEOPLE_MIN} people" if people < PEOPLE_MIN else "nobody with two pictures"
        return Rule(default, f"the pack's default, which makes no claim ({why} to measure one on)")
    found = measure(
        people_of(references, acquired.metric),
        margin=default.margin,
        targets=Targets(fpir=fpir, fnir=0.5),
        seed=SEED,
        pairs_max=PAIRS_MAX,
        progress=lambda *_: None,
    )
    source = (
        f"measured on the gallery for an FPIR of {fpir:g} an attempt; a single picture: {found.tail.searched(found.threshold(people)):.2g}"
    )
    return Rule(replace(default, threshold=found.threshold(people)), source)


def gallery_of(references: Mapping[str, npt.NDArray[np.float32]], acquired: Acquired, rule: Rule, *, pack: str) -> Gallery:
    rows = [Enrolled(AccessRecord(PersonId(name), PersonStatus.ACTIVE, 0, 2**40, ()), templates) for name, templates in references.items()]
    assert rule.calibration.kind is CalibrationKind.PACK_DEFAULT  # its threshold is a plain figure here
    return build(rows, metric=acquired.metric, calibration=rule.calibration, version=1, pack=pack)


@dataclass(frozen=True, slots=True, eq=False)
class _Search:
    probe: Probe
    best: str
    lead: float
    score: float  # of the best, whoever it is
    own: float  # of the person themselves; -inf for a stranger and where not acquired


def evaluate_identification(folders: Folders, acquired: Acquired, *, gallery: Gallery, source: str) -> Found:
    """Search with every probe. A probe of a known person without a face counts as missed; a stranger's without one as not found."""
    threshold, margin = gallery.threshold, gallery.margin
    searches = [_searched(probe, acquired, gallery) for probe in folders.probes]
    known = [s for s in searches if s.probe.person is not None]
    strangers = [s for s in searches if s.probe.person is None]
    lost = {person for person in folders.references if person not in {r.person for r in gallery.records}}
    is_right = [s.best == s.probe.person for s in known]
    own = np.array([s.own if right and s.lead >= margin else -np.inf for s, right in zip(known, is_right, strict=True)])
    others = np.array([s.score if s.lead >= margin else -np.inf for s in strangers])
    rank1 = wilson(sum(is_right), len(known))
    fnir, fpir = wilson(int((own < threshold).sum()), len(known)), wilson(int((others >= threshold).sum()), len(strangers))
    wrong = sum(s.best != s.probe.person and s.score >= threshold and s.lead >= margin for s in known)
    found = curve(own, others) if known and strangers else None
    at = {f"{rate:g}": None if found is None else found.miss_at(rate)[1] for rate in FPIRS}
    none = "not known: no such probes"
    failed = len(acquired.failures)
    return Found(
        title=f"One picture against {gallery.people} people",
        facts=(
            ("gallery", f"{gallery.people} people, {sum(len(f) for f in folders.references.values())} pictures"),
            ("people without a reference", f"{len(lost)}: {', '.join(sorted(lost)[:5])}" if lost else "none"),
            ("probes of people", f"{len(known)}"),
            ("probes of strangers", f"{len(strangers)}"),
            ("not acquired", f"{failed} of {failed + len(acquired.templates)} pictures; a person's probe counts as missed"),
            *((("other files, not looked at", _listed(folders.others)),) if folders.others else ()),
            ("threshold", f"{threshold:.4f}, margin {margin:g}: {source}"),
            ("method", "plain" if gallery.halves is None else f"normalised by a cohort of {gallery.calibration.k}"),
            ("FPIR", str(fpir) if strangers else none),
            ("FNIR", str(fnir) if known else none),
            ("taken for somebody else", f"{wrong} of {len(known)}"),
            ("rank 1", str(rank1) if known else none),
            *(
                (
                    f"FNIR where FPIR is {rate}",
                    "not known" if v is None else f"{percent(v)}, chosen afterwards: {_most(rate, len(strangers))}",
                )
                for rate, v in at.items()
            ),
        ),
        values={
            "gallery": gallery.people,
            "probes": len(known),
            "strangers": len(strangers),
            "rank1": rank1.value if known else None,
            "threshold": threshold,
            "fpir": fpir.value if strangers else None,
            "fnir": fnir.value if known else None,
            "fnir_at_fpir": at,
        },
        failures=acquired.failures,
        curve=found,
        axes=("FPIR", "FNIR"),
        at=(fpir.value, fnir.value),
        worst=_worst(known, strangers, folders, threshold, margin),
        note=_seen_twice(folders),
    )


def _seen_twice(folders: Folders) -> str:
    """A picture finds itself: such probes say nothing of people who come back."""
    gallery = {digest for files in folders.references.values() for file in files if (digest := _digest(file)) is not None}
    twice = [probe.file for probe in folders.probes if _digest(probe.file) in gallery]
    if not twice:
        return ""
    return (
        f"WARNING: {len(twice)} of {len(folders.probes)} probes are pictures of the gallery itself, for example {twice[0]}. A picture "
        "finds itself, so the rates are better than they are for people who come back; take other pictures to search with."
    )


def _digest(file: Path) -> bytes | None:
    """Of the file's content; None where it cannot be read."""
    try:
        with file.open("rb") as source:
            return hashlib.file_digest(source, "sha256").digest()
    except (OSError, ValueError):
        return None


def _listed(files: Sequence[Path]) -> str:
    return f"{len(files)}: {', '.join(str(file) for file in files[:LISTED])}{', and more' if len(files) > LISTED else ''}"


def _most(rate: str, strangers: int) -> str:
    """How many strangers may be found at a rate."""
    most = int(float(rate) * strangers + 1e-9)
    return f"{most} of {strangers} strangers at most" if most else f"none of {strangers} strangers, who are too few to show so small a rate"


def _searched(probe: Probe, acquired: Acquired, gallery: Gallery) -> _Search:
    template = acquired.templates.get(probe.file)
    if template is None:
        return _Search(probe, "", -np.inf, -np.inf, -np.inf)
    candidates = gallery.identify(template)
    best = candidates[0]
    lead = best.score - candidates[1].score if len(candidates) > 1 else np.inf
    own = best.score if best.record.person == probe.person else -np.inf
    return _Search(probe, best.record.person, lead, best.score, own)


def _worst(
    known: Sequence[_Search], strangers: Sequence[_Search], folders: Folders, threshold: float, margin: float
) -> tuple[WorstCase, ...]:
    """Strangers who came nearest to somebody, then people who were missed."""

    def case(search: _Search, words: str, person: str) -> WorstCase:
        return WorstCase(f"{words} {search.score:.3f}", (search.probe.file, *folders.references.get(person, ())[:1]))

    found = []
    for search in sorted(strangers, key=lambda s: -s.score)[:WORST]:
        is_wrong = search.score >= threshold and search.lead >= margin
        found.append(case(search, f"{'WRONG' if is_wrong else 'nearest'}: a stranger as {search.best},", search.best))
    missed = [s for s in known if np.isfinite(s.score) and (s.own < threshold or s.lead < margin)]
    for search in sorted(missed, key=lambda s: (s.best == s.probe.person, s.score))[:WORST]:
        person = search.probe.person or ""
        words = "MISSED" if search.best == person else f"MISSED, nearest {search.best}"
        found.append(case(search, f"{words}: {person},", person))
    return tuple(found)
