"""The supervisor against a notification socket of the test's own, as systemd opens one."""

import socket
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.drivers.supervisor import Supervisor


@pytest.fixture(params=["a path", "an abstract name"])
def inbox(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    address = str(tmp_path / "notify") if request.param == "a path" else f"@gate-agent-{uuid.uuid4()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("\0" + address[1:] if address.startswith("@") else address)
        listener.settimeout(5)
        yield listener, address


def waiting(listener: socket.socket) -> list[bytes]:
    listener.setblocking(False)
    messages = []
    try:
        while True:
            messages.append(listener.recv(4096))
    except BlockingIOError:
        return messages


def test_what_is_said_arrives_word_for_word(inbox: tuple[socket.socket, str]) -> None:
    listener, address = inbox
    told = Supervisor({"NOTIFY_SOCKET": address})
    told.ready()
    told.status("entry out of service:\n camera absent")
    told.stopping()
    assert waiting(listener) == [b"READY=1", b"STATUS=entry out of service: camera absent", b"STOPPING=1"]


def test_a_beat_is_sent_four_times_in_a_deadline_and_no_more(inbox: tuple[socket.socket, str]) -> None:
    listener, address = inbox
    now_ns = 1_000_000_000
    beaten = Supervisor({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "10000000"}, now_ns=lambda: now_ns)
    sent = []
    for _ in range(100):  # ten seconds of turns, one every 100 ms
        beaten.beat()
        sent.append(waiting(listener))
        now_ns += 100_000_000
    assert [turn for turn, messages in enumerate(sent) if messages] == [0, 25, 50, 75]
    assert {message for messages in sent for message in messages} == {b"WATCHDOG=1"}


def test_a_lost_beat_is_sent_at_the_next_turn(tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    beaten = Supervisor({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "10000000"})
    beaten.beat()  # nobody listens yet
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(address)
        beaten.beat()
        assert waiting(listener) == [b"WATCHDOG=1"]


def test_a_full_socket_never_blocks_the_control_thread(inbox: tuple[socket.socket, str]) -> None:
    listener, address = inbox
    told = Supervisor({"NOTIFY_SOCKET": address})
    for _ in range(10_000):  # far beyond any queue of datagrams; a blocking send would hang here until the test's timeout
        told.status("x" * 200)
    assert 0 < len(waiting(listener)) < 10_000


@pytest.mark.parametrize("environment", [{}, {"NOTIFY_SOCKET": ""}, {"WATCHDOG_USEC": "10000000"}])
def test_without_a_supervisor_nothing_is_sent_and_nothing_fails(environment: dict[str, str]) -> None:
    quiet = Supervisor(environment)
    quiet.ready()
    quiet.status("in service")
    quiet.beat()
    quiet.stopping()


def test_without_a_watchdog_no_beat_is_sent(inbox: tuple[socket.socket, str]) -> None:
    listener, address = inbox
    Supervisor({"NOTIFY_SOCKET": address}).beat()
    assert waiting(listener) == []
