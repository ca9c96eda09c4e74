"""The centre's end of the link: takes events, makes them durable, and only then says so, to the broker and to the gates.

The order is the promise: commit, then the broker's acknowledgement (PUBACK), then the retained {"epoch", "seq", "head"} that lets the gate
count its rows as delivered. Ended anywhere between them, nothing is lost: the gate sends again, and what is held already is only counted.
"""

import contextlib
import json
import logging
import socket
import time
from collections.abc import Callable
from typing import assert_never

from agent.collector.store import Delivery, HighWater, Store, StoreError
from agent.core.envelope import CHAIN_START, EPOCH
from agent.core.topics import Lane, all_events, all_states, lane_of
from agent.mqtt.broker import Broker, LinkError
from agent.mqtt.link import Accepted, Arrived, Connected, Link, LinkEvent, Lost, Refused, Subscribed

TURN_S = 1.0
WINDOW = 200  # events that the broker may have on the way to us
STATE_LIMIT = 1_024  # bytes
PAUSE_S = 0.25  # before the first new try; doubled up to the limit
PAUSE_LIMIT_S = 10.0
STEADY_S = 10.0  # a connection that lasted so long is followed by a short pause

_log = logging.getLogger("gate.collector")


class Consumer:
    """Keeps a connection to the broker until told to stop.

    Args:
        subscribed: called each time the broker has taken the subscription.
    """

    def __init__(self, broker: Broker, store: Store, *, simulation: bool, client_id: str, subscribed: Callable[[], None]) -> None:
        self._broker = broker
        self._store = store
        self._simulation = simulation
        self._client_id = client_id
        self._subscribed = subscribed
        self._stopping = False
        self._listen, self._ring = socket.socketpair()
        self._listen.setblocking(False)
        self._ring.setblocking(False)

    def stop(self) -> None:
        """End soon; may be called from a signal's function or another thread."""
        self._stopping = True
        with contextlib.suppress(OSError):
            self._ring.send(b".")

    def run(self) -> None:
        """Consume until `stop`."""
        pause_s = PAUSE_S
        while not self._stopping:
            began_s = time.monotonic()
            link = None
            try:
                topics = {all_events(simulation=self._simulation): False, all_states(simulation=self._simulation): True}
                link = Link(self._broker, client_id=self._client_id, subscribe=topics, window=WINDOW)
                link.connect()
                _Session(link, self._store, self._subscribed).run(lambda: self._stopping, self._listen)
                link.close()
            except (LinkError, StoreError) as error:
                _log.warning("%s", error)
            finally:
                if link is not None:
                    link.abandon()
            pause_s = PAUSE_S if time.monotonic() - began_s > STEADY_S else min(2 * pause_s, PAUSE_LIMIT_S)
            self._pause(pause_s)
        self._listen.close()
        self._ring.close()

    def _pause(self, seconds: float) -> None:
        deadline_s = time.monotonic() + seconds
        while not self._stopping and (left_s := deadline_s - time.monotonic()) > 0:
            time.sleep(min(left_s, 0.1))


class _Session:
    """One connection."""

    def __init__(self, link: Link, store: Store, subscribed: Callable[[], None]) -> None:
        self._link = link
        self._store = store
        self._subscribed = subscribed
        self._limit = 1  # acknowledgements on the way at once
        self._in_flight: set[int] = set()
        self._owed: dict[Lane, HighWater] = {}  # the newest word for each gate that is still to be said

    def run(self, stopping: Callable[[], bool], wake: socket.socket) -> None:
        while not stopping():
            self._take(self._link.turn(TURN_S, wake))
            self._say()

    def _take(self, events: list[LinkEvent]) -> None:
        arrived = []
        for event in events:
            match event:
                case Connected(receive_maximum):
                    self._limit = receive_maximum
                case Subscribed():
                    self._owe(self._store.high_waters())
                    self._subscribed()
                case Accepted(mid):
                    self._in_flight.discard(mid)
                case Refused(_, reason):
                    raise LinkError(f"the broker refuses our acknowledgements ({reason}); its ACL must let this certificate write .../ack")
                case Arrived():
                    arrived.append(event)
                case Lost(detail):
                    self._store_all(arrived)
                    raise LinkError(detail)
                case _:
                    assert_never(event)
        self._store_all(arrived)
        for message in arrived:
            self._link.acknowledge(message)

    def _store_all(self, arrived: list[Arrived]) -> None:
        events = [_delivery(message) for message in arrived if not _is_state(message)]
        if events:
            self._owe(self._store.take(events))
        for message in arrived:
            self._greet(message)

    def _greet(self, message: Arrived) -> None:
        """A gate that comes online is told where it stands, so that it need not guess."""
        lane = lane_of(message.topic)
        if lane is None or not _is_state(message):
            return
        try:
            epoch = json.loads(message.payload[:STATE_LIMIT]).get("epoch")
        except (ValueError, AttributeError, RecursionError):
            return
        if isinstance(epoch, str) and EPOCH.fullmatch(epoch):
            self._owe([self._store.high_water(lane, epoch)])

    def _owe(self, waters: list[HighWater]) -> None:
        for water in waters:
            self._owed[water.lane] = water

    def _say(self) -> None:
        while self._owed and len(self._in_flight) < self._limit:
            lane, water = self._owed.popitem()
            text = json.dumps({"epoch": water.epoch, "seq": water.seq, "head": water.head})
            self._in_flight.add(self._link.publish(lane.ack, text.encode("ascii"), retain=True))


def _is_state(message: Arrived) -> bool:
    return message.topic.endswith("/state")


def _delivery(message: Arrived) -> Delivery:
    start = next((value for name, value in message.properties if name == CHAIN_START), None)
    return Delivery(message.topic, message.payload, retained=message.retained, chain_start=start)
