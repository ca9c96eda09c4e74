"""From the start of the process to a lane in service, and the memory it holds then: the real program, a signed roster of 300 people."""

import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from agent.authority.synthetic import SyntheticAuthority
from agent.diagnostics import walkup
from agent.diagnostics.bench.figures import resident_mb
from agent.diagnostics.demo.play import START_S, Running, agent_command, controller_command, event_line
from agent.diagnostics.demo.site import Site, configuration, write_controller_key
from agent.roster.secrecy import write_key
from models.pack import read_manifest
from models.places import DEFAULT_PACK, built_folder

PEOPLE = 300  # as many as a release without a measured calibration may hold
NO_BROKER = 9  # a port on which nobody listens: a gate starts without its centre
LANE_FRAMES = 450  # thirty seconds of an empty lane


def measure(runs: int, folder: Path, *, progress: Callable[[int], None]) -> dict[str, object]:
    """Start the agent so many times; ready means that both directions are in service, by its own events."""
    site = _lay_out(folder)
    ready_s, resident = [], []
    with ExitStack() as stack:
        controller = Running("controller", controller_command(site), site.log("controller"))
        stack.callback(controller.stop)
        controller.wait_for(lambda line: '"ready"' in line, "ready", START_S)
        for number in range(1, runs + 1):
            began = time.monotonic()
            agent = Running("agent", agent_command(site), site.log("agent"))
            try:
                for direction in ("entry", "exit"):
                    agent.wait_for(event_line("service.opened", direction), f"{direction} in service", START_S)
                ready_s.append(time.monotonic() - began)
                resident.append(resident_mb(agent.pid))
            finally:
                agent.stop()
            progress(number)
    return {
        "runs": runs,
        "people": PEOPLE,
        "ready_s": {"median": round(statistics.median(ready_s), 2), "max": round(max(ready_s), 2)},
        "resident_mb": round(max(resident)),
    }


def _lay_out(folder: Path) -> Site:
    site = Site(folder)
    pack = read_manifest(built_folder() / DEFAULT_PACK).id
    authority = SyntheticAuthority(site.authority, site="demo", pack=pack, now_s=int(time.time()))
    authority.publish(PEOPLE)
    authority.export(site.roster)
    (site.authority / "root.json").write_bytes(authority.repository.first_root())
    write_key(site.authority / "site.key", authority.key)
    for camera in ("entry", "exit"):
        walkup.write_video(walkup.empty_lane(frames=LANE_FRAMES), site.camera(camera))
    write_controller_key(site)
    site.config.write_text(configuration(site, NO_BROKER), encoding="utf-8")
    return site
