"""The barrier driver against a real controller on a pseudo-terminal: threads, port and protocol as in a cabinet.

One suite, three peers: the emulator, the reference firmware as a shared library, and the same firmware on a Cortex-M3 under QEMU.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

import pytest

from agent.core.effects import Believe, CancelRelease, Phase, Prompt, ReleaseBarrier, ShowPrompt
from agent.core.identity import NO_GRANT, Direction, GrantNumber
from agent.core.inputs import (
    BarrierAlarm,
    BarrierAlarmed,
    BarrierConnected,
    BarrierFaulted,
    BarrierLost,
    CancelTooLate,
    ControllerKind,
    EmergencyCleared,
    EmergencyRaised,
    GrantOutcome,
    Input,
    PassageCompleted,
    PassageStarted,
    ReleaseAccepted,
    ReleaseEnd,
    ReleaseEnded,
    ReleaseRefused,
    RequestToExitUsed,
)
from agent.drivers.barrier import BarrierPort, SerialBarrier
from agent.errors import UsageError
from firmware_bridge.emulator.controller import Controller, PowerOn
from firmware_bridge.emulator.faults import WireFault
from firmware_bridge.emulator.person import Behaviour, Pace
from firmware_bridge.emulator.settings import ControllerSettings
from firmware_bridge.emulator.shell import BoardSettings, Emulator
from firmware_bridge.vocabulary import Kind
from tests.bridge.firmware import Firmware, load
from tests.bridge.qemu import Board

KEY = bytes(range(1, 33))
LIMIT_S = 20.0  # far above what any step takes on a busy machine
MS = 1_000_000
T = TypeVar("T")


@dataclass
class Bench:
    """A controller, a driver, and what the driver posted."""

    folder: Path
    controller: ControllerSettings = field(default_factory=lambda: ControllerSettings(key=KEY, leaf_travel_ms=30, minimum_gap_ms=20))
    machine: PowerOn = Controller
    firmware: bytes = bytes(32)  # its digest
    key: bytes | None = KEY
    simulation: bool = True
    fault: WireFault = WireFault.NONE
    emulator: Emulator | None = None
    driver: SerialBarrier | None = None

    def __post_init__(self) -> None:
        self.posted: list[Input] = []
        self.changed = threading.Condition()
        self.stuck_ns: int | None = None
        self.last_grant = 0
        self.believing = True

    def control_fresh_ns(self) -> int:
        return time.monotonic_ns() if self.stuck_ns is None else self.stuck_ns

    @property
    def port(self) -> Path:
        return self.folder / "controller"

    def post(self, message: Input) -> None:
        with self.changed:
            self.posted.append(message)
            self._believe(message)
            self.changed.notify_all()

    def _believe(self, message: Input) -> None:
        """As the core would, in short."""
        match message:
            case BarrierConnected() | EmergencyCleared() | PassageCompleted() | ReleaseEnded() | ReleaseRefused():
                self.believe(Phase.SECURED)
            case EmergencyRaised():
                self.believe(Phase.EMERGENCY)
            case PassageStarted():
                self.believe(Phase.PASSING)
            case _:
                pass

    def believe(self, phase: Phase) -> None:
        if self.driver is not None and self.believing:
            self.driver.submit(Believe(phase))

    def power_on(self, behaviour: Behaviour = Behaviour.NOBODY) -> None:
        board = BoardSettings(
            port=self.port,
            store=self.folder / "store",
            log=self.folder / "log",
            behaviour=behaviour,
            pace=Pace(reaction_ms=30, step_ms=30),
            fault=self.fault,
            fault_rate=0.15,
            seed=7,
        )
        self.emulator = Emulator(self.controller, board, power_on=self.machine)
        self.emulator.start()

    def power_off(self) -> None:
        assert self.emulator is not None
        self.emulator.stop()
        self.emulator = None

    def start_driver(self, *, name: str = "site/gate-1") -> SerialBarrier:
        where = BarrierPort(
            port=str(self.port),
            baud=115200,
            key=self.key,
            link_inside_cabinet=self.key is None,
            host_name=name,
            simulation=self.simulation,
        )
        self.driver = SerialBarrier(where, post=self.post, control_fresh_ns=self.control_fresh_ns)
        self.driver.start()
        return self.driver

    def stop_driver(self) -> None:
        assert self.driver is not None
        self.driver.stop()
        assert self.driver.join(5)
        self.driver = None

    def do(self, **command: Any) -> dict[str, Any]:
        assert self.emulator is not None
        return self.emulator.do(command)

    def wait(self, kind: type[T], *, after: int = 0, limit_s: float = LIMIT_S) -> T:
        """The first input of this kind that was posted at or after position `after`."""
        return self.wait_for(lambda: next((i for i in self.posted[after:] if isinstance(i, kind)), None), kind.__name__, limit_s)

    def wait_for(self, found: Callable[[], T | None], what: str, limit_s: float = LIMIT_S) -> T:
        end = time.monotonic() + limit_s
        with self.changed:
            while True:
                value = found()
                if value:
                    return value
                if time.monotonic() > end:
                    raise AssertionError(f"no {what} within {limit_s} s; posted: {self.posted}; log: {self.log()[-8:]}")
                self.changed.wait(0.02)

    def mark(self) -> int:
        return len(self.posted)

    def release(self, direction: Direction = Direction.ENTRY, *, within_ms: int = 1_000, window_ms: int = 3_000) -> GrantNumber:
        assert self.driver is not None
        self.last_grant += 1
        expires = time.monotonic_ns() + within_ms * MS
        self.driver.submit(ReleaseBarrier(GrantNumber(self.last_grant), direction, window_ms, expires))
        self.believe(Phase.RELEASED)
        return GrantNumber(self.last_grant)

    def log(self, kind: str | None = None) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in (self.folder / "log").read_text().splitlines()] if (self.folder / "log").exists() else []
        return [line for line in lines if kind is None or line["kind"] == kind]

    def opened(self) -> int:
        """How often the controller itself says that it released on a grant."""
        return sum(line["result"] == "ACCEPTED" for line in self.log("release"))


PEERS = ("emulator", "library", pytest.param("qemu", marks=pytest.mark.slow))


@pytest.fixture(params=PEERS)
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    board: Board | None = None
    if request.param != "emulator":
        bench.controller = replace(bench.controller, kind=Kind.REFERENCE_ON_PC)
    if request.param == "library":
        bench.machine = partial(Firmware, load(request.getfixturevalue("library")))
    if request.param == "qemu":
        image = request.getfixturevalue("image")
        bench.machine = board = Board(image, tmp_path)
        bench.firmware = sha256(image.read_bytes()).digest()
    yield bench
    if bench.driver is not None:
        bench.stop_driver()
    if bench.emulator is not None:
        bench.power_off()
    if board is not None:
        board.close()


def ready(bench: Bench, behaviour: Behaviour = Behaviour.NOBODY) -> Bench:
    bench.power_on(behaviour)
    bench.start_driver()
    bench.wait(BarrierConnected)
    return bench


def test_the_driver_reads_the_controller_and_arms_it(bench: Bench) -> None:
    ready(bench)
    connected = bench.wait(BarrierConnected)
    assert connected == BarrierConnected(
        controller="emulator",
        firmware=bench.firmware.hex(),
        kind=ControllerKind.EMULATOR,
        authenticated=True,
        highest_grant=NO_GRANT,
        last_outcome=GrantOutcome.NONE,
        passage_counter=0,
        emergency=False,
    )
    assert bench.do(state=True)["armed"] is True


def test_a_person_is_released_and_passes(bench: Bench) -> None:
    ready(bench, Behaviour.WALKS)
    grant = bench.release()
    bench.wait(PassageCompleted)
    told = [i for i in bench.posted if isinstance(i, ReleaseAccepted | PassageStarted | PassageCompleted | ReleaseEnded)]
    assert told == [ReleaseAccepted(grant), PassageStarted(grant, Direction.ENTRY), PassageCompleted(grant, Direction.ENTRY, 1)]
    assert bench.opened() == 1


def test_people_pass_one_straight_after_the_other_both_ways(bench: Bench) -> None:
    ready(bench, Behaviour.WALKS)
    for number, direction in enumerate((Direction.ENTRY, Direction.EXIT, Direction.ENTRY), start=1):
        after = bench.mark()
        grant = bench.release(direction)
        assert bench.wait(PassageCompleted, after=after) == PassageCompleted(grant, direction, number)


def test_a_release_that_nobody_uses_ends_with_its_window(bench: Bench) -> None:
    ready(bench)
    grant = bench.release(window_ms=500)
    assert bench.wait(ReleaseEnded) == ReleaseEnded(grant, ReleaseEnd.WINDOW_PASSED)


def test_who_goes_back_has_not_passed(bench: Bench) -> None:
    ready(bench, Behaviour.TURNS_BACK)
    grant = bench.release()
    assert bench.wait(ReleaseEnded) == ReleaseEnded(grant, ReleaseEnd.TURNED_BACK)


def test_a_cancel_ends_the_release(bench: Bench) -> None:
    ready(bench)
    grant = bench.release()
    bench.wait(ReleaseAccepted)
    assert bench.driver is not None
    bench.driver.submit(CancelRelease(grant))
    assert bench.wait(ReleaseEnded) == ReleaseEnded(grant, ReleaseEnd.CANCELLED)


def test_a_cancel_in_the_middle_of_a_passage_is_too_late(bench: Bench) -> None:
    ready(bench, Behaviour.STANDS)
    grant = bench.release()
    bench.wait(PassageStarted)
    assert bench.driver is not None
    bench.driver.submit(CancelRelease(grant))
    assert bench.wait(CancelTooLate) == CancelTooLate(grant)


def test_a_release_whose_time_has_passed_is_never_written(bench: Bench) -> None:
    ready(bench)
    grant = bench.release(within_ms=-1)
    assert bench.wait(ReleaseRefused) == ReleaseRefused(grant, "not_sent")
    assert bench.log("release") == []


def test_a_release_before_the_controller_is_armed_is_refused(bench: Bench) -> None:
    driver = bench.start_driver()
    driver.submit(ReleaseBarrier(GrantNumber(1), Direction.ENTRY, 5_000, time.monotonic_ns() + 1_000 * MS))
    assert bench.wait(ReleaseRefused) == ReleaseRefused(GrantNumber(1), "not_armed")


def test_a_grant_number_that_was_used_is_refused_by_the_controller(bench: Bench) -> None:
    ready(bench, Behaviour.WALKS)
    bench.last_grant = 6
    bench.release()
    bench.wait(PassageCompleted)
    bench.wait_for(lambda: bench.do(state=True)["phase"] == "SECURED", "rest")
    bench.last_grant = 3
    grant = bench.release()
    assert bench.wait(ReleaseRefused) == ReleaseRefused(grant, "grant_used")
    assert bench.opened() == 1


def test_a_request_to_exit_is_told_and_counted(bench: Bench) -> None:
    ready(bench, Behaviour.WALKS)
    bench.do(press="request_to_exit")
    bench.wait(RequestToExitUsed)
    assert bench.wait(PassageCompleted) == PassageCompleted(NO_GRANT, Direction.EXIT, 1)


def test_an_emergency_is_told_and_ends_only_after_somebody_resets_on_site(bench: Bench) -> None:
    ready(bench)
    bench.do(set={"fire": True})
    bench.wait(EmergencyRaised)
    after = bench.mark()
    assert bench.do(set={"fire": False})["phase"] == "AWAITING_RESET"
    bench.wait_for(lambda: bench.do(state=True)["armed"] is False, "rest without arming")
    assert not [i for i in bench.posted[after:] if isinstance(i, EmergencyCleared)]
    bench.do(press="reset_key")
    bench.wait(EmergencyCleared)
    assert bench.do(state=True)["armed"] is True


def test_a_driver_that_starts_in_an_emergency_says_so(bench: Bench) -> None:
    bench.power_on()
    bench.do(set={"fire": True})
    bench.start_driver()
    assert bench.wait(BarrierConnected).emergency is True
    bench.believe(Phase.EMERGENCY)
    bench.do(set={"fire": False})
    bench.do(press="reset_key")
    bench.wait(EmergencyCleared)
    assert bench.do(state=True)["armed"] is True


@pytest.mark.parametrize(
    ("behaviour", "alarm", "direction"),
    [
        (Behaviour.TAILGATES, BarrierAlarm.TAILGATING, Direction.ENTRY),
        (Behaviour.COMES_AGAINST, BarrierAlarm.REVERSE_PASSAGE, Direction.EXIT),
    ],
)
def test_who_passes_on_the_grant_of_another_is_reported_and_counted(
    bench: Bench, behaviour: Behaviour, alarm: BarrierAlarm, direction: Direction
) -> None:
    ready(bench, behaviour)
    grant = bench.release()
    assert bench.wait(BarrierAlarmed) == BarrierAlarmed(alarm, grant)
    counted = bench.wait_for(
        lambda: next((i for i in bench.posted if isinstance(i, PassageCompleted) and i.grant == NO_GRANT), None), "passage without grant"
    )
    assert counted.direction is direction


def test_a_port_that_is_not_there_yet_is_found_when_it_comes(bench: Bench) -> None:
    bench.start_driver()
    assert "no such device" in bench.wait(BarrierLost).detail
    bench.power_on()
    bench.wait(BarrierConnected)


def test_a_port_that_is_pulled_out_comes_back_under_another_number(bench: Bench) -> None:
    ready(bench)
    after = bench.mark()
    before = bench.port.readlink()
    bench.do(unplug=True)
    bench.wait(BarrierLost, after=after)
    taken = Emulator(ControllerSettings(key=KEY), BoardSettings(bench.folder / "other", bench.folder / "s2", bench.folder / "l2"))
    bench.do(plug=True)
    assert bench.port.readlink() != before
    bench.wait(BarrierConnected, after=after)
    taken.stop()
    taken.run()


def test_a_controller_that_falls_silent_is_lost_and_found_again(bench: Bench) -> None:
    ready(bench)
    after = bench.mark()
    bench.do(mute=True)
    assert "silent" in bench.wait(BarrierLost, after=after).detail
    bench.do(mute=False)
    bench.wait(BarrierConnected, after=after)


def test_a_reboot_in_the_middle_of_a_release_opens_nothing_again(bench: Bench) -> None:
    ready(bench)
    grant = bench.release()
    bench.wait(ReleaseAccepted)
    after = bench.mark()
    bench.do(reboot=True)
    connected = bench.wait(BarrierConnected, after=after)
    assert (connected.highest_grant, connected.last_outcome) == (grant, GrantOutcome.INTERRUPTED)
    assert bench.opened() == 1


def test_a_host_that_restarts_takes_its_open_release_back_before_it_arms(bench: Bench) -> None:
    ready(bench)
    grant = bench.release(window_ms=10_000)
    bench.wait(ReleaseAccepted)
    assert bench.driver is not None
    bench.driver._part = lambda: None  # type: ignore[method-assign]  # as a killed process: no last word
    bench.stop_driver()
    after = bench.mark()
    bench.start_driver()
    connected = bench.wait(BarrierConnected, after=after)
    assert (connected.highest_grant, connected.last_outcome) == (grant, GrantOutcome.CANCELLED)
    assert bench.posted[after:].index(ReleaseEnded(grant, ReleaseEnd.CANCELLED)) < bench.posted[after:].index(connected)


def test_a_passage_while_no_host_was_there_is_told_before_the_controller_is_armed(bench: Bench) -> None:
    bench.power_on(Behaviour.WALKS)
    bench.do(press="request_to_exit")
    bench.wait_for(lambda: bench.do(state=True)["passages_exit"] == 1, "a passage")
    bench.start_driver()
    connected = bench.wait(BarrierConnected)
    told = bench.posted[: bench.posted.index(connected)]
    assert PassageCompleted(NO_GRANT, Direction.EXIT, 1) in told
    assert connected.passage_counter == 1


def test_a_control_loop_that_hangs_loses_the_lease(bench: Bench) -> None:
    ready(bench)
    bench.stuck_ns = time.monotonic_ns()
    after = bench.mark()
    assert bench.wait(BarrierFaulted, after=after) == BarrierFaulted("lease_lost", active=True)
    assert bench.do(state=True)["armed"] is False
    bench.stuck_ns = None
    bench.wait(BarrierConnected, after=after)


def test_a_wrong_belief_costs_the_permission_until_it_is_right_again(bench: Bench) -> None:
    ready(bench)
    after = bench.mark()
    bench.believe(Phase.EMERGENCY)
    assert bench.wait(BarrierFaulted, after=after) == BarrierFaulted("belief_wrong", active=True)
    bench.believe(Phase.SECURED)
    bench.wait(BarrierConnected, after=after)


def test_a_wrong_key_is_named_and_nothing_is_armed(bench: Bench) -> None:
    bench.key = bytes(range(2, 34))
    bench.power_on()
    bench.start_driver()
    assert "another key" in bench.wait(BarrierLost).detail
    assert bench.do(state=True)["armed"] is False


def test_an_emulator_is_refused_in_service(bench: Bench) -> None:
    bench.simulation = False
    bench.power_on()
    bench.start_driver()
    assert f"it is {bench.controller.kind.name}" in bench.wait(BarrierLost).detail
    assert bench.do(state=True)["armed"] is False


def test_real_hardware_is_refused_in_a_simulation(bench: Bench) -> None:
    bench.controller = ControllerSettings(key=KEY, kind=Kind.REAL)
    bench.power_on()
    bench.start_driver()
    assert "it is REAL" in bench.wait(BarrierLost).detail


def test_a_keyless_controller_is_refused_by_a_host_with_a_key(bench: Bench) -> None:
    bench.controller = ControllerSettings(key=None)
    bench.power_on()
    bench.start_driver()
    assert "LINK_MODE; this gate has a key and the controller has none" in bench.wait(BarrierLost).detail


def test_a_keyless_link_works_where_both_sides_permit_it(bench: Bench) -> None:
    bench.controller, bench.key = ControllerSettings(key=None), None
    ready(bench)
    assert bench.wait(BarrierConnected).authenticated is False


def test_a_second_host_on_the_port_is_kept_out(bench: Bench) -> None:
    ready(bench)
    other = Bench(bench.folder)
    other.start_driver(name="site/gate-2")
    assert "another program has it" in other.wait(BarrierLost).detail
    other.stop_driver()
    assert bench.do(state=True)["armed"] is True


@pytest.mark.parametrize("fault", [f for f in WireFault if f is not WireFault.NONE])
def test_a_bad_wire_costs_time_and_nothing_else(bench: Bench, fault: WireFault) -> None:
    """Whatever the wire does, what the driver says of each grant agrees with the controller's own log."""
    bench.fault = fault
    ready(bench, Behaviour.WALKS)
    grants = []
    for _ in range(3):
        bench.wait_for(lambda: bench.do(state=True)["phase"] == "SECURED" and bench.do(state=True)["armed"], "an armed controller at rest")
        after = bench.mark()
        grants.append(bench.release())
        bench.wait_for(
            lambda after=after, grant=grants[-1]: any(  # type: ignore[misc]
                isinstance(i, PassageCompleted | ReleaseEnded | ReleaseRefused) and i.grant == grant for i in bench.posted[after:]
            ),
            f"an end of grant {grants[-1]} with fault {fault}",
        )
    passed = [line["grant_number"] for line in bench.log("passage_completed") if line["grant_number"]]
    assert passed == [i.grant for i in bench.posted if isinstance(i, PassageCompleted) and i.grant]
    assert len(passed) == len(set(passed))
    assert bench.opened() <= len(grants)


def test_a_prompt_is_shown_by_the_controllers_lamp_and_again_after_a_restart_of_it(bench: Bench) -> None:
    ready(bench)
    assert bench.driver is not None
    bench.driver.submit(ShowPrompt(Direction.ENTRY, Prompt.OUT_OF_SERVICE))
    bench.wait_for(lambda: bench.do(state=True)["lamp"] == "STOP", "a lamp that says stop")
    bench.driver.submit(ShowPrompt(Direction.EXIT, Prompt.GO))
    bench.wait_for(lambda: (now := bench.do(state=True))["lamp"] == "GO" and now["tone"] == "GRANTED", "a lamp that says go")
    after = bench.mark()
    bench.do(reboot=True)
    assert bench.do(state=True)["lamp"] == "OFF"
    bench.wait(BarrierConnected, after=after)
    bench.wait_for(lambda: bench.do(state=True)["lamp"] == "GO", "the lamp as before")


def test_the_thread_ends_when_asked_and_leaves_the_controller_at_rest(bench: Bench) -> None:
    ready(bench)
    bench.stop_driver()
    bench.wait_for(lambda: bench.do(state=True)["armed"] is False, "rest")
    assert len(bench.log("disarm")) == 1


def test_a_cancel_that_comes_with_the_stop_is_still_sent(bench: Bench) -> None:
    ready(bench)
    grant = bench.release()
    bench.wait(ReleaseAccepted)
    assert bench.driver is not None
    bench.driver._stopping.set()  # as when the stop overtakes the thread's turn
    bench.driver.submit(CancelRelease(grant))
    bench.wait_for(lambda: [line["reason"] for line in bench.log("release_ended")] == ["CANCELLED"], "the end of the release")
    assert bench.driver.join(5)


def test_a_driver_without_key_and_without_cabinet_is_not_made(tmp_path: Path) -> None:
    where = BarrierPort(str(tmp_path / "p"), 115200, None, link_inside_cabinet=False, host_name="x", simulation=True)
    with pytest.raises(UsageError, match="link_inside_cabinet"):
        SerialBarrier(where, post=lambda _: None, control_fresh_ns=time.monotonic_ns)
