"""What all lanes of a test session share: an authority, a signed roster with one person in it, and everybody's pictures. Made once."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from agent.diagnostics import walkup
from agent.diagnostics.demo.site import Site, sign_roster
from agent.errors import GateError
from models.errors import ModelError
from models.pack import open_pack
from models.places import DEFAULT_PACK, built_folder
from tests.sim.scene import Pictures, draw

PERSON, STRANGER = "eileen", "stranger"


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
