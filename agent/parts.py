"""From the configuration's words to what each part wants to be told. No thread is made here and nothing is opened."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from agent.biometrics.quality import Bounds
from agent.biometrics.template import Metric
from agent.config import AntiPassback, CameraConfig, Config, PadMode, RecognitionConfig
from agent.core.controller import CameraPlace, Rules
from agent.core.identity import Area
from agent.core.inputs import Pad, PadVerdict
from agent.drivers.camera_sources import SourceSettings
from agent.errors import GateError
from agent.mqtt.broker import Broker, Tls
from agent.roster.errors import Reason, RosterError
from agent.roster.trust import Expected
from agent.vision.pad import AttackDetection, detection
from agent.vision.recogniser import FUSED_AT_LEAST, Recogniser
from agent.vision.region import Region
from agent.vision.sampler import open_sampler
from models.errors import ModelError
from models.pack import find_pack, open_pad_pack, read_manifest


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says beside the configuration.

    Attributes:
        json_lines: print each recorded event on standard output.
        until_end: stop when every recording has shown its last frame and the lane is at rest.
        every_frame: of a recording: each frame is used, none dropped.
        pictures: folder for a picture of each decision.
    """

    simulation: bool = False
    json_lines: bool = False
    until_end: bool = False
    every_frame: bool = False
    pictures: Path | None = None


def rules(config: Config, options: Options) -> Rules:
    lane = config.lane
    return Rules(
        version=version("gate-agent"),
        simulation=options.simulation,
        pad_required=config.recognition.pad is PadMode.REQUIRED,
        cameras=tuple(CameraPlace(camera.name, camera.direction) for camera in config.camera),
        outside=Area(lane.outside),
        inside=Area(lane.inside),
        closed=lane.closed,
        anti_passback=lane.anti_passback is AntiPassback.HARD,
        anti_passback_reset_min=lane.anti_passback_reset_min,
        frames=config.recognition.frames,
        release_window_ms=lane.release_window_ms,
        attempt_ms=lane.attempt_ms,
        cool_down_ms=lane.cool_down_ms,
        subject_lost_ms=lane.subject_lost_ms,
        commit_budget_ms=config.journal.commit_budget_ms,
    )


def broker(config: Config) -> Broker:
    uplink = config.uplink
    tls = Tls(Path(uplink.ca_file), Path(uplink.cert_file), Path(uplink.key_file)) if uplink.tls else None
    return Broker(host=uplink.host, port=uplink.port, keepalive_s=uplink.keepalive_s, tls=tls)


def source_settings(camera: CameraConfig, options: Options) -> SourceSettings:
    return SourceSettings(
        source=camera.source,
        allow_network_camera=camera.allow_network_camera,
        simulation=options.simulation,
        width=camera.width,
        height=camera.height,
        frames_per_s=camera.frames_per_s,
    )


def bounds(wanted: RecognitionConfig) -> Bounds:
    return Bounds(
        min_eye_distance_px=wanted.min_eye_distance_px,
        max_yaw=wanted.max_yaw,
        min_blur=wanted.min_blur,
        min_brightness=wanted.min_brightness,
        max_brightness=wanted.max_brightness,
        max_clipped=wanted.max_clipped,
    )


def region(camera: CameraConfig, wanted: RecognitionConfig) -> Region:
    return Region(
        left=camera.lane_left,
        right=camera.lane_right,
        top=camera.lane_top,
        bottom=camera.lane_bottom,
        min_eye_px=wanted.min_eye_distance_px,
        max_eye_px=wanted.max_eye_distance_px,
    )


def recogniser_opener(wanted: RecognitionConfig, cameras: Sequence[CameraConfig]) -> Callable[[], Recogniser]:
    """What opens the models; called in the recognition thread, and again after a failure."""

    def open_recogniser() -> Recogniser:
        try:
            sampler = open_sampler(wanted.pack, (wanted.packs_dir,), threads=wanted.threads, bounds=bounds(wanted))
            sampler.warm_up()
        except ModelError as error:
            raise GateError(str(error)) from error
        regions = {camera.name: region(camera, wanted) for camera in cameras}
        return Recogniser(sampler, frames=wanted.frames, pad=attack_detection(wanted), regions=regions)

    return open_recogniser


def attack_detection(wanted: RecognitionConfig) -> Pad | AttackDetection:
    """What detects presentation attacks. Where it is required and its pack is missing or damaged, recognition does not open.

    Raises:
        GateError: it is required and cannot run.
    """
    if wanted.pad is PadMode.OFF:
        return Pad(PadVerdict.OFF)
    try:
        pack = open_pad_pack(find_pack(wanted.pad_pack, (wanted.packs_dir,)), threads=wanted.threads)
        running = detection(pack, most=max(FUSED_AT_LEAST, wanted.frames))
        running.warm_up()
    except ModelError as error:
        raise GateError(
            f"presentation attack detection is required and cannot run: {error}; for a pack that was never here: "
            f"gate-agent models fetch {wanted.pad_pack}, or gate-agent models import FILE --pack {wanted.pad_pack}"
        ) from error
    return running


def expected_roster(config: Config, options: Options) -> Callable[[], Expected]:
    """What says which rosters fit this gate. It is asked each time, because a missing pack may arrive while the agent runs."""

    def expected() -> Expected:
        try:
            manifest = read_manifest(config.recognition.packs_dir / config.recognition.pack)
        except ModelError as error:
            raise RosterError(Reason.WRONG_PACK, f"no roster can be taken without the model pack: {error}") from error
        return Expected(
            site=config.gate.site,
            pack=manifest.id,
            template_length=manifest.embedder.template_length,
            metric=Metric(manifest.embedder.metric),
            simulation=options.simulation,
        )

    return expected
