"""Is this release signed, whole and new? python-tuf's client with three gaps closed that were measured (docs/adr/0006).

1. What may be trusted is kept by the caller in one durable place and handed in as `kept`; the client runs in a scratch folder under the
   embedded root. Floors say what was seen before, also where the kept metadata are damaged.
2. TUF says what may be installed. How long it may be used afterwards is our own: `freshness`.
3. The client does not read the machine's clock: every expiry is checked against one reference time, never before the newest signed
   issue time.

The rules, in order; each raises RosterError with its Reason and changes nothing:
    signed under the embedded root (WRONG_ROOT, TAMPERED), not expired (FREEZE, EXPIRED), not older than kept (ROLLBACK), whole (TAMPERED,
    UNREADABLE, TOO_LARGE), not below a floor (ROLLBACK); then `admit`: version as signed, this site, this pack, a permitted number of
    people, not expired, not issued later than a steered clock says.
"""

import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, cast

from tuf.api import exceptions as tuf_errors
from tuf.api.metadata import Metadata, Root, Snapshot, TargetFile, Targets, Timestamp
from tuf.api.serialization import DeserializationError
from tuf.ngclient import Updater, UpdaterConfig

from agent.biometrics.template import Metric
from agent.core.moment import ClockQuality, Moment
from agent.roster.document import DOCUMENT_BYTES_MAX, TIME_MAX_S, Roster
from agent.roster.errors import Reason, RosterError
from agent.roster.folder import METADATA, TARGETS, TIMESTAMP, KeptRepository, Repository

TARGET: Final = "enrol/roster.cbor"
"""The one target of a full release."""

ENROL: Final = "enrol"
"""The role that may sign `enrol/*`: it adds people."""
REVOKE: Final = "revoke"
"""The role that may sign `revoke/*`: it may only remove. Its targets are read by a later version."""

ROLES: Final = (Root.type, Timestamp.type, Snapshot.type, Targets.type, ENROL)
"""The roles whose versions have floors."""

METADATA_BYTES_MAX: Final = 512_000
AHEAD_MAX_S: Final = 86_400
"""How far ahead of a steered clock a release may be issued: a day covers a wrong time zone."""

_KEPT_NAME = re.compile(r"root_history/[0-9]{1,9}\.root\.json|(?:timestamp|snapshot|targets|enrol)\.json")


@dataclass(frozen=True, slots=True)
class Floors:
    """What this gate has seen; nothing older is taken. Kept in the same transaction as the release that raised them.

    Attributes:
        versions: of each role; empty before the first release.
        issued_s: signed issue time of the newest release: it cannot be earlier now. 0 before the first.
    """

    versions: Mapping[str, int]
    issued_s: int


NO_FLOORS: Final = Floors(versions=MappingProxyType({}), issued_s=0)


@dataclass(frozen=True, slots=True)
class Release:
    """A release that python-tuf has verified; its document is not yet read.

    Attributes:
        version: of the role `enrol`, which names the document.
        document: the file that was verified: the gate's own copy, which nobody exchanges before it is read.
        metadata: the client's own files by name (`root_history/2.root.json`, `timestamp.json`, ...), to be kept.
        versions: of each of ROLES.
    """

    version: int
    document: Path
    metadata: Mapping[str, bytes]
    versions: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Expected:
    """What a gate is set up for; a roster for anything else is refused."""

    site: str
    pack: str  # id of the model pack
    template_length: int
    metric: Metric
    simulation: bool = False  # only then a roster of made-up people is taken


class Freshness(StrEnum):
    FRESH = "fresh"
    STALE = "stale"  # usable; somebody should bring a new release
    EXPIRED = "expired"  # entry denies; the roster is kept, never deleted


def freshness(roster: Roster, now_s: int) -> Freshness:
    if now_s >= roster.expires_s:
        return Freshness.EXPIRED
    return Freshness.STALE if now_s >= roster.stale_after_s else Freshness.FRESH


def clock_s(moment: Moment) -> int:
    """Seconds since 1970 as far as the clock is known; 0 where it is not."""
    return min(max(moment.wall_s, 0), TIME_MAX_S) if moment.quality is not ClockQuality.UNKNOWN else 0


def raised(floors: Floors, release: Release, roster: Roster) -> Floors:
    """The floors once this release is in force. A new root sets the time floor anew: one wrong issue time must not last for ever."""
    issued_s = roster.issued_s if _has_new_root(release, floors) else max(roster.issued_s, floors.issued_s)
    return Floors(versions=release.versions, issued_s=issued_s)


def _has_new_root(release: Release, floors: Floors) -> bool:
    return release.versions[Root.type] > floors.versions.get(Root.type, 0)


# --- signed, whole and new --------------------------------------------------------------------------------------------------------


def verify_offer(repository: Repository, *, root: bytes, kept: Mapping[str, bytes], floors: Floors, moment: Moment) -> Release:
    """Fetch and verify the release that a repository offers.

    root: the embedded root, installed with the gate. kept: `Release.metadata` of the release in force; empty before the first.

    Raises:
        RosterError: it must not be taken; see the module's table.
    """
    now_s = clock_s(moment)
    try:
        return verify(repository, root=root, kept=kept, floors=floors, now_s=max(now_s, floors.issued_s))
    except RosterError as error:
        if error.reason not in (Reason.FREEZE, Reason.EXPIRED) or now_s >= floors.issued_s:
            raise
        # The time floor alone says that it is expired. The floor may be wrong (a future issue time was signed once): a new root resets it.
        release = verify(repository, root=root, kept=kept, floors=floors, now_s=now_s)
        if _has_new_root(release, floors):
            return release
        raise


def verify_kept(metadata: Mapping[str, bytes], document: Path, *, root: bytes, floors: Floors) -> Release:
    """Verify what the gate holds already, without the folder: signatures, hashes and floors, as of its issue time.

    Raises:
        RosterError: it is not what was installed.
    """
    repository = KeptRepository(timestamp=metadata.get("timestamp.json", b""), document=document)
    return verify(repository, root=root, kept=metadata, floors=floors, now_s=floors.issued_s)


def verify(repository: Repository, *, root: bytes, kept: Mapping[str, bytes], floors: Floors, now_s: int) -> Release:
    """As `verify_offer`, with every expiry checked against `now_s` (seconds since 1970)."""
    with _scratch() as scratch:
        _restore(scratch, kept)
        document = _fetched(repository, scratch, root=root, now_s=now_s)
        metadata = {
            str(file.relative_to(scratch)): file.read_bytes()
            for file in scratch.rglob("*.json")
            if not file.is_symlink() and _KEPT_NAME.fullmatch(str(file.relative_to(scratch)))
        }
        versions = {role: _metadata(scratch / f"{role}.json").signed.version for role in ROLES}
    _check_floors(versions, floors)
    return Release(version=versions[ENROL], document=document, metadata=MappingProxyType(metadata), versions=MappingProxyType(versions))


@contextmanager
def _scratch() -> Iterator[Path]:
    """A folder for the client's files, in memory where there is such a place."""
    parent = _MEMORY if os.access(_MEMORY, os.W_OK) else None
    try:
        with tempfile.TemporaryDirectory(prefix="gate-roster-", dir=parent) as name:
            yield Path(name)
    except OSError as error:
        raise RosterError(Reason.UNREADABLE, f"the scratch folder for verifying cannot be used ({error}); make room on the disk") from error


_MEMORY = "/dev/shm"  # noqa: S108  a fresh folder of our own is made in it


def _restore(scratch: Path, kept: Mapping[str, bytes]) -> None:
    (scratch / "root_history").mkdir()
    for file, data in kept.items():
        if not _KEPT_NAME.fullmatch(file):
            raise RosterError(Reason.DAMAGED_STORE, f"the trust file keeps metadata named {file!r:.80}, which no release has")
        (scratch / file).write_bytes(data)


def check_root(data: bytes) -> None:
    """Whether a file can be a gate's trusted root: signed by as many of its own keys as it asks for. Its expiry does not count.

    Raises:
        RosterError: WRONG_ROOT.
    """
    try:
        offered = Metadata.from_bytes(data)
        if not isinstance(offered.signed, Root):
            raise tuf_errors.RepositoryError(f"it is the metadata '{offered.signed.type}'")  # noqa: TRY301  one sentence for every fault
        offered.signed.verify_delegate(Root.type, offered.signed_bytes, offered.signatures)
    except (tuf_errors.RepositoryError, ValueError) as error:
        raise RosterError(Reason.WRONG_ROOT, f"this is not a trusted root ({error}); install the authority's root.json") from error


class _Client(Updater):
    """python-tuf's client with our reference time in place of the machine's clock."""

    def __init__(self, repository: Repository, scratch: Path, *, root: bytes, now_s: int) -> None:
        config = UpdaterConfig(
            max_delegations=4,
            root_max_length=METADATA_BYTES_MAX,
            timestamp_max_length=METADATA_BYTES_MAX,
            snapshot_max_length=METADATA_BYTES_MAX,
            targets_max_length=METADATA_BYTES_MAX,
        )
        super().__init__(str(scratch), METADATA, fetcher=repository, config=config, bootstrap=root)
        # The client takes it from the machine's clock and offers no argument; tests hold that this line is what decides.
        self._trusted_set.reference_time = datetime.fromtimestamp(now_s, UTC)

    def is_frozen(self) -> bool:
        """Whether a loaded time stamp or snapshot has expired: the release may be genuine, but nobody confirms that it is the newest."""
        loaded = (role for role in (Timestamp.type, Snapshot.type) if role in self._trusted_set)
        return any(self._trusted_set[role].is_expired(self._trusted_set.reference_time) for role in loaded)

    def key_ids(self) -> set[str]:
        """Keys that the trusted root, and who it names, still name."""
        known = set(self._trusted_set.root.keys)
        if Targets.type in self._trusted_set and self._trusted_set.targets.delegations is not None:
            known |= set(self._trusted_set.targets.delegations.keys)
        return known


def _fetched(repository: Repository, scratch: Path, *, root: bytes, now_s: int) -> Path:
    """Run the client; returns the verified document. Its files are left in the scratch folder."""
    try:
        client = _Client(repository, scratch, root=root, now_s=now_s)
    except tuf_errors.RepositoryError as error:
        raise RosterError(Reason.WRONG_ROOT, f"the gate's trusted root is not one ({error}); install the authority's root.json") from error
    try:
        info = client.get_targetinfo(TARGET)
        if info is None or cast("Targets", _metadata(scratch / f"{ENROL}.json").signed).targets.get(TARGET) != info:
            raise RosterError(Reason.MALFORMED, f"the release does not hold {TARGET}, signed by the role {ENROL}; sign and export it again")
        if info.length > DOCUMENT_BYTES_MAX:
            raise RosterError(Reason.TOO_LARGE, f"the roster has {info.length} bytes; the limit is {DOCUMENT_BYTES_MAX}")
        return _document(repository, info)
    except (tuf_errors.RepositoryError, tuf_errors.DownloadError, OSError) as error:
        raise _refusal(error, client, repository, now_s) from error


def _document(repository: Repository, info: TargetFile) -> Path:
    """The client's download_target: with consistent snapshots a target's file name begins with its hash."""
    role, _, name = info.path.partition("/")
    document = repository.document(f"{TARGETS}/{role}/{next(iter(info.hashes.values()))}.{name}", info.length)
    with document.open("rb") as source:
        info.verify_length_and_hashes(source)  # of the copy, as it will be read
    return document


def _refusal(error: Exception, client: _Client, repository: Repository, now_s: int) -> RosterError:
    """python-tuf's exception in our words."""
    url, data = repository.last
    match error:
        case tuf_errors.ExpiredMetadataError():
            reason = Reason.FREEZE if client.is_frozen() else Reason.EXPIRED
            when = datetime.fromtimestamp(now_s, UTC).isoformat(timespec="seconds")
            sentence = f"the offered release has expired ({error}), as of {when}; sign and export a new one, and check this gate's clock"
        case tuf_errors.BadVersionNumberError():
            reason, sentence = Reason.ROLLBACK, f"the offered release is older than what this gate has seen ({error}); export the newest"
        case tuf_errors.UnsignedMetadataError() if not _signers(data) & client.key_ids():
            reason = Reason.WRONG_ROOT
            sentence = f"{url} is signed by keys that this gate's root does not name: another authority, or a revoked key"
        case tuf_errors.UnsignedMetadataError():
            reason, sentence = Reason.TAMPERED, f"{url} lacks valid signatures ({error}): changed since it was signed, or by too few"
        case DeserializationError():
            reason, sentence = Reason.UNREADABLE, f"{url} is not TUF metadata; export the release again"
        case tuf_errors.DownloadLengthMismatchError() if url == TIMESTAMP or url.endswith(".root.json"):
            reason, sentence = Reason.TOO_LARGE, f"{url} is longer than {METADATA_BYTES_MAX} bytes; it is not what the authority exports"
        case tuf_errors.RepositoryError() | tuf_errors.DownloadLengthMismatchError():
            reason, sentence = Reason.TAMPERED, f"the offered release is not what was signed ({error}); export it again"
        case _:
            reason, sentence = Reason.UNREADABLE, f"the offered release is not whole: {error}; export it again"
    return RosterError(reason, sentence)


def _signers(data: bytes) -> set[str]:
    """Identifiers of the keys that a metadata file says it is signed with."""
    try:
        return {str(each["keyid"]) for each in json.loads(data)["signatures"]}
    except (ValueError, KeyError, TypeError):
        return set()


def _metadata(file: Path) -> Metadata[Any]:
    return Metadata.from_bytes(file.read_bytes())


def _check_floors(versions: Mapping[str, int], floors: Floors) -> None:
    """Versions never fall, even where kept metadata were damaged. A new root frees the online roles, which a stolen key may have run up."""
    new_root = versions[Root.type] > floors.versions.get(Root.type, 0)
    for role in ROLES:
        floor = floors.versions.get(role, 0)
        if versions[role] < floor and not (new_root and role in (Timestamp.type, Snapshot.type)):
            raise RosterError(
                Reason.ROLLBACK, f"the offered release has {role} version {versions[role]}; this gate has seen {floor}; export the newest"
            )


# --- for this gate ----------------------------------------------------------------------------------------------------------------


def admit(roster: Roster, *, release: Release, expected: Expected) -> None:
    """Whether a well formed document is for this gate.

    Raises:
        RosterError: TAMPERED, SIMULATION, WRONG_SITE, WRONG_PACK or TOO_MANY_PEOPLE.
    """
    if roster.version != release.version:
        raise RosterError(Reason.TAMPERED, f"the roster says version {roster.version}; it is signed as {release.version}; sign it again")
    if roster.simulation and not expected.simulation:
        raise RosterError(Reason.SIMULATION, "the roster is of a simulation; a gate in service takes a real authority's (gate-roster init)")
    if roster.site != expected.site:
        raise RosterError(Reason.WRONG_SITE, f"the roster is for site '{roster.site}'; this gate is of '{expected.site}' (gate.site)")
    if roster.pack != expected.pack:
        raise RosterError(
            Reason.WRONG_PACK,
            f"the roster's references are made with model pack '{roster.pack}'; this gate runs '{expected.pack}' (recognition.pack); "
            "enrol with the gate's pack, or change the gate's",
        )
    if (roster.form.length, roster.form.metric) != (expected.template_length, expected.metric):
        raise RosterError(
            Reason.WRONG_PACK,
            f"the roster's references are {roster.form.length} numbers compared by {roster.form.metric}; pack '{expected.pack}' makes "
            f"{expected.template_length} by {expected.metric}; enrol again",
        )
    measured_with = roster.calibration.pack
    if measured_with is not None and measured_with != roster.pack:
        raise RosterError(
            Reason.WRONG_PACK,
            f"the roster's calibration was measured with pack '{measured_with}', its references are made with '{roster.pack}'; "
            "calibrate again and sign a new release",
        )
    permitted = roster.calibration.people_max
    if len(roster.people) > permitted:
        raise RosterError(
            Reason.TOO_MANY_PEOPLE,
            f"the roster has {len(roster.people)} people; its calibration record ({roster.calibration.kind}) permits {permitted}",
        )


def admit_time(roster: Roster, moment: Moment) -> None:
    """Whether a release may be installed now; one in force already is not asked.

    Raises:
        RosterError: EXPIRED or FUTURE.
    """
    wall_s = clock_s(moment)
    by_clock = f"it is {_when(wall_s)} by this gate's clock"
    if freshness(roster, wall_s) is Freshness.EXPIRED:
        raise RosterError(Reason.EXPIRED, f"the offered roster expired at {_when(roster.expires_s)}; {by_clock}; sign and export a new one")
    if moment.quality is ClockQuality.SYNCHRONISED and roster.issued_s > wall_s + AHEAD_MAX_S:
        sentence = f"the offered roster was issued at {_when(roster.issued_s)}; {by_clock}; mend the authority's clock"
        raise RosterError(Reason.FUTURE, sentence)


def _when(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
