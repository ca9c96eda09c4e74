"""The control socket, over a real AF_UNIX socket."""

import os
import pwd
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.cli import main
from agent.core.inputs import Input, LockDownSet
from agent.drivers.control_socket import ControlSocket, ControlSocketError, ask


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


@pytest.mark.parametrize("garbage", [b"\n", b"\xff\xfe\n", b"[1,2\n", b"x" * 9000])
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
