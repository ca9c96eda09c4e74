"""The local socket through which technicians' tools ask a running agent: one JSON line in, one JSON line out.

AF_UNIX only, so nothing listens on a network; the kernel says who is at the other end (SO_PEERCRED). Root and the agent's own user may
ask and act; others get a refusal.

Peers are served one after the other, so a request may wait. It says when it was made (monotonic) and is void when it is old or its peer has
gone: nothing is done after the one who asked was told that nobody answers.
"""

import json
import logging
import os
import pwd
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from agent.core.inputs import LockDownSet
from agent.core.moment import NS_PER_S
from agent.core.orders import StaffRefused
from agent.drivers.staff_desk import StaffDesk, TooSoon
from agent.errors import GateError
from agent.ports import Post

_REQUEST_BYTES = 4096
_TALK_NS = NS_PER_S  # for one peer, whole: its line and our answer; a tool sends at once, so an idle one is only in the way
_LIFE_NS = 4 * NS_PER_S  # of a request, from its making; three idle peers may stand before it
_PATIENCE_NS = 5 * NS_PER_S  # of the one who asks: longer than a request lives, so that nothing is begun after they have given up
_AGAIN_S = 0.02  # between two tries while too many wait
_TURN_S = 0.25
_MOST_REASON = 200  # characters
_REQUESTS = (
    'requests are {"ask":"snapshot"}, {"do":"lock-down","on":true|false,"reason":"..."}, '
    '{"ask":"order"} and {"do":"release","order":"...","signature":"..."}, each with "made_ns":monotonic time'
)

_log = logging.getLogger("gate.control-socket")


class ControlSocketError(GateError):
    """The socket could not be opened, or a running agent could not be reached."""


class NoAgentError(ControlSocketError):
    """Nobody listens there: no agent runs, or it runs with another runtime_dir."""


class UnansweredError(ControlSocketError):
    """The request was sent, and nobody said what came of it."""


class TooSoonError(ControlSocketError):
    """Nothing was done, because somebody else was served a moment ago: the same request may be sent again."""


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
                        continue  # the peer went away, or took too long; it will ask again
                    except Exception:  # noqa: BLE001  the top of the thread: whatever it was, it ends this request and nothing else
                        _log.exception("a request at the control socket failed")
        self._path.unlink(missing_ok=True)

    def _serve(self, peer: socket.socket) -> None:
        until_ns = time.monotonic_ns() + _TALK_NS
        uid = _peer_uid(peer)
        if uid in {0, os.getuid()}:
            line = _read_line(peer, until_ns)
            if _has_gone(peer):
                _log.warning("a request of %s is void: it has gone before it was served", _user_name(uid))
                return
            answer = self._answer(line, uid)
        else:
            answer = _refusal(f"user {uid} may not ask; use root or the agent's user")
        peer.settimeout(_left_s(until_ns))
        peer.sendall(json.dumps(answer, separators=(",", ":")).encode() + b"\n")

    def _answer(self, line: bytes, uid: int) -> Mapping[str, Any]:
        try:
            request = json.loads(line)
        except (ValueError, RecursionError):
            return _refusal(f"not a JSON line of at most {_REQUEST_BYTES} bytes")
        match request:
            case {"made_ns": int(made_ns), **asked}:
                age_ns = time.monotonic_ns() - made_ns
                if not 0 <= age_ns < _LIFE_NS:
                    return _refusal(f"the request waited too long and is void ({age_ns / NS_PER_S:.1f} s); nothing was done, try again")
                return self._act(asked, uid)
            case _:
                return _refusal(_REQUESTS)

    def _act(self, request: Mapping[Any, Any], uid: int) -> Mapping[str, Any]:
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
        if isinstance(judged, TooSoon):
            return {**_refusal(judged.sentence), "again": True}
        if isinstance(judged, str):
            return _refusal(judged)
        self._post(judged)
        return {"ok": True, "denial": judged.denial if isinstance(judged, StaffRefused) else None}


def ask(path: Path, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Ask the agent that serves `path`.

    Raises:
        NoAgentError: none runs there.
        UnansweredError: the request was sent, and no answer came.
        TooSoonError: the agent has done nothing, and may be asked again.
        ControlSocketError: nothing was sent, because this user may not ask or it serves others; or it refuses.
    """
    made_ns = time.monotonic_ns()
    until_ns = made_ns + _PATIENCE_NS
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        try:
            _connect(client, path, until_ns)
        except PermissionError as error:
            raise ControlSocketError(f"{path}: this user may not ask the agent; run it with sudo") from error
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise NoAgentError(f"{path}: no agent answers there ({error}); is it running, and is this its runtime_dir?") from error
        except OSError as error:
            raise ControlSocketError(f"{path}: nothing was sent, the agent serves others ({error}); try again") from error
        try:
            answer = _exchange(client, {"made_ns": made_ns, **request}, until_ns)
        except (OSError, ValueError) as error:
            told = "what came of it stands in the journal: gate-agent journal show" if "do" in request else "see journalctl -u gate-agent"
            raise UnansweredError(f"{path}: the request was sent and not answered ({error}); {told}") from error
    if not answer.get("ok"):
        kind = TooSoonError if answer.get("again") else ControlSocketError
        raise kind(f"{path}: the agent refuses: {answer.get('error')}")
    return answer


def _connect(client: socket.socket, path: Path, until_ns: int) -> None:
    """Raises OSError. Where too many wait already it is tried again: the kernel says so at once, and does not let us wait."""
    while True:
        client.settimeout(_left_s(until_ns))
        try:
            return client.connect(str(path))
        except BlockingIOError:
            time.sleep(_AGAIN_S)


def _exchange(client: socket.socket, request: Mapping[str, Any], until_ns: int) -> dict[str, Any]:
    """Raises OSError or ValueError: no answer came, or none that can be read."""
    client.settimeout(_left_s(until_ns))
    with suppress(BrokenPipeError, ConnectionResetError):  # refused unread; the refusal is there
        client.sendall(json.dumps(request).encode() + b"\n")
    received = b""
    while not received.endswith(b"\n"):
        client.settimeout(_left_s(until_ns))
        more = client.recv(1 << 16)
        if not more:
            raise ConnectionAbortedError("it hung up")
        received += more
    answer = json.loads(received)
    if not isinstance(answer, dict):
        raise ValueError("the answer is no JSON object")  # noqa: TRY004  as json says it
    return answer


def _left_s(until_ns: int) -> float:
    """Raises TimeoutError: nothing is left."""
    left_ns = until_ns - time.monotonic_ns()
    if left_ns <= 0:
        raise TimeoutError("timed out")
    return left_ns / NS_PER_S


def _refusal(sentence: str) -> Mapping[str, Any]:
    return {"ok": False, "error": sentence}


def _refuse_if_served(path: Path) -> None:
    """A socket file of a dead agent may be removed; one that answers belongs to a running agent."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return
        except BlockingIOError:
            pass  # many wait there
    raise ControlSocketError(f"{path}: another agent serves this socket; stop it first, or give this one its own runtime_dir")


def _peer_uid(peer: socket.socket) -> int:
    _pid, uid, _gid = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    return int(uid)


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def _read_line(peer: socket.socket, until_ns: int) -> bytes:
    """Raises TimeoutError: it was not there in time, however it came."""
    received = b""
    while b"\n" not in received and len(received) <= _REQUEST_BYTES:
        peer.settimeout(_left_s(until_ns))
        more = peer.recv(_REQUEST_BYTES)
        if not more:
            break
        received += more
    return received.partition(b"\n")[0]


def _has_gone(peer: socket.socket) -> bool:
    """Whether nobody is left to hear the answer. One that has only ended its own sending still listens."""
    poll = select.poll()
    poll.register(peer, 0)  # hang-up and error are told anyway
    return bool(poll.poll(0))
