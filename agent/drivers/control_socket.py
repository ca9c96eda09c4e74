"""The local socket through which technicians' tools ask a running agent: one JSON line in, one JSON line out.

AF_UNIX only, so nothing listens on a network; the kernel says who is at the other end (SO_PEERCRED). Root and the agent's own user may
ask and act; others get a refusal.
"""

import json
import os
import pwd
import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from agent.core.inputs import LockDownSet
from agent.core.orders import StaffRefused
from agent.drivers.staff_desk import StaffDesk
from agent.errors import GateError
from agent.ports import Post

_REQUEST_BYTES = 4096
_PATIENCE_S = 2.0  # for one request of one peer
_TURN_S = 0.25
_MOST_REASON = 200  # characters
_REQUESTS = (
    'requests are {"ask":"snapshot"}, {"do":"lock-down","on":true|false,"reason":"..."}, '
    '{"ask":"order"} and {"do":"release","order":"...","signature":"..."}'
)


class ControlSocketError(GateError):
    """The socket could not be opened, or a running agent could not be reached."""


class NoAgentError(ControlSocketError):
    """Nobody listens there: no agent runs, or it runs with another runtime_dir."""


class ControlSocket:
    """Serves immutable snapshots, and takes the few things that staff may say on site.

    Args:
        snapshot: gives the newest snapshot as a JSON-able value; called on this thread.
        staff: judges orders to release; None: there are none.
    """

    name = "gate-control-socket"

    def __init__(self, path: Path, *, snapshot: Callable[[], Mapping[str, Any]], post: Post, staff: StaffDesk | None = None) -> None:
        self._path = path
        self._snapshot = snapshot
        self._staff = staff
        self._post = post
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
        self._fresh_ns = time.monotonic_ns()
        self._listener: socket.socket | None = None

    def start(self) -> None:
        """Bind and listen.

        Raises:
            ControlSocketError: the folder cannot be written, or another agent serves this path.
        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            if self._path.is_socket():
                _refuse_if_served(self._path)
                self._path.unlink()
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            listener.bind(str(self._path))
            self._path.chmod(0o660)
            listener.listen(8)
            listener.settimeout(_TURN_S)
        except OSError as error:
            raise ControlSocketError(f"{self._path}: the control socket cannot be opened ({error.strerror or error})") from error
        self._listener = listener
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()

    def join(self, timeout_s: float) -> bool:
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def fresh_ns(self) -> int:
        return self._fresh_ns

    def _run(self) -> None:
        assert self._listener is not None
        with self._listener as listener:
            while not self._stopped.is_set():
                self._fresh_ns = time.monotonic_ns()
                try:
                    peer, _ = listener.accept()
                except TimeoutError:
                    continue
                with peer:
                    try:
                        self._serve(peer)
                    except OSError:
                        continue  # the peer went away; it will ask again
        self._path.unlink(missing_ok=True)

    def _serve(self, peer: socket.socket) -> None:
        peer.settimeout(_PATIENCE_S)
        uid = _peer_uid(peer)
        line = _read_line(peer)
        answer = self._answer(line, uid) if uid in {0, os.getuid()} else _refusal(f"user {uid} may not ask; use root or the agent's user")
        peer.sendall(json.dumps(answer, separators=(",", ":")).encode() + b"\n")

    def _answer(self, line: bytes, uid: int) -> Mapping[str, Any]:  # noqa: PLR0911  one for each request
        try:
            request = json.loads(line)
        except ValueError:
            return _refusal(f"not a JSON line of at most {_REQUEST_BYTES} bytes")
        match request:
            case {"ask": "snapshot", **rest} if not rest:
                return {"ok": True, "snapshot": self._snapshot()}
            case {"do": "lock-down", "on": bool(on), "reason": str(reason), **rest} if not rest:
                if not (reason.strip() and reason.isprintable() and len(reason) <= _MOST_REASON):
                    return _refusal(
                        f"a lock-down needs a reason: at most {_MOST_REASON} characters that can be printed, and not only blanks"
                    )
                self._post(LockDownSet(on=on, by=_user_name(uid), reason=reason))
                return {"ok": True}
            case {"ask": "order", **rest} if not rest and self._staff is not None:
                return {"ok": True, "order": self._staff.begin()}
            case {"do": "release", "order": str(order), "signature": str(signature), **rest} if not rest and self._staff is not None:
                return self._release(self._staff, order, signature, user=_user_name(uid))
            case _:
                return _refusal(_REQUESTS)

    def _release(self, staff: StaffDesk, order: str, signature: str, *, user: str) -> Mapping[str, Any]:
        """Both what is believed and what is not goes to the core, which decides and records; the journal says what came of it."""
        judged = staff.judge(order, signature, user=user)
        if isinstance(judged, str):
            return _refusal(judged)
        self._post(judged)
        return {"ok": True, "denial": judged.denial if isinstance(judged, StaffRefused) else None}


def ask(path: Path, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Ask the agent that serves `path`.

    Raises:
        NoAgentError: none runs there.
        ControlSocketError: this user may not ask, it does not answer, or it refuses.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(_PATIENCE_S)
            client.connect(str(path))
            client.sendall(json.dumps(request).encode() + b"\n")
            with client.makefile("rb") as lines:
                answer: dict[str, Any] = json.loads(lines.readline())
    except PermissionError as error:
        raise ControlSocketError(f"{path}: this user may not ask the agent; run it with sudo") from error
    except (FileNotFoundError, ConnectionRefusedError) as error:
        raise NoAgentError(f"{path}: no agent answers there ({error}); is it running, and is this its runtime_dir?") from error
    except (OSError, ValueError) as error:
        raise ControlSocketError(f"{path}: no agent answers there ({error}); is it running, and is this its runtime_dir?") from error
    if not answer.get("ok"):
        raise ControlSocketError(f"{path}: the agent refuses: {answer.get('error')}")
    return answer


def _refusal(sentence: str) -> Mapping[str, Any]:
    return {"ok": False, "error": sentence}


def _refuse_if_served(path: Path) -> None:
    """A socket file of a dead agent may be removed; one that answers belongs to a running agent."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PATIENCE_S)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return
    raise ControlSocketError(f"{path}: another agent serves this socket; stop it first, or give this one its own runtime_dir")


def _peer_uid(peer: socket.socket) -> int:
    _pid, uid, _gid = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    return int(uid)


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def _read_line(peer: socket.socket) -> bytes:
    received = b""
    while b"\n" not in received and len(received) <= _REQUEST_BYTES:
        more = peer.recv(_REQUEST_BYTES)
        if not more:
            break
        received += more
    return received.partition(b"\n")[0]
