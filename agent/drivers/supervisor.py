"""Tells systemd how the agent is: ready, its status line, a beat of the watchdog, stopping. Silent where no supervisor asked.

The protocol is sd_notify(3): one datagram of `NAME=value` lines to the socket that NOTIFY_SOCKET names; a leading @ names an abstract
socket. WATCHDOG_USEC says how long systemd waits between two beats before it kills and restarts the agent.
"""

import os
import socket
import time
from collections.abc import Callable, Mapping

BEATS_PER_DEADLINE = 4  # three beats may be lost before systemd acts


class Supervisor:
    """Sends without blocking: a beat that cannot be sent is a missed beat, and the supervisor acts on it.

    Args:
        environment: holds NOTIFY_SOCKET and WATCHDOG_USEC where a supervisor started this process.
        now_ns: the monotonic clock.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ, *, now_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._now_ns = now_ns
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        deadline_us = environment.get("WATCHDOG_USEC", "")
        self._every_ns = int(deadline_us) * 1000 // BEATS_PER_DEADLINE if deadline_us.isdecimal() else None
        self._beaten_ns: int | None = None

    def ready(self) -> None:
        self._send("READY=1")

    def status(self, text: str) -> None:
        """One line for `systemctl status`."""
        self._send("STATUS=" + " ".join(text.split()))

    def stopping(self) -> None:
        self._send("STOPPING=1")

    def beat(self) -> None:
        """Call on every turn while control and barrier are fresh; most calls send nothing."""
        now_ns = self._now_ns()
        if self._every_ns is None or (self._beaten_ns is not None and now_ns - self._beaten_ns < self._every_ns):
            return
        if self._send("WATCHDOG=1"):
            self._beaten_ns = now_ns

    def _send(self, line: str) -> bool:
        if not self._address:
            return False
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as sender:
                sender.sendto(line.encode(), self._address)
        except OSError:  # full, or gone: the next turn tries again, and silence is what the watchdog acts on
            return False
        return True
