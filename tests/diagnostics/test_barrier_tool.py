"""The bench tool on the line itself: an emulated controller on a pseudo-terminal, no agent, and then the agent that finds what was done."""

import json
import os
import pty
import select
import threading
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from agent.core.events import Event, EventType
from agent.diagnostics.barrier_tool import loopback
from agent.drivers.journal import SqliteJournal
from firmware_bridge.emulator.faults import WireFault
from firmware_bridge.emulator.person import Behaviour
from firmware_bridge.transport import SerialTransport
from tests.contract.half_lane import RunningClock
from tests.diagnostics.barrier_bench import Bench, with_key
from tests.sim.waiting import wait_for

NewBench = Callable[..., Bench]


@pytest.fixture
def new_bench(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[NewBench]:
    made: list[Bench] = []

    def new(**options: Any) -> Bench:
        made.append(Bench(tmp_path, lambda: tuple(capsys.readouterr()), **options))  # type: ignore[arg-type, return-value]
        return made[-1]

    yield new
    for bench in made:
        bench.close()


@pytest.fixture
def bench(new_bench: NewBench) -> Bench:
    return new_bench()


# --- release ------------------------------------------------------------------------------------------------------------------------


def test_one_person_is_let_through_and_the_controller_left_at_rest(bench: Bench) -> None:
    said = bench.barrier("release", "--direction", "entry", "--yes")
    assert (said.code, said.out.splitlines()[-1]) == (0, "grant 1, entry: somebody passed")
    assert bench.releases() == [1]
    assert bench.emulator.do({"state": True}) | {"armed": False, "passages_entry": 1, "drive": []} == bench.emulator.do({"state": True})


def test_a_release_that_nobody_uses_is_followed_to_its_end(new_bench: NewBench) -> None:
    bench = new_bench(behaviour=Behaviour.NOBODY, window_ms=900)
    said = bench.barrier("release", "--direction", "exit", "--yes", "--json")
    assert (said.code, said.json) == (0, {"grant": 1, "direction": "exit", "outcome": "ended", "passages": 0})
    assert bench.log("fault_changed") == [], "the heartbeats said rightly what was released"


def test_what_the_controller_refuses_is_said_in_words(bench: Bench) -> None:
    bench.emulator.do({"set": {"beam_exit": True}})
    said = bench.barrier("release", "--direction", "entry", "--yes")
    assert said.code == 1
    assert "the controller refuses the release: somebody or something breaks a beam" in said.err
    assert bench.releases() == []


def test_a_controller_that_does_not_arm_is_said_so(new_bench: NewBench, tmp_path: Path) -> None:
    (tmp_path / "store").write_bytes(b"damaged" * 40)
    bench = new_bench()
    said = bench.barrier("release", "--direction", "exit", "--yes")
    assert (said.code, bench.releases()) == (1, [])
    assert "the controller does not arm: it has a fault" in said.err


def test_in_an_emergency_nothing_is_released(bench: Bench) -> None:
    bench.emulator.do({"set": {"fire": True}})
    said = bench.barrier("release", "--direction", "exit", "--yes")
    assert (said.code, bench.log("release")) == (1, [])
    assert "the lane is not at rest: EMERGENCY" in said.err


def test_a_release_that_is_interrupted_is_taken_back(new_bench: NewBench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = new_bench(behaviour=Behaviour.NOBODY, window_ms=10_000)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("agent.diagnostics.barrier_tool._say", lambda _: interrupt)
    assert bench.barrier("release", "--direction", "entry", "--yes").code == 130
    wait_for(lambda: bench.emulator.do({"state": True})["phase"] == "SECURED", within_s=5)
    assert [line["result"] for line in bench.log("cancel")] == ["CANCELLED"]


def test_a_full_disk_under_the_words_takes_no_release_back_and_its_end_is_said(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as full, monkeypatch.context() as patch:
        patch.setattr("sys.stdout", full)
        released = bench.barrier("release", "--direction", "entry", "--yes")
        watched = bench.barrier("watch", "--for", "0.1")
    assert (released.code, watched.code, bench.releases(), bench.log("cancel")) == (1, 1, [1], [])
    assert "standard output cannot be written (No space left on device); grant 1, entry: somebody passed" in released.err
    assert "standard output cannot be written (No space left on device)" in watched.err


def test_without_a_terminal_a_release_has_to_be_confirmed(bench: Bench) -> None:
    said = bench.barrier("release", "--direction", "entry")
    assert (said.code, bench.log("release")) == (2, [])
    assert "add --yes" in said.err


@pytest.mark.parametrize("content", ["on \n", "", "garbage"])
def test_a_lock_down_bars_entry_here_as_well_and_the_way_out_not(bench: Bench, content: str) -> None:
    (bench.folder / "lock-down").write_text(content)
    said = bench.barrier("release", "--direction", "entry", "--yes")
    assert (said.code, bench.releases()) == (1, [])
    assert "entry is locked down" in said.err
    assert bench.barrier("release", "--direction", "exit", "--yes").code == 0


# --- what the journal makes of it -----------------------------------------------------------------------------------------------------


def test_the_agent_sees_afterwards_that_somebody_was_let_through_without_it(bench: Bench) -> None:
    bench.start_agent()
    bench.stop_agent()
    bench.barrier("release", "--direction", "entry", "--yes")  # the first number of all
    bench.start_agent()
    assert [each["grant"] for each in bench.fields(EventType.PASSAGE_UNGRANTED)] == [1], "the controller kept its events for the agent"
    bench.stop_agent()
    bench.barrier("release", "--direction", "exit", "--yes")
    bench.start_agent()
    assert [each["grant"] for each in bench.fields(EventType.PASSAGE_UNGRANTED)] == [1, 2]
    assert bench.fields(EventType.GRANT_GAP) == [{"expected": 0, "found": 1}, {"expected": 1, "found": 2}]
    assert bench.fields(EventType.PASSAGE_GAP) == []


def test_where_the_controllers_events_are_gone_its_count_tells(bench: Bench) -> None:
    bench.start_agent()
    bench.stop_agent()
    bench.barrier("release", "--direction", "entry", "--yes")
    bench.emulator.do({"reboot": True})
    bench.start_agent()
    assert [(each["expected"], each["counted"]) for each in bench.fields(EventType.PASSAGE_GAP)] == [(0, 1)]


def test_a_number_that_the_journal_holds_open_is_never_used_here(bench: Bench) -> None:
    """The agent died between record and release: nobody else may pass under that grant."""
    bench.start_agent()
    bench.stop_agent()
    journal = SqliteJournal(bench.folder / "journal.db", site="site", gate="gate", simulation=True, clock=RunningClock())
    words: dict[str, Any] = {"staff": "li", "user": "root", "direction": "entry", "reason": "r", "request": "n", "key": "k"}
    journal.commit([Event(EventType.STAFF_GRANTED, RunningClock().now(), {"grant": 1, "expires_at_ns": 1, **words})])
    journal.close()
    assert bench.barrier("release", "--direction", "entry", "--yes", "--json").json["grant"] == 2
    bench.start_agent()
    assert [each["cause"] for each in bench.fields(EventType.PASSAGE_NOT_MADE)] == ["reconciled"]
    assert [each["grant"] for each in bench.fields(EventType.PASSAGE_UNGRANTED)] == [2]
    assert bench.fields(EventType.PASSAGE_MADE) == []


def test_without_a_journal_that_can_be_read_no_number_is_known_to_be_free(bench: Bench) -> None:
    (bench.folder / "journal.db").write_bytes(b"not a journal" * 1000)
    said = bench.barrier("release", "--direction", "exit", "--yes")
    assert (said.code, bench.releases()) == (1, [])
    assert "journal.db" in said.err


# --- watch ----------------------------------------------------------------------------------------------------------------------------


def test_a_watch_shows_state_sensors_health_and_events_and_takes_none_away(bench: Bench) -> None:
    bench.barrier("release", "--direction", "entry", "--yes")
    bench.emulator.do({"set": {"beam_exit": True}})
    told = list[dict[str, Any]]()
    while not (told and told[-1]["health"]):  # told once a second
        said = bench.barrier("watch", "--for", "1.1", "--json")
        assert said.code == 0
        told = [json.loads(line) for line in said.out.splitlines()]
    last = told[-1]
    assert [each["event"] for line in told for each in line["events"]] == ["PassageStarted", "PassageCompleted"], "again, each time"
    assert (last["state"]["sensors"], last["state"]["phase"], last["state"]["armed"]) == (["beam_exit"], "secured", False)
    assert (last["state"]["passages_entry"], last["state"]["last_outcome"], last["events_waiting"]) == (1, "passed", 2)
    assert (last["health"]["boot_count"], last["health"]["checksum_errors"], last["frames_refused"]) == (1, 0, 0)
    assert last["round_trip_ms"] > 0


@pytest.mark.slow
def test_a_watch_sees_the_line_go_and_come(bench: Bench) -> None:
    unplug = threading.Timer(0.4, lambda: bench.emulator.do({"unplug": True}))
    plug = threading.Timer(1.0, lambda: bench.emulator.do({"plug": True}))
    for timer in (unplug, plug):
        timer.start()
    said = bench.barrier("watch", "--for", "3.5", "--json")
    told = [json.loads(line) for line in said.out.splitlines()]
    assert said.code == 0
    assert told[0]["trouble"] is None
    assert any(each["trouble"] and each["state"] is None for each in told)
    assert told[-1]["trouble"] is None
    assert told[-1]["sessions_lost"] == 1


# --- the line -------------------------------------------------------------------------------------------------------------------------


def test_a_good_line_is_called_good(bench: Bench) -> None:
    said = bench.barrier("loopback", "--exchanges", "50", "--json")
    figures = said.json
    assert (said.code, figures["exchanges"], figures["lost"], figures["repeated"], figures["frames_refused"]) == (0, 50, 0, 0, 0)
    assert figures["wire_ms"] == pytest.approx(8.7, abs=0.2)
    assert 0 < figures["p50_ms"] <= figures["p99_ms"] <= figures["worst_ms"]


def test_a_line_that_flips_bits_is_called_bad(new_bench: NewBench) -> None:
    said = new_bench(fault=WireFault.FLIPPED).barrier("loopback", "--exchanges", "15", "--json")
    assert said.code == 1
    assert said.json["frames_refused"] > 0
    assert said.json["repeated"] > 0


def test_a_soak_with_releases_ends_in_a_verdict(bench: Bench) -> None:
    said = bench.barrier("soak", "--minutes", "0.005", "--release", "--yes", "--json")
    found = said.json
    assert (said.code, found["good"], found["releases"], found["passed"], found["failed"]) == (0, True, 1, 1, [])
    assert found["line"]["exchanges"] > 0


@pytest.mark.slow
def test_a_controller_that_restarts_in_a_soak_is_not_good(bench: Bench) -> None:
    restart = threading.Timer(0.5, lambda: bench.emulator.do({"reboot": True}))
    restart.start()
    said = bench.barrier("soak", "--minutes", "0.05")
    assert said.code == 1
    assert "THE CONTROLLER RESTARTED 1 times" in said.out
    assert said.out.endswith("verdict: NOT GOOD\n")


class CtrlC:
    """A bar that a technician watches until they have seen enough."""

    def __init__(self, after: int) -> None:
        self.after = after

    def __call__(self, *_: object) -> Callable[[int], None]:
        return self.show

    def show(self, _: int) -> None:
        self.after -= 1
        if self.after == 0:
            raise KeyboardInterrupt


@pytest.mark.parametrize("words", [("loopback",), ("soak",), ("soak", "--release", "--yes")])
def test_what_was_measured_until_ctrl_c_is_told(bench: Bench, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]) -> None:
    monkeypatch.setattr("agent.diagnostics.barrier_tool.bar", CtrlC(after=5))
    said = bench.barrier(*words)
    assert (said.code, said.err) == (130, "gate-agent: stopped\n")
    assert "5 exchanges: p50" in said.out
    assert ("verdict: none, it did not run to its end" in said.out) == (words[0] == "soak")
    monkeypatch.setattr("agent.diagnostics.barrier_tool.bar", CtrlC(after=5))
    said = bench.barrier(*words, "--json")
    figures, last = map(json.loads, said.out.splitlines())
    line = figures.get("line", figures)
    assert (line["complete"], line["exchanges"], figures.get("good", False), last["exit_code"]) == (False, 5, False, 130)


@contextmanager
def cable(spoil: Callable[[bytes], bytes]) -> Iterator[str]:
    """A bare cable: what goes in comes out, as `spoil` has it."""
    far, near = pty.openpty()
    tty.setraw(near)
    over = threading.Event()

    def carry() -> None:
        while not over.is_set():
            if select.select([far], [], [], 0.02)[0]:
                os.write(far, spoil(os.read(far, 4096)))

    thread = threading.Thread(target=carry, daemon=True)
    thread.start()
    yield os.ttyname(near)
    over.set()
    thread.join(5)
    os.close(far)
    os.close(near)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda data: data, "the cable is good"),
        (lambda data: data.replace(b"\x11", b""), "THE CABLE IS NOT GOOD"),
        (lambda data: data.replace(b"\xaa", b"\xab"), "byte 0: sent 0xaa, came back 0xab"),
        (lambda _: b"", "nothing came back: TX and RX are not bridged"),
    ],
)
def test_a_bridged_cable_is_judged_byte_by_byte(
    new_bench: NewBench, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[bytes], bytes], words: str
) -> None:
    bench = new_bench()
    monkeypatch.setattr("agent.diagnostics.barrier_tool.PLUG_BLOCKS", 6)
    monkeypatch.setattr(loopback, "_SLACK_NS", 20_000_000)
    with cable(spoil) as port:
        bench.write_config(port=port)
        said = bench.barrier("loopback", "--plug")
    assert words in said.out
    assert said.code == (0 if words == "the cable is good" else 1)


def test_what_came_back_until_ctrl_c_is_told(new_bench: NewBench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = new_bench()
    monkeypatch.setattr("agent.diagnostics.barrier_tool.bar", CtrlC(after=3))
    with cable(lambda data: data) as port:
        bench.write_config(port=port)
        said = bench.barrier("loopback", "--plug")
    assert said.code == 130
    assert f"{3 * loopback.BLOCK_BYTES} bytes sent, 0 wrong" in said.out


def test_the_patterns_are_the_same_each_time() -> None:
    assert list(loopback.blocks(9)) == list(loopback.blocks(9))


# --- what cannot be -------------------------------------------------------------------------------------------------------------------

EVERY = (("watch",), ("release", "--direction", "exit", "--yes"), ("loopback",), ("soak",))


def test_an_absent_port_is_said_so(bench: Bench) -> None:
    bench.write_config(port=str(bench.folder / "nothing"))
    for words in EVERY:
        said = bench.barrier(*words)
        assert (said.code, said.out) == (1, "")
        assert "there is no such device; check cable and power" in said.err


@pytest.mark.parametrize("words", [("soak", "--minutes"), ("watch", "--for")])
@pytest.mark.parametrize("span", ["1e308", "1e300", "1000001", "inf", "nan", "0", "-1", "ten"])
def test_a_time_that_cannot_be_is_wrong_use(bench: Bench, words: tuple[str, ...], span: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        bench.barrier(*words, span)
    assert stop.value.code == 2
    assert f"argument {words[1]}" in capsys.readouterr().err


def test_a_port_that_another_program_has_is_said_so(bench: Bench) -> None:
    holder = SerialTransport(str(bench.port), baud=115_200)
    for words in EVERY:
        said = bench.barrier(*words)
        assert (said.code, said.out) == (1, "")
        assert "another program has it" in said.err
    holder.close()


def test_an_emulator_is_asked_only_in_a_simulation(bench: Bench) -> None:
    for words in (*EVERY, ("loopback", "--plug")):
        said = bench.barrier(*words, simulation=False)
        assert (said.code, bench.log("hello")) == (2, [])
        assert "only with --simulation" in said.err


def test_a_bought_board_is_not_asked_by_this_tool(bench: Bench) -> None:
    bench.write_config(kind="osdp")
    for words in EVERY:
        said = bench.barrier(*words)
        assert (said.code, bench.log("hello")) == (1, [])
        assert "barrier.kind is osdp" in said.err


@pytest.mark.slow  # each waits until the host gives up
def test_a_wrong_key_is_said_so(new_bench: NewBench) -> None:
    said = new_bench(settings=with_key(bytes(range(32)))).barrier("watch")
    assert said.code == 1
    assert "under another key" in said.err


@pytest.mark.slow
def test_a_silent_controller_is_said_so(bench: Bench) -> None:
    bench.emulator.do({"mute": True})
    said = bench.barrier("loopback")
    assert said.code == 1
    assert "no answer to HELLO" in said.err
