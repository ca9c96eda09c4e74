"""The thread 'gate-uplink': brings the journal's rows to the centre, in order, and the centre's acknowledgements back.

It alone drives the connection and reads the journal through a read-only connection of its own; only the control thread writes. Whatever
fails ends the connection, is reported once in words, and after a growing pause everything is built anew.
"""

import contextlib
import logging
import random
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

from agent.core.inputs import EventsAcknowledged, Input, UplinkReported
from agent.core.topics import Lane
from agent.drivers.journal_reader import JournalReader
from agent.drivers.uplink_conversation import Conversation, presence
from agent.errors import JournalError
from agent.mqtt.broker import Broker, LinkError
from agent.mqtt.link import Link, Will
from agent.ports import Clock, Post

PAUSE_S = 0.25  # before the first new try; doubled up to the limit
PAUSE_LIMIT_S = 30.0
LINGER_S = 1.0  # a stop waits this long for the last rows to arrive
SLICE_S = 0.5  # a pause stays fresh

_log = logging.getLogger("gate.uplink")


class MqttUplink:
    """Implements `agent.ports.Uplink` and `agent.ports.Stoppable`.

    Args:
        journal: path of the journal's file.
        window: rows that may be on the way beyond the consumer's acknowledgement.
        jitter: numbers from 0 to 1 that keep the gates of a site from returning all at once.
    """

    name = "gate-uplink"

    def __init__(
        self,
        journal: Path,
        *,
        site: str,
        gate: str,
        simulation: bool,
        broker: Broker,
        window: int,
        post: Post,
        clock: Clock,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._journal = journal
        self._lane = Lane(site, gate, simulation)
        self._broker = broker
        self._window = window
        self._post = post
        self._clock = clock
        self._jitter = jitter
        self._stop = threading.Event()
        self._listen, self._ring = socket.socketpair()
        self._listen.setblocking(False)
        self._ring.setblocking(False)
        self._fresh_ns = time.monotonic_ns()
        self._failure: str | None = None
        self._disputes: set[EventsAcknowledged] = set()
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self.wake()

    def join(self, timeout_s: float) -> bool:
        self._thread.join(timeout_s)
        ended = not self._thread.is_alive()
        if ended:
            self._listen.close()
            self._ring.close()
        return ended

    def fresh_ns(self) -> int:
        return self._fresh_ns

    def wake(self) -> None:
        with contextlib.suppress(OSError):  # full of wake-ups already, or closed: either way nobody needs this one
            self._ring.send(b".")

    # --- the thread ---------------------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        pause_s = PAUSE_S
        while not self._stop.is_set():
            fruitful = self._connect_once()
            pause_s = PAUSE_S if fruitful else min(2 * pause_s, PAUSE_LIMIT_S)
            self._pause(pause_s * (0.5 + 0.5 * self._jitter()))

    def _connect_once(self) -> bool:
        """One connection, from its making to its end; True when the broker took us."""
        conversation: Conversation | None = None
        try:
            with JournalReader(self._journal) as reader:
                link = Link(
                    self._broker,
                    client_id=f"{self._lane.site}/{self._lane.gate}",
                    subscribe={self._lane.ack: True},
                    will=Will(self._lane.state, presence("offline", self._lane, reason="lost")),
                )
                try:
                    conversation = self._conversation(link, reader)
                    link.connect()
                    conversation.run(self._listen)
                    self._finish(conversation)
                finally:
                    link.abandon()
        except (LinkError, JournalError) as error:
            self._fail(str(error))
        except Exception as error:  # noqa: BLE001  the top of the thread: whatever it was, it ends this connection and nothing else
            _log.exception("the uplink met an error of its own")
            self._fail(f"the uplink met an error of its own and connects anew: {error!r}")
        return conversation is not None and conversation.fruitful

    def _conversation(self, link: Link, reader: JournalReader) -> Conversation:
        return Conversation(
            link,
            reader,
            self._lane,
            window=self._window,
            post=self._say,
            clock=self._clock,
            stopping=self._stop.is_set,
            turned=self._stamp,
            disputes=self._disputes,
        )

    def _finish(self, conversation: Conversation) -> None:
        """A stop: give the last rows a moment to arrive, then part."""
        deadline_s = time.monotonic() + LINGER_S
        while not conversation.finished() and time.monotonic() < deadline_s:
            conversation.turn(None, 0.05)
        conversation.part()

    def _pause(self, seconds: float) -> None:
        deadline_s = time.monotonic() + seconds
        while not self._stop.is_set() and (left_s := deadline_s - time.monotonic()) > 0:
            self._stamp()
            self._stop.wait(min(left_s, SLICE_S))

    def _say(self, message: Input) -> None:
        if isinstance(message, UplinkReported):
            self._failure = None
        self._post(message)

    def _fail(self, detail: str) -> None:
        """Said once: the same failure again is no news."""
        if detail != self._failure:
            self._failure = detail
            self._post(UplinkReported(connected=False, detail=detail))

    def _stamp(self) -> None:
        self._fresh_ns = time.monotonic_ns()
