"""Which roster this gate has, how old it is, and what lies in the folder of arrivals; also while no agent runs. Changes nothing."""

import os
from datetime import UTC, datetime

from agent.clock import SystemClock
from agent.core.moment import ClockQuality
from agent.diagnostics.findings import Finding, Gate, Health
from agent.drivers.trust_store import Stored, read_stored
from agent.roster import codec, trust
from agent.roster.document import Roster
from agent.roster.errors import Reason, RosterError
from agent.roster.folder import TIMESTAMP, FolderRepository
from agent.roster.plain_file import read_plain
from agent.roster.trust import Floors, Freshness

_DAY_S = 86_400
_NEW_RELEASE = "bring a new release: gate-roster release, gate-roster export"
_TABLE = "docs/ROSTER.md says what to do for each reason"


def in_force(gate: Gate) -> tuple[Finding, ...]:
    """The release that trust.db holds, verified as at a start of the agent."""
    try:
        stored, floors = _stored(gate)
        if stored is None:
            return (Finding("roster", Health.MEND, "this gate has none yet: nobody is let in by face", _NEW_RELEASE),)
        roster = _read(gate, stored, floors)
    except RosterError as error:
        return (Finding("roster", Health.MEND, f"{error.reason}: {error}", _TABLE),)
    moment = SystemClock().now()
    freshness = trust.freshness(roster, trust.clock_s(moment))
    age = f"{(moment.wall_s - roster.issued_s) / _DAY_S:.1f} days old" if moment.quality is not ClockQuality.UNKNOWN else "age unknown"
    found = (
        f"release {roster.version}, {len(roster.people)} people, issued {_when(roster.issued_s)} ({age}); "
        f"stale from {_when(roster.stale_after_s)}, expires {_when(roster.expires_s)}"
    )
    match freshness:
        case Freshness.FRESH:
            return (Finding("roster", Health.OK, found),)
        case Freshness.STALE:
            return (Finding("roster", Health.LOOK, f"STALE: {found}", _NEW_RELEASE),)
        case Freshness.EXPIRED:
            return (Finding("roster", Health.MEND, f"EXPIRED, nobody is let in by face: {found}", f"{_NEW_RELEASE}; look at the clock"),)


def arrivals(gate: Gate) -> tuple[Finding, ...]:
    """What lies in the folder: the release in force, a newer one, or something that is refused."""
    folder = gate.config.roster.source
    try:
        stored, floors = _stored(gate)
    except RosterError:
        return ()  # the row above says it
    repository = FolderRepository(folder)
    if not os.path.lexists(folder / TIMESTAMP):
        return (Finding("arrivals", Health.OK, f"nothing has arrived in {folder}"),)
    kept = {} if stored is None else stored.metadata
    if stored is not None and repository.held(TIMESTAMP, bytes_max=trust.METADATA_BYTES_MAX) == kept.get("timestamp.json"):
        return (Finding("arrivals", Health.OK, f"{folder} holds the release in force"),)
    try:
        release = trust.verify_offer(repository, root=_root(gate), kept=kept, floors=floors, moment=SystemClock().now())
    except RosterError as error:
        return (Finding("arrivals", Health.LOOK, f"what lies in {folder} is refused: {error.reason}: {error}", _TABLE),)
    soon = f"a running agent takes it within {gate.config.roster.poll_s:g} s"
    found = f"release {release.version} lies in {folder}, signed, whole and new; {soon}"
    return (Finding("arrivals", Health.OK, found),)


def _stored(gate: Gate) -> tuple[Stored | None, Floors]:
    return read_stored(gate.config.gate.state_dir / "trust.db")


def _root(gate: Gate) -> bytes:
    file = gate.config.roster.root
    try:
        return read_plain(file, bytes_max=trust.METADATA_BYTES_MAX)
    except OSError as error:
        sentence = f"the trusted root {file} cannot be read ({error.strerror}); without it no roster can be verified"
        raise RosterError(Reason.UNREADABLE, sentence) from error


def _read(gate: Gate, stored: Stored, floors: Floors) -> Roster:
    release = trust.verify_kept(stored.metadata, stored.document, root=_root(gate), floors=floors)
    try:
        with release.document.open("rb") as source:
            return codec.read(source)
    except OSError as error:
        raise RosterError(Reason.UNREADABLE, f"the roster {stored.document} cannot be read ({error.strerror}); mend the disk") from error


def _when(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%MZ")
