"""Enrolling a folder of people: one sub-folder each, its name their identifier.

A person is refused where no picture serves, where the pictures show several people, or where somebody else is enrolled with the same
face; nothing new of them is kept then, and what was enrolled before stays.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np

from agent.authority.authority import Authority
from agent.authority.doubles import Alike, KnownFaces
from agent.authority.enrolment import SUFFIXES, Picture, Portraits, Sampler, portraits
from agent.authority.errors import RegisterError
from agent.authority.person_file import FILE, PersonPlan, load_person
from agent.authority.register import Bound
from agent.biometrics.calibration import PackDefaults
from agent.biometrics.template import F32, fuse
from agent.core.identity import PersonId, PersonStatus
from agent.errors import UsageError
from agent.roster.document import TIME_MAX_S, Person
from agent.roster.fields import IDENTIFIER
from agent.roster.secrecy import seal, unseal
from agent.settings import toml_value
from agent.vision.sampler import Sample

WANTED_PICTURES: Final = 3
"""Fewer are taken with a warning: the mean of three misses a rightful person a third as often as one picture does."""

ANOTHER: Final = 1.5
"""Distance of a person's new mean to the one that was enrolled, over the pack's plain threshold, from which it is somebody else's."""

LOOKALIKES_NAMED: Final = 3  # of one person, the nearest
PASSED_OVER_NAMED: Final = 5  # files that are no pictures

Progress = Callable[[int, int, str], None]
"""Told before each person how many are done, how many there are, and who is next."""


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What became of one person.

    Attributes:
        refused: why the person is not enrolled; None when they are.
        warnings: what an operator should look at.
        replaced: references of an earlier enrolment, which are gone.
        alike: people with nearly the same face, of whom nobody has said that they are two.
    """

    person: str
    pictures: tuple[Picture, ...]
    refused: str | None
    warnings: tuple[str, ...] = ()
    replaced: int = 0
    alike: tuple[Alike, ...] = ()

    @property
    def references(self) -> int:
        return sum(picture.reason is None for picture in self.pictures)


def enrol(
    authority: Authority, folder: Path, *, sampler: Sampler, bound: Bound, defaults: PackDefaults, now_s: int, progress: Progress
) -> Iterator[Enrolment]:
    """Enrol everybody in a folder; each person is in the register when what became of them is given.

    bound: the pack that the sampler runs. defaults: what its manifest says of comparison; see doubles.

    Raises:
        UsageError: no such folder, or nobody in it.
        RegisterError: the register is bound to another pack.
    """
    folders = _people_in(folder)
    authority.register.bind(bound)
    named = frozenset(each.name for each in folders)
    enrolling = _Enrolling(authority, named, sampler=sampler, bound=bound, defaults=defaults, now_s=now_s)
    for number, each in enumerate(folders):
        progress(number, len(folders), each.name)
        yield enrolling.person(each)


def _people_in(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder; give one with a sub-folder for each person")
    folders = sorted(each for each in folder.iterdir() if each.is_dir() and not each.name.startswith("."))
    if not folders:
        raise UsageError(f"{folder} holds no sub-folders; make one for each person, named by their identifier")
    return folders


class _Enrolling:
    """One run of `enrol`: knows everybody who is in the register. named: who is to be enrolled."""

    def __init__(
        self, authority: Authority, named: frozenset[str], *, sampler: Sampler, bound: Bound, defaults: PackDefaults, now_s: int
    ) -> None:
        self._named = named
        self._authority = authority
        self._revisions = authority.register.revisions()  # first: who is removed from now on stays removed
        self._sampler = sampler
        self._bound = bound
        self._same_face = defaults.threshold_plain
        self._now_s = now_s
        self._key = authority.key()
        self._known = KnownFaces(self._enrolled(), metric=sampler.metric, defaults=defaults)
        self._before = {person.id: person for person in authority.register.people()}

    def _enrolled(self) -> Iterator[tuple[str, F32]]:
        for person in self._authority.register.people():
            binding = self._authority.binding(person.id, person.revision, pack=self._bound.pack)
            references = unseal(self._key, person.sealed, form=self._bound.form, binding=binding)
            yield person.id, fuse(references, self._sampler.metric)

    def person(self, folder: Path) -> Enrolment:
        done = self._person(folder)
        if done.refused is None:
            return done
        try:
            now = self._authority.register.person(folder.name)
        except RegisterError:  # nobody, or removed meanwhile
            return done
        stays = (
            f"what was enrolled before stays in force ({now.status}, until {self._day(now.not_after_s - 1)}); "
            f"to end it: gate-roster suspend {now.id}"
        )
        return replace(done, warnings=(*done.warnings, stays))

    def _person(self, folder: Path) -> Enrolment:
        name = folder.name
        if not IDENTIFIER.fullmatch(name):
            return Enrolment(name, (), "the folder's name is no identifier; use 1 to 64 letters, digits, '.', '_' or '-'")
        try:
            plan = load_person(folder, self._authority.plan, now_s=self._now_s)
        except UsageError as error:
            return Enrolment(name, (), str(error))
        try:
            seen = portraits(folder, self._sampler, same_face=self._same_face, same_person=plan.same_person)
        except OSError as error:
            return Enrolment(name, (), f"the folder cannot be read ({error.strerror})")
        why = _no_picture(seen, file=folder / FILE)
        if why is not None:
            return Enrolment(name, seen.pictures, why, _passed_over(seen, plan))
        samples = tuple(seen.samples.values())
        mean = fuse(np.stack([sample.template for sample in samples]), self._sampler.metric)
        alike = self._known.alike(name, mean)
        unsaid = tuple(each for each in alike if each.person not in plan.lookalike_of)
        why = self._another_face(name, mean) or _same_face(unsaid, file=folder / FILE)
        if why is not None:
            return Enrolment(name, seen.pictures, why)
        before = self._before.get(PersonId(name))
        warnings = [*self._warnings(seen, plan, alike), *_passed_over(seen, plan)]
        stored = self._store(name, plan, samples)
        if stored is not None:
            self._known.put(name, mean)
            if stored.status is PersonStatus.SUSPENDED:
                warnings.append("is suspended and stays so; see: gate-roster resume")
        refused = None if stored else "was removed while this enrolment ran; if they shall be enrolled after all, enrol again"
        return Enrolment(name, seen.pictures, refused, tuple(warnings), 0 if before is None else len(before.quality), unsaid)

    def _warnings(self, seen: Portraits, plan: PersonPlan, alike: Sequence[Alike]) -> Iterator[str]:
        """What an operator should look at, of somebody who is enrolled."""
        for each in alike[:LOOKALIKES_NAMED]:
            yield _lookalike_sentence(each, is_two=each.person in plan.lookalike_of)
        if len(seen.samples) < WANTED_PICTURES:
            yield f"only {len(seen.samples)} picture(s) serve; with {WANTED_PICTURES} the gate knows a person better at once"
        for other in plan.lookalike_of:
            if other not in self._named and self._known.mean(other) is None:
                yield f"lookalike_of names '{other}', who is nobody; see: gate-roster list"
        if plan.not_after_s <= self._now_s:
            yield f"no gate lets them through: the last day was {self._day(plan.not_after_s - 1)}; see valid_until in {FILE}"

    def _another_face(self, name: str, mean: F32) -> str | None:
        """Why a name that is taken cannot be this face's."""
        earlier = self._known.mean(name)
        if earlier is None or (apart := self._known.distance(mean, earlier)) <= ANOTHER * self._same_face:
            return None
        return (
            f"another face is enrolled under this name (distance {apart:.2f}); if it is another person give them another name, "
            f"if the earlier pictures were wrong run: gate-roster remove {name}, and enrol again"
        )

    def _day(self, seconds: int) -> str:
        """Of the site."""
        return datetime.fromtimestamp(min(seconds + self._authority.plan.site.utc_offset_minutes * 60, TIME_MAX_S), UTC).strftime(
            "%Y-%m-%d"
        )

    def _store(self, name: str, plan: PersonPlan, samples: Sequence[Sample]) -> Person | None:
        """Returns the person's record once it is written; None where somebody has removed them since this enrolment began."""
        references, form = np.stack([sample.template for sample in samples]), self._bound.form

        def made(before: Person | None, revision: int) -> Person:
            if before is None and revision != self._revisions.get(name, 0) + 1:
                raise _RemovedMeanwhileError(name)
            binding = self._authority.binding(name, revision, pack=self._bound.pack)
            return Person(
                id=PersonId(name),
                revision=revision,
                status=PersonStatus.ACTIVE if before is None else before.status,  # as it is now: a suspension may have come meanwhile
                not_before_s=plan.not_before_s,
                not_after_s=plan.not_after_s,
                levels=plan.levels,
                group=plan.group,
                quality=tuple(sample.quality for sample in samples),
                sealed=seal(self._key, references, form=form, binding=binding),
            )

        try:
            return self._authority.register.change(name, made, now_s=self._now_s)
        except _RemovedMeanwhileError:
            return None


def _no_picture(seen: Portraits, *, file: Path) -> str | None:
    """Why a person's pictures make no reference. file: their person.toml."""
    if seen.groups:
        look = "; ".join(f"group {number}: {group}" for number, group in enumerate(seen.groups, start=1))
        one_of_each = toml_value(tuple(group.files[0] for group in seen.groups))
        return (
            f"the pictures look like {len(seen.groups)} people ({look}); take out what is somebody else's, or take new ones; "
            f"if you have looked and it is one person, write same_person = {one_of_each} in {file}"
        )
    if seen.samples:
        return None
    why = "see the reason of each, and take new ones" if seen.pictures else f"the folder holds none ({', '.join(sorted(SUFFIXES))})"
    return f"no picture serves; {why}"


def _same_face(others: Sequence[Alike], *, file: Path) -> str | None:
    """Why a face cannot be enrolled once more. file: the person.toml of the second name."""
    same = next((each for each in others if each.is_one), None)
    if same is None:
        return None
    return (
        f"the same face is enrolled as '{same.person}' ({same.figures}); keep one of the two names, "
        f'or if they are two people write lookalike_of = ["{same.person}"] in {file}'
    )


def _lookalike_sentence(other: Alike, *, is_two: bool) -> str:
    begin = f"looks like '{other.person}' ({other.figures})"
    if is_two:
        return f"{begin}, who is somebody else; the gate may ask for another try"
    return (
        f"{begin}; if it is one person under two names, gate-roster remove one and put all pictures in the other's folder; "
        "if they are two, the gate may ask for another try"
    )


def _passed_over(seen: Portraits, plan: PersonPlan) -> tuple[str, ...]:
    """Warnings of what was in the folder, or in person.toml, and did not count."""
    found = []
    if seen.passed_over:
        named = ", ".join(f"'{name}'" for name in seen.passed_over[:PASSED_OVER_NAMED])
        more = len(seen.passed_over) - PASSED_OVER_NAMED
        kinds = ", ".join(sorted(SUFFIXES))
        found.append(f"not looked at: {named}{f' and {more} more' if more > 0 else ''}; a picture's name ends in one of {kinds}")
    files = {picture.file for picture in seen.pictures}
    found += [f"same_person names '{name}', which is no picture here" for name in plan.same_person if name not in files]
    return tuple(found)


class _RemovedMeanwhileError(Exception):
    """Stops the writing of a record of somebody who is no longer to be enrolled."""
