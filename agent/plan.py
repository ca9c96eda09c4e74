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
from agent.roster.errors import RosterError
from agent.roster.plain_file import read_plain
from agent.roster.trust import METADATA_BYTES_MAX, check_root
from firmware_bridge.assurance import CONTROLLER, MODBUS, OSDP, RELAY, Assurance, Keeping
from firmware_bridge.board_line import why_not
from firmware_bridge.errors import PackageAbsentError
from models import manifest as manifests
from models import manifest_reader
from models.errors import ModelError
from models.places import make_again


class Verdict(StrEnum):
    OK = "ok"
    WARNING = "warning"  # it runs as configured, and somebody should know
    MISSING = "missing"  # it starts all the same, out of service, and keeps trying
    UNUSABLE = "unusable"  # as MISSING: something is there and cannot be used
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
    yield _own_folder("gate.state_dir", config.gate.state_dir, "journal.db and trust.db")
    yield _own_folder("gate.runtime_dir", config.gate.runtime_dir, "the control socket")
    for index, camera in enumerate(config.camera):
        yield _camera(f"camera[{index}]", camera, simulation=simulation)
    yield _pad(config, simulation=simulation)
    yield _pack("recognition.pack", config.recognition.pack, config)
    yield from _barrier(config, simulation=simulation)
    yield _arrivals(config.roster.source)
    yield _root(config.roster.root)
    yield _secret("roster.site_key_file", str(config.roster.site_key_file), "")
    yield from _uplink(config)
    yield from _shared_keys(config)


def _own_folder(key: str, folder: Path, what: str) -> PlanLine:
    """A folder that the agent makes where it is not there."""
    above = next(each for each in (folder, *folder.absolute().parents) if os.path.lexists(each))
    if _kind(str(above)) != "folder":
        return PlanLine(key, Verdict.REFUSED, f"{above} is no folder; {folder} for {what} cannot be made: name another '{key}'")
    return PlanLine(key, Verdict.OK, f"{what} in {folder}")


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
        return PlanLine(key, Verdict.MISSING, f"model pack {folder} is absent; {make_again(name)}")
    read = manifest_reader.load if key == "recognition.pack" else manifest_reader.load_pad
    try:
        manifest = read(folder / manifests.FILE)
    except ModelError as error:
        return PlanLine(key, Verdict.UNUSABLE, str(error))
    use = "" if key == "recognition.pack" else " detects presentation attacks, which is required"
    return PlanLine(key, Verdict.OK, f"model pack '{name}'{use}, {config.recognition.threads} thread(s); {manifest.id}")


def _arrivals(folder: Path) -> PlanLine:
    found = _kind(str(folder))
    if found == "folder":
        return PlanLine("roster.source", Verdict.OK, f"releases arrive in {folder}")
    wrong = "is absent" if found == "absent" else "is no folder"
    text = f"{folder}, in which releases arrive, {wrong}: no new roster can come; make it (mkdir), or name another"
    return PlanLine("roster.source", Verdict.WARNING, text)


def _root(file: Path) -> PlanLine:
    line = _file("roster.root", file, "the trusted root")
    if line.verdict is not Verdict.OK:
        return line
    try:
        check_root(read_plain(file, bytes_max=METADATA_BYTES_MAX))
    except OSError as error:
        return PlanLine(line.key, Verdict.UNUSABLE, f"{line.text} cannot be read ({error.strerror}); run as root or as the agent's user")
    except RosterError as error:
        return PlanLine(line.key, Verdict.UNUSABLE, f"{file}: {error}")
    return line


def _file(key: str, file: Path, what: str) -> PlanLine:
    found = _kind(str(file))
    if found == "absent":
        return PlanLine(key, Verdict.MISSING, f"{what} {file} is absent; put it there, or name another file")
    if found != "file":
        return PlanLine(key, Verdict.UNUSABLE, f"{what} {file} is a {found} and no file; put the file there, or name another")
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


def _shared_keys(config: Config) -> Iterator[PlanLine]:
    """No key serves two purposes: whoever learns it in one place must not have the other too."""
    named = {"barrier.key_file": config.barrier.key_file, "roster.site_key_file": str(config.roster.site_key_file)}
    if config.uplink.enabled and config.uplink.tls:
        named["uplink.key_file"] = config.uplink.key_file
    seen: dict[bytes, str] = {}
    for key, file in named.items():
        try:
            content = read_plain(Path(file), bytes_max=_KEY_BYTES_MAX).strip().lower() if file else b""
        except OSError:
            continue  # absent, or not for this user's eyes: its own line says what can be said
        if content and (other := seen.setdefault(content, key)) != key:
            yield PlanLine(key, Verdict.REFUSED, f"{file} holds the same key as {other} ({named[other]}); each needs one of its own")


_KEY_BYTES_MAX = 65_536  # a private key in PEM has 0.2 to 4 kB


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
