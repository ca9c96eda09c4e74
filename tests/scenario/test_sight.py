"""Models and cameras that are missing, broken or blind: the lane says so, stays shut for entry, and goes on once they are mended."""

import shutil
from pathlib import Path

import pytest

from models.places import DEFAULT_PACK, built_folder
from tests.scenario.conftest import NewLane, Took
from tests.scenario.faults import out_of_service, recovers
from tests.sim.lane_process import Lane
from tests.sim.scene import ABSENT, DARK, FROZEN, OK, SILENT

pytestmark = pytest.mark.alongside


def test_a_lane_without_its_model_pack_waits_for_it(new_lane: NewLane, took: Took, tmp_path: Path) -> None:
    lane = new_lane(settings={"recognition": {"packs_dir": tmp_path / "packs"}}).start()
    out_of_service(lane, "recognition", DEFAULT_PACK)
    (tmp_path / "packs").symlink_to(built_folder())
    took("missing model pack -> in service", recovers(lane))


def test_a_damaged_graph_is_not_used_until_it_is_whole(new_lane: NewLane, took: Took, tmp_path: Path) -> None:
    packs = tmp_path / "packs"
    shutil.copytree(built_folder() / DEFAULT_PACK, packs / DEFAULT_PACK)
    graph = packs / DEFAULT_PACK / "onet.onnx"
    whole = graph.read_bytes()
    graph.write_bytes(whole[:1000] + bytes([whole[1000] ^ 1]) + whole[1001:])
    lane = new_lane(settings={"recognition": {"packs_dir": packs}}).start()
    out_of_service(lane, "recognition", "onet.onnx")
    graph.write_bytes(whole)
    took("damaged graph -> in service", recovers(lane))


def test_a_camera_that_is_absent_at_the_start_may_come_later(new_lane: NewLane, took: Took) -> None:
    lane = new_lane()
    lane.scene.ail("entry", ABSENT)
    lane.start()
    out_of_service(lane, "camera", "cannot be opened", by="camera.condition")
    lane.scene.ail("entry", OK)
    took("camera absent at the start -> in service", recovers(lane))


@pytest.mark.parametrize(
    ("how", "words"),
    [(ABSENT, "gives no pictures any more"), (SILENT, "no frame for"), (FROZEN, "repeats one frame"), (DARK, "too dark, or covered")],
)
def test_a_camera_that_fails_while_running_takes_entry_out_of_service(lane: Lane, took: Took, how: str, words: str) -> None:
    lane.scene.ail("entry", how)
    lane.until(lambda: not lane.in_service(), "out of service")
    out_of_service(lane, "camera", words, by="camera.condition")
    lane.scene.ail("entry", OK)
    took(f"camera {how} while running -> in service", recovers(lane))


def test_whoever_is_inside_is_let_out_by_face_while_the_entry_s_camera_is_absent(new_lane: NewLane) -> None:
    lane = new_lane(cameras=("entry", "exit"))
    lane.scene.ail("entry", ABSENT)
    lane.start()
    lane.until(lambda: lane.in_service("exit"), "the way out in service")
    lane.let_in("exit")
    assert ("camera" in (lane.lacks() or {}), [line["direction"] for line in lane.releases()]) == (True, ["EXIT"])
