"""An authority's folder as one thing: made once, opened by every command."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from agent.authority import calibration_file, keys, plan, register
from agent.authority.calibration_file import CalibrationFile
from agent.authority.errors import AuthorityError, PublishError, RegisterError
from agent.authority.export import export
from agent.authority.files import write_whole
from agent.authority.founding import in_one_step
from agent.authority.keys import KEYED_ROLES, ONLINE, OPERATORS, ROOT, KeyRing, Passphrase, Quorum
from agent.authority.lock import locked
from agent.authority.register import Register
from agent.authority.repository import Repository, Times
from agent.biometrics.calibration import Calibration, PackDefaults, pack_default
from agent.core.identity import Area, PersonId, PersonStatus
from agent.roster import codec
from agent.roster.document import KeyNotice, Person, Roster
from agent.roster.people import with_cohort_halves
from agent.roster.secrecy import Binding, SiteKey, new_key, read_key, seal, unseal, write_key
from agent.roster.trust import ENROL

DAY_S: Final = 86_400
EPOCH: Final = 1
"""Of the site key. A new one, which retires a gate, is for a later version."""

_KEY_FILE: Final = "site.key"
RENEW_WARNING_DAYS: Final = 60

_SITE: Final = "site"
_KEY_ID: Final = "site_key"
_CALIBRATION: Final = "calibration"
"""Facts of the register: for which site and under which key references are sealed, and the digest of the measurement in force."""


@dataclass(frozen=True, slots=True)
class Published:
    """A release that is out of the register and in the repository.

    Attributes:
        before_s: when the release before was issued, by this machine's clock then; None: there was none.
    """

    version: int
    people: int
    calibration: str
    threshold: float
    times: Times
    valid_until_s: int  # when root and targets have to be renewed by then
    before_s: int | None


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
        self._ring = KeyRing(folder / "keys", passphrase=passphrase)
        self.repository = Repository(folder / "repository", self._ring)

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
        """Make an authority: a whole one, or nothing.

        Raises:
            AuthorityError: the folder is not empty, or cannot be written.
            ConfigError: a name that no gate accepts.
        """
        with in_one_step(folder, last=plan.FILE) as making:
            write_whole(making / plan.FILE, plan.example(site=site, pack=pack, simulation=simulation).encode())
            plan.load(making / plan.FILE)
            public = keys.generate(making / "keys", quorums, generation=1, passphrase=passphrase)
            key = new_key()
            write_key(making / _KEY_FILE, key)
            kept = Register.create(making / register.FILE)
            kept.keep(_SITE, site)
            kept.keep(_KEY_ID, key.id.hex())
            made = cls(making, passphrase=lambda _what: passphrase or b"")
            made.repository.found(public, quorums, now_s=now_s)
            write_whole(making / "root.json", made.repository.first_root())
        return cls(folder, passphrase=lambda _what: passphrase or b"")

    def key(self) -> SiteKey:
        """The site key. Raises AuthorityError: this key or site's name is not what the references are sealed for."""
        key = read_key(self.folder / _KEY_FILE)
        for name, found, what in (
            (_SITE, self.plan.site.name, f"{plan.FILE} names the site"),
            (_KEY_ID, key.id.hex(), f"{_KEY_FILE} is the key"),
        ):
            made = self.register.fact(name)
            if made is not None and made != found:
                raise AuthorityError(
                    f"{self.folder}: {what} '{found}', and everybody's references are encrypted for '{made}', so that no gate could open "
                    "them; put it back as it was. For another site or key make a new authority: gate-roster init"
                )
        return key

    # --- people ---

    def binding(self, person: str, revision: int, *, pack: str) -> Binding:
        return Binding(site=self.plan.site.name, pack=pack, epoch=EPOCH, person=PersonId(person), revision=revision)

    def set_status(self, name: str, status: PersonStatus, *, now_s: int) -> Person:
        """Suspend a person, or let them pass again; takes effect at the gates with the next release."""
        self.register.person(name)
        bound, key = self.register.bound(), self.key()
        assert bound is not None

        def changed(person: Person | None, revision: int) -> Person:
            if person is None:
                raise RegisterError(f"'{name}' was removed meanwhile; see: gate-roster list")
            before = self.binding(name, person.revision, pack=bound.pack)
            references = unseal(key, person.sealed, form=bound.form, binding=before)
            sealed = seal(key, references, form=bound.form, binding=replace(before, revision=revision))
            return replace(person, status=status, revision=revision, sealed=sealed)

        return self.register.change(name, changed, now_s=now_s)

    # --- releases ---

    def release(self, defaults: PackDefaults, *, now_s: int) -> Published:
        """Sign everybody who is enrolled as the next release; nobody, where everybody was removed since an earlier one.

        defaults: what the pack's manifest says of comparison.

        Where the roster was measured (calibration_file), the release carries that; else the pack's default.

        Raises:
            PublishError: nobody was ever enrolled, more people than the calibration permits, or root or targets have expired.
            AuthorityError, RosterError: see Repository.publish.
        """
        self.open_keys()
        with locked(self.folder, "release"):
            return self._release(defaults, now_s=now_s)

    def open_keys(self) -> None:
        """Ask for what a release needs to be signed, for as long as a person takes. Nobody waits meanwhile, and people are read after."""
        self.repository.open_keys((ENROL, *ONLINE))

    def _release(self, defaults: PackDefaults, *, now_s: int) -> Published:
        people, bound = self.register.people(), self.register.bound()
        if bound is None or (not people and not self.repository.version()):
            raise PublishError("nobody is enrolled; run: gate-roster enrol FOLDER")
        valid_until_s = self.repository.valid_until_s()
        if valid_until_s <= now_s:
            raise PublishError(
                f"root or targets of this authority expired at {_instant(valid_until_s)}, by this machine's clock, so no gate would take a "
                "release: run gate-roster rotate root, which renews both, then release again; or mend this machine's clock"
            )
        calibration, before_s = self._calibration(defaults, people=len(people), pack=bound.pack), self.register.last_issued_s()
        self._check_levels(people)
        times = Times(
            issued_s=now_s,
            stale_after_s=now_s + int(self.plan.release.stale_after_days * DAY_S),
            expires_s=now_s + int(self.plan.release.expires_days * DAY_S),
        )
        key = self.key()
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
            key=KeyNotice(epoch=EPOCH, id=key.id),
            areas=tuple(Area(area) for area in self.plan.site.areas),
            levels=self.plan.levels(),
            people=people,
            simulation=self.plan.site.simulation,
        )
        self.repository.publish(codec.encode(with_cohort_halves(roster, key)), version=version, times=times)
        self.register.published(version)
        return Published(
            version=version,
            people=len(people),
            calibration=str(calibration.kind),
            threshold=calibration.threshold_for(len(people)),
            times=times,
            valid_until_s=valid_until_s,
            before_s=before_s,
        )

    def _calibration(self, defaults: PackDefaults, *, people: int, pack: str) -> Calibration:
        measured = self.measurement() if people else None  # nobody can be mistaken for nobody, and everybody must be revocable
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

    def measurement(self) -> CalibrationFile | None:
        """What calibrate found. Raises AuthorityError: it is not what was kept."""
        return calibration_file.load(self.folder, digest=self.register.fact(_CALIBRATION))

    def keep_measurement(self, measured: CalibrationFile | None) -> None:
        """For the releases that follow. None: forget it; releases carry the pack's default."""
        with locked(self.folder, "calibrate"):
            if measured is None:
                (self.folder / calibration_file.FILE).unlink(missing_ok=True)
            self.register.keep(_CALIBRATION, None if measured is None else measured.save(self.folder))

    def export(self, destination: Path) -> int:
        """Copy the newest release to where gates look; returns its version. Raises PublishError: see export.export."""
        if not os.access(self.folder, os.W_OK):  # a backup on a disk that cannot be written: nobody else changes it either
            version = export(self.repository.folder, destination)
        else:
            with locked(self.folder, "export"):
                version = export(self.repository.folder, destination)
        os.sync()  # a stick is pulled out soon after
        return version

    def has_passphrase(self, role: str) -> bool:
        """Whether a role's keys are protected by one."""
        return role in OPERATORS and self._ring.is_encrypted(role, key_ids=self.repository.key_ids(role))

    def rotate(self, role: str, quorum: Quorum | None, *, passphrase: bytes | None, now_s: int) -> Quorum:
        """Give a role new keys; takes effect at the gates with the next release.

        quorum: None: as many as it has. Returns what the role has now.
        passphrase: of the new keys; None: they have none. See has_passphrase.
        """
        if role not in KEYED_ROLES:
            raise AuthorityError(f"'{role}' is not a role with keys; one of: {', '.join(KEYED_ROLES)}")
        folder = self.folder / "keys"
        self.repository.open_keys((ROOT,))  # asks for the passphrase of who appoints, before anybody has to wait
        with locked(self.folder, f"rotate {role}"):
            quorum = quorum or self.repository.quorum(role)
            generation = keys.next_generation(folder, role)
            try:
                public = keys.generate(folder, {role: quorum}, generation=generation, passphrase=passphrase)
                self.repository.appoint(role, public[role], quorum, now_s=now_s)
            except BaseException as error:
                if not keys.ids_of(folder, role, generation) & self.repository.key_ids(role):
                    keys.delete_generation(folder, role, generation)
                if isinstance(error, OSError):
                    raise AuthorityError(
                        f"{self.folder} cannot be written ({error.strerror}); make room or mend its rights, then rotate '{role}' again"
                    ) from error
                raise
        return quorum


def _instant(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
