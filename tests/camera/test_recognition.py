"""The recognition thread with the real pack: two cameras, rosters that come and do not fit, models that are missing and come back."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from agent.core.identity import Direction
from agent.core.inputs import Input, Pad, PadVerdict, ProbeCompared, RecognitionReported, SubjectReplaced, TrackLost
from agent.diagnostics.walkup import walk_up
from agent.drivers import recognition as driver
from agent.drivers.camera import Camera, CameraOptions
from agent.drivers.frame_slots import FrameSlots
from agent.drivers.recognition import Recognition
from agent.errors import GateError
from agent.vision.frame import U8, Frame
from agent.vision.pad import detection
from agent.vision.recogniser import Recogniser
from agent.vision.sampler import Sampler
from models.detector import Detections
from models.pack import open_pad_pack
from tests.camera.lane import DEADLINE_S, Posted
from tests.camera.scripted import ScriptedCamera, Show
from tests.sim import pad_pack
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


class WithNothing:
    """The detector, which also finds a face without an extent in each picture: `harm` is done to a copy of the real one."""

    def __init__(self, harm: Callable[[Detections], None]) -> None:
        self._detector, self._harm = pack.sampler().pack.detector, harm

    def detect(self, image: U8, *, min_face_px: int) -> Detections:
        return self._more(self._detector.detect(image, min_face_px=min_face_px))

    def refine(self, image: U8, boxes: np.ndarray) -> Detections:
        return self._more(self._detector.refine(image, boxes))

    def _more(self, found: Detections) -> Detections:
        nothing = Detections(found.boxes.copy(), found.scores, found.landmarks.copy())
        self._harm(nothing)
        return Detections(*(np.concatenate([getattr(d, name) for d in (nothing, found)]) for name in ("boxes", "scores", "landmarks")))


def no_width(found: Detections) -> None:
    found.boxes[:, 2] = found.boxes[:, 0]


def no_number(found: Detections) -> None:
    found.boxes[:, 1] = np.nan


def one_point(found: Detections) -> None:
    found.landmarks[:] = found.landmarks[:, :1]


def test_landmarks_in_one_point_are_no_face_in_a_picture_for_enrolment_either() -> None:
    sampler = Sampler(replace(pack.sampler().pack, detector=WithNothing(one_point)), pack.BOUNDS)
    assert len(sampler.sample_faces(scene(("astronaut", 320, 60)))) == 1


@pytest.mark.parametrize("harm", [no_width, no_number])
def test_a_find_without_an_extent_is_no_face_and_hinders_nobody(harm: Callable[[Detections], None], tmp_path: Path) -> None:
    def opened() -> Recogniser:
        sampler = Sampler(replace(pack.sampler().pack, detector=WithNothing(harm)), pack.BOUNDS)
        return Recogniser(sampler, frames=3, pad=detection(open_pad_pack(pad_pack.write_pack(tmp_path, pad_pack.by_colour())), most=5))

    posted, slots = Posted(), FrameSlots(["entry"])
    with running(slots, posted, opened=opened) as thread:
        thread.use(pack.gallery_of("astronaut"))
        for number in range(1, 6):
            slots.put("entry", Frame(number, number * 66_000_000, scene(("astronaut", 320, 60), seed=number)))
            assert slots.wait_until_done("entry", DEADLINE_S)
    assert [p.pad.verdict for p in probes(posted.inputs)] == [PadVerdict.INCONCLUSIVE] * 2 + [PadVerdict.BONA_FIDE] * 3
    assert [r.ready for r in reports(posted.inputs)] == [True]


def test_attack_detection_that_fails_on_a_face_is_told_in_a_sentence_and_another_pack_is_used_when_it_is_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(driver, "PAUSE_S", 0.02)
    folders = [pad_pack.write_pack(tmp_path / str(n), made()) for n, made in enumerate((pad_pack.fails_on_light, pad_pack.by_colour))]
    tries = iter(folders)

    def opened() -> Recogniser:
        running_pad = detection(open_pad_pack(next(tries)), most=5)
        running_pad.warm_up()
        return Recogniser(pack.sampler(), frames=3, pad=running_pad)

    posted, slots = Posted(), FrameSlots(["entry"])
    with running(slots, posted, opened=opened) as thread:
        thread.use(pack.gallery_of("astronaut"))
        slots.put("entry", Frame(1, 66_000_000, scene(("astronaut", 320, 60))))
        posted.wait(lambda inputs: [r.ready for r in reports(inputs)] == [True, False, True])
        assert probes(posted.inputs) == []
        slots.put("entry", Frame(2, 132_000_000, scene(("astronaut", 320, 60))))
        posted.wait(probes)
    (failed,) = [r.detail for r in reports(posted.inputs) if not r.ready]
    assert f"{folders[0] / 'near.onnx'} fails on an input of shape (1, 3, 80, 80)" in failed
    assert [record.exc_info for record in caplog.records] == [None] * len(caplog.records), "a sentence, no traceback"
