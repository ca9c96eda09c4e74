"""What a configuration would run, part by part, before anything is started; and what may not run together.

`check` prints it, `run` enforces it: HOUSE rule 10 (file cameras, emulators and pseudo-terminals only in a simulation) is kept here for
everything that can be seen without opening it, and again by the core for what the controller says of itself.
"""

import importlib.util
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType

from agent.barrier_config import BarrierKind
from agent.config import CameraConfig, Config, PadMode
from firmware_bridge.assurance import CONTROLLER, MODBUS, OSDP, RELAY, Assurance, Keeping
from firmware_bridge.board_line import why_not
from firmware_bridge.errors import PackageAbsentError


class Verdict(StrEnum):
    OK = "ok"
    WARNING = "warning"  # it runs as configured, and somebody should know
    MISSING = "missing"  # it starts all the same, out of service, and keeps trying
    REFUSED = "refused"  # it does not start


@dataclass(frozen=True, slots=True)
class PlanLine:
    """One part of the lane.

    Attributes:
        key: the configuration's key that decides it.
        text: what would run, or what is wrong and what to do.
    """

    key: str
    verdict: Verdict
    text: str


def plan(config: Config, *, simulation: bool) -> tuple[PlanLine, ...]:
    """Every part of the lane in the order of the configuration."""
    return tuple(_lines(config, simulation=simulation))


def _lines(config: Config, *, simulation: bool) -> Iterator[PlanLine]:
    mode = "SIMULATION: events say so and a production broker refuses them" if simulation else "production"
    yield PlanLine("gate", Verdict.OK, f"gate '{config.gate.gate}' of site '{config.gate.site}'; {mode}")
    for index, camera in enumerate(config.camera):
        yield _camera(f"camera[{index}]", camera, simulation=simulation)
    yield _pad(config, simulation=simulation)
    yield _pack("recognition.pack", config.recognition.pack, config)
    yield from _barrier(config, simulation=simulation)
    yield _file("roster.root", config.roster.root, "the trusted root")
    yield _secret("roster.site_key_file", str(config.roster.site_key_file), "")
    yield from _uplink(config)


def _camera(key: str, camera: CameraConfig, *, simulation: bool) -> PlanLine:
    what = f"camera '{camera.name}' for {camera.direction}: {camera.source}"
    if "://" in camera.source:
        return PlanLine(key, Verdict.OK, f"{what} (network address)")
    kind = _kind(camera.source)
    if kind in {"file", "folder"}:
        if simulation:
            return PlanLine(key, Verdict.OK, f"{what} ({kind} of pictures)")
        return PlanLine(key, Verdict.REFUSED, f"{what} is a {kind}; recorded pictures run only with --simulation")
    if kind == "absent":
        return PlanLine(key, Verdict.MISSING, f"{what} is absent; plug the camera in, or name another 'source'")
    return PlanLine(key, Verdict.OK, f"{what}, {camera.width} x {camera.height} at {camera.frames_per_s:g} frames/s")


def _barrier(config: Config, *, simulation: bool) -> Iterator[PlanLine]:
    yield _kept(config)
    port, board = config.barrier.port, config.barrier.kind is not BarrierKind.CONTROLLER
    name = "board" if board else "controller"
    what = f"{name} at {port}, {config.barrier.baud} bits/s"
    wrong = why_not(port, simulation=simulation)
    if _kind(port) == "absent":
        yield PlanLine("barrier.port", Verdict.MISSING, f"{what}: the port is absent; plug the {name} in, or name another port")
    elif wrong is not None and (board or not simulation):  # a controller of the other kind says so itself, and is refused then
        yield PlanLine("barrier.port", Verdict.REFUSED, f"{what}: the port {wrong}")
    else:
        yield PlanLine("barrier.port", Verdict.OK, what)
    if config.barrier.key_file or not board:
        yield _secret("barrier.key_file", config.barrier.key_file, "the controller's link has no key: it must be inside the cabinet")


_ASSURANCES = MappingProxyType(
    {BarrierKind.CONTROLLER: CONTROLLER, BarrierKind.OSDP: OSDP, BarrierKind.MODBUS: MODBUS, BarrierKind.RELAY: RELAY}
)


def assurance(config: Config) -> Assurance:
    """What the configured hardware keeps of the controller's safety rules."""
    return _ASSURANCES[config.barrier.kind]


def _kept(config: Config) -> PlanLine:
    """One line; `gate-agent check` prints the rules that are not kept in full."""
    table = assurance(config)
    if not table.not_kept:
        numbers = ", ".join(str(rule.rule) for rule in table.rules)
        return PlanLine("barrier.kind", Verdict.OK, f"{table.hardware} keeps safety rules {numbers} by itself")
    lost = ", ".join(str(rule.rule) for rule in table.rules if rule.keeping is Keeping.LOST)
    elsewhere = ", ".join(str(rule.rule) for rule in table.rules if rule.keeping is Keeping.ELSEWHERE)
    package = _PACKAGES.get(config.barrier.kind)
    if package is not None and importlib.util.find_spec(package) is None:
        return PlanLine("barrier.kind", Verdict.REFUSED, str(PackageAbsentError(package)))
    text = (
        f"{table.hardware}: safety rules {lost} are lost, {elsewhere} kept elsewhere and not in full; gate-agent check says what it means"
    )
    return PlanLine("barrier.kind", Verdict.WARNING, text)


_PACKAGES = MappingProxyType({BarrierKind.OSDP: "osdp", BarrierKind.MODBUS: "pymodbus"})


def is_pseudo_terminal(port: str) -> bool:
    return os.path.realpath(port).startswith("/dev/pts/")


def _pad(config: Config, *, simulation: bool) -> PlanLine:
    if config.recognition.pad is PadMode.OFF:
        text = "PRESENTATION ATTACK DETECTION IS OFF: a printed face may be let in"
        return PlanLine("recognition.pad", Verdict.OK if simulation else Verdict.WARNING, text)
    return _pack("recognition.pad_pack", config.recognition.pad_pack, config)


def _pack(key: str, name: str, config: Config) -> PlanLine:
    folder = config.recognition.packs_dir / name
    if not folder.is_dir():
        how = "build, or copy it" if key == "recognition.pack" else f"fetch {name}, or: gate-agent models import FILE --pack {name}"
        return PlanLine(key, Verdict.MISSING, f"model pack {folder} is absent; run gate-agent models {how}")
    use = "" if key == "recognition.pack" else " detects presentation attacks, which is required"
    return PlanLine(key, Verdict.OK, f"model pack '{name}'{use}, {config.recognition.threads} thread(s)")


def _file(key: str, file: Path, what: str) -> PlanLine:
    if not file.is_file():
        return PlanLine(key, Verdict.MISSING, f"{what} {file} is absent; put it there, or name another file")
    return PlanLine(key, Verdict.OK, f"{what} {file}")


def _secret(key: str, file: str, without: str) -> PlanLine:
    if not file:
        return PlanLine(key, Verdict.OK, without)
    path = Path(file)
    line = _file(key, path, "key")
    if line.verdict is not Verdict.OK and key == "barrier.key_file":
        return PlanLine(key, Verdict.REFUSED, line.text)  # nothing can be said to the controller without it
    if line.verdict is Verdict.OK and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        mode = stat.S_IMODE(path.stat().st_mode)
        return PlanLine(key, Verdict.REFUSED, f"key {file} may be read by others (mode {mode:04o}); run: chmod 0600 {file}")
    return line


def _uplink(config: Config) -> Iterator[PlanLine]:
    uplink = config.uplink
    if not uplink.enabled:
        yield PlanLine("uplink", Verdict.OK, "no uplink: events stay in the journal")
        return
    yield PlanLine("uplink", Verdict.OK, f"broker {uplink.host}:{uplink.port}, {'TLS' if uplink.tls else 'no TLS, loopback'}")
    if uplink.tls:
        yield _file("uplink.ca_file", Path(uplink.ca_file), "certificate authority")
        yield _file("uplink.cert_file", Path(uplink.cert_file), "client certificate")
        yield _secret("uplink.key_file", uplink.key_file, "")


def _kind(path: str) -> str:
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116  one call answers all of it
    except OSError:
        return "absent"
    return "folder" if stat.S_ISDIR(mode) else "file" if stat.S_ISREG(mode) else "device"
