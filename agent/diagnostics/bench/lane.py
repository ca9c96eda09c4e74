"""A whole lane to measure on: real camera thread, models, core, journal, serial link and emulated controller, in one process but the last.

A person is drawn again and again; the clock of a walk-up starts with the capture of the first frame in which their face has the wanted
size, and stops when the controller's own log says that it released. Both read the machine's one monotonic clock.
"""

import json
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from agent.authority import synthetic
from agent.biometrics.calibration import pack_default
from agent.biometrics.gallery import Enrolled, Gallery, build
from agent.clock import SystemClock
from agent.config import Config, GateConfig, PadMode, RecognitionConfig
from agent.core import controller
from agent.core.effects import Phase
from agent.core.events import Event, EventType
from agent.core.identity import AccessRecord, PersonId, PersonStatus
from agent.core.inputs import RosterLoaded, StopRequested
from agent.core.moment import NS_PER_MS, NS_PER_S
from agent.diagnostics import walkup
from agent.diagnostics.bench.figures import quantile, resident_mb
from agent.diagnostics.walkup import U8
from agent.drivers.barrier import BarrierPort, SerialBarrier
from agent.drivers.camera import Camera
from agent.drivers.frame_slots import FrameSlots
from agent.drivers.journal import SqliteJournal
from agent.drivers.recognition import Recognition
from agent.errors import GateError
from agent.liveness import stop
from agent.mailbox import Mailbox
from agent.parts import Options, bounds, recogniser_opener, rules
from agent.ports import Committed
from agent.roster.document import TIME_MAX_S
from agent.runtime import Observers, Runtime, World
from agent.vision.frame import Frame
from agent.vision.sampler import open_sampler
from models.places import DEFAULT_PACK, built_folder

FRAMES_PER_S = 15.0
EMPTY_FRAMES = 8  # half a second: the last person's track is lost, and the lane is at rest
WALK_FRAMES = 22  # a steady walk of one and a half seconds, through the wanted size
FROM_EYE_PX, TO_EYE_PX = 26.0, 60.0
KINDS = 8  # different walk-ups that are drawn beforehand and shown in turn
ENROLLED = "astronaut"
START_S = 20.0


@dataclass(frozen=True, slots=True)
class WalkUp:
    """The figures of one person's way, ms.

    Attributes:
        wanted_ms: capture of the first frame with the wanted size -> released, by the controller's log; None: not let in.
        release_ms: decision -> released.
        commit_ms: of the grant's record.
    """

    wanted_ms: float | None
    release_ms: float | None
    commit_ms: float | None


class Scene:
    """A source of pictures: walk-ups one after the other, at the camera's pace."""

    period_s: float | None = 1 / FRAMES_PER_S

    def __init__(self, count: int, wanted_eye_px: float) -> None:
        person = walkup.portrait(ENROLLED)
        self._walks = [
            [
                *walkup.empty_lane(frames=EMPTY_FRAMES, seed=seed),
                *walkup.walk_up(person, frames=WALK_FRAMES, from_eye_px=FROM_EYE_PX, to_eye_px=TO_EYE_PX, seed=seed),
            ]
            for seed in range(KINDS)
        ]
        self._count = count
        self._next = 0
        # At a steady walk the inverse of the size falls evenly (walkup.walk_up).
        share = (1 / FROM_EYE_PX - 1 / wanted_eye_px) / (1 / FROM_EYE_PX - 1 / TO_EYE_PX)
        self.wanted_frame = EMPTY_FRAMES + -(-int(share * (WALK_FRAMES - 1) * 1000) // 1000)

    @property
    def length(self) -> int:
        """Frames of one walk-up."""
        return EMPTY_FRAMES + WALK_FRAMES

    def read(self) -> U8 | None:
        walk, frame = divmod(self._next, self.length)
        if walk >= self._count:
            return None
        self._next += 1
        return self._walks[walk % KINDS][frame]

    @property
    def is_over(self) -> bool:
        return self._next >= self._count * self.length

    def close(self) -> None:
        pass


class NotedSlots(FrameSlots):
    """Frame slots that note when each frame was captured."""

    def __init__(self, cameras: Sequence[str]) -> None:
        super().__init__(cameras)
        self.captured_ns: dict[int, int] = {}

    def put(self, camera: str, frame: Frame) -> None:
        self.captured_ns[frame.seq] = frame.captured_at_ns
        super().put(camera, frame)


@dataclass(slots=True)
class Grants:
    """The grants of a run, in order: number, decision time, commit time; and when a passage was made."""

    granted: list[tuple[int, int, float]] = field(default_factory=list)
    passages: int = 0

    def committed(self, events: Sequence[Event], done: Committed) -> None:
        for event in events:
            if event.type is EventType.ACCESS_GRANTED:
                self.granted.append((int(str(event.data["grant"])), event.at.monotonic_ns, done.commit_ms))
            elif event.type is EventType.PASSAGE_MADE:
                self.passages += 1


def walk_ups(count: int, people: int, folder: Path, *, progress: Callable[[int], None]) -> list[WalkUp]:
    """Let so many people walk up to a gate with so many enrolled, in real time (two seconds each).

    Raises:
        GateError: a part did not start, or the pack or the portrait is missing.
    """
    config = Config(
        gate=GateConfig(state_dir=folder),
        recognition=RecognitionConfig(pack=DEFAULT_PACK, packs_dir=built_folder(), pad=PadMode.OFF),
    )
    options = Options(simulation=True)
    recogniser = recogniser_opener(config.recognition, config.camera)()
    gallery = crowd(config.recognition, people)
    walks = count + 1  # the first one brings the lane into service and is not counted
    scene = Scene(walks, config.recognition.min_eye_distance_px)
    key = secrets.token_bytes(32)
    with ExitStack() as stack:
        log = stack.enter_context(_controller(folder, key))
        clock = SystemClock()
        journal = SqliteJournal(folder / "journal.db", site="bench", gate="bench", simulation=True, clock=clock)
        stack.callback(journal.close)
        mailbox, slots, grants = Mailbox(), NotedSlots(["entry"]), Grants()
        composed: list[Runtime] = []
        barrier = SerialBarrier(
            BarrierPort(
                port=str(folder / "controller"), baud=115200, key=key, link_inside_cabinet=False, host_name="bench", simulation=True
            ),
            post=mailbox.post,
            control_fresh_ns=lambda: composed[0].fresh_ns(),  # noqa: PLW0108  it does not exist yet
        )
        recognition = Recognition(
            cameras={camera.name: camera.direction for camera in config.camera},
            slots=slots,
            open_recogniser=lambda: recogniser,
            post=mailbox.post,
        )
        recognition.use(gallery)
        mailbox.post(_in_force(gallery))
        camera = Camera("entry", config.camera[0].direction, open_source=lambda: scene, slots=slots, post=mailbox.post)
        state, effects = controller.start(replace(rules(config, options), anti_passback=False), journal.last_known(), clock.now())
        world = World(clock=clock, journal=journal, barrier=barrier, uplink=_NoUplink(), watcher=recognition, lock_downs=_NoStore())
        runtime = Runtime(
            take=mailbox.take,
            world=world,
            observers=Observers(committed=grants.committed, turned=lambda: progress(grants.passages)),
            state=state,
        )
        composed.append(runtime)
        barrier.start()
        recognition.start()
        loop = threading.Thread(target=runtime.run, args=(effects,), name="gate-control")
        loop.start()
        _await(lambda: runtime.state.lane.phase is Phase.SECURED, "an armed controller", START_S)
        camera.start()
        _await(
            lambda: scene.is_over and runtime.state.lane.pending is None, "the last passage", START_S + walks * scene.length / FRAMES_PER_S
        )
        mailbox.post(StopRequested("the walk-ups are over"))
        loop.join()
        stop([barrier, recognition, camera])
    return _figures(scene, slots, grants, log)[1:]


def crowd(wanted: RecognitionConfig, people: int) -> Gallery:
    """A gallery of one person who is enrolled from pictures and so many made-up ones, normalised as a large roster is."""
    sampler = open_sampler(wanted.pack, (wanted.packs_dir,), threads=wanted.threads, bounds=bounds(wanted))
    manifest = sampler.pack.manifest
    pictures = walkup.enrolment_pictures(walkup.portrait(ENROLLED), 3)
    references = np.stack([sampler.sample_faces(picture)[0].template for picture in pictures])
    record = AccessRecord(PersonId(ENROLLED), PersonStatus.ACTIVE, 0, TIME_MAX_S, synthetic.LEVELS["always"])
    length = manifest.embedder.template_length
    others = [
        Enrolled(AccessRecord(synthetic.name(number), PersonStatus.ACTIVE, 0, TIME_MAX_S, ()), each)
        for number, each in enumerate(synthetic.templates(people - 1, length=length))
    ]
    calibration = replace(pack_default(manifest.comparison, people=people), people_max=people)
    return build([Enrolled(record, references), *others], metric=sampler.metric, calibration=calibration, version=1, pack=sampler.pack.id)


def _in_force(gallery: Gallery) -> RosterLoaded:
    return RosterLoaded(
        version=gallery.version,
        people=gallery.people,
        pack=gallery.pack,
        calibration=gallery.calibration.kind,
        threshold=gallery.threshold,
        stale_after_s=TIME_MAX_S,
        expires_s=TIME_MAX_S,
    )


@contextmanager
def _controller(folder: Path, key: bytes) -> Iterator[Path]:
    """The emulated controller as a process of its own, with somebody who walks at once; yields its log."""
    key_file, log = folder / "controller.key", folder / "controller.jsonl"
    key_file.touch(mode=0o600)
    key_file.write_text(key.hex(), encoding="ascii")
    files = ["--port", folder / "controller", "--store", folder / "controller.store", "--log", log, "--key-file", key_file]
    words = ["--stdin", "--person", "walks", "--reaction-ms", "100", "--step-ms", "40"]
    command = [sys.executable, "-m", "firmware_bridge.emulator", *map(str, files), *words]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:  # noqa: S603  our own program
        assert process.stdout is not None
        if not process.stdout.readline():
            raise GateError("the emulated controller did not start")
        yield log
        process.terminate()


def _await(reached: Callable[[], bool], what: str, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not reached():
        if time.monotonic() > deadline:
            raise GateError(f"the bench waited {timeout_s:.0f} s for {what} in vain; is the machine busy?")
        time.sleep(0.05)


def _figures(scene: Scene, slots: NotedSlots, grants: Grants, log: Path) -> list[WalkUp]:
    """One row for each walk-up, in order."""
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    released = {line["grant_number"]: line["t_ns"] for line in lines if line["kind"] == "release" and line["result"] == "ACCEPTED"}
    starts = [slots.captured_ns[seq] for seq in sorted(slots.captured_ns) if (seq - 1) % scene.length == 0]
    wanted = [slots.captured_ns[seq] for seq in sorted(slots.captured_ns) if (seq - 1) % scene.length == scene.wanted_frame]
    rows = []
    for start_ns, wanted_ns, end_ns in zip(starts, wanted, [*starts[1:], starts[-1] + 10 * NS_PER_S], strict=True):
        grant = next((each for each in grants.granted if start_ns <= each[1] < end_ns and each[0] in released), None)
        if grant is None:
            rows.append(WalkUp(None, None, None))
            continue
        number, decided_ns, commit_ms = grant
        rows.append(WalkUp((released[number] - wanted_ns) / NS_PER_MS, (released[number] - decided_ns) / NS_PER_MS, commit_ms))
    return rows


def measure(count: int, people: int, folder: Path, *, progress: Callable[[int], None]) -> dict[str, object]:
    """The figures of so many walk-ups; see WalkUp. release_over_commit_ms: how much longer than its commit a release took."""
    rows = walk_ups(count, people, folder, progress=progress)
    wanted = [row.wanted_ms for row in rows if row.wanted_ms is not None]
    if not wanted:
        raise GateError("nobody was let in; is the model pack whole? gate-agent models verify")
    release = [row.release_ms for row in rows if row.release_ms is not None]
    commit = [row.commit_ms for row in rows if row.commit_ms is not None]
    return {
        "walk_ups": count,
        "let_in": len(wanted),
        "people": people,
        "wanted_size_to_release_ms": _quantiles(wanted),
        "decision_to_release_ms": _quantiles(release),
        "commit_ms": _quantiles(commit),
        "release_minus_commit_ms": _quantiles([r - c for r, c in zip(release, commit, strict=True)]),
        "resident_mb": round(resident_mb()),
    }


def _quantiles(figures: Sequence[float]) -> dict[str, float]:
    return {f"p{share}": round(quantile(figures, share / 100), 1) for share in (50, 95, 99)} | {"max": round(max(figures), 1)}


class _NoUplink:
    def wake(self) -> None:
        pass


class _NoStore:
    def set_lock_down(self, *, on: bool) -> None:
        pass
