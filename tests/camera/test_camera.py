"""Everything that goes wrong with a camera, one fault each."""

import threading
from dataclasses import replace

import numpy as np
import pytest

from agent.core.inputs import CameraCondition, CameraReported
from agent.diagnostics.walkup import Sensor, empty_lane, wall
from agent.drivers.camera_sources import CameraError
from agent.drivers.camera_watch import FrameWatch
from agent.vision.frame import U8, Frame
from tests.camera.lane import QUICK, camera_of, number_of, pictures, take
from tests.camera.scripted import Fail, Hang, ScriptedCamera, Show

OK, ABSENT, STALE, FROZEN, DARK = (CameraCondition[name] for name in ("OK", "ABSENT", "STALE", "FROZEN", "DARK"))
FRAME_NS = 66_666_667


def live(images: list[U8]) -> list[Show]:
    return [Show(image, after_s=0.01) for image in images]


def test_a_camera_that_is_plugged_in_later_is_opened_then() -> None:
    camera = ScriptedCamera(CameraError("not there"), CameraError("not there"), live(pictures(5)))
    with camera_of(camera) as (_, posted, slots):
        posted.wait_for(ABSENT, OK)
        assert len(take(slots, 1)) == 1
    reports = [i for i in posted.inputs if isinstance(i, CameraReported)]
    assert reports[0].detail == "not there"


def test_a_camera_that_is_unplugged_is_absent_and_comes_back_with_its_numbers_going_on() -> None:
    camera = ScriptedCamera([*live(pictures(3)), Fail("pulled out")], live(pictures(5)))
    with camera_of(camera) as (_, posted, slots):
        first = take(slots, 1)[0]
        posted.wait_for(OK, ABSENT, OK)
        assert take(slots, 1)[0].seq > first.seq
    assert camera.opened[0].closed.is_set()


def test_a_camera_that_gives_no_frame_is_stale_and_then_opened_anew_while_the_old_read_still_hangs() -> None:
    let_go = threading.Event()
    late = pictures(1, first=20)[0]
    camera = ScriptedCamera([*live(pictures(3)), Hang(let_go, late)], live(pictures(15)))
    with camera_of(camera) as (running, posted, slots):
        posted.wait_for(OK, STALE, ABSENT, OK)
        assert running.abandoned == 1
        assert not camera.opened[0].closed.is_set()
        let_go.set()
        assert camera.opened[0].closed.wait(5)
        seen = {number_of(f.image) for f in take(slots, 1)}
        assert 20 not in seen, "a frame of an abandoned reader was used"


def test_a_camera_whose_every_open_hangs_is_given_up_each_time_and_still_stops() -> None:
    forever = threading.Event()

    def hanging() -> ScriptedCamera:
        forever.wait(30)
        raise CameraError("late")

    with camera_of(hanging, options=replace(QUICK, abandon_after_ns=100_000_000)) as (camera, posted, _):
        posted.wait(lambda _: camera.abandoned >= 2)
        assert posted.conditions[0] is ABSENT
    forever.set()


def test_a_slow_recognition_gets_the_newest_frame_and_the_others_are_counted() -> None:
    camera = ScriptedCamera(live(pictures(20)))
    with camera_of(camera, options=replace(QUICK, stale_after_ns=100_000_000)) as (_, posted, slots):
        posted.wait_for(OK, STALE)  # all twenty were read
        (frame,) = take(slots, 1)
    assert number_of(frame.image) == 19
    assert slots.dropped("entry") == 19


def test_a_reader_that_breaks_in_an_unforeseen_way_is_reported_and_replaced() -> None:
    class Broken:
        period_s = None

        def read(self) -> U8:
            raise ZeroDivisionError("driver")

        def close(self) -> None:
            pass

    openings = iter([Broken()])
    good = ScriptedCamera(live(pictures(3)))
    with camera_of(lambda: next(openings, None) or good()) as (_, posted, slots):
        posted.wait_for(ABSENT, OK)
        assert take(slots, 1)


def test_a_camera_that_stops_in_a_hanging_read_ends_in_time() -> None:
    let_go = threading.Event()
    with camera_of(ScriptedCamera([Hang(let_go, pictures(1)[0])])):
        pass
    let_go.set()


# --- frames that no decision may rest on ---------------------------------------------------------------------------------------------


def judged(images: list[U8], watch: FrameWatch | None = None) -> tuple[list[bool], list[CameraCondition | None]]:
    watch = watch or FrameWatch()
    fit, conditions = [], []
    for number, image in enumerate(images):
        fit.append(watch.judge(Frame(number + 1, number * FRAME_NS, image)))
        if not conditions or conditions[-1] is not watch.condition:
            conditions.append(watch.condition)
    return fit, conditions


def test_an_empty_lane_at_rest_is_fit_because_a_sensor_has_noise() -> None:
    fit, conditions = judged(list(empty_lane(frames=40, size=(160, 120))))
    assert all(fit)
    assert conditions == [OK]


def test_a_repeated_frame_is_never_used_and_after_a_second_the_camera_is_frozen_until_it_moves() -> None:
    images = pictures(3) + [pictures(1, first=2)[0]] * 20 + pictures(2, first=9)
    fit, conditions = judged(images)
    assert fit == [True] * 3 + [False] * 20 + [True, True]
    assert conditions == [OK, FROZEN]
    _, conditions = judged(images + pictures(8, first=12))
    assert conditions == [OK, FROZEN, OK]


@pytest.mark.parametrize(
    "image",
    [wall((160, 120)) // 20, np.full((120, 160, 3), 130, np.uint8), np.full((120, 160, 3), 245, np.uint8)],
    ids=["light out", "hand on the lens", "lens taped white"],
)
def test_a_picture_in_which_nobody_can_be_seen_is_never_used_and_reported_when_it_lasts(image: U8) -> None:
    sensor = Sensor(4)
    covered = [sensor.expose(image) for _ in range(10)]
    fit, conditions = judged([*empty_lane(frames=5, size=(160, 120)), *covered, *empty_lane(frames=10, size=(160, 120), seed=1)])
    assert fit == [True] * 5 + [False] * 10 + [True] * 10
    assert conditions == [OK, DARK, OK]


def test_one_dark_frame_takes_no_lane_out_of_service() -> None:
    images = [*empty_lane(frames=5, size=(160, 120)), np.zeros((120, 160, 3), np.uint8), *empty_lane(frames=5, size=(160, 120), seed=1)]
    fit, conditions = judged(images)
    assert fit == [True] * 5 + [False] + [True] * 5
    assert conditions == [OK]


def test_a_frozen_and_a_covered_camera_give_recognition_nothing() -> None:
    black = [Show(np.asarray(np.random.default_rng(i).integers(0, 6, (120, 160, 3)), np.uint8), after_s=0.02) for i in range(60)]
    with camera_of(ScriptedCamera(black)) as (_, posted, slots):
        posted.wait_for(DARK)
        assert slots.take(0.1) is None
    frozen = [Show(pictures(1)[0], after_s=0.05) for _ in range(60)]
    with camera_of(ScriptedCamera(frozen)) as (_, posted, slots):
        posted.wait_for(OK, FROZEN)
        assert number_of(take(slots, 1)[0].image) == 0  # the first one was new
        assert slots.take(0.1) is None
