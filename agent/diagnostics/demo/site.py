"""Lays out a simulated site in one folder: pictures of a walk-up, an authority with one enrolled person, keys, the gate's configuration.

Everything goes through the programs that an operator uses; nothing is put into a store from behind.
"""

import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import cv2

from agent.diagnostics import walkup
from agent.diagnostics.walkup import U8, Portrait
from agent.errors import GateError
from agent.settings import toml_value
from models.places import DEFAULT_PACK, built_folder

ENROLLED, STRANGER = "astronaut", "hopper"
PERSON = "eileen"
REFERENCES = 4
FRAMES_PER_S = 15.0

# The scene, in frames of 15 a second. Each camera shows a lane that is empty but for these walk-ups.
WALK = 30  # two seconds from too far away to the wanted size
STAND = 30  # the rest of an attempt before the barrier: nobody is let in after the picture says that they have gone
SCENE = 300  # twenty seconds


@dataclass(frozen=True, slots=True)
class WalkUp:
    """Somebody comes to a camera.

    Attributes:
        first: the frame in which they come into view.
        stand: frames for which they stand before the barrier.
    """

    portrait: str
    first: int
    stand: int


# The stranger stands for a whole attempt (5 s) before the refusal; who is let through walks on.
ENTRY: tuple[WalkUp, ...] = (WalkUp(ENROLLED, first=15, stand=20), WalkUp(STRANGER, first=105, stand=75))
EXIT: tuple[WalkUp, ...] = (WalkUp(ENROLLED, first=225, stand=20),)


@dataclass(frozen=True, slots=True)
class Site:
    """Where everything of the demo is."""

    folder: Path

    @property
    def controller_port(self) -> Path:
        return self.folder / "controller"

    @property
    def controller_log(self) -> Path:
        return self.folder / "controller.jsonl"

    @property
    def controller_store(self) -> Path:
        return self.folder / "controller.store"

    @property
    def controller_key(self) -> Path:
        return self.folder / "keys" / "controller.key"

    @property
    def control_line(self) -> Path:
        return self.folder / "controller.control"

    @property
    def collector_store(self) -> Path:
        return self.folder / "collector.db"

    @property
    def broker(self) -> Path:
        return self.folder / "broker"

    @property
    def pictures(self) -> Path:
        return self.folder / "pictures"

    @property
    def config(self) -> Path:
        return self.folder / "agent.toml"

    @property
    def authority(self) -> Path:
        return self.folder / "authority"

    @property
    def roster(self) -> Path:
        return self.folder / "roster"

    def camera(self, name: str) -> Path:
        return self.folder / f"{name}.avi"

    def log(self, program: str) -> Path:
        return self.folder / f"{program}.log"


def lay_out(site: Site, *, broker_port: int, say: Callable[[str], None]) -> None:
    """Make all of it.

    Raises:
        GateError: a portrait or the model pack is missing, or a command failed, in its own words.
    """
    enrolled, stranger = walkup.portrait(ENROLLED), walkup.portrait(STRANGER)
    people = {ENROLLED: enrolled, STRANGER: stranger}
    say("drawing the walk-ups")
    for name, scene in (("entry", ENTRY), ("exit", EXIT)):
        walkup.write_video(_scene(scene, people, seed=len(name)), site.camera(name), frames_per_s=FRAMES_PER_S)
    say(f"enrolling {PERSON} and signing the roster")
    sign_roster(site, {PERSON: enrolled})
    write_controller_key(site)
    site.config.write_text(configuration(site, broker_port), encoding="utf-8")


def sign_roster(site: Site, people: Mapping[str, Portrait]) -> None:
    """An authority that enrols these people (by identifier), and a signed release of them in the folder that the gate looks at.

    Raises:
        GateError: a step was refused, in its own words.
    """
    for name, person in people.items():
        _write_enrolment(person, site.folder / "enrol" / name)
    _run("gate-roster", "init", str(site.authority), "--site", "demo", "--simulation")
    for step in (("enrol", str(site.folder / "enrol")), ("release",), ("export", str(site.roster))):
        _run("gate-roster", step[0], "--authority", str(site.authority), *step[1:])


def program(name: str) -> str:
    """The path of one of our own programs, as it was installed with this Python."""
    return str(Path(sys.executable).with_name(name))


def _scene(walk_ups: Sequence[WalkUp], people: dict[str, Portrait], *, seed: int) -> Iterator[U8]:
    """The frames of one camera."""
    parts: list[Iterator[U8]] = []
    at = 0
    for number, walk_up in enumerate(walk_ups):
        parts.append(walkup.empty_lane(frames=walk_up.first - at, seed=seed))
        person = people[walk_up.portrait]
        parts.append(walkup.walk_up(person, frames=WALK, from_eye_px=18, to_eye_px=60, seed=seed + number))
        parts.append(walkup.walk_up(person, frames=walk_up.stand, from_eye_px=60, to_eye_px=66, seed=seed + number))
        at = walk_up.first + WALK + walk_up.stand
    parts.append(walkup.empty_lane(frames=SCENE - at, seed=seed + 1))
    return chain.from_iterable(parts)


def _write_enrolment(person: Portrait, folder: Path) -> None:
    folder.mkdir(parents=True)
    for number, picture in enumerate(walkup.enrolment_pictures(person, REFERENCES)):
        cv2.imwrite(str(folder / f"{number}.png"), picture)


def _run(name: str, *words: str) -> None:
    done = subprocess.run([program(name), *words], capture_output=True, text=True, check=False)  # noqa: S603  our own programs
    if done.returncode != 0:
        raise GateError(f"{name} {words[0]} failed: {(done.stderr or done.stdout).strip()}")


def write_controller_key(site: Site) -> None:
    site.controller_key.parent.mkdir(exist_ok=True)
    site.controller_key.touch(mode=0o600)
    site.controller_key.write_text(secrets.token_hex(32), encoding="ascii")


def configuration(site: Site, broker_port: int) -> str:
    """The text of the agent's configuration."""
    values: dict[str, dict[str, object]] = {
        "gate": {"site": "demo", "gate": "lane-1", "state_dir": site.folder / "state", "runtime_dir": site.folder / "run"},
        "recognition": {"pack": DEFAULT_PACK, "packs_dir": built_folder(), "pad": "off"},
        "barrier": {"port": site.controller_port, "key_file": site.controller_key},
        "roster": {
            "source": site.roster,
            "root": site.authority / "root.json",
            "site_key_file": site.authority / "site.key",
            "poll_s": 0.5,
        },
        # The scene is played once, whatever else this machine's disk has to do; a gate's own budget is 50 ms, and entry closes over it.
        "journal": {"commit_budget_ms": 1000.0},
        "uplink": {"host": "127.0.0.1", "port": broker_port, "tls": False},
    }
    tables = [f"[{name}]\n" + "".join(f"{key} = {toml_value(value)}\n" for key, value in keys.items()) for name, keys in values.items()]
    cameras = []
    for name in ("entry", "exit"):
        source = toml_value(site.camera(name))
        cameras.append(f'[[camera]]\nname = "{name}"\ndirection = "{name}"\nsource = {source}\n')
    return "# A simulated lane, made by script/demo.\n" + "\n".join([*tables, *cameras])
