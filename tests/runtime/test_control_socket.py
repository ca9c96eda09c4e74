"""The control socket, over a real AF_UNIX socket."""

import json
import os
import pwd
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent import app
from agent.cli import main
from agent.core.inputs import ControlSocketSilent, Input, LockDownSet
from agent.core.moment import NS_PER_S
from agent.drivers import control_socket
from agent.drivers.control_socket import ControlSocket, ControlSocketError, NoAgentError, UnansweredError, ask
from agent.liveness import Liveness, Watched


@pytest.fixture
def posted() -> list[Input]:
    return []


@pytest.fixture
def served(tmp_path: Path, posted: list[Input]) -> Iterator[Path]:
    path = tmp_path / "control.sock"
    server = ControlSocket(path, snapshot=lambda: {"phase": "secured"}, post=posted.append)
    server.start()
    yield path
    server.stop()
    assert server.join(5.0)
    assert not path.exists()


def test_a_snapshot_is_answered(served: Path) -> None:
    assert ask(served, {"ask": "snapshot"}) == {"ok": True, "snapshot": {"phase": "secured"}}


def test_a_lock_down_reaches_the_mailbox_with_who_and_why(served: Path, posted: list[Input]) -> None:
    assert ask(served, {"do": "lock-down", "on": True, "reason": "drill"}) == {"ok": True}
    assert posted == [LockDownSet(on=True, by=pwd.getpwuid(os.getuid()).pw_name, reason="drill")]


@pytest.mark.parametrize(
    "request_",
    [{}, {"ask": "templates"}, {"do": "open"}, {"do": "lock-down", "on": 1, "reason": "x"}, {"do": "lock-down", "on": True, "reason": ""}]
    + [{"do": "lock-down", "on": True, "reason": reason} for reason in ("  ", "\x1b[2J", "a\nb", "a\u202eb", "x" * 201)],
)
def test_anything_else_is_refused_with_a_sentence(served: Path, posted: list[Input], request_: dict[str, object]) -> None:
    with pytest.raises(ControlSocketError, match="the agent refuses: "):
        ask(served, request_)
    assert posted == []


@pytest.mark.parametrize("garbage", [b"\n", b"\xff\xfe\n", b"[1,2\n", b"x" * 9000, b"[" * 4000 + b"\n", b'{"ask":"snapshot"}\n'])
def test_garbage_is_refused_and_the_next_peer_is_served(served: Path, garbage: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(5.0)
        client.connect(str(served))
        client.sendall(garbage)
        assert b'"ok":false' in client.recv(4096)
    assert ask(served, {"ask": "snapshot"})["ok"] is True


def test_a_peer_that_goes_away_does_no_harm(served: Path) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(served))
    assert ask(served, {"ask": "snapshot"})["ok"] is True


def raw(path: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(10.0)
    client.connect(str(path))
    return client


def lock_down(made_ns: int) -> bytes:
    return json.dumps({"made_ns": made_ns, "do": "lock-down", "on": True, "reason": "drill"}).encode() + b"\n"


def test_a_request_whose_peer_has_gone_is_void(served: Path, posted: list[Input]) -> None:
    with raw(served) as client, raw(served) as waiting:
        waiting.sendall(lock_down(time.monotonic_ns()))  # stands behind the first one
        waiting.close()
        client.sendall(b"\n")
        assert b'"ok":false' in client.recv(4096)
    assert ask(served, {"ask": "snapshot"})["ok"] is True, "served after both"
    assert posted == []


def test_a_peer_that_has_only_ended_its_sending_is_served(served: Path, posted: list[Input]) -> None:
    with raw(served) as client:
        client.sendall(lock_down(time.monotonic_ns()))
        client.shutdown(socket.SHUT_WR)
        assert client.recv(4096) == b'{"ok":true}\n'
    assert len(posted) == 1


@pytest.mark.parametrize("age_s", [4.0, -5.0])
def test_a_request_that_waited_longer_than_a_tool_does_is_void(served: Path, posted: list[Input], age_s: float) -> None:
    with raw(served) as client:
        client.sendall(lock_down(time.monotonic_ns() - int(age_s * NS_PER_S)))
        assert b"waited too long and is void" in client.recv(4096)
    assert posted == []


def test_a_tool_waits_longer_than_its_request_lives() -> None:
    assert control_socket._PATIENCE_NS > control_socket._LIFE_NS + control_socket._TALK_NS // 2


def test_a_peer_has_one_time_for_its_whole_line_however_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    now_ns = 0

    def passing() -> int:
        nonlocal now_ns
        now_ns += NS_PER_S // 10
        return now_ns

    monkeypatch.setattr(control_socket.time, "monotonic_ns", passing)
    ours, peers = socket.socketpair()
    with ours, peers:
        peers.sendall(b"x" * 100)
        trickle = Trickle(ours)
        with pytest.raises(TimeoutError):
            control_socket._read_line(trickle, NS_PER_S)  # type: ignore[arg-type]
    assert trickle.received < 10


class Trickle:
    """A socket from which each read takes one byte."""

    def __init__(self, real: socket.socket) -> None:
        self.real, self.received = real, 0

    def settimeout(self, seconds: float) -> None:
        self.real.settimeout(seconds)

    def recv(self, _: int) -> bytes:
        self.received += 1
        return self.real.recv(1)


def test_who_may_not_ask_is_refused_before_anything_is_read(served: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_socket, "_peer_uid", lambda _: 4711)
    with raw(served) as client:
        assert b"user 4711 may not ask" in client.recv(4096), "and it has sent nothing"
    with pytest.raises(ControlSocketError, match="the agent refuses: user 4711 may not ask"):
        ask(served, {"ask": "x" * 1_000_000})


def test_whatever_fails_in_a_request_ends_that_request_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    snapshots = iter([{"phase": "secured"}])
    server = ControlSocket(tmp_path / "s", snapshot=lambda: next(snapshots, None) or {}["phase"], post=lambda _: None)
    server.start()
    assert ask(tmp_path / "s", {"ask": "snapshot"})["ok"] is True
    with pytest.raises(UnansweredError, match="sent and not answered"):
        ask(tmp_path / "s", {"ask": "snapshot"})
    with pytest.raises(ControlSocketError, match="the agent refuses"):
        ask(tmp_path / "s", {})
    server.stop()
    assert server.join(5.0)
    assert "KeyError" in caplog.text


def test_a_thread_that_does_not_turn_is_said_once(tmp_path: Path, posted: list[Input]) -> None:
    asked, go_on = threading.Event(), threading.Event()

    def stuck() -> dict[str, Any]:
        asked.set()
        go_on.wait(20)
        return {}

    server = ControlSocket(tmp_path / "s", snapshot=stuck, post=posted.append)
    liveness = Liveness([Watched(server, app.CONTROL_SOCKET_LIMIT_NS, silent=ControlSocketSilent)], posted.append, lambda _: None)
    server.start()
    with raw(tmp_path / "s") as client:
        client.sendall(json.dumps({"made_ns": time.monotonic_ns(), "ask": "snapshot"}).encode() + b"\n")
        assert asked.wait(20)
        liveness.look(server.fresh_ns() + app.CONTROL_SOCKET_LIMIT_NS - 1)
        assert posted == []
        for late_ns in (0, NS_PER_S):
            liveness.look(server.fresh_ns() + app.CONTROL_SOCKET_LIMIT_NS + late_ns)
        go_on.set()
    assert posted == [ControlSocketSilent("thread gate-control-socket has not turned for 5 s")]
    server.stop()
    assert server.join(5.0)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_socket, "_PATIENCE_NS", NS_PER_S // 20)


@pytest.mark.usefixtures("patient")
def test_a_tool_tells_what_was_not_sent_from_what_was_not_answered(tmp_path: Path) -> None:
    path, order = tmp_path / "deaf.sock", {"do": "lock-down", "on": True, "reason": "drill"}
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(path))
        deaf.listen(0)
        with pytest.raises(UnansweredError, match=r"sent and not answered .* stands in the journal"):
            ask(path, order)
        with pytest.raises(ControlSocketError, match="nothing was sent, the agent serves others") as full:
            ask(path, order)  # the one before has filled the line of those who wait
    assert not isinstance(full.value, UnansweredError | NoAgentError)


def test_a_line_of_idle_peers_is_waited_for_and_served(served: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_socket, "_TALK_NS", NS_PER_S // 50)
    idle = [socket.socket(socket.AF_UNIX) for _ in range(15)]
    for each in idle:
        each.setblocking(False)
        each.connect_ex(str(served))
    assert ask(served, {"ask": "snapshot"})["ok"] is True
    for each in idle:
        each.close()


def test_a_dead_agents_socket_is_taken_over_and_a_running_ones_is_not(served: Path, tmp_path: Path) -> None:
    second = ControlSocket(served, snapshot=dict, post=lambda _: None)
    with pytest.raises(ControlSocketError, match="another agent serves this socket"):
        second.start()
    left_over = tmp_path / "left.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(left_over))
    heir = ControlSocket(left_over, snapshot=dict, post=lambda _: None)
    heir.start()
    assert ask(left_over, {"ask": "snapshot"}) == {"ok": True, "snapshot": {}}
    heir.stop()
    assert heir.join(5.0)


def test_no_agent_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(ControlSocketError, match=r"no agent answers there .* is it running"):
        ask(tmp_path / "none.sock", {"ask": "snapshot"})


def test_the_lock_down_command_reaches_the_running_agent(served: Path, posted: list[Input], tmp_path: Path) -> None:
    config = tmp_path / "agent.toml"
    config.write_text(f'[gate]\nruntime_dir = "{served.parent}"\n')
    assert main(["lock-down", "on", "--reason", "drill", "--config", str(config)]) == 0
    assert main(["lock-down", "off", "--reason", "drill over", "--config", str(config)]) == 0
    assert [(each.on, each.reason) for each in posted if isinstance(each, LockDownSet)] == [(True, "drill"), (False, "drill over")]


def test_a_lock_down_without_an_agent_is_said_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "agent.toml"
    config.write_text(f'[gate]\nruntime_dir = "{tmp_path}"\n')
    assert main(["lock-down", "on", "--reason", "drill", "--config", str(config)]) == 1
    assert "no agent answers there" in capsys.readouterr().err
