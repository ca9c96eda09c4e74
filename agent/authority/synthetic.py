"""Made-up people, for tests, the demo and the bench: random templates, real signatures, real encryption. Nobody's face.

The rule that a pack default permits 300 people is not weakened here: a larger signed release is verified and decoded like any other and
then refused by `trust.admit`; the bench builds its gallery of 15,000 people with `gallery` and never claims that a release carried it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np

from agent.authority import keys
from agent.authority.export import export
from agent.authority.keys import KEYED_ROLES, SINGLE, KeyRing, Quorum
from agent.authority.repository import Repository, Times
from agent.biometrics.calibration import Calibration, Method
from agent.biometrics.gallery import Enrolled, Gallery, build
from agent.biometrics.template import F32, Metric
from agent.core.identity import AccessRecord, AccessRule, Area, Interval, PersonId, PersonStatus
from agent.core.inputs import CalibrationKind, SampleQuality
from agent.roster import codec
from agent.roster.document import TIME_MAX_S, KeyNotice, Person, Roster, TemplateForm
from agent.roster.secrecy import Binding, SiteKey, new_key, seal
from agent.roster.trust import Release

DAY_S: Final = 86_400
FORM: Final = TemplateForm(length=128, metric=Metric.EUCLIDEAN)
CALIBRATION: Final = Calibration(kind=CalibrationKind.PACK_DEFAULT, method=Method.PLAIN, k=30, threshold=-0.5, margin=0.03, people_max=300)
AREAS: Final = (Area("park-a"), Area("bridge"), Area("park-b"))
ALWAYS: Final = (Interval(weekdays=127, start_minute=0, end_minute=1440),)
_ROUTES: Final = (("park-a", "bridge"), ("bridge", "park-a"), ("bridge", "park-b"), ("park-b", "bridge"))
LEVELS: Final[Mapping[str, tuple[AccessRule, ...]]] = MappingProxyType(
    {"always": tuple(AccessRule(origin=Area(a), destination=Area(b), schedule=ALWAYS, utc_offset_minutes=480) for a, b in _ROUTES)}
)
QUALITY: Final = SampleQuality(eye_distance_px=80.0, yaw=0.05, blur=150.0, brightness=118.0, clipped=0.01)


def templates(people: int, *, length: int = FORM.length, references: int = 3, seed: int = 1) -> Sequence[F32]:
    """References (references, length) of so many people: a random point of unit length each, and small departures from it."""
    random = np.random.default_rng(seed)
    centres = random.standard_normal((people, 1, length), dtype=np.float32)
    centres /= np.linalg.norm(centres, axis=2, keepdims=True)
    noise = random.standard_normal((people, references, length), dtype=np.float32) * np.float32(0.2 / np.sqrt(length))
    return list(centres + noise)


def name(number: int) -> PersonId:
    return PersonId(f"synthetic-{number:06d}")


def gallery(people: int, *, pack: str, form: TemplateForm = FORM, calibration: Calibration = CALIBRATION, seed: int = 1) -> Gallery:
    """A gallery of any size for measuring, made without a release."""
    rows = [
        Enrolled(AccessRecord(name(i), PersonStatus.ACTIVE, 0, TIME_MAX_S, LEVELS["always"]), each)
        for i, each in enumerate(templates(people, length=form.length, seed=seed))
    ]
    return build(rows, metric=form.metric, calibration=replace(calibration, people_max=max(people, 1)), version=1, pack=pack)


def roster(
    people: int, *, key: SiteKey, site: str, pack: str, version: int, times: Times, form: TemplateForm = FORM, seed: int = 1
) -> Roster:
    """A roster of made-up people, references sealed."""
    rows = []
    for number, each in enumerate(templates(people, length=form.length, seed=seed)):
        binding = Binding(site=site, pack=pack, epoch=1, person=name(number), revision=1)
        rows.append(
            Person(
                id=binding.person,
                revision=1,
                status=PersonStatus.ACTIVE,
                not_before_s=0,
                not_after_s=TIME_MAX_S,
                levels=("always",),
                quality=(QUALITY,) * len(each),
                sealed=seal(key, each, form=form, binding=binding),
            )
        )
    return Roster(
        site=site,
        version=version,
        issued_s=times.issued_s,
        stale_after_s=times.stale_after_s,
        expires_s=times.expires_s,
        pack=pack,
        form=form,
        calibration=CALIBRATION,
        key=KeyNotice(epoch=1, id=key.id),
        areas=AREAS,
        levels=LEVELS,
        people=tuple(rows),
    )


class SyntheticAuthority:
    """An authority of made-up people in a folder.

    Attributes:
        key: of the site.
        repository: its releases; `repository.first_root()` is what gates trust.
    """

    def __init__(self, folder: Path, *, site: str = "site", pack: str = "pack-000000000000", now_s: int) -> None:
        self.folder = folder
        self.site = site
        self.pack = pack
        self.now_s = now_s
        self.key = new_key()
        self._generation = 1
        quorums = dict.fromkeys(KEYED_ROLES, SINGLE)
        public = keys.generate(folder / "keys", quorums, generation=1, passphrase=None)
        self.repository = Repository(folder / "repository", KeyRing(folder / "keys", passphrase=_no_passphrase))
        self.repository.found(public, quorums, now_s=now_s)

    def times(self) -> Times:
        return Times(issued_s=self.now_s, stale_after_s=self.now_s + 7 * DAY_S, expires_s=self.now_s + 30 * DAY_S)

    def publish(self, people: int = 3, *, version: int | None = None, seed: int = 1) -> Release:
        """Sign a release of so many made-up people."""
        version = version or self.repository.version() + 1
        return self.repository.publish(self.document(people, version=version, seed=seed), version=version, times=self.times())

    def document(self, people: int, *, version: int, seed: int = 1) -> bytes:
        return codec.encode(roster(people, key=self.key, site=self.site, pack=self.pack, version=version, times=self.times(), seed=seed))

    def export(self, destination: Path) -> int:
        return export(self.repository.folder, destination)

    def rotate(self, role: str, quorum: Quorum = SINGLE) -> None:
        """Give a role new keys."""
        self._generation += 1
        public = keys.generate(self.folder / "keys", {role: quorum}, generation=self._generation, passphrase=None)
        self.repository.appoint(role, public[role], quorum, now_s=self.now_s)


def _no_passphrase(_what: str) -> bytes:
    raise AssertionError("keys of a synthetic authority are not encrypted")
