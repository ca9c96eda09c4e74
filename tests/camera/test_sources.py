"""One contract for every source of pictures: the real ones, each against a real file or peer, and the scripted one of the tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agent.core.inputs import CameraCondition
from agent.diagnostics.walkup import write_folder, write_video
from agent.drivers.camera_sources import CameraError, Opener, SourceSettings, opener, without_secret
from agent.errors import UsageError
from tests.camera.lane import QUICK, camera_of, http_camera, number_of, pictures, take
from tests.camera.scripted import ScriptedCamera, Show

SETTINGS = SourceSettings(source="", allow_network_camera=False, simulation=True, width=640, height=480, frames_per_s=60)
COUNT = 12
RECORDINGS = ("folder", "video", "scripted recording")
LIVE = ("http", "scripted")


@contextmanager
def source(kind: str, folder: Path) -> Iterator[Opener]:
    images = pictures(COUNT)
    match kind:
        case "folder":
            write_folder(images, folder)
            yield opener(replace(SETTINGS, source=str(folder)))
        case "video":
            write_video(images, folder / "lane.avi", frames_per_s=60)
            yield opener(replace(SETTINGS, source=str(folder / "lane.avi")))
        case "http":
            with http_camera(images) as address:
                yield opener(replace(SETTINGS, source=address, allow_network_camera=True, simulation=False))
        case "scripted recording":
            yield ScriptedCamera([Show(image) for image in images], period_s=1 / 60)
        case _:
            yield ScriptedCamera([Show(image, after_s=0.02) for image in images * 50])


@pytest.mark.parametrize("kind", [*RECORDINGS, *LIVE])
def test_frames_come_in_order_numbered_and_stamped(kind: str, tmp_path: Path) -> None:
    with source(kind, tmp_path) as opened, camera_of(opened, options=replace(QUICK, every_frame=True)) as (_, posted, slots):
        frames = take(slots, 8)
        posted.wait_for(CameraCondition.OK)
    assert {(f.image.dtype.name, f.image.shape) for f in frames} == {("uint8", (120, 160, 3))}
    assert [f.seq for f in frames] == sorted({f.seq for f in frames})
    assert [f.captured_at_ns for f in frames] == sorted({f.captured_at_ns for f in frames})
    # Motion JPEG moves a grey level a little; the number of the picture survives it.
    assert [number_of(f.image) for f in frames] == [(f.seq - 1) % COUNT for f in frames]


@pytest.mark.parametrize("kind", RECORDINGS)
def test_a_recording_shows_each_frame_once_and_then_says_that_it_ended(kind: str, tmp_path: Path) -> None:
    with source(kind, tmp_path) as opened, camera_of(opened, options=replace(QUICK, every_frame=True)) as (_, posted, slots):
        frames = take(slots, COUNT)
        assert CameraCondition.ENDED not in posted.conditions, "the last frame is still in work"
        assert slots.take(0.2) is None
        posted.wait_for(CameraCondition.OK, CameraCondition.ENDED)
    assert [number_of(f.image) for f in frames] == list(range(COUNT))
    assert slots.dropped("entry") == 0


@pytest.mark.parametrize("kind", RECORDINGS)
def test_a_recording_keeps_its_own_pace(kind: str, tmp_path: Path) -> None:
    with source(kind, tmp_path) as opened, camera_of(opened, options=replace(QUICK, every_frame=True)) as (_, _, slots):
        frames = take(slots, COUNT)
    took_s = (frames[-1].captured_at_ns - frames[0].captured_at_ns) / 1e9
    assert took_s >= (COUNT - 1) / 60 / 2  # unpaced it is a tenth of that; a busy machine may stamp the first frame late


def test_an_address_is_refused_unless_it_is_permitted() -> None:
    with pytest.raises(UsageError, match=r"rtsp://cam/1' is a network address; set allow_network_camera") as refused:
        opener(replace(SETTINGS, source="rtsp://admin:secret@cam/1"))
    assert "secret" not in str(refused.value)
    assert without_secret("rtsp://admin:secret@cam/1") == "rtsp://cam/1"


def test_a_recording_is_refused_outside_a_simulation(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--simulation only"):
        opener(replace(SETTINGS, source=str(tmp_path), simulation=False))


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("/dev/no-such-camera", "does not exist; is the camera plugged in"),
        ("/dev/null", "cannot be opened"),
        ("gone.avi", "does not exist"),
    ],
)
def test_what_is_not_there_says_so(name: str, sentence: str) -> None:
    with pytest.raises(CameraError, match=sentence):
        opener(replace(SETTINGS, source=name))()


def test_a_folder_without_pictures_and_a_broken_picture_say_so(tmp_path: Path) -> None:
    with pytest.raises(CameraError, match="holds no pictures"):
        opener(replace(SETTINGS, source=str(tmp_path)))()
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(CameraError, match=r"a\.png is not a picture"):
        opener(replace(SETTINGS, source=str(tmp_path)))().read()


def test_a_network_camera_that_falls_silent_is_stale_and_opened_anew() -> None:
    with http_camera(pictures(COUNT), silent_after=30) as address:
        opened = opener(replace(SETTINGS, source=address, allow_network_camera=True))
        with camera_of(opened, options=replace(QUICK, abandon_after_ns=8_000_000_000)) as (camera, posted, slots):
            take(slots, 3)
            posted.wait_for(CameraCondition.OK, CameraCondition.STALE, CameraCondition.ABSENT)
            assert camera.abandoned == 0
            slots.take(0)
            assert np.ptp(take(slots, 1)[0].image) > 40


def test_a_network_camera_that_is_not_there_is_absent() -> None:
    opened = opener(replace(SETTINGS, source="http://127.0.0.1:9/stream.mjpg", allow_network_camera=True))
    with camera_of(opened) as (_, posted, _):
        posted.wait_for(CameraCondition.ABSENT)
