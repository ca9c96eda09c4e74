"""What a configuration would run, part by part, before anything is started; and what may not run together.

`check` prints it, `run` enforces it: HOUSE rule 10 (file cameras, emulators and pseudo-terminals only in a simulation) is kept here for
everything that can be seen without opening it, and again by the core for what the controller says of itself.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from agent.barrier_plan import barrier_lines
from agent.config import CameraConfig, Config, PadMode
from agent.plan_line import PlanLine, Verdict, file_line, secret_line, what_is
from agent.roster.errors import RosterError
from agent.roster.plain_file import read_plain
from agent.roster.secrecy import read_key
from agent.roster.trust import METADATA_BYTES_MAX, check_root
from models import manifest as manifests
from models import manifest_reader
from models.errors import ModelError
from models.places import make_again


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
    yield from barrier_lines(config, simulation=simulation)
    yield _arrivals(config.roster.source)
    yield _root(config.roster.root)
    yield _site_key(config.roster.site_key_file)
    yield from _uplink(config)
    yield from _shared_keys(config)


def _own_folder(key: str, folder: Path, what: str) -> PlanLine:
    """A folder that the agent makes where it is not there."""
    above = next(each for each in (folder, *folder.absolute().parents) if os.path.lexists(each))
    if what_is(str(above)) != "folder":
        return PlanLine(key, Verdict.REFUSED, f"{above} is no folder; {folder} for {what} cannot be made: name another '{key}'")
    return PlanLine(key, Verdict.OK, f"{what} in {folder}")


def _camera(key: str, camera: CameraConfig, *, simulation: bool) -> PlanLine:
    what = f"camera '{camera.name}' for {camera.direction}: {camera.source}"
    if "://" in camera.source:
        return PlanLine(key, Verdict.OK, f"{what} (network address)")
    kind = what_is(camera.source)
    if kind in {"file", "folder"}:
        if simulation:
            return PlanLine(key, Verdict.OK, f"{what} ({kind} of pictures)")
        return PlanLine(key, Verdict.REFUSED, f"{what} is a {kind}; recorded pictures run only with --simulation")
    if kind == "absent":
        return PlanLine(key, Verdict.MISSING, f"{what} is absent; plug the camera in, or name another 'source'")
    return PlanLine(key, Verdict.OK, f"{what}, {camera.width} x {camera.height} at {camera.frames_per_s:g} frames/s")


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
    found = what_is(str(folder))
    if found == "folder":
        return PlanLine("roster.source", Verdict.OK, f"releases arrive in {folder}")
    wrong = "is absent" if found == "absent" else "is no folder"
    text = f"{folder}, in which releases arrive, {wrong}: no new roster can come; make it (mkdir), or name another"
    return PlanLine("roster.source", Verdict.WARNING, text)


def _root(file: Path) -> PlanLine:
    line = file_line("roster.root", file, "the trusted root")
    if line.verdict is not Verdict.OK:
        return line
    try:
        check_root(read_plain(file, bytes_max=METADATA_BYTES_MAX))
    except OSError as error:
        return PlanLine(line.key, Verdict.UNUSABLE, f"{line.text} cannot be read ({error.strerror}); run as root or as the agent's user")
    except RosterError as error:
        return PlanLine(line.key, Verdict.UNUSABLE, f"{file}: {error}")
    return line


def _site_key(file: Path) -> PlanLine:
    line = secret_line("roster.site_key_file", file)
    if line.verdict is Verdict.OK:
        try:
            read_key(file)
        except RosterError as error:
            return PlanLine(line.key, Verdict.UNUSABLE, str(error))
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
        yield file_line("uplink.ca_file", Path(uplink.ca_file), "certificate authority")
        yield file_line("uplink.cert_file", Path(uplink.cert_file), "client certificate")
        yield secret_line("uplink.key_file", Path(uplink.key_file))
