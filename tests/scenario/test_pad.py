"""Attack detection required, through the whole agent: who is live passes, a picture of them does not, and without a sound pack nobody does.

Most use a stand-in of made weights (tests/sim/pad_pack.py), which takes blue light for an attack; one uses the published weights where they
are at hand. The attacks are computed (tests/sim/attacks.py).
"""

import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from agent.diagnostics.demo.site import program
from models.pack import verify_pack
from models.places import DEFAULT_PACK, built_folder
from tests.models.shared import weights
from tests.scenario.conftest import NewLane, Took
from tests.scenario.faults import out_of_service, recovers
from tests.sim.lane_process import Lane
from tests.sim.pad_pack import NAME, PUBLISHED, always, by_colour, fails_on_light, write_pack
from tests.sim.scene import NOBODY
from tests.sim.town import BLUE_PRINT, PERSON
from tests.sim.town import guarded as guarded_pictures

pytestmark = pytest.mark.alongside

WEIGHTS = ("2.7_80x80_MiniFASNetV2.pth", "4_0_0_80x80_MiniFASNetV1SE.pth")
BONA_FIDE_MIN, ATTACK_MAX = 0.6, 0.3  # of both packs
LEFT_MS = 800  # a track is lost after 300 ms


def folder_of_packs(tmp_path: Path) -> Path:
    """A folder of packs of this test's own: the default one, and none that detects attacks."""
    folder = tmp_path / "packs"
    folder.mkdir()
    (folder / DEFAULT_PACK).symlink_to(built_folder() / DEFAULT_PACK)
    return folder


def guarded(new_lane: NewLane, packs: Path, *, pad_pack: str = NAME) -> Lane:
    """A lane that requires attack detection."""
    recognition = {"packs_dir": packs, "pad": "required", "pad_pack": pad_pack}
    return new_lane(settings={"recognition": recognition, "lane": {"anti_passback": "off"}}, pictures=guarded_pictures())


def is_denied_as_an_attack(lane: Lane, attack: str) -> None:
    """It matches as well as its owner, and is refused all the same; the event has both scores, each beside its own verdict."""
    nobody_is_in_view(lane)
    granted, denied = len(lane.said("access.granted")), len(lane.said("access.denied", reason="presentation_attack"))
    lane.come("entry", attack)
    lane.until(lambda: len(lane.said("access.denied", reason="presentation_attack")) > denied, f"a denial: {attack}")
    event = lane.said("access.denied", reason="presentation_attack")[-1]
    assert (event["pad"], event["person"]) == ("attack", PERSON), event
    assert event["pad_score"] <= ATTACK_MAX
    assert event["score"] >= event["threshold"]
    assert len(lane.said("access.granted")) == granted
    lane.come("entry", NOBODY)


def is_let_in_as_live(lane: Lane) -> None:
    nobody_is_in_view(lane)
    granted = len(lane.said("access.granted"))
    lane.let_in()
    lane.until(lambda: len(lane.said("access.granted")) > granted, "the grant's event")
    event = lane.said("access.granted")[-1]
    assert (event["pad"], event["person"]) == ("bona_fide", PERSON)
    assert event["pad_score"] >= BONA_FIDE_MIN
    assert event["score"] >= event["threshold"]


def nobody_is_in_view(lane: Lane) -> None:
    """Whoever stood there has left the picture, and no track and no passage of theirs is left."""
    lane.come("entry", NOBODY)
    lane.until(lambda: gone_ms(lane) > LEFT_MS and lane.snapshot().get("phase") == "secured", "nobody in view and the lane at rest")


def gone_ms(lane: Lane) -> float:
    """For how long no frame has shown a face."""
    age_ms: float = lane.snapshot().get("views", {}).get("entry", {}).get("age_ms", LEFT_MS + 1)
    return age_ms


def test_without_its_pack_nobody_passes_and_when_it_has_come_the_live_do_and_pictures_of_them_do_not(
    new_lane: NewLane, took: Took, tmp_path: Path
) -> None:
    packs = folder_of_packs(tmp_path)
    lane = guarded(new_lane, packs).start()
    out_of_service(lane, "recognition", f"gate-agent models import FILE --pack {NAME}")
    verify_pack(write_pack(packs, by_colour()))
    took("missing pack that detects attacks -> in service", recovers(lane))
    assert {event["pad"] for event in lane.said("access.granted")} == {"bona_fide"}
    is_denied_as_an_attack(lane, BLUE_PRINT)
    is_let_in_as_live(lane)
    assert lane.said("agent.started")[0]["pad"] == "required"
    assert "off" not in {event["pad"] for event in lane.said("access.denied") + lane.said("access.granted")}


@pytest.mark.slow
def test_a_pack_that_fails_on_a_face_lets_nobody_in_and_another_in_its_place_does(new_lane: NewLane, took: Took, tmp_path: Path) -> None:
    packs = folder_of_packs(tmp_path)
    failing = write_pack(packs, fails_on_light())
    lane = guarded(new_lane, packs).start()
    lane.until(lane.in_service, "in service: nobody was looked at yet")
    out_of_service(lane, "recognition", "onnx fails on an input of shape (1, 3, 80, 80)")
    assert lane.said("access.granted") == []
    shutil.rmtree(failing)
    write_pack(packs, by_colour())
    took("pack that failed on a face, replaced -> in service", recovers(lane))
    assert [event["pad"] for event in lane.said("access.granted")] == ["bona_fide"]


@pytest.mark.slow
def test_a_pack_that_is_taken_away_is_missed_at_the_next_opening_and_a_damaged_one_is_not_opened(
    new_lane: NewLane, took: Took, tmp_path: Path
) -> None:
    packs = folder_of_packs(tmp_path)
    folder = write_pack(packs, by_colour())
    lane = guarded(new_lane, packs).start()
    lane.until(lane.in_service, "in service")
    folder.rename(tmp_path / "away")
    is_denied_as_an_attack(lane, BLUE_PRINT)  # what was verified when it was opened goes on
    is_let_in_as_live(lane)
    lane.end_agent()
    lane.start_agent()
    out_of_service(lane, "recognition", f"model pack '{NAME}' is not built")
    whole = (tmp_path / "away" / "far.onnx").read_bytes()
    (tmp_path / "away" / "far.onnx").write_bytes(whole[:99] + bytes([whole[99] ^ 1]) + whole[100:])
    (tmp_path / "away").rename(folder)
    out_of_service(lane, "recognition", "far.onnx has SHA-256")
    (folder / "far.onnx").write_bytes(whole)
    took("damaged pack that detects attacks -> in service", recovers(lane))


@pytest.mark.slow
def test_whom_the_detection_cannot_tell_is_denied_after_each_attempt_and_no_more_often(new_lane: NewLane, tmp_path: Path) -> None:
    packs = folder_of_packs(tmp_path)
    write_pack(packs, always(0.45))
    lane = guarded(new_lane, packs).start()
    lane.until(lane.in_service, "in service")
    lane.come("entry", PERSON)
    lane.until(lambda: len(lane.said("access.denied")) >= 4, "four attempts")
    events = lane.said("access.denied")
    assert {(event["reason"], event["pad"], event["person"]) for event in events} == {("pad_inconclusive", "inconclusive", PERSON)}
    assert [event["pad_score"] for event in events] == pytest.approx([0.45] * len(events), abs=1e-4)
    assert min(event["score"] - event["threshold"] for event in events) >= 0
    assert lane.releases() == []
    at_ms = [row["data"]["monotonic_ns"] / 1e6 for row in lane.rows() if row["type"] == "access.denied"]
    whole = int(str(lane.settings["lane"]["attempt_ms"])) + int(str(lane.settings["lane"]["cool_down_ms"]))
    assert min(later - earlier for earlier, later in pairwise(at_ms)) >= whole


@pytest.mark.slow
def test_the_published_networks_imported_while_the_lane_runs_let_the_live_in_and_prints_and_screens_not(
    new_lane: NewLane, took: Took, tmp_path: Path
) -> None:
    files = [str(weights(name)) for name in WEIGHTS]
    packs = folder_of_packs(tmp_path)
    lane = guarded(new_lane, packs, pad_pack=PUBLISHED).start()
    out_of_service(lane, "recognition", f"gate-agent models import FILE --pack {PUBLISHED}")
    done = subprocess.run(
        [program("gate-agent"), "models", "import", *files, "--pack", PUBLISHED, "--into", str(packs)], check=False, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    took("minifasnet imported -> in service", recovers(lane))
    is_denied_as_an_attack(lane, "print")
    is_denied_as_an_attack(lane, "screen")
    is_let_in_as_live(lane)
