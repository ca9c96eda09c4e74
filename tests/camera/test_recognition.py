"""The recognition thread with the real pack: two cameras, rosters that come and do not fit, models that are missing and come back."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import count

import pytest

from agent.core.identity import Direction
from agent.core.inputs import Input, Pad, PadVerdict, ProbeCompared, RecognitionReported, SubjectReplaced, TrackLost
from agent.diagnostics.walkup import walk_up
from agent.drivers import recognition as driver
from agent.drivers.camera import Camera, CameraOptions
from agent.drivers.frame_slots import FrameSlots
from agent.drivers.recognition import Recognition
from agent.errors import GateError
from agent.vision.frame import Frame
from agent.vision.recogniser import Recogniser
from tests.camera.lane import DEADLINE_S, Posted
from tests.camera.scripted import ScriptedCamera, Show
from tests.vision import pack
from tests.vision.test_recogniser import scene

ENTRY: Mapping[str, Direction] = {"entry": Direction.ENTRY}


def recogniser() -> Recogniser:
    return Recogniser(pack.sampler(), frames=3, pad=Pad(PadVerdict.OFF))


@contextmanager
def running(
    slots: FrameSlots,
    posted: Posted,
    *,
    opened: Callable[[], Recogniser] = recogniser,
    cameras: Mapping[str, Direction] = ENTRY,
    on_probe: driver.OnProbe | None = None,
) -> Iterator[Recognition]:
    pack.gallery_of("astronaut")  # skips, and opens the pack, outside of the thread
    thread = Recognition(cameras=cameras, slots=slots, open_recogniser=opened, post=posted, on_probe=on_probe)
    thread.start()
    try:
        yield thread
    finally:
        thread.stop()
        assert thread.join(DEADLINE_S)


def reports(inputs: list[Input]) -> list[RecognitionReported]:
    return [i for i in inputs if isinstance(i, RecognitionReported)]


def probes(inputs: list[Input]) -> list[ProbeCompared]:
    return [i for i in inputs if isinstance(i, ProbeCompared)]


def test_a_walk_up_in_front_of_a_camera_is_compared_frame_by_frame_before_the_camera_ends() -> None:
    posted, slots = Posted(), FrameSlots(["entry"])
    frames = list(walk_up(pack.person("astronaut"), frames=12, from_eye_px=45, seed=4))
    source = ScriptedCamera([Show(image) for image in frames], period_s=1 / 60)
    camera = Camera("entry", Direction.ENTRY, open_source=source, slots=slots, post=posted, options=CameraOptions(every_frame=True))
    with running(slots, posted) as thread:
        camera.start()
        thread.use(pack.gallery_of("astronaut"))
        posted.wait(lambda inputs: any(getattr(i, "condition", None) == "ended" for i in inputs))
        assert thread.frames == 12
        camera.stop()
        assert camera.join(DEADLINE_S)
    assert len(probes(posted.inputs)) == 12
    assert {p.candidates[0].record.person for p in probes(posted.inputs)} == {"astronaut"}
    assert [p.captured_at_ns for p in probes(posted.inputs)] == sorted(p.captured_at_ns for p in probes(posted.inputs))
    assert reports(posted.inputs) == [RecognitionReported(ready=True, detail=f"pack {pack.sampler().pack.id}")]


def test_two_cameras_are_served_in_turn_with_tracks_of_their_own() -> None:
    cameras = {"entry": Direction.ENTRY, "exit": Direction.EXIT}
    posted, slots = Posted(), FrameSlots(list(cameras))
    with running(slots, posted, cameras=cameras) as thread:
        thread.use(pack.gallery_of("astronaut", "hopper"))
        for seq, name, who in ((1, "entry", "astronaut"), (1, "exit", "hopper"), (2, "entry", "astronaut")):
            before = len(probes(posted.inputs))
            slots.put(name, Frame(seq, seq * 66_000_000, scene((who, 320, 60), seed=seq)))
            posted.wait(lambda inputs, before=before: len(probes(inputs)) > before)
    seen = [(p.camera, p.direction, p.track, p.candidates[0].record.person) for p in probes(posted.inputs)]
    assert seen == [
        ("entry", Direction.ENTRY, 1, "astronaut"),
        ("exit", Direction.EXIT, 2, "hopper"),
        ("entry", Direction.ENTRY, 1, "astronaut"),
    ]


def test_a_new_roster_is_used_from_the_next_frame_on() -> None:
    posted, slots = Posted(), FrameSlots(["entry"])
    with running(slots, posted) as thread:
        for version, names in ((4, ("astronaut",)), (5, ("hopper",))):
            thread.use(replace(pack.gallery_of(*names), version=version))
            slots.put("entry", Frame(version, version * 66_000_000, scene(("astronaut", 320, 60), seed=version)))
            posted.wait(lambda inputs, v=version: probes(inputs) and probes(inputs)[-1].roster_version == v)
    assert [p.candidates[0].record.person for p in probes(posted.inputs)] == ["astronaut", "hopper"]


def test_a_roster_of_another_pack_is_not_compared_with_and_says_so() -> None:
    posted, slots = Posted(), FrameSlots(["entry"])
    with running(slots, posted) as thread:
        thread.use(replace(pack.gallery_of("astronaut"), pack="other-1"))
        posted.wait(lambda inputs: any("other-1" in r.detail for r in reports(inputs)))
        slots.put("entry", Frame(1, 1, scene(("astronaut", 320, 60))))
        assert slots.wait_until_done("entry", DEADLINE_S)
        thread.use(pack.gallery_of("astronaut"))
        slots.put("entry", Frame(2, 66_000_000, scene(("astronaut", 320, 60), seed=1)))
        posted.wait(probes)
    assert [r.ready for r in reports(posted.inputs)] == [True, False, True]
    assert [p.captured_at_ns for p in probes(posted.inputs)] == [66_000_000]


def test_models_that_are_missing_are_reported_in_words_and_opened_when_they_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "PAUSE_S", 0.02)
    tries = count(1)

    def opened() -> Recogniser:
        if next(tries) < 3:
            raise GateError("no built model pack in /packs; run: gate-agent models build")
        return recogniser()

    posted = Posted()
    with running(FrameSlots(["entry"]), posted, opened=opened):
        posted.wait(lambda inputs: any(r.ready for r in reports(inputs)))
    assert [r.ready for r in reports(posted.inputs)] == [False, True]
    assert "gate-agent models build" in reports(posted.inputs)[0].detail


def test_a_failure_on_one_frame_is_reported_and_recognition_goes_on_with_fresh_track_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "PAUSE_S", 0.02)
    posted, slots = Posted(), FrameSlots(["entry"])
    with running(slots, posted) as thread:
        thread.use(pack.gallery_of("astronaut"))
        good = scene(("astronaut", 320, 60))
        slots.put("entry", Frame(1, 66_000_000, good))
        posted.wait(probes)
        slots.put("entry", Frame(2, 132_000_000, good[:, :, :2]))
        posted.wait(lambda inputs: [r.ready for r in reports(inputs)] == [True, False, True])
        slots.put("entry", Frame(3, 198_000_000, good))
        posted.wait(lambda inputs: len(probes(inputs)) == 2)
    assert [p.track for p in probes(posted.inputs)] == [1, 2]
    assert [p.frames for p in probes(posted.inputs)] == [1, 1]


def test_who_was_released_is_watched_until_told_otherwise() -> None:
    posted, slots, stamp = Posted(), FrameSlots(["entry"]), count(1)

    def show(who: str, times: int) -> None:
        for _ in range(times):
            number = next(stamp)
            slots.put("entry", Frame(number, number * 66_000_000, scene((who, 320, 60), seed=number)))
            assert slots.wait_until_done("entry", DEADLINE_S)

    with running(slots, posted) as thread:
        thread.use(pack.gallery_of("astronaut"))
        show("astronaut", 3)
        thread.watch(probes(posted.inputs)[-1].track)
        show("astronaut", 3)
        assert len(probes(posted.inputs)) == 3
        show("hopper", 6)
        posted.wait(lambda inputs: any(isinstance(i, SubjectReplaced) for i in inputs))
    ended = [(type(i), i.track) for i in posted.inputs if isinstance(i, SubjectReplaced | TrackLost)]
    assert ended == [(SubjectReplaced, 1), (TrackLost, 1)]


def test_a_simulation_can_keep_the_frame_of_each_probe() -> None:
    posted, slots, kept = Posted(), FrameSlots(["entry"]), []
    image = scene(("astronaut", 320, 60))
    with running(slots, posted, on_probe=lambda probe, frame: kept.append((probe.track, frame is image))) as thread:
        thread.use(pack.gallery_of("astronaut"))
        slots.put("entry", Frame(1, 1, image))
        posted.wait(probes)
    assert kept == [(1, True)]


def test_a_failure_while_somebody_is_watched_counts_as_the_loss_of_the_subject(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "PAUSE_S", 0.02)
    posted, slots = Posted(), FrameSlots(["entry"])
    with running(slots, posted) as thread:
        thread.use(pack.gallery_of("astronaut"))
        good = scene(("astronaut", 320, 60))
        slots.put("entry", Frame(1, 66_000_000, good))
        posted.wait(probes)
        thread.watch(probes(posted.inputs)[0].track)
        slots.put("entry", Frame(2, 132_000_000, good[:, :, :2]))
        posted.wait(lambda inputs: any(isinstance(i, TrackLost) for i in inputs))
    assert [(i.camera, i.track) for i in posted.inputs if isinstance(i, TrackLost)] == [("entry", 1)]


def test_whoever_installs_a_camera_is_shown_the_figures_of_the_nearest_face() -> None:
    posted, slots = Posted(), FrameSlots(["entry"])
    with running(slots, posted) as thread:
        thread.use(pack.gallery_of("astronaut"))
        assert thread.views() == {}
        slots.put("entry", Frame(1, 66_000_000, scene(("astronaut", 320, 60))))
        posted.wait(probes)
        view = json.loads(json.dumps(thread.views()))["entry"]
    assert (view["faces"], view["in_lane"], view["fault"]) == (1, True, None)
    assert view["at"] == pytest.approx([0.5, 200 / 480], abs=0.02)
    assert view["eye_distance_px"] == pytest.approx(60, abs=3)
    assert set(view["quality"]) == {"eye_distance_px", "yaw", "blur", "brightness", "clipped"}
