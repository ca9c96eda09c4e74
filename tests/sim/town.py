"""What all lanes of a test session share: an authority, a signed roster with one person in it, and everybody's pictures. Made once."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from agent.diagnostics import walkup
from agent.diagnostics.demo.site import Site, sign_roster
from agent.errors import GateError
from models.errors import ModelError
from models.pack import open_pack
from models.places import DEFAULT_PACK, built_folder
from tests.sim.attacks import KINDS, held_up
from tests.sim.scene import Pictures, draw, jpegs

PERSON, STRANGER = "eileen", "stranger"
BLUE_PRINT = "print in blue light"
BLUE_LIGHT = np.array([60, 0, -60], np.int16)  # added to B, G, R
HELD_EYE_PX = 55.0
LARGE = (640, 480)


@dataclass(frozen=True, slots=True)
class Town:
    """Attributes: site: its authority and its roster are used, nothing else of it."""

    site: Site
    pictures: Mapping[str, Pictures]


def missing() -> str:
    """What this machine lacks for a town; empty: nothing."""
    try:
        open_pack(built_folder() / DEFAULT_PACK)
        for name in ("astronaut", "hopper"):
            walkup.portrait(name)
    except (GateError, ModelError) as error:
        return str(error)
    return ""


def found(folder: Path) -> Town:
    people = {PERSON: walkup.portrait("astronaut"), STRANGER: walkup.portrait("hopper")}
    site = Site(folder)
    sign_roster(site, {PERSON: people[PERSON]})
    return Town(site, draw(people))


@cache
def guarded() -> Mapping[str, Pictures]:
    """For a lane with attack detection, which needs room around a face: the enrolled person, nobody, her face by each kind of attack."""
    person = walkup.portrait("astronaut")
    return {**draw({PERSON: person}, size=LARGE), **_attacks(person)}


def _attacks(person: walkup.Portrait) -> Mapping[str, Pictures]:
    """A face by each kind of attack, and as a print in blue light."""
    frames = {kind: list(held_up(make(person), frames=12, size=LARGE, eye_px=HELD_EYE_PX)) for kind, make in KINDS.items()}
    frames[BLUE_PRINT] = [np.clip(image + BLUE_LIGHT, 0, 255).astype(np.uint8) for image in frames["print"]]
    return {name: Pictures((), jpegs(iter(images))) for name, images in frames.items()}
