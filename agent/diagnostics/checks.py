"""What a technician would look at first, each as one small check that changes nothing and needs no network.

A check returns what it found in a sentence, and what to do about it. All of them run without a running agent; what the agent itself
believes comes from its snapshot.
"""

import os
import shutil
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from agent.clock import SystemClock
from agent.config import Config, PadMode
from agent.core.moment import ClockQuality
from agent.diagnostics.findings import Finding, Gate, Health
from agent.diagnostics.roster_checks import arrivals, in_force
from agent.drivers.control_socket import ControlSocketError, ask
from agent.drivers.staff_desk import StaffKeyError, fingerprint, read_public
from agent.plan import plan
from agent.plan_line import Verdict
from models.errors import ModelError
from models.pack import Pack, PadPack, open_pack, open_pad_pack

LEAST_FREE_MB = 500  # about 1 M events and a roster of 100,000 people beside the packs
_BROKER_PATIENCE_S = 2.0


def look(config: Config, *, simulation: bool) -> tuple[Finding, ...]:
    """Run every check, in the order in which a person would."""
    agent, snapshot = _ask_agent(config)
    gate = Gate(config, simulation, snapshot)
    return (agent, *(finding for check in CHECKS for finding in check(gate)))


def _ask_agent(config: Config) -> tuple[Finding, Mapping[str, Any] | None]:
    path = config.gate.runtime_dir / "control.sock"
    try:
        snapshot: Mapping[str, Any] = ask(path, {"ask": "snapshot"})["snapshot"]
    except ControlSocketError as error:
        return Finding("agent", Health.MEND, str(error), "systemctl status gate-agent; journalctl -u gate-agent -n 50"), None
    return Finding("agent", Health.OK, f"runs; the lane is {snapshot.get('phase', 'in an unknown phase')}"), snapshot


def _service(gate: Gate) -> tuple[Finding, ...]:
    if gate.snapshot is None:
        return ()
    return tuple(_side(direction, side) for direction, side in gate.snapshot.get("service", {}).items())


def _side(direction: str, side: Mapping[str, Any]) -> Finding:
    if side["open"]:
        return Finding("service", Health.OK, f"{direction} is in service")
    reasons = "; ".join(f"{each['reason']}: {each['detail']}" if each["detail"] else each["reason"] for each in side["reasons"])
    return Finding("service", Health.MEND, f"{direction} is out of service: {reasons}", "mend what is named; it comes back by itself")


_HEALTH = dict.fromkeys(Verdict, Health.MEND) | {Verdict.OK: Health.OK, Verdict.WARNING: Health.LOOK}


def _parts(gate: Gate) -> tuple[Finding, ...]:
    return tuple(Finding(line.key, _HEALTH[line.verdict], line.text) for line in plan(gate.config, simulation=gate.simulation))


def _models(gate: Gate) -> tuple[Finding, ...]:
    wanted = gate.config.recognition
    found = [_opened(open_pack, wanted.packs_dir / wanted.pack)]
    if wanted.pad is PadMode.REQUIRED:
        found.append(_opened(open_pad_pack, wanted.packs_dir / wanted.pad_pack))
    return tuple(found)


def _opened(opening: Callable[[Path], Pack | PadPack], folder: Path) -> Finding:
    try:
        pack = opening(folder)
    except ModelError as error:
        return Finding("models", Health.MEND, str(error), f"gate-agent models verify --pack {folder.name}")
    return Finding("models", Health.OK, f"pack {pack.id} opens, every digest is right")


def _disk(gate: Gate) -> tuple[Finding, ...]:
    folder = _existing(gate.config.gate.state_dir)
    free_mb = shutil.disk_usage(folder).free // 1_000_000
    if not os.access(folder, os.W_OK):
        return (Finding("disk", Health.MEND, f"{folder} cannot be written by user {os.getuid()}", "run as root or as the agent's user"),)
    if free_mb < LEAST_FREE_MB:
        return (Finding("disk", Health.MEND, f"{free_mb} MB free at {folder}; at least {LEAST_FREE_MB} are wanted", "make room"),)
    return (Finding("disk", Health.OK, f"{free_mb} MB free at {folder}"),)


def _clock(_gate: Gate) -> tuple[Finding, ...]:
    moment = SystemClock().now()
    if moment.quality is ClockQuality.SYNCHRONISED:
        return (Finding("clock", Health.OK, f"{moment.rfc3339()}, steered by a time service"),)
    return (Finding("clock", Health.LOOK, f"{moment.rfc3339()}, not steered by a time service", "timedatectl; or set it by hand"),)


def _broker(gate: Gate) -> tuple[Finding, ...]:
    uplink = gate.config.uplink
    if not uplink.enabled:
        return ()
    try:
        socket.create_connection((uplink.host, uplink.port), _BROKER_PATIENCE_S).close()
    except OSError as error:
        found = f"broker {uplink.host}:{uplink.port} cannot be reached ({error})"
        return (Finding("broker", Health.LOOK, found, "events wait in the journal; look at the network when it should be there"),)
    return (Finding("broker", Health.OK, f"broker {uplink.host}:{uplink.port} takes connections"),)


def _staff(gate: Gate) -> tuple[Finding, ...]:
    """Whose orders release the barrier: whoever visits a gate should know."""
    folder = gate.config.staff.keys_dir
    return tuple(_staff_key(folder, file.stem) for file in sorted(folder.glob("*.pub")))


def _staff_key(folder: Path, name: str) -> Finding:
    try:
        key = read_public(folder, name)
    except StaffKeyError as error:
        return Finding("staff", Health.LOOK, str(error), "its orders are denied until it is mended, or the file deleted")
    return Finding("staff", Health.OK, f"{name} may order a release at the cabinet, key {fingerprint(key)}")


def _existing(folder: Path) -> Path:
    return next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())


CHECKS: tuple[Callable[[Gate], tuple[Finding, ...]], ...] = (
    _service,
    _parts,
    _models,
    in_force,
    arrivals,
    _disk,
    _clock,
    _broker,
    _staff,
)
