"""Enrolling a folder of people: one sub-folder each, its name their identifier.

A person is refused where no picture serves, or where somebody else is enrolled with the same face; nothing of them is kept then.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from agent.authority.authority import Authority
from agent.authority.enrolment import Picture, Sampler, portraits
from agent.authority.person_file import FILE, PersonPlan, load_person
from agent.authority.register import Bound
from agent.biometrics.comparison import distance_table
from agent.biometrics.template import F32, fuse
from agent.core.identity import PersonId, PersonStatus
from agent.errors import UsageError
from agent.roster.document import Person
from agent.roster.fields import IDENTIFIER
from agent.roster.secrecy import seal, unseal
from agent.vision.sampler import Sample

WANTED_PICTURES: Final = 3
"""Fewer are taken with a warning: the mean of three misses a rightful person a third as often as one picture does."""

ONE_FACE: Final = 0.75
"""Distance of two people's means, over the pack's plain threshold, up to which they are taken for one person under two names. Measured on
867 people with up to three pictures each: two pairs were nearer, one of them really one man under two names; of people whose pictures
were parted in two, nine in ten were (docs/adr/0014). The threshold itself would refuse one person in eight of so many."""

LOOKALIKE: Final = 1.1
"""Distance of two people's means, over the pack's plain threshold, below which they are reported as look-alikes."""
LOOKALIKES_NAMED: Final = 3  # of one person, the nearest

Progress = Callable[[int, int, str], None]
"""Told before each person how many are done, how many there are, and who is next."""


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What became of one person.

    Attributes:
        refused: why the person is not enrolled; None when they are.
        warnings: what an operator should look at.
    """

    person: str
    pictures: tuple[Picture, ...]
    refused: str | None
    warnings: tuple[str, ...] = ()

    @property
    def references(self) -> int:
        return sum(picture.reason is None for picture in self.pictures)


def enrol(
    authority: Authority, folder: Path, *, sampler: Sampler, bound: Bound, same_face: float, now_s: int, progress: Progress
) -> tuple[Enrolment, ...]:
    """Enrol everybody in a folder; each person is in the register as soon as they are done.

    bound: the pack that the sampler runs. same_face: its plain threshold, a distance; see ONE_FACE and LOOKALIKE.

    Raises:
        UsageError: no such folder, or nobody in it.
        RegisterError: the register is bound to another pack.
    """
    folders = _people_in(folder)
    authority.register.bind(bound)
    enrolling = _Enrolling(authority, sampler=sampler, bound=bound, same_face=same_face, now_s=now_s)
    done = []
    for number, each in enumerate(folders):
        progress(number, len(folders), each.name)
        done.append(enrolling.person(each))
    return tuple(done)


def _people_in(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder; give one with a sub-folder for each person")
    folders = sorted(each for each in folder.iterdir() if each.is_dir() and not each.name.startswith("."))
    if not folders:
        raise UsageError(f"{folder} holds no sub-folders; make one for each person, named by their identifier")
    return folders


class _Enrolling:
    """One run of `enrol`: knows everybody who is in the register, by the mean of their references."""

    def __init__(self, authority: Authority, *, sampler: Sampler, bound: Bound, same_face: float, now_s: int) -> None:
        self._authority = authority
        self._sampler = sampler
        self._bound = bound
        self._same_face = same_face
        self._now_s = now_s
        self._key = authority.key()
        self._means = dict(self._enrolled())
        self._status = {person.id: person.status for person in authority.register.people()}

    def _enrolled(self) -> Iterator[tuple[str, F32]]:
        for person in self._authority.register.people():
            binding = self._authority.binding(person.id, person.revision, pack=self._bound.pack)
            references = unseal(self._key, person.sealed, form=self._bound.form, binding=binding)
            yield person.id, fuse(references, self._sampler.metric)

    def person(self, folder: Path) -> Enrolment:
        name = folder.name
        if not IDENTIFIER.fullmatch(name):
            return Enrolment(name, (), "the folder's name is no identifier; use 1 to 64 letters, digits, '.', '_' or '-'")
        try:
            plan = load_person(folder, self._authority.plan, now_s=self._now_s)
        except UsageError as error:
            return Enrolment(name, (), str(error))
        seen = portraits(folder, self._sampler, same_face=self._same_face)
        if not seen.samples:
            return Enrolment(name, seen.pictures, "no picture serves; see the reason of each, and take new ones")
        samples = tuple(seen.samples.values())
        mean = fuse(np.stack([sample.template for sample in samples]), self._sampler.metric)
        alike = self._alike(name, mean)
        same = [(other, d) for other, d in alike if d <= ONE_FACE * self._same_face and other not in plan.lookalike_of]
        if same:
            return Enrolment(name, seen.pictures, self._same_face_sentence(*same[0], file=folder / FILE))
        warnings = [self._lookalike_sentence(other, d) for other, d in alike[:LOOKALIKES_NAMED]]
        if len(samples) < WANTED_PICTURES:
            warnings.append(f"only {len(samples)} picture(s) serve; with {WANTED_PICTURES} the gate knows a person better at once")
        if self._status.get(PersonId(name)) is PersonStatus.SUSPENDED:
            warnings.append("is suspended and stays so; see: gate-roster resume")
        self._store(name, plan, samples)
        self._means[name] = mean
        return Enrolment(name, seen.pictures, None, tuple(warnings))

    def _lookalike_sentence(self, other: str, distance: float) -> str:
        whose = "if it is one person under two names remove one; if not, " if distance <= self._same_face else ""
        return f"looks like '{other}' (distance {distance:.2f}); {whose}the gate may ask for another try"

    def _same_face_sentence(self, other: str, distance: float, *, file: Path) -> str:
        return (
            f"the same face is enrolled as '{other}' (distance {distance:.2f}; up to {ONE_FACE * self._same_face:.2f} is one person); "
            f'remove one of the two, or if they are two people write lookalike_of = ["{other}"] in {file}'
        )

    def _alike(self, name: str, mean: F32) -> list[tuple[str, float]]:
        """Other people who look alike, with their distance, nearest first."""
        others = [person for person in self._means if person != name]
        if not others:
            return []
        table = np.stack([self._means[person] for person in others])
        apart = distance_table(mean[None, :], table, metric=self._sampler.metric)[0].tolist()
        return sorted(((p, d) for p, d in zip(others, apart, strict=True) if d <= LOOKALIKE * self._same_face), key=lambda pair: pair[1])

    def _store(self, name: str, plan: PersonPlan, samples: Sequence[Sample]) -> None:
        register, form = self._authority.register, self._bound.form
        revision = register.next_revision(name)
        binding = self._authority.binding(name, revision, pack=self._bound.pack)
        person = Person(
            id=PersonId(name),
            revision=revision,
            status=self._status.get(PersonId(name), PersonStatus.ACTIVE),
            not_before_s=plan.not_before_s,
            not_after_s=plan.not_after_s,
            levels=plan.levels,
            group=plan.group,
            quality=tuple(sample.quality for sample in samples),
            sealed=seal(self._key, np.stack([sample.template for sample in samples]), form=form, binding=binding),
        )
        register.put(person, now_s=self._now_s)
