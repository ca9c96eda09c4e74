"""What `gate-agent doctor` says of the roster, also while no agent runs: read from trust.db and the folder, and nothing changed."""

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from agent.authority.synthetic import SyntheticAuthority
from agent.config import Config
from agent.diagnostics.checks import CHECKS
from agent.diagnostics.findings import Finding, Health
from agent.diagnostics.findings import Gate as Looked
from agent.diagnostics.roster_checks import arrivals, in_force
from tests.roster.conftest import Gate
from tests.roster.test_trust_attacks import install

DAY_S = 86_400
MakeGate = Callable[..., Gate]


def looked(gate: Gate) -> Looked:
    config = Config()
    config = replace(
        config,
        gate=replace(config.gate, state_dir=gate.disk),
        roster=replace(config.roster, source=gate.folder, root=gate.disk / "root.json", site_key_file=gate.disk / "site.key"),
    )
    return Looked(config=config, simulation=False, snapshot=None)


def one(check: Callable[[Looked], tuple[Finding, ...]], gate: Gate) -> Finding:
    """The only finding; neither the store nor the folder is another one afterwards."""
    before = {file: file.read_bytes() for file in sorted(gate.disk.rglob("*")) if file.is_file() and file.name != "trust.db-shm"}
    (finding,) = check(looked(gate))
    after = {file: file.read_bytes() for file in sorted(gate.disk.rglob("*")) if file.is_file() and file.name != "trust.db-shm"}
    assert before == after
    return finding


def gate_of(age_days: float, tmp_path: Path, make_gate: MakeGate) -> tuple[SyntheticAuthority, Gate]:
    """A gate whose roster of five people was issued so long ago, by this machine's clock."""
    issued_s = int(time.time() - age_days * DAY_S)
    authority = SyntheticAuthority(tmp_path / "authority", now_s=issued_s)
    gate = make_gate(authority)
    gate.clock.wall_s = issued_s
    install(authority, gate, people=5)
    return authority, gate


TOLD = {2.0: (Health.OK, ""), 10.0: (Health.LOOK, "STALE"), 40.0: (Health.MEND, "EXPIRED")}


@pytest.mark.parametrize("running", [True, False])
@pytest.mark.parametrize("age_days", TOLD)
def test_the_roster_in_force_is_told_with_people_and_age(tmp_path: Path, make_gate: MakeGate, running: bool, age_days: float) -> None:
    health, word = TOLD[age_days]
    _, gate = gate_of(age_days, tmp_path, make_gate)
    assert gate.store is not None
    if not running:
        gate.store.close()
    finding = one(in_force, gate)
    assert (finding.check, finding.health) == ("roster", health), finding
    for part in ("release 1, 5 people, issued ", f"({age_days} days old)", word):
        assert part in finding.found
    assert bool(finding.remedy) is (health is not Health.OK)


def test_a_gate_without_a_roster_says_so(gate: Gate) -> None:
    assert gate.store is not None
    assert one(in_force, gate).health is Health.MEND
    gate.store.close()
    for file in gate.disk.glob("trust.db*"):
        file.unlink()
    finding = one(in_force, gate)
    assert (finding.health, "none yet" in finding.found) == (Health.MEND, True)
    assert not gate.trust_db.exists()


def damaged_store(gate: Gate) -> None:
    gate.trust_db.write_bytes(b"no database" * 1000)


def lost_document(gate: Gate) -> None:
    next(gate.disk.glob("roster-*.cbor")).unlink()


def changed_document(gate: Gate) -> None:
    file = next(gate.disk.glob("roster-*.cbor"))
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def lost_root(gate: Gate) -> None:
    (gate.disk / "root.json").unlink()


@pytest.mark.parametrize(
    ("damage", "reason"),
    [(damaged_store, "damaged_store"), (lost_document, "unreadable"), (changed_document, "tampered"), (lost_root, "unreadable")],
)
def test_what_is_damaged_is_told_with_its_reason(
    authority: SyntheticAuthority, gate: Gate, damage: Callable[[Gate], None], reason: str
) -> None:
    install(authority, gate)
    assert gate.store is not None
    gate.store.close()
    damage(gate)
    finding = one(in_force, gate)
    assert (finding.health, finding.found.split(":")[0]) == (Health.MEND, reason)


def test_the_folder_of_arrivals_is_told(tmp_path: Path, make_gate: MakeGate) -> None:
    authority, gate = gate_of(1.0, tmp_path, make_gate)
    assert one(arrivals, gate).found.endswith("holds the release in force")
    authority.publish(people=6)
    authority.export(gate.folder)
    assert "release 2 lies in" in one(arrivals, gate).found
    timestamp = gate.folder / "metadata" / "timestamp.json"
    timestamp.unlink()
    assert one(arrivals, gate).found.startswith("nothing has arrived")


@pytest.mark.parametrize("where", ["timestamp.json", "snapshot.json", "the document"])
def test_a_pipe_that_arrived_holds_the_doctor_not_up(tmp_path: Path, make_gate: MakeGate, where: str) -> None:
    authority, gate = gate_of(1.0, tmp_path, make_gate)
    authority.publish(people=6)
    authority.export(gate.folder)
    pattern = (
        "metadata/timestamp.json" if where == "timestamp.json" else "metadata/*snapshot.json" if where == "snapshot.json" else "targets/*/*"
    )
    for file in [each for each in gate.folder.glob(pattern) if each.is_file()]:
        file.unlink()
        os.mkfifo(file)
    (finding,) = arrivals(looked(gate))
    assert (finding.health, "is refused: unreadable" in finding.found, "is not a regular file" in finding.found) == (
        Health.LOOK,
        True,
        True,
    )


def test_the_doctor_asks_both() -> None:
    assert {in_force, arrivals} <= set(CHECKS)
