"""No roster, a tampered one, another key, a damaged trust file, a clock that cannot be right: nobody is let in on it."""

import shutil
import time
from pathlib import Path

import pytest

from agent.authority.synthetic import DAY_S, SyntheticAuthority
from agent.drivers.control_socket import ask
from agent.roster.secrecy import new_key, write_key
from models.pack import read_manifest
from models.places import DEFAULT_PACK, built_folder
from tests.scenario.conftest import NewLane, Took
from tests.scenario.faults import out_of_service, recovers
from tests.sim.lane_process import Lane
from tests.sim.town import Town

pytestmark = pytest.mark.alongside


def bring(release: Path, into: Path) -> None:
    """As an operator does: whole, the time stamp last."""
    shutil.copytree(release / "targets", into / "targets", dirs_exist_ok=True)
    others = [file for file in (release / "metadata").iterdir() if file.name != "timestamp.json"]
    (into / "metadata").mkdir(parents=True, exist_ok=True)
    for file in [*others, release / "metadata" / "timestamp.json"]:
        shutil.copy(file, into / "metadata" / file.name)


def tamper(folder: Path) -> None:
    """One bit of the signed document."""
    (target,) = [file for file in (folder / "targets").rglob("*") if file.is_file()]
    content = bytearray(target.read_bytes())
    content[len(content) // 2] ^= 1
    target.write_bytes(content)


def test_a_gate_without_a_roster_waits_for_one(new_lane: NewLane, took: Took, town: Town, tmp_path: Path) -> None:
    lane = new_lane(settings={"roster": {"source": tmp_path}}).start()
    out_of_service(lane, "roster_none", "none was loaded yet", event="roster_none")
    bring(town.site.roster, tmp_path)
    took("no roster -> in service", recovers(lane))


def test_a_tampered_roster_is_refused_until_the_right_one_comes(new_lane: NewLane, took: Took, town: Town, tmp_path: Path) -> None:
    bring(town.site.roster, tmp_path)
    tamper(tmp_path)
    lane = new_lane(settings={"roster": {"source": tmp_path}}).start()
    out_of_service(lane, "roster_none", "is not what was signed", by="roster.refused")
    bring(town.site.roster, tmp_path)
    took("tampered roster -> in service", recovers(lane))


def test_a_tampered_offer_does_not_disturb_the_roster_in_force(new_lane: NewLane, town: Town, tmp_path: Path) -> None:
    bring(town.site.roster, tmp_path)
    lane = new_lane(settings={"roster": {"source": tmp_path}}).start()
    lane.until(lane.in_service, "in service")
    tamper(tmp_path)
    (tmp_path / "metadata" / "timestamp.json").write_bytes((tmp_path / "metadata" / "timestamp.json").read_bytes() + b" ")
    lane.until(lambda: lane.said("roster.refused"), "the refusal is recorded")
    lane.let_in()
    assert [event["direction"] for event in lane.said("service.closed")] == ["entry"], "at the start, and never again"


def test_a_site_key_that_is_not_the_roster_s_opens_nothing(new_lane: NewLane, took: Took, town: Town, tmp_path: Path) -> None:
    key = tmp_path / "site.key"
    write_key(key, new_key())
    lane = new_lane(settings={"roster": {"site_key_file": key}}).start()
    out_of_service(lane, "roster_none", "key", by="roster.refused")
    shutil.copy(town.site.authority / "site.key", tmp_path / "right.key")
    (tmp_path / "right.key").replace(key)
    took("wrong site key -> in service", recovers(lane))


def test_a_roster_from_the_future_admits_nobody(new_lane: NewLane, tmp_path: Path) -> None:
    """Either the authority's clock is wrong or the gate's is; who may pass when cannot be said."""
    pack = read_manifest(built_folder() / DEFAULT_PACK).id
    authority = SyntheticAuthority(tmp_path / "authority", site="demo", pack=pack, now_s=int(time.time()) + 2 * DAY_S)
    authority.publish()
    authority.export(tmp_path / "roster")
    (tmp_path / "root.json").write_bytes(authority.repository.first_root())
    write_key(tmp_path / "site.key", authority.key)
    files = {"source": tmp_path / "roster", "root": tmp_path / "root.json", "site_key_file": tmp_path / "site.key"}
    lane = new_lane(settings={"roster": files}).start()

    def says() -> bool:
        lacks = lane.lacks() or {}
        return "clock" in lacks or "mend the authority's clock" in lacks.get("roster_none", "")

    lane.until(says, "out of service by the clock, or for want of a roster")
    lane.let_out_by_hand()
    lane.end_agent()
    lane.start_agent()
    lane.until(says, "still so after a restart")
    assert lane.releases() == []


def damage(file: Path) -> None:
    """Garbage over the first page, as a failing disk leaves it."""
    content = bytearray(file.read_bytes())
    content[16:600] = b"\xa5" * 584
    file.write_bytes(content)


def set_aside(lane: Lane) -> None:
    """What the sentence tells a person to do."""
    for name in ("trust.db", "trust.db-wal", "trust.db-shm"):
        file = lane.state / name
        if file.exists():
            file.rename(lane.state / f"{name}.damaged")


def test_a_damaged_trust_file_closes_entry_until_a_person_sets_it_aside(new_lane: NewLane, took: Took) -> None:
    lane = new_lane().start()
    lane.until(lane.in_service, "in service")
    lane.end_agent()
    damage(lane.state / "trust.db")
    lane.start_agent()
    out_of_service(lane, "roster_none", "trust.db is damaged", by="roster.refused")
    set_aside(lane)
    took("damaged trust.db set aside -> in service", recovers(lane))


def test_a_lock_down_survives_a_kill_and_lets_people_out(new_lane: NewLane) -> None:
    lane = new_lane().start()
    lane.until(lane.in_service, "in service")
    ask(lane.control_socket, {"do": "lock-down", "on": True, "reason": "a drill"})
    lane.until(lambda: "lock_down" in (lane.lacks() or {}), "locked down")
    lane.end_agent()
    lane.start_agent()
    out_of_service(lane, "lock_down", "entry is locked down")
    ask(lane.control_socket, {"do": "lock-down", "on": False, "reason": "the drill is over"})
    recovers(lane)
