"""The composition root: configuration -> objects -> threads, stopped in the reverse order.

Whatever is missing at the start and may come back (camera, controller, broker, model pack, roster) does not stop the start: its thread
says so and keeps trying, and the lane is out of service for entry meanwhile.
"""

import logging
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from agent import barrier_parts, parts
from agent.barrier_parts import BarrierNeeds, BarrierThread
from agent.clock import SystemClock
from agent.config import Config
from agent.core import controller
from agent.core.controller import State
from agent.core.effects import Effect, ShowPrompt
from agent.core.events import EVENTS, Event, Severity
from agent.core.identity import Direction
from agent.core.inputs import CameraCondition, CameraReported, ControlSocketSilent, Input, RecognitionReported, StopRequested
from agent.core.moment import NS_PER_S
from agent.core.text import harmless
from agent.drivers.barrier import SerialBarrier
from agent.drivers.camera import Camera, CameraOptions
from agent.drivers.camera_sources import opener
from agent.drivers.control_socket import ControlSocket
from agent.drivers.frame_slots import FrameSlots
from agent.drivers.journal import SqliteJournal
from agent.drivers.recognition import Recognition
from agent.drivers.roster_loader import RosterLoader, Sources
from agent.drivers.staff_desk import StaffDesk
from agent.drivers.supervisor import Supervisor
from agent.drivers.trust_store import TrustStore
from agent.drivers.uplink import MqttUplink
from agent.ending import UntilEnd
from agent.errors import GateError
from agent.event_lines import EventLines
from agent.liveness import Liveness, Watched, is_fresh, stop
from agent.mailbox import Mailbox
from agent.parts import Options
from agent.pictures import DecisionPictures
from agent.ports import Committed, Stoppable
from agent.roster.errors import RosterError
from agent.roster.trust import AHEAD_MAX_S
from agent.runtime import Observers, Runtime, World

# Longest time between two turns of a thread while all is well.
CONTROL_LIMIT_NS = 2 * NS_PER_S  # turns every 250 ms; a commit on a bad disk takes a second
BARRIER_LIMIT_NS = 2 * NS_PER_S
CONTROL_SOCKET_LIMIT_NS = 5 * NS_PER_S  # turns every 250 ms, and gives each who asks a second
CAMERA_LIMIT_NS = 5 * NS_PER_S  # its owner turns every 100 ms and never blocks; the reader may
RECOGNITION_LIMIT_NS = 20 * NS_PER_S  # opening the models takes seconds on a slow controller
UPLINK_LIMIT_NS = 60 * NS_PER_S  # connecting blocks on name look-up, TCP and TLS
ROSTER_LIMIT_NS = 120 * NS_PER_S  # verifies and opens a large roster in one turn

_log = logging.getLogger("gate")


class NoUplink:
    """Stands for the uplink where none is configured: events stay in the journal."""

    def wake(self) -> None:
        pass


class App:
    """One lane of a configuration."""

    def __init__(self, config: Config, options: Options) -> None:
        self._config = config
        self._options = options
        self._mailbox = Mailbox()
        self._supervisor = Supervisor()
        self._asked_to_stop: str | None = None
        self._status = ""
        self._ending = UntilEnd(camera.name for camera in config.camera) if options.until_end else None
        self._pictures = None if options.pictures is None else DecisionPictures(options.pictures)

    def run(self) -> None:
        """Start everything, turn until asked to stop, stop everything.

        Raises:
            GateError: the journal cannot be opened, a key cannot be read, or another agent runs here.
        """
        with ExitStack() as closing, _signals(self._ask_to_stop):
            runtime, effects, threads = self._compose(closing)
            started: list[Stoppable] = []
            try:
                for watched in threads:
                    watched.thread.start()
                    started.append(watched.thread)
                self._supervisor.ready()
                runtime.run(effects)
            finally:
                self._supervisor.stopping()
                for name in stop(started):
                    _log.warning("thread %s did not stop in time", name)

    # --- configuration -> objects -------------------------------------------------------------------------------------------------

    def _compose(self, closing: ExitStack) -> tuple[Runtime, Sequence[Effect], Sequence[Watched]]:
        config, options = self._config, self._options
        state_dir = _made(config.gate.state_dir)
        store = TrustStore(state_dir / "trust.db")
        closing.callback(store.close)
        clock = SystemClock(_time_floor_s(store))
        journal = SqliteJournal(
            state_dir / "journal.db",
            site=config.gate.site,
            gate=config.gate.gate,
            simulation=options.simulation,
            clock=clock,
            keep_days=config.journal.keep_days,
        )
        closing.callback(journal.close)
        known = replace(journal.last_known(), lock_down=store.lock_down())
        state, effects = controller.start(parts.rules(config, options), known, clock.now())

        composed: list[Runtime] = []  # the threads below look back at the loop that is made last
        barrier = barrier_parts.barrier(
            config,
            BarrierNeeds(
                simulation=options.simulation,
                highest=known.highest_grant,
                post=self._post,
                control_fresh_ns=lambda: composed[0].fresh_ns(),  # noqa: PLW0108  it does not exist yet
            ),
        )
        slots = FrameSlots([camera.name for camera in config.camera])
        recognition = Recognition(
            cameras={camera.name: camera.direction for camera in config.camera},
            slots=slots,
            open_recogniser=parts.recogniser_opener(config.recognition, config.camera),
            post=self._post,
            on_probe=None if self._pictures is None else self._pictures.keep,
        )
        roster = RosterLoader(
            sources=Sources(config.roster.source, config.roster.root, config.roster.site_key_file),
            expected=parts.expected_roster(config, options),
            store=store,
            clock=clock,
            poll_s=config.roster.poll_s,
            use=recognition.use,
            post=self._post,
            issued=lambda issued_s: clock.set_floor(_certainly_passed_s(issued_s)),
        )
        control_socket = ControlSocket(
            config.gate.runtime_dir / "control.sock",
            snapshot=lambda: _snapshot(composed[0], recognition, barrier),
            staff=StaffDesk(site=config.gate.site, gate=config.gate.gate, keys_dir=config.staff.keys_dir),
            post=self._post,
        )
        uplink = self._uplink(journal, clock)
        threads = [
            Watched(control_socket, CONTROL_SOCKET_LIMIT_NS, silent=ControlSocketSilent),
            *([] if uplink is None else [Watched(uplink, UPLINK_LIMIT_NS)]),
            Watched(barrier, BARRIER_LIMIT_NS),
            Watched(recognition, RECOGNITION_LIMIT_NS, silent=lambda words: RecognitionReported(ready=False, detail=words)),
            Watched(roster, ROSTER_LIMIT_NS),
            *self._cameras(slots),
        ]
        begun = journal.seq == 1  # its first row, which says why, was written a moment ago and is news too
        lines = EventLines(journal.path, after=0 if begun else journal.seq) if options.json_lines else None
        if lines is not None:
            closing.callback(lines.close)
        liveness = Liveness(threads, post=self._post, warn=_log.warning)
        runtime = Runtime(
            take=self._mailbox.take,
            world=World(clock=clock, journal=journal, barrier=barrier, uplink=uplink or NoUplink(), watcher=recognition, lock_downs=store),
            observers=Observers(
                committed=self._committed(lines),
                prompted=_log_prompt,
                turned=lambda: self._turned(composed[0], barrier, liveness),
                warned=_log.warning,
            ),
            state=state,
        )
        composed.append(runtime)
        return runtime, effects, threads

    def _cameras(self, slots: FrameSlots) -> Iterator[Watched]:
        for camera in self._config.camera:
            thread = Camera(
                camera.name,
                camera.direction,
                open_source=opener(parts.source_settings(camera, self._options)),
                slots=slots,
                post=self._post,
                options=CameraOptions(every_frame=self._options.every_frame),
            )
            yield Watched(thread, CAMERA_LIMIT_NS, silent=_camera_silent(camera.name, camera.direction))

    def _uplink(self, journal: SqliteJournal, clock: SystemClock) -> MqttUplink | None:
        config = self._config
        if not config.uplink.enabled:
            return None
        return MqttUplink(
            journal.path,
            site=config.gate.site,
            gate=config.gate.gate,
            simulation=self._options.simulation,
            broker=parts.broker(config),
            window=config.uplink.window,
            post=self._post,
            clock=clock,
        )

    # --- while it runs ------------------------------------------------------------------------------------------------------------

    def _post(self, message: Input) -> None:
        if self._ending is not None and isinstance(message, CameraReported):
            self._ending.hear(message)
        self._mailbox.post(message)

    def _ask_to_stop(self, reason: str) -> None:
        """Called in a signal handler, so it only leaves a note; the loop looks at it on its next turn."""
        self._asked_to_stop = self._asked_to_stop or reason

    def _turned(self, runtime: Runtime, barrier: BarrierThread, liveness: Liveness) -> None:
        now_ns = time.monotonic_ns()
        liveness.look(now_ns)
        if is_fresh(barrier, now_ns, BARRIER_LIMIT_NS):
            self._supervisor.beat()
        status = _status(runtime.state)
        if status != self._status:
            self._status = status
            self._supervisor.status(status)
        if self._asked_to_stop is None and self._ending is not None and self._ending.is_reached(runtime.state, now_ns):
            self._asked_to_stop = "the recordings ended"
        if self._asked_to_stop is not None and not runtime.state.stopping:
            self._mailbox.post(StopRequested(self._asked_to_stop))

    def _committed(self, lines: EventLines | None) -> Callable[[Sequence[Event], Committed], None]:
        def committed(events: Sequence[Event], done: Committed) -> None:
            for event in events:
                _log.log(_LEVELS[EVENTS[event.type].severity], "%s %s", event.type, _brief(event))
                if self._pictures is not None:
                    self._pictures.decided(event)
            if lines is not None:
                lines.print_new(done)

        return committed


# Severity of an event -> level of its line in the log.
_LEVELS = {Severity.INFO: logging.INFO, Severity.NOTICE: logging.INFO, Severity.WARNING: logging.WARNING, Severity.ALARM: logging.ERROR}


def _snapshot(runtime: Runtime, recognition: Recognition, barrier: BarrierThread) -> dict[str, Any]:
    return {**controller.snapshot(runtime.state), "views": recognition.views(), "controller": _controller(barrier)}


def _controller(barrier: BarrierThread) -> dict[str, Any] | None:
    """What our own controller says of itself and of the line once a second; None before it has, and of a bought board."""
    if not isinstance(barrier, SerialBarrier) or barrier.health is None:
        return None
    names = ("uptime_s", "boot_count", "checksum_errors", "refused_frames", "missed_heartbeats", "dropped_events")
    return {name: getattr(barrier.health, name) for name in names} | {"frames_refused_here": barrier.frames_refused}


def _brief(event: Event) -> str:
    return harmless(" ".join(f"{name}={value}" for name, value in event.data.items() if value not in (None, "")))


def _log_prompt(prompt: ShowPrompt) -> None:
    _log.debug("%s: %s", prompt.direction, prompt.prompt)


def _status(state: State) -> str:
    """One line for `systemctl status`: what is in service, and what is missing."""
    sides = controller.snapshot(state)["service"].items()
    words = [f"{way} {'open' if side['open'] else 'closed: ' + ','.join(r['reason'] for r in side['reasons'])}" for way, side in sides]
    return "; ".join([*words, f"lane {state.lane.phase}"])


def _camera_silent(camera: str, direction: Direction) -> Callable[[str], Input]:
    return lambda words: CameraReported(camera, direction, CameraCondition.ABSENT, words)


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise GateError(f"{folder}: the state folder cannot be made ({error.strerror}); see gate.state_dir") from error
    return folder


def _certainly_passed_s(issued_s: int) -> int:
    """The authority's own clock may have been as far ahead as a release of the future is taken."""
    return max(0, issued_s - AHEAD_MAX_S)


def _time_floor_s(store: TrustStore) -> int:
    try:
        return _certainly_passed_s(store.floors().issued_s)
    except RosterError:
        return 0  # a damaged store keeps entry out of service by itself


@contextmanager
def _signals(ask_to_stop: Callable[[str], None]) -> Iterator[None]:
    """Let SIGTERM and SIGINT ask for a stop, and put back what was there."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    for number in before:
        signal.signal(number, lambda n, _frame: ask_to_stop(signal.Signals(n).name))
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
