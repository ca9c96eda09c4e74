"""The gate's configuration: one TOML file, every key optional, each with a documented default.

`config/agent.example.toml` is printed from this file (`gate-agent check --print-example`), and a test holds that they are equal.
"""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from agent.barrier_config import BarrierConfig, BoardConfig, check_barrier
from agent.core.identity import Direction
from agent.core.topics import is_name
from agent.settings import ConfigError, parse, read_toml, sample, section, setting


class AntiPassback(StrEnum):
    OFF = "off"
    HARD = "hard"  # a second entry without an exit between is denied; the way out never is


class PadMode(StrEnum):
    REQUIRED = "required"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class GateConfig:
    site: str = setting("site", "Name of the site, as in topics and events.", low=1, high=64)
    gate: str = setting("gate-1", "Name of this gate; unique in its site.", low=1, high=64)
    state_dir: Path = setting(Path("/var/lib/gate-agent"), "Folder of journal.db and trust.db; survives a reboot.", low=1)
    runtime_dir: Path = setting(Path("/run/gate-agent"), "Folder of the control socket; may vanish at a reboot.", low=1)


@dataclass(frozen=True, slots=True)
class LaneConfig:
    outside: str = setting("park-a", "Area on the outer side: entry leads from here, exit leads to here.", low=1, high=64)
    inside: str = setting("bridge", "Area on the inner side.", low=1, high=64)
    release_window_ms: int = setting(
        5000, "How long the barrier stays released while nobody passes, ms; the controller clamps it.", low=500, high=10000
    )
    attempt_ms: int = setting(5000, "Longest attempt of one person, ms; then a decision is made.", low=1000, high=5000)
    cool_down_ms: int = setting(2000, "Rest after a denied attempt before the same face is tried again, ms.", low=0, high=60000)
    subject_lost_ms: int = setting(
        700,
        "A released person whom no frame has shown for this long, and who does not start to pass, has stepped back, ms.",
        low=300,  # a face that is missed for less is not lost yet (vision/tracker.py)
        high=5000,
    )
    anti_passback: AntiPassback = setting(AntiPassback.HARD, "Whether entering twice without leaving is denied.")
    anti_passback_reset_min: int = setting(
        240, "A passage this long ago no longer counts for anti-passback, minutes; people may have left by another gate.", low=1, high=10080
    )
    closed: bool = setting(False, "True: this lane is closed for entry.")


@dataclass(frozen=True, slots=True)
class CameraConfig:
    name: str = setting("entry", "Name of the camera; unique in this file.", low=1, high=32)
    direction: Direction = setting(Direction.ENTRY, "Which way the people that it sees want to go.")
    source: str = setting(
        "/dev/gate-camera-entry",
        "A device (/dev/...), an rtsp:// or http:// address (needs allow_network_camera), or, with --simulation only, a video file or a\n"
        "folder of pictures.",
        low=1,
    )
    allow_network_camera: bool = setting(
        False,
        "True: the source may be a network address. Whoever can write to that network can show the gate a face.",
    )
    width: int = setting(640, "Width of the frames asked of a device, pixels.", low=160, high=3840)
    height: int = setting(480, "Height of the frames asked of a device, pixels.", low=120, high=2160)
    frames_per_s: float = setting(15.0, "Frames per second asked of a device; pace of a folder of pictures.", low=1, high=60)
    lane_left: float = setting(
        0.2,
        "Where the lane is in the picture, as shares of its width and height: only whose eyes are between these is let through, and\n"
        "only they count as several people. Faces outside (a queue, the next lane, a picture on a wall) are left alone.",
        low=0,
        high=1,
    )
    lane_right: float = setting(0.8, "Its right edge, share of the width.", low=0, high=1)
    lane_top: float = setting(0.0, "Its upper edge, share of the height.", low=0, high=1)
    lane_bottom: float = setting(1.0, "Its lower edge, share of the height.", low=0, high=1)


@dataclass(frozen=True, slots=True)
class RecognitionConfig:
    pack: str = setting("mtcnn-dlib", "Model pack; the roster must be bound to the same.", low=1, high=64)
    packs_dir: Path = setting(Path("/var/lib/gate-agent/packs"), "Folder of the built or fetched packs.", low=1)
    threads: int = setting(1, "Threads of one model call; more than one is seldom faster on two cores.", low=1, high=8)
    min_eye_distance_px: float = setting(40.0, "A face with fewer pixels between the eyes is too far away.", low=16, high=400)
    max_eye_distance_px: float = setting(
        250.0,
        "A face with more pixels between the eyes is too near; with the line above this is the lane's distance band.",
        low=32,
        high=2000,
    )
    max_yaw: float = setting(0.35, "Greatest turn of the head, as the nose's offset in shares of the eye distance.", low=0.05, high=1.0)
    min_blur: float = setting(15.0, "Least variance of the Laplacian on the aligned chip; below it it is blurred.", low=0, high=10000)
    min_brightness: float = setting(40.0, "Least mean grey level of the aligned chip.", low=0, high=255)
    max_brightness: float = setting(220.0, "Greatest mean grey level of the aligned chip.", low=0, high=255)
    max_clipped: float = setting(0.25, "Greatest share of black or white pixels on the aligned chip.", low=0, high=1)
    frames: int = setting(3, "Templates of one track that must be fused before a grant.", low=1, high=15)
    pad: PadMode = setting(
        PadMode.REQUIRED,
        "Presentation attack detection: required, and nobody passes by face without it; or off, which is shown everywhere: a printed face\n"
        "may then be let in.",
    )
    pad_pack: str = setting("minifasnet", "Model pack that detects presentation attacks; rosters are not bound to it.", low=1, high=64)


@dataclass(frozen=True, slots=True)
class RosterConfig:
    source: Path = setting(Path("/var/lib/gate-agent/roster"), "Folder in which releases arrive (metadata/ and targets/).", low=1)
    root: Path = setting(Path("/etc/gate-agent/root.json"), "The trusted root, installed with the gate.", low=1)
    site_key_file: Path = setting(Path("/etc/gate-agent/site.key"), "Key that templates are encrypted under.", low=1)
    poll_s: float = setting(10.0, "How often the folder is looked at, s.", low=0.1, high=3600)


@dataclass(frozen=True, slots=True)
class JournalConfig:
    commit_budget_ms: float = setting(50.0, "A slower commit puts entry out of service, ms.", low=5, high=1000)
    keep_days: int = setting(30, "Delivered rows are kept this long, days; undelivered ones until they are delivered.", low=1, high=3650)


@dataclass(frozen=True, slots=True)
class UplinkConfig:
    enabled: bool = setting(True, "False: events stay in the journal.")
    host: str = setting("localhost", "Broker.", low=1)
    port: int = setting(8883, "Port of the broker.", low=1, high=65535)
    tls: bool = setting(True, "False: no TLS; only to a broker on the loopback interface.")
    ca_file: str = setting("/etc/gate-agent/ca.pem", "Certificate authority of the broker.")
    cert_file: str = setting("/etc/gate-agent/gate.pem", "This gate's client certificate.")
    key_file: str = setting("/etc/gate-agent/gate.key", "Its key; readable by the agent only.")
    window: int = setting(50, "Events on the way at once; the broker's own limit counts if it is lower.", low=1, high=100)
    keepalive_s: int = setting(12, "A dead link is noticed after twice this time, s.", low=5, high=60)


@dataclass(frozen=True, slots=True)
class StaffConfig:
    keys_dir: Path = setting(
        Path("/etc/gate-agent/staff"),
        "Folder of NAME.pub: whose orders at the cabinet release the barrier (gate-agent barrier key); absent or empty: nobody's.",
        low=1,
    )


@dataclass(frozen=True, slots=True)
class Config:
    gate: GateConfig = section(GateConfig, "Who this gate is and where it keeps its state.")
    lane: LaneConfig = section(LaneConfig, "The lane, its areas and its times.")
    camera: tuple[CameraConfig, ...] = section(
        lambda: (CameraConfig(),),  # type: ignore[arg-type]
        "One or two cameras, each bound to a direction; repeat the table for the second.",
    )
    recognition: RecognitionConfig = section(RecognitionConfig, "Models, quality and evidence.")
    barrier: BarrierConfig = section(BarrierConfig, "The turnstile's controller.")
    board: BoardConfig = section(BoardConfig, "A bought board and what is wired to it; not used with our controller.")
    roster: RosterConfig = section(RosterConfig, "Where signed rosters come from.")
    journal: JournalConfig = section(JournalConfig, "The durable record of events.")
    uplink: UplinkConfig = section(UplinkConfig, "The way to the centre.")
    staff: StaffConfig = section(StaffConfig, "Staff who may let somebody through at the cabinet.")


HEADING = """gate-agent: every key with its default. Delete what you do not change.
Times and sizes carry their unit in the name. Check a file with: gate-agent check --config FILE"""


def load(file: Path) -> Config:
    """Read and check a configuration file.

    Raises:
        ConfigError: unreadable, not TOML, an unknown key, or a value that cannot be.
    """
    try:
        data = read_toml(file)
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read ({error.strerror}); give the path with --config") from error
    config: Config = parse(Config, data, file=str(file))
    _check_whole(config, str(file))
    return config


_MOST_CAMERAS = 2


def _check_whole(config: Config, file: str) -> None:
    """What no single key can say."""
    _check_names(config, file)
    cameras = config.camera
    if not 1 <= len(cameras) <= _MOST_CAMERAS:
        raise ConfigError(f"{file}: 'camera' has {len(cameras)} tables; one or two are possible")
    for key in ("name", "direction"):
        if len({getattr(c, key) for c in cameras}) != len(cameras):
            raise ConfigError(f"{file}: two cameras have the same '{key}'; each needs its own")
    if config.lane.outside == config.lane.inside:
        raise ConfigError(f"{file}: 'lane.outside' and 'lane.inside' are both '{config.lane.inside}'; a lane joins two areas")
    _check_sight(config, file)
    for camera in cameras:
        if "://" in camera.source and not camera.allow_network_camera:
            raise ConfigError(
                f"{file}: 'camera.source' of '{camera.name}' is a network address; set allow_network_camera = true to permit it"
            )
    check_barrier(
        config.barrier,
        config.board,
        cameras={camera.direction: camera.name for camera in cameras},
        anti_passback=config.lane.anti_passback is not AntiPassback.OFF,
        subject_lost_ms=config.lane.subject_lost_ms,
        file=file,
    )
    if not config.uplink.tls and config.uplink.host not in {"localhost", "127.0.0.1", "::1"}:
        raise ConfigError(f"{file}: 'uplink.tls' is false and the broker is '{config.uplink.host}'; without TLS only loopback is possible")


def _check_sight(config: Config, file: str) -> None:
    for low, high in (("lane_left", "lane_right"), ("lane_top", "lane_bottom")):
        for camera in config.camera:
            _check_order(f"{file}: 'camera.{low}' of '{camera.name}'", getattr(camera, low), high, getattr(camera, high))
    seen = config.recognition
    where = f"{file}: 'recognition.min_eye_distance_px'"
    _check_order(where, seen.min_eye_distance_px, "max_eye_distance_px", seen.max_eye_distance_px)


def _check_order(where: str, low: float, name: str, high: float) -> None:
    if low >= high:
        raise ConfigError(f"{where} is {low:g}; it must be less than {name}, which is {high:g}")


def _check_names(config: Config, file: str) -> None:
    for key, name in (("site", config.gate.site), ("gate", config.gate.gate)):
        if not is_name(name):
            raise ConfigError(
                f"{file}: 'gate.{key}' is {name!r}; it stands in topics and certificates: letters, digits, '.', '_' and '-' only"
            )


def example() -> str:
    """The text of config/agent.example.toml."""
    return sample(Config, heading=HEADING)
