"""The life of one connection to the broker: presence, rows out, acknowledgements in."""

import contextlib
import json
import logging
import socket
import time
from collections.abc import Callable
from typing import assert_never

from agent.core import chain
from agent.core.envelope import CHAIN_START, CONTENT_TYPE, SEQ_LIMIT
from agent.core.inputs import EventsAcknowledged, UplinkReported
from agent.core.topics import Lane
from agent.drivers.journal_reader import JournalReader
from agent.drivers.uplink_flow import Flow
from agent.mqtt.broker import LinkError
from agent.mqtt.link import Accepted, Arrived, Connected, Link, LinkEvent, Lost, Refused, Subscribed
from agent.ports import Clock, Post

TURN_S = 0.5  # longest wait: the thread stays fresh, and looks for rows that nobody announced
TELL_S = 0.25  # between two acknowledgements told to the control thread: each one costs it a commit
STEADY_S = 10.0  # a connection is fruitful from here on; one that is not open by then never will be
SILENT_S = 30.0  # rows waiting so long without any acknowledgement are worth a word
ACK_LIMIT = 1024  # bytes
DISPUTES_TOLD = 20  # different ones in one run: each becomes a row of the journal, and whoever lies to us must not be able to fill it

_log = logging.getLogger("gate.uplink")


class Conversation:
    """Drives one link until it is lost or `stopping` says so.

    Args:
        stopping: asked at each turn.
        turned: told at each turn.
        disputes: acknowledgements unlike ours that were told before; kept by the caller over connections.
    """

    def __init__(
        self,
        link: Link,
        reader: JournalReader,
        lane: Lane,
        *,
        window: int,
        post: Post,
        clock: Clock,
        stopping: Callable[[], bool],
        turned: Callable[[], None],
        disputes: set[EventsAcknowledged],
    ) -> None:
        self._link = link
        self._reader = reader
        self._lane = lane
        self._post = post
        self._clock = clock
        self._stopping = stopping
        self._turned = turned
        self._disputes = disputes
        self._extent = reader.extent()
        self._flow = Flow(window=window, acknowledged=self._extent.delivered_seq, now_s=time.monotonic())
        self._flow.pruned_to(self._extent.pruned_seq)
        self._open = False
        self._fruitful = False
        self._told: UplinkReported | None = None
        self._news: EventsAcknowledged | None = None  # to be told
        self._told_seq = self._extent.delivered_seq
        self._told_s = 0.0

    @property
    def fruitful(self) -> bool:
        """It lasted: the next connection need not wait long. Two clients of one name end each other's connections sooner."""
        return self._fruitful

    def run(self, wake: socket.socket) -> None:
        """Turn until `stopping`.

        Raises:
            LinkError, JournalError: why it ended before that.
        """
        started_s = time.monotonic()
        while not self._stopping():
            self.turn(wake, TURN_S)
            if time.monotonic() - started_s > STEADY_S:
                if not self._open:
                    raise LinkError("the broker took the connection and then said nothing")
                self._fruitful = True

    def turn(self, wake: socket.socket | None, wait_s: float) -> None:
        """Wait for the network or the wake-up once, and do what there is to do."""
        self._turned()
        now_s = time.monotonic()
        if self._news is not None:
            wait_s = min(wait_s, max(0.0, self._told_s + TELL_S - now_s))
        events = self._link.turn(min(wait_s, self._flow.next_s(now_s)), wake)
        if wake is not None:
            _drain(wake)
        if self._reader.replaced():
            raise LinkError("the journal began a new epoch; connecting anew")
        now_s = time.monotonic()
        for event in events:
            self._take(event, now_s)
        if self._open:
            self._send(now_s)
            self._report(now_s)
        self._tell(now_s)

    def finished(self) -> bool:
        """Every row is with the consumer, or nothing can be sent."""
        return not self._open or self._flow.acknowledged >= self._reader.extent().last_seq

    def part(self) -> None:
        """Tell what was learned last, say that we are going, and close."""
        self._tell(time.monotonic() + TELL_S)
        if self._open:
            self._link.publish(self._lane.state, self._presence("offline", reason="stopped"), retain=True)
        self._link.close()

    # --- in -----------------------------------------------------------------------------------------------------------------------

    def _take(self, event: LinkEvent, now_s: float) -> None:
        match event:
            case Connected(receive_maximum):
                self._flow.keep_to(receive_maximum)
            case Subscribed():
                self._open = True
                self._link.publish(self._lane.state, self._presence("online"), retain=True)
            case Accepted(mid, heard):
                self._flow.accepted(mid, heard=heard)
            case Refused(_, reason):
                hint = "; a production broker refuses a simulated lane" if self._lane.simulation else ""
                raise LinkError(f"the broker refuses what we publish ({reason}); its ACL must let us write {self._lane.event}{hint}")
            case Arrived():
                self._link.acknowledge(event)
                if event.topic == self._lane.ack:
                    self._acknowledged(event.payload, now_s)
            case Lost(detail):
                raise LinkError(detail)
            case _:
                assert_never(event)

    def _acknowledged(self, payload: bytes, now_s: float) -> None:
        said = read_acknowledgement(payload)
        if said is None:
            _log.warning("an acknowledgement on %s cannot be read and is ignored: %.100r", self._lane.ack, payload)
            return
        if said.epoch != self._extent.epoch:
            return  # of a journal that was set aside
        if said.seq < self._extent.pruned_seq:
            self._flow.acknowledge(said.seq, now_s)  # the consumer lost rows; what is left is sent again
            return
        ours = chain.GENESIS if said.seq == 0 else self._reader.head_at(said.seq, self._extent)
        if ours != said.head:
            if said not in self._disputes and len(self._disputes) < DISPUTES_TOLD:
                self._disputes.add(said)
                self._post(said)  # the control thread compares for itself, and records that the two differ
            return
        self._flow.acknowledge(said.seq, now_s)
        if said.seq > self._told_seq:
            self._news = said

    # --- out ----------------------------------------------------------------------------------------------------------------------

    def _send(self, now_s: float) -> None:
        if self._flow.broker_is_stuck(now_s):
            raise LinkError("the broker is connected but takes no message; connecting anew")
        self._flow.go_back(now_s)
        room = self._flow.room()
        rows = self._reader.rows(self._flow.sent, room) if room else []
        if rows and rows[0].seq != self._flow.sent + 1:  # pruned meanwhile
            self._extent = self._reader.extent()
            self._flow.pruned_to(self._extent.pruned_seq)
            return
        for row in rows:
            oldest = self._extent.pruned_seq and row.seq == self._extent.pruned_seq + 1
            user = ((CHAIN_START, self._extent.pruned_head),) if oldest else ()
            mid = self._link.publish(self._lane.event, row.payload, content_type=CONTENT_TYPE, user=user)
            self._flow.sending(row.seq, mid, now_s)

    def _report(self, now_s: float) -> None:
        detail = ""
        if self._flow.silent_s(now_s) > SILENT_S:
            who = "does not acknowledge" if self._flow.heard else "is not listening"
            detail = f"the broker is there, but the centre {who}; events wait in the journal"
        report = UplinkReported(connected=True, detail=detail)
        if report != self._told:
            self._told = report
            self._post(report)

    def _tell(self, now_s: float) -> None:
        if self._news is not None and now_s - self._told_s >= TELL_S:
            self._post(self._news)
            self._told_seq, self._told_s, self._news = self._news.seq, now_s, None

    def _presence(self, state: str, **more: str) -> bytes:
        return presence(state, self._lane, epoch=self._extent.epoch, time=self._clock.now().rfc3339(), **more)


def presence(state: str, lane: Lane, **more: str) -> bytes:
    """What stands, retained, on the state topic."""
    return json.dumps({"state": state, "simulation": lane.simulation, **more}).encode("ascii")


def read_acknowledgement(payload: bytes) -> EventsAcknowledged | None:
    """The consumer's cumulative word; None where it is not one."""
    try:
        said = json.loads(payload) if len(payload) <= ACK_LIMIT else None
    except (ValueError, RecursionError):
        return None
    match said:
        case {"epoch": str(epoch), "seq": int(seq), "head": str(head)} if chain.is_head(head) and 0 <= seq <= SEQ_LIMIT and seq is not True:
            return EventsAcknowledged(epoch, seq, head)
        case _:
            return None


def _drain(wake: socket.socket) -> None:
    with contextlib.suppress(BlockingIOError):
        wake.recv(4096)
