"""The emulator as the demo starts it: a process of its own, its port, its control line, its log; and the port's own errors."""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from firmware_bridge.emulator.__main__ import main
from firmware_bridge.errors import BridgeError, PortAbsentError, PortBusyError, PortDeniedError, PortLostError
from firmware_bridge.host_events import Armed, Connected, Happened, HostEvent, ReleaseAnswered, StateRead
from firmware_bridge.link import HostLink
from firmware_bridge.messages import PassageCompleted
from firmware_bridge.transport import SerialTransport
from firmware_bridge.vocabulary import Belief, Direction
from firmware_bridge.wake import Bell
from tests.bridge.world import host_settings

KEY = bytes(range(32))
LIMIT_S = 20


class Process:
    """A started emulator, and a host's link on its port."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder = folder
        (folder / "key").write_text(KEY.hex())
        self.command = [
            *(sys.executable, "-m", "firmware_bridge.emulator"),
            *("--port", str(folder / "port"), "--store", str(folder / "store"), "--log", str(folder / "log")),
            *("--key-file", str(folder / "key"), "--control", str(folder / "control"), "--reaction-ms", "20", "--step-ms", "20"),
            *arguments,
        ]
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.ready = json.loads(self.process.stdout.readline())

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        code = self.process.wait(LIMIT_S)
        for stream in (self.process.stdout, self.process.stdin):
            assert stream is not None
            stream.close()
        return code

    def ask(self, line: str) -> dict[str, Any]:
        with socket.socket(socket.AF_UNIX) as line_socket, line_socket.makefile("rw") as stream:
            line_socket.settimeout(LIMIT_S)
            line_socket.connect(str(self.folder / "control"))
            stream.write(line + "\n")
            stream.flush()
            answer: dict[str, Any] = json.loads(stream.readline())
            return answer

    def log(self, kind: str) -> list[dict[str, Any]]:
        return [line for line in map(json.loads, (self.folder / "log").read_text().splitlines()) if line["kind"] == kind]


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    process = Process(tmp_path, "--person", "walks")
    yield process
    if process.process.poll() is None:
        process.stop()


def passage(port: str, grant: int) -> list[HostEvent]:
    """Arm, release once, and wait until the person is through."""
    transport, link, events = SerialTransport(port, baud=115200), HostLink(host_settings()), list[HostEvent]()
    end = time.monotonic() + LIMIT_S
    link.connect(os.urandom(16), time.monotonic_ns())
    belief = (Belief.SECURED, 0)
    try:
        while not any(isinstance(e, Happened) and isinstance(e.event, PassageCompleted) for e in events):
            assert time.monotonic() < end, events
            now_ns = time.monotonic_ns()
            link.believe(belief[0], grant_number=belief[1], fresh_until_ns=now_ns + 10**9)
            turn = link.tick(now_ns)
            transport.write(turn.data)
            select.select([transport], [], [], 0.05)
            fresh = [*turn.events, *link.receive(transport.read(), time.monotonic_ns())]
            for event in fresh:
                if isinstance(event, StateRead) and not event.state.armed:
                    link.arm(time.monotonic_ns())
                if isinstance(event, Armed):
                    belief, now_ns = (Belief.RELEASED, grant), time.monotonic_ns()
                    link.release(
                        grant_number=grant,
                        direction=Direction.ENTRY,
                        window_ms=5_000,
                        pulse_ms=200,
                        expires_ns=now_ns + 10**9,
                        now_ns=now_ns,
                    )
            events += fresh
    finally:
        transport.close()
    return events


def test_a_process_is_driven_over_its_port_and_keeps_its_own_log(process: Process) -> None:
    before_ns = time.monotonic_ns()
    events = passage(process.ready["port"], 1)
    assert [e.ack.grant_number for e in events if isinstance(e, ReleaseAnswered)] == [1]
    (line,) = process.log("passage_completed")
    assert (line["grant_number"], line["direction"], line["passages"]) == (1, "ENTRY", 1)
    assert before_ns < line["t_ns"] < time.monotonic_ns()


def test_counters_and_grant_numbers_outlive_a_killed_process(process: Process) -> None:
    passage(process.ready["port"], 41)
    process.stop(signal.SIGKILL)
    process.start()
    state = process.ask('{"state": true}')
    assert (state["passages_entry"], state["last_grant"], state["last_outcome"], state["boot_count"]) == (1, 41, "PASSED", 2)
    (connected, *_) = [e for e in passage(process.ready["port"], 42) if isinstance(e, Connected)]
    assert connected.hello.last_grant_number == 41


def test_the_control_line_drives_the_inputs_and_answers_with_the_state(process: Process) -> None:
    assert process.ask('{"set": {"fire": true}}')["phase"] == "EMERGENCY"
    assert process.ask('{"set": {"fire": false}}')["phase"] == "AWAITING_RESET"
    assert process.ask('{"press": "reset_key"}')["drive"] == []
    assert process.ask('{"set": {"beam_entry": true}}')["inputs"][0] == "BEAM_ENTRY"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("nonsense", "is not JSON"),
        ("[1]", "JSON object"),
        ('{"jump": true}', "unknown word 'jump'"),
        ('{"press": "doorbell"}', "unknown input 'doorbell'"),
        ('{"set": 5}', "takes an object"),
        ('{"person": "flies"}', "unknown person 'flies'"),
    ],
)
def test_a_line_that_means_nothing_is_answered_with_what_would(process: Process, line: str, said: str) -> None:
    answer = process.ask(line)
    assert (answer["ok"], said in answer["error"]) == (False, True), answer


def test_it_ends_when_asked_and_takes_its_port_away(process: Process) -> None:
    assert (process.folder / "port").is_symlink()
    assert process.stop() == 0
    assert not (process.folder / "port").is_symlink()


def test_the_control_line_on_standard_input_ends_it_with_its_end(tmp_path: Path) -> None:
    process = Process(tmp_path, "--stdin")
    out, _ = process.process.communicate('{"state": true}\n', timeout=LIMIT_S)
    assert json.loads(out.splitlines()[-1])["phase"] == "SECURED"
    assert process.process.returncode == 0


@pytest.mark.parametrize(("text", "said"), [("", "64 hexadecimal digits"), ("00" * 32, "all zeros"), ("ab" * 31, "64 hexa")])
def test_a_key_that_is_none_is_refused_in_one_line(tmp_path: Path, text: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    places = [f"--{name}={tmp_path / name}" for name in ("port", "store", "log", "key-file")]
    (tmp_path / "key-file").write_text(text)
    assert main(places) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.splitlines()) == 1


# --- the port ---------------------------------------------------------------------------------------------------------------------


def test_a_port_that_is_not_there_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(PortAbsentError, match="check cable and power"):
        SerialTransport(str(tmp_path / "nothing"), baud=115200)


def test_a_port_that_points_nowhere_is_absent(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    with pytest.raises(PortAbsentError):
        SerialTransport(str(tmp_path / "link"), baud=115200)


def test_a_file_is_no_serial_port(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(PortDeniedError, match="no serial port"):
        SerialTransport(str(tmp_path / "file"), baud=115200)


def test_a_port_is_opened_once(process: Process) -> None:
    transport = SerialTransport(process.ready["port"], baud=115200)
    with pytest.raises(PortBusyError, match="one host has one controller"):
        SerialTransport(process.ready["port"], baud=115200)
    transport.close()
    SerialTransport(process.ready["port"], baud=115200).close()


def test_a_port_that_is_pulled_out_is_lost_at_the_next_touch(process: Process) -> None:
    transport = SerialTransport(process.ready["port"], baud=115200)
    process.ask('{"unplug": true}')
    with pytest.raises(PortLostError, match="check cable and plug"):
        transport.read()
    with pytest.raises(PortLostError):
        transport.write(b"x")
    transport.close()


def test_every_trouble_of_a_port_is_one_of_our_errors() -> None:
    assert all(issubclass(kind, BridgeError) for kind in (PortAbsentError, PortBusyError, PortDeniedError, PortLostError))


def test_a_bell_may_be_rung_after_it_was_closed() -> None:
    bell = Bell()
    for _ in range(100_000):
        bell.ring()  # a full pipe rings already
    assert select.select([bell], [], [], 0)[0]
    bell.hush()
    bell.close()
    bell.ring()
    bell.close()
