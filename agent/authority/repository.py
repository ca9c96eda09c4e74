"""The signed releases of an authority: a TUF repository in a folder (docs/adr/0006).

    metadata/1.root.json 1.targets.json N.enrol.json N.snapshot.json timestamp.json      targets/enrol/SHA256.roster.cbor

A release has one number: of its document, of `enrol`, of the snapshot and of the time stamp. Files with a number never change; only
timestamp.json is replaced, last, so a reader sees a whole release or the one before.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from securesystemslib.signer import SSlibKey
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import (
    TOP_LEVEL_ROLE_NAMES,
    DelegatedRole,
    Delegations,
    Key,
    Metadata,
    MetaFile,
    Role,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

from agent.authority.errors import PublishError
from agent.authority.files import write_whole
from agent.authority.keys import KeyRing, Quorum
from agent.roster.folder import METADATA, TARGETS, TIMESTAMP, FolderRepository
from agent.roster.trust import ENROL, NO_FLOORS, REVOKE, TARGET, Release, verify

CEREMONY_DAYS: Final = 730
"""How long root and targets stay valid; people have to come together to renew them."""

_DAY_S: Final = 86_400
_DELEGATED: Final = (ENROL, REVOKE)
_NUMBERED: Final = re.compile(r"([0-9]{1,16})\.[a-z]+\.json")


@dataclass(frozen=True, slots=True)
class Times:
    """Of one release, seconds since 1970. It may be installed until `stale_after_s` and used until `expires_s`."""

    issued_s: int
    stale_after_s: int
    expires_s: int


class Repository:
    """The repository in a folder.

    Args:
        ring: the private keys that are at hand.
    """

    def __init__(self, folder: Path, ring: KeyRing) -> None:
        self.folder = folder
        self._ring = ring

    # --- what stands there ---

    def root(self) -> Metadata[Root]:
        return self._newest(Root.type)

    def first_root(self) -> bytes:
        """The root to install on gates; later ones reach them with the releases."""
        return self._bytes("1.root.json")

    def version(self) -> int:
        """Of the newest release; 0 before the first."""
        file = self.folder / TIMESTAMP
        return int(self._read(file.name).signed.version) if file.exists() else 0

    def valid_until_s(self) -> int:
        """When people have to come together to renew root and targets, seconds since 1970."""
        return min(int(each.signed.expires.timestamp()) for each in (self.root(), self._targets()))

    def quorum(self, role: str) -> Quorum:
        """How many signatures a role needs, of how many keys."""
        row = self._row(role)
        return Quorum(row.threshold, len(row.keyids))

    def key_ids(self, role: str) -> set[str]:
        """The keys of a role that are in force."""
        return set(self._row(role).keyids)

    def _row(self, role: str) -> Role:
        return _delegated(self._targets().signed)[role] if role in _DELEGATED else self.root().signed.roles[role]

    def _targets(self) -> Metadata[Targets]:
        return self._newest(Targets.type)

    def _newest(self, role: str) -> Metadata[Any]:
        """The metadata of a role with the highest number; files of other names do not count."""
        numbers = [int(number) for number in numbers_of(self.folder, role)]
        if not numbers:
            raise PublishError(
                f"{self.folder / METADATA} holds no {role} metadata; if 'gate-roster init' was run here, restore the folder from the backup"
            )
        return self._read(f"{max(numbers)}.{role}.json")

    def _read(self, name: str) -> Metadata[Any]:
        data = self._bytes(name)
        try:
            return Metadata.from_bytes(data)
        except RepositoryError as error:
            raise PublishError(f"{self.folder / METADATA / name} is damaged ({error}); restore the folder from the backup") from error

    def _bytes(self, name: str) -> bytes:
        file = self.folder / METADATA / name
        try:
            return file.read_bytes()
        except FileNotFoundError as error:
            raise PublishError(f"{file} is not there; restore the authority's folder from the backup") from error
        except OSError as error:
            raise PublishError(f"{file} cannot be read ({error.strerror}); mend its rights or the disk") from error

    # --- who may sign ---

    def found(self, keys: Mapping[str, tuple[SSlibKey, ...]], quorums: Mapping[str, Quorum], *, now_s: int) -> None:
        """Write the first root and targets."""
        root = Root(version=1, expires=_when(now_s + CEREMONY_DAYS * _DAY_S), consistent_snapshot=True)
        for role in TOP_LEVEL_ROLE_NAMES:
            holder = _holder(role)
            _appoint(root, role, keys[holder], quorums[holder].threshold)
        first = self._signed_root(root, before=None)
        roles = {
            role: DelegatedRole(role, [key.keyid for key in keys[role]], quorums[role].threshold, terminating=True, paths=[f"{role}/*"])
            for role in _DELEGATED
        }
        known: dict[str, Key] = {key.keyid: key for role in _DELEGATED for key in keys[role]}
        targets = self._signed_targets(Targets(version=1, delegations=Delegations(known, roles)), root=root, now_s=now_s)
        for each in (first, targets):
            self._write(_file_name(each), each)

    def open_keys(self, roles: Iterable[str]) -> None:
        """Open the keys of these roles, so that nobody is asked for a passphrase later. Raises AuthorityError: too few."""
        for role in roles:
            row = self._row(role)
            self._ring.signers(role, key_ids=set(row.keyids), threshold=row.threshold)

    def appoint(self, role: str, keys: tuple[SSlibKey, ...], quorum: Quorum, *, now_s: int) -> None:
        """Replace the keys of a role; those it had are of no use afterwards. Publish a release to bring it to the gates."""
        if role in _DELEGATED:
            self._appoint_delegated(role, keys, quorum, now_s=now_s)
            return
        before = self.root().signed
        root = self.root().signed
        root.version += 1
        root.expires = _when(now_s + CEREMONY_DAYS * _DAY_S)
        for each in TOP_LEVEL_ROLE_NAMES:
            if _holder(each) == role:
                _appoint(root, each, keys, quorum.threshold)
        signed: list[Metadata[Any]] = [self._signed_root(root, before=before)]
        if role == Root.type:
            targets = self._targets().signed
            targets.version += 1
            signed.append(self._signed_targets(targets, root=root, now_s=now_s))
        for each_signed in signed:  # only now: a passphrase that is wrong must not leave a root without its targets
            self._write(_file_name(each_signed), each_signed)

    def _appoint_delegated(self, role: str, keys: tuple[SSlibKey, ...], quorum: Quorum, *, now_s: int) -> None:
        targets = self._targets().signed
        roles = _delegated(targets)
        roles[role].keyids, roles[role].threshold = [key.keyid for key in keys], quorum.threshold
        named = {key_id for each in roles.values() for key_id in each.keyids}
        assert targets.delegations is not None
        every: dict[str, Key] = {**targets.delegations.keys, **{key.keyid: key for key in keys}}
        targets.delegations.keys = {key_id: key for key_id, key in every.items() if key_id in named}
        targets.version += 1
        metadata = self._signed_targets(targets, root=self.root().signed, now_s=now_s)
        self._write(_file_name(metadata), metadata)

    def _signed_root(self, root: Root, *, before: Root | None) -> Metadata[Root]:
        """A root is signed by itself and, so that gates can follow, by the one before."""
        metadata = Metadata(root)
        signers = {}
        for each in (before, root):
            if each is not None:
                row = each.roles[Root.type]
                for signer in self._ring.signers(Root.type, key_ids=set(row.keyids), threshold=row.threshold):
                    signers[signer.public_key.keyid] = signer
        for signer in signers.values():
            metadata.sign(signer, append=True)
        return metadata

    def _signed_targets(self, targets: Targets, *, root: Root, now_s: int) -> Metadata[Targets]:
        targets.expires = _when(now_s + CEREMONY_DAYS * _DAY_S)
        return self._signed(targets, Root.type, root.roles[Targets.type])

    # --- releases ---

    def publish(self, document: bytes, *, version: int, times: Times) -> Release:
        """Sign a release, verify it as a gate would, and only then make it the newest.

        Raises:
            PublishError: the version is not above the newest, or the disk would not take it; its number is not used again.
            AuthorityError: too few keys.
            RosterError: a gate would refuse it.
        """
        before = self.version()
        if version <= before:
            raise PublishError(f"version {version} is not above {before}, which is published; a version is never used twice")
        try:
            newest = self.sign(document, version=version, times=times)
            offered = _Staged(self.folder, newest)
            release = verify(offered, root=self.first_root(), kept={}, floors=NO_FLOORS, now_s=times.issued_s)
            write_whole(self.folder / TIMESTAMP, newest)
        except OSError as error:
            raise PublishError(
                f"release {version} is not published: {self.folder} cannot be written ({error.strerror}); "
                "the one before stays; mend it and release again, under the next number"
            ) from error
        return release

    def sign(self, document: bytes, *, version: int, times: Times) -> bytes:
        """Write the numbered files of a release; returns the time stamp that would put it in force. Raises AuthorityError: too few keys."""
        root, targets = self.root().signed, self._targets().signed
        write_whole(self.folder / TARGETS / document_name(document), document)
        info = TargetFile.from_data(TARGET, document, ["sha256"])
        enrol = Targets(version=version, expires=_when(times.expires_s), targets={TARGET: info})
        enrol_file = self._write(f"{version}.enrol.json", self._signed(enrol, ENROL, _delegated(targets)[ENROL]))
        targets_file = (self.folder / METADATA / f"{targets.version}.targets.json").read_bytes()
        meta = {
            "targets.json": MetaFile.from_data(targets.version, targets_file, ["sha256"]),
            "enrol.json": MetaFile.from_data(version, enrol_file, ["sha256"]),
        }
        snapshot = Snapshot(version=version, expires=_when(times.stale_after_s), meta=meta)
        snapshot_file = self._write(f"{version}.snapshot.json", self._signed(snapshot, Snapshot.type, root.roles[Snapshot.type]))
        row = MetaFile.from_data(version, snapshot_file, ["sha256"])
        timestamp = Timestamp(version=version, expires=_when(times.stale_after_s), snapshot_meta=row)
        return self._signed(timestamp, Timestamp.type, root.roles[Timestamp.type]).to_bytes()

    def _signed(self, signed: Targets | Snapshot | Timestamp, holder: str, row: Any) -> Metadata[Any]:
        metadata: Metadata[Any] = Metadata(signed)
        for signer in self._ring.signers(holder, key_ids=set(row.keyids), threshold=row.threshold):
            metadata.sign(signer, append=True)
        return metadata

    def _write(self, name: str, metadata: Metadata[Any]) -> bytes:
        data = metadata.to_bytes()
        write_whole(self.folder / METADATA / name, data)
        return data


class _Staged(FolderRepository):
    """The repository as it would be once the new time stamp is in place."""

    def __init__(self, folder: Path, timestamp: bytes) -> None:
        super().__init__(folder)
        self._timestamp = timestamp

    def _fetch(self, url: str) -> Iterator[bytes]:
        return iter((self._timestamp,)) if url == TIMESTAMP else super()._fetch(url)


def numbers_of(folder: Path, role: str) -> Iterator[str]:
    """The numbers of a role's metadata in a repository, `N.ROLE.json`; files of other names are not ours."""
    for file in (folder / METADATA).glob(f"*.{role}.json"):
        if found := _NUMBERED.fullmatch(file.name):
            yield found[1]


def document_name(document: bytes) -> str:
    """Where a release's document lies under targets/."""
    role, _, name = TARGET.partition("/")
    return f"{role}/{hashlib.sha256(document).hexdigest()}.{name}"


def _file_name(metadata: Metadata[Any]) -> str:
    return f"{metadata.signed.version}.{metadata.signed.type}.json"


def _holder(role: str) -> str:
    """Whose keys sign for a top-level role."""
    return Root.type if role == Targets.type else role


def _appoint(root: Root, role: str, keys: tuple[SSlibKey, ...], threshold: int) -> None:
    for key_id in list(root.roles[role].keyids):
        root.revoke_key(key_id, role)
    for key in keys:
        root.add_key(key, role)
    root.roles[role].threshold = threshold


def _delegated(targets: Targets) -> dict[str, DelegatedRole]:
    if targets.delegations is None or targets.delegations.roles is None:
        raise PublishError("the authority's targets name no operators; restore its folder from the backup")
    return targets.delegations.roles


def _when(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
