"""Bringing a release out: into a folder that gates look at, or onto a stick. Whole at every moment for whoever reads meanwhile."""

from collections.abc import Iterator
from pathlib import Path

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Root, Snapshot, Targets, Timestamp

from agent.authority.errors import PublishError
from agent.authority.files import write_whole
from agent.authority.repository import numbers_of
from agent.roster.folder import METADATA, TARGETS, TIMESTAMP
from agent.roster.trust import ENROL


def export(repository: Path, destination: Path) -> int:
    """Copy the newest release and the roots that lead to it; returns its version.

    Numbered files come first and time stamp last. What an earlier export wrote, and neither this release nor the one before it needs,
    is then deleted.

    Raises:
        PublishError: nothing is published, the destination holds a newer release or another authority's, or it cannot be written.
    """
    if not (repository / TIMESTAMP).exists():
        raise PublishError("no release is published yet; run: gate-roster release")
    wanted = set(_files(repository))
    _check_ours(repository, destination)
    before = _before(destination)
    try:
        newest = (repository / TIMESTAMP).read_bytes()
        version = _version(newest)
        if before is not None and _version(before) > version:
            raise PublishError(f"{destination} holds release {_version(before)}, newer than {version}; gates would refuse to go back")
        keep = wanted | (set(_files(destination)) if before is not None else set())
        for name in sorted(wanted - {TIMESTAMP}):
            _copy(repository / name, destination / name)
        write_whole(destination / TIMESTAMP, newest)
        _prune(repository, destination, keep)
    except OSError as error:
        raise PublishError(f"{destination} cannot be written ({error.strerror}); gates that look there keep the release before") from error
    return version


def _copy(source: Path, target: Path) -> None:
    data = source.read_bytes()
    if not _is_same(target, data):
        write_whole(target, data)


def _check_ours(repository: Path, destination: Path) -> None:
    """A release there must be of this authority: the first root is written first, and never changes."""
    first = f"{METADATA}/1.root.json"
    if not (destination / TIMESTAMP).exists():
        return
    if not _is_same(destination / first, (repository / first).read_bytes()):
        raise PublishError(
            f"{destination} holds a release that is not of this authority (its {first} is another one, or missing); name another folder, "
            f"or clear {METADATA} and {TARGETS} there first"
        )


def _is_same(file: Path, data: bytes) -> bool:
    try:
        return file.stat().st_size == len(data) and file.read_bytes() == data
    except OSError:
        return False


def _before(destination: Path) -> bytes | None:
    """The time stamp that lies there, if a whole release does."""
    try:
        list(_files(destination))
        return (destination / TIMESTAMP).read_bytes()
    except (OSError, PublishError):
        return None


def _files(folder: Path) -> Iterator[str]:
    """Names of the files that the release in a folder consists of, all roots among them."""
    try:
        timestamp = Metadata[Timestamp].from_bytes((folder / TIMESTAMP).read_bytes()).signed
        snapshot_name = f"{METADATA}/{timestamp.snapshot_meta.version}.snapshot.json"
        snapshot = Metadata[Snapshot].from_bytes((folder / snapshot_name).read_bytes()).signed
        yield from (TIMESTAMP, snapshot_name)
        for name, row in snapshot.meta.items():
            yield f"{METADATA}/{row.version}.{name}"
        enrol_name = f"{METADATA}/{snapshot.meta[f'{ENROL}.json'].version}.{ENROL}.json"
        enrol = Metadata[Targets].from_bytes((folder / enrol_name).read_bytes()).signed
        for path, target in enrol.targets.items():
            role, _, name = path.partition("/")
            yield from (f"{TARGETS}/{role}/{digest}.{name}" for digest in target.hashes.values())
    except (OSError, RepositoryError, KeyError) as error:
        raise PublishError(f"the release in {folder} is not whole ({error}); publish again") from error
    yield from (f"{METADATA}/{number}.{Root.type}.json" for number in numbers_of(folder, Root.type))


def _version(timestamp: bytes) -> int:
    return Metadata[Timestamp].from_bytes(timestamp).signed.version


def _prune(repository: Path, destination: Path, keep: set[str]) -> None:
    """Delete earlier releases. The repository has every file of each of them, so whatever differs is somebody else's."""
    for part, pattern in ((METADATA, "*.json"), (TARGETS, "*/*.cbor")):
        for source in (repository / part).glob(pattern):
            name = str(source.relative_to(repository))
            if name not in keep and (destination / name).exists() and _is_same(destination / name, source.read_bytes()):
                (destination / name).unlink()
