"""Bringing a release out: into a folder that gates look at, or onto a stick. Whole at every moment for whoever reads meanwhile."""

from collections.abc import Iterator
from pathlib import Path

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Snapshot, Targets, Timestamp

from agent.authority.errors import PublishError
from agent.authority.files import write_whole
from agent.roster.folder import METADATA, TARGETS, TIMESTAMP
from agent.roster.trust import ENROL


def export(repository: Path, destination: Path) -> int:
    """Copy the newest release and the roots that lead to it; returns its version.

    Numbered files come first and time stamp last. What neither this release nor the one before it needs is then deleted.

    Raises:
        PublishError: nothing is published, the destination holds a newer release, or it cannot be written.
    """
    if not (repository / TIMESTAMP).exists():
        raise PublishError("no release is published yet; run: gate-roster release")
    wanted = set(_files(repository))
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
        _prune(destination, keep)
    except OSError as error:
        raise PublishError(f"{destination} cannot be written ({error.strerror}); gates that look there keep the release before") from error
    return version


def _copy(source: Path, target: Path) -> None:
    data = source.read_bytes()
    if not target.exists() or target.read_bytes() != data:
        write_whole(target, data)


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
    yield from (str(file.relative_to(folder)) for file in (folder / METADATA).glob("*.root.json"))


def _version(timestamp: bytes) -> int:
    return Metadata[Timestamp].from_bytes(timestamp).signed.version


def _prune(destination: Path, keep: set[str]) -> None:
    for part, pattern in ((METADATA, "*.json"), (TARGETS, "*/*.cbor")):
        for file in (destination / part).glob(pattern):
            if str(file.relative_to(destination)) not in keep:
                file.unlink()
