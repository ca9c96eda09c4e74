"""An authority's folder as one thing: made once, opened by every command."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from agent.authority import calibration_file, keys, plan, register
from agent.authority.errors import AuthorityError, PublishError
from agent.authority.export import export
from agent.authority.files import write_whole
from agent.authority.keys import KEYED_ROLES, KeyRing, Passphrase, Quorum
from agent.authority.register import Register
from agent.authority.repository import Repository, Times
from agent.biometrics.calibration import Calibration, PackDefaults, pack_default
from agent.core.identity import Area, PersonId, PersonStatus
from agent.roster import codec
from agent.roster.document import KeyNotice, Person, Roster
from agent.roster.people import with_cohort_halves
from agent.roster.secrecy import Binding, SiteKey, new_key, read_key, seal, unseal, write_key

DAY_S: Final = 86_400
EPOCH: Final = 1
"""Of the site key. A new one, which retires a gate, is for a later version."""

RENEW_WARNING_DAYS: Final = 60


@dataclass(frozen=True, slots=True)
class Published:
    """A release that is out of the register and in the repository."""

    version: int
    people: int
    calibration: str
    threshold: float
    times: Times
    valid_until_s: int  # when root and targets have to be renewed by then


class Authority:
    """The folder of an authority.

    Attributes:
        plan: authority.toml.
        register: who is enrolled.
        repository: what is signed.
    """

    def __init__(self, folder: Path, *, passphrase: Passphrase) -> None:
        self.folder = folder
        self.plan = plan.load(folder / plan.FILE)
        self.register = Register(folder / register.FILE)
        self.repository = Repository(folder / "repository", KeyRing(folder / "keys", passphrase=passphrase))

    @classmethod
    def found(
        cls,
        folder: Path,
        *,
        site: str,
        pack: str,
        quorums: Mapping[str, Quorum],
        passphrase: bytes | None,
        now_s: int,
        simulation: bool = False,
    ) -> "Authority":
        """Make an authority. Raises AuthorityError: the folder is not empty."""
        if folder.exists() and any(folder.iterdir()):
            raise AuthorityError(f"{folder} is not empty; name a new folder (an authority is never made over another)")
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_whole(folder / plan.FILE, plan.example(site=site, pack=pack, simulation=simulation).encode())
        plan.load(folder / plan.FILE)
        public = keys.generate(folder / "keys", quorums, generation=1, passphrase=passphrase)
        write_key(folder / "site.key", new_key())
        Register.create(folder / register.FILE)
        authority = cls(folder, passphrase=lambda _what: passphrase or b"")
        authority.repository.found(public, quorums, now_s=now_s)
        write_whole(folder / "root.json", authority.repository.first_root())
        return authority

    def key(self) -> SiteKey:
        return read_key(self.folder / "site.key")

    # --- people ---

    def binding(self, person: str, revision: int, *, pack: str) -> Binding:
        return Binding(site=self.plan.site.name, pack=pack, epoch=EPOCH, person=PersonId(person), revision=revision)

    def set_status(self, name: str, status: PersonStatus, *, now_s: int) -> Person:
        """Suspend a person, or let them pass again; takes effect at the gates with the next release."""
        person = self.register.person(name)
        bound = self.register.bound()
        assert bound is not None
        key, revision = self.key(), self.register.next_revision(name)
        before = self.binding(name, person.revision, pack=bound.pack)
        references = unseal(key, person.sealed, form=bound.form, binding=before)
        sealed = seal(key, references, form=bound.form, binding=replace(before, revision=revision))
        changed = replace(person, status=status, revision=revision, sealed=sealed)
        self.register.put(changed, now_s=now_s)
        return changed

    # --- releases ---

    def release(self, defaults: PackDefaults, *, now_s: int) -> Published:
        """Sign everybody who is enrolled as the next release.

        defaults: what the pack's manifest says of comparison.

        Where the roster was measured (calibration_file), the release carries that; else the pack's default.

        Raises:
            PublishError: nobody is enrolled, or more people than the calibration permits.
            AuthorityError, RosterError: see Repository.publish.
        """
        people, bound = self.register.people(), self.register.bound()
        if not people or bound is None:
            raise PublishError("nobody is enrolled; run: gate-roster enrol FOLDER")
        calibration = self._calibration(defaults, people=len(people), pack=bound.pack)
        self._check_levels(people)
        times = Times(
            issued_s=now_s,
            stale_after_s=now_s + int(self.plan.release.stale_after_days * DAY_S),
            expires_s=now_s + int(self.plan.release.expires_days * DAY_S),
        )
        version = self.register.allocate_version(above=self.repository.version(), issued_s=now_s, people=len(people))
        roster = Roster(
            site=self.plan.site.name,
            version=version,
            issued_s=times.issued_s,
            stale_after_s=times.stale_after_s,
            expires_s=times.expires_s,
            pack=bound.pack,
            form=bound.form,
            calibration=calibration,
            key=KeyNotice(epoch=EPOCH, id=self.key().id),
            areas=tuple(Area(area) for area in self.plan.site.areas),
            levels=self.plan.levels(),
            people=people,
            simulation=self.plan.site.simulation,
        )
        self.repository.publish(codec.encode(with_cohort_halves(roster, self.key())), version=version, times=times)
        self.register.published(version)
        return Published(
            version=version,
            people=len(people),
            calibration=str(calibration.kind),
            threshold=calibration.threshold_for(len(people)),
            times=times,
            valid_until_s=self.repository.valid_until_s(),
        )

    def _calibration(self, defaults: PackDefaults, *, people: int, pack: str) -> Calibration:
        measured = calibration_file.load(self.folder)
        if measured is not None:
            if measured.pack != pack:
                raise PublishError(
                    f"the roster was measured with pack '{measured.pack}' and is now of '{pack}'; run: gate-roster calibrate"
                )
            return measured.calibration(people)
        default = pack_default(defaults, people=people)
        if people > default.people_max:
            raise PublishError(
                f"{people} people are enrolled; a pack's default threshold is for at most {default.people_max}, because it makes no claim "
                "how often a stranger is taken for somebody; measure on your own people: gate-roster calibrate"
            )
        return default

    def _check_levels(self, people: Sequence[Person]) -> None:
        known = self.plan.levels()
        for person in people:
            for level in person.levels:
                if level not in known:
                    raise PublishError(f"'{person.id}' has the access level '{level}', which {plan.FILE} does not define; define it there")

    def export(self, destination: Path) -> int:
        version = export(self.repository.folder, destination)
        os.sync()  # a stick is pulled out soon after
        return version

    def rotate(self, role: str, quorum: Quorum, *, passphrase: bytes | None, now_s: int) -> None:
        """Give a role new keys; takes effect at the gates with the next release."""
        if role not in KEYED_ROLES:
            raise AuthorityError(f"'{role}' is not a role with keys; one of: {', '.join(KEYED_ROLES)}")
        folder = self.folder / "keys"
        generation = 1 + max((int(file.stem.split("-")[1]) for file in folder.glob(f"{role}-*.pem")), default=0)
        public = keys.generate(folder, {role: quorum}, generation=generation, passphrase=passphrase)
        self.repository.appoint(role, public[role], quorum, now_s=now_s)
