"""One MQTT 5 connection as a value stream: what happens on it comes out of `turn`, in the one thread that drives it.

paho's own thread is not used. Its callbacks only append to a list that `turn` returns, so no exception in them can kill a network thread
that still says it is connected; and each connection has a client of its own, so nothing that an older one queued is ever sent again.
QoS 1 only: a QoS 2 message refused by an ACL is reported as a success. No topic aliases: after a reconnect they loop for ever.
"""

import select
import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, LogLevel, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from agent.mqtt.broker import Broker, LinkError, context_of, tls_words, words_for

CONNECT_S = 5.0  # for the TCP connection and again for the TLS handshake
FAILURE = 0x80  # MQTT 5: reason codes from here on are failures
UNSPECIFIED = "Unspecified error"  # paho's words where the other end just closed
RECEIVE_MAXIMUM = 65_535  # MQTT 5: what a server that says nothing can take
READS_PER_TURN = 200  # packets; then the owner gets to work on what came


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker says for us when we vanish; retained."""

    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Connected:
    receive_maximum: int  # messages of QoS 1 that the server takes at once


@dataclass(frozen=True, slots=True)
class Subscribed:
    pass


@dataclass(frozen=True, slots=True)
class Accepted:
    """The broker has taken our message (PUBACK); it says nothing of the consumer."""

    mid: int
    heard: bool  # False: nobody is subscribed to the topic


@dataclass(frozen=True, slots=True)
class Refused:
    mid: int
    reason: str


@dataclass(frozen=True, slots=True)
class Arrived:
    mid: int
    topic: str
    payload: bytes
    qos: int
    retained: bool
    properties: tuple[tuple[str, str], ...]  # MQTT 5 user properties


@dataclass(frozen=True, slots=True)
class Lost:
    detail: str


LinkEvent = Connected | Subscribed | Accepted | Refused | Arrived | Lost


class Link:
    """One connection, made once and thrown away. Every method belongs to the thread that made it.

    Args:
        subscribe: topic filters, and whether messages that the broker kept from before are wanted; `Subscribed` comes when the broker
            has taken all of them.
        window: messages that the broker may have on the way to us unacknowledged.
    """

    def __init__(
        self, broker: Broker, *, client_id: str, subscribe: Mapping[str, bool], will: Will | None = None, window: int = 100
    ) -> None:
        self._broker = broker
        self._subscribe = dict(subscribe)
        self._window = window
        self._events: list[LinkEvent] = []
        self._last_error = ""
        self._taken = False
        self._client = _client(broker, client_id, will)
        self._client.on_log = self._on_log
        self._client.on_socket_open = _send_at_once
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_publish = self._on_publish
        self._client.on_message = self._on_message
        self._client.on_disconnect = self._on_disconnect

    def connect(self) -> None:
        """Open the connection; `Connected` or `Lost` follows from `turn`. Blocks for 2 x CONNECT_S at most (and a name look-up).

        Raises:
            LinkError: nobody there, or not the broker that the certificates name.
        """
        wishes = _properties(PacketTypes.CONNECT)
        wishes.ReceiveMaximum = self._window
        wishes.SessionExpiryInterval = 0
        try:
            self._client.connect(self._broker.host, self._broker.port, self._broker.keepalive_s, clean_start=True, properties=wishes)
        except (OSError, ValueError) as error:
            raise LinkError(f"no connection to the broker {self._broker}: {words_for(error)}") from error

    def turn(self, timeout_s: float, wake: socket.socket | None = None) -> list[LinkEvent]:
        """Wait for the network, or until `wake` can be read, and return what happened, in order."""
        self._exchange(timeout_s, wake)
        events, self._events = self._events, []
        return events

    def publish(
        self, topic: str, payload: bytes, *, retain: bool = False, content_type: str = "", user: Sequence[tuple[str, str]] = ()
    ) -> int:
        """Send with QoS 1 and MQTT 5 user properties; only after `Connected`. Returns the number that `Accepted` or `Refused` carries.

        Raises:
            LinkError: the connection is gone.
        """
        properties = _properties(PacketTypes.PUBLISH)
        if content_type:
            properties.ContentType = content_type
        if user:
            properties.UserProperty = list(user)
        info = self._client.publish(topic, payload, qos=1, retain=retain, properties=properties)
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise LinkError(f"the connection to the broker {self._broker} is lost: {mqtt.error_string(info.rc)}")
        return info.mid

    def acknowledge(self, message: Arrived) -> None:
        """Tell the broker that we have it (PUBACK)."""
        self._client.ack(message.mid, message.qos)

    def close(self, *, timeout_s: float = 1.0) -> None:
        """Say goodbye, so that the will is not sent, and close; waits for what is still to be written, within the time."""
        self._client.disconnect()
        deadline = time.monotonic() + timeout_s
        while self._client.socket() is not None and time.monotonic() < deadline:
            self._exchange(max(0.0, deadline - time.monotonic()), None)
        self.abandon()

    def abandon(self) -> None:
        """Close without goodbye: the broker sends the will."""
        sock = self._client.socket()
        if sock is not None:
            sock.close()

    # --- the network --------------------------------------------------------------------------------------------------------------

    def _exchange(self, timeout_s: float, wake: socket.socket | None) -> None:
        sock = self._client.socket()
        if sock is None:
            return
        readable, writable = _wait(sock, wake, write=self._client.want_write(), timeout_s=timeout_s)
        reads = 0
        while readable and reads < READS_PER_TURN:
            self._client.loop_read()
            reads += 1
            if self._client.socket() is None:
                return
            readable, _ = _wait(sock, None, write=False, timeout_s=0.0)
        if writable:
            self._client.loop_write()
        self._client.loop_misc()

    # --- callbacks: they only take down what happened -----------------------------------------------------------------------------

    def _on_log(self, _client: Any, _data: Any, level: int, text: str) -> None:
        if level == LogLevel.MQTT_LOG_ERR:
            self._last_error = text

    def _on_connect(self, _client: Any, _data: Any, _flags: Any, reason: Any, properties: Any) -> None:
        self._taken = True
        if reason.value >= FAILURE:
            self._events.append(Lost(f"the broker {self._broker} refuses us: {reason}; check this certificate's name and the broker's ACL"))
            return
        if getattr(properties, "MaximumQoS", 1) < 1:
            self._events.append(Lost(f"the broker {self._broker} takes no QoS 1; its configuration must allow it"))
            return
        self._events.append(Connected(getattr(properties, "ReceiveMaximum", RECEIVE_MAXIMUM)))
        self._client.subscribe([(topic, _options(retained=retained)) for topic, retained in self._subscribe.items()])

    def _on_subscribe(self, _client: Any, _data: Any, _mid: int, reasons: Any, _properties: Any) -> None:
        refused = [f"{topic} ({reason})" for topic, reason in zip(self._subscribe, reasons, strict=False) if reason.value >= FAILURE]
        self._events.append(
            Lost(f"the broker refuses the subscription of {', '.join(refused)}; check its ACL") if refused else Subscribed()
        )

    def _on_publish(self, _client: Any, _data: Any, mid: int, reason: Any, _properties: Any) -> None:
        if reason.value >= FAILURE:
            self._events.append(Refused(mid, str(reason)))
        else:
            self._events.append(Accepted(mid, heard=reason.getName() != "No matching subscribers"))

    def _on_message(self, _client: Any, _data: Any, message: Any) -> None:
        try:
            topic = str(message.topic)
        except UnicodeDecodeError:
            topic = ""
        user = tuple(getattr(message.properties, "UserProperty", ()))
        self._events.append(Arrived(message.mid, topic, bytes(message.payload), message.qos, message.retain, user))

    def _on_disconnect(self, _client: Any, _data: Any, flags: Any, reason: Any, _properties: Any) -> None:
        said = f"the broker says: {reason}" if flags.is_disconnect_packet_from_server else self._last_error or str(reason)
        if not self._taken:
            hint = "does it take our certificate (authority, dates)?" if self._broker.tls else "does it want TLS on this port?"
            self._events.append(Lost(f"the broker {self._broker} ended the connection before it took us; {hint} ({tls_words(said)})"))
            return
        if said == UNSPECIFIED:
            said = "closed without a word; the broker was stopped, or a second client has the same name"
        self._events.append(Lost(f"the connection to the broker {self._broker} is lost: {said}"))


def _options(*, retained: bool) -> SubscribeOptions:
    sending = SubscribeOptions.RETAIN_SEND_ON_SUBSCRIBE if retained else SubscribeOptions.RETAIN_DO_NOT_SEND
    return SubscribeOptions(qos=1, retainAsPublished=True, retainHandling=sending)


def _properties(packet: int) -> Any:
    """What paho calls properties: its attributes are made at run time and have no types."""
    return Properties(packet)  # type: ignore[no-untyped-call]


class _Client(mqtt.Client):
    """Paho, but for the making of the connection: its own leaves the socket open when the TLS handshake fails."""

    tls: ssl.SSLContext | None = None

    def _create_socket(self) -> socket.socket:
        sock = socket.create_connection((self.host, self.port), timeout=CONNECT_S)
        return sock if self.tls is None else self.tls.wrap_socket(sock, server_hostname=self.host)  # closes it when it fails


def _client(broker: Broker, client_id: str, will: Will | None) -> _Client:
    client = _Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=mqtt.MQTTv5, reconnect_on_failure=False, manual_ack=True)
    client.max_inflight_messages = 0  # no queue inside paho: the owner keeps to the server's Receive Maximum, which paho does not
    if will is not None:
        client.will_set(will.topic, will.payload, qos=1, retain=True)
    client.tls = None if broker.tls is None else context_of(broker.tls)
    return client


def _send_at_once(_client: Any, _data: Any, sock: Any) -> None:
    """Without this, Nagle's algorithm costs a quarter of the throughput over a slow link."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _wait(sock: Any, wake: socket.socket | None, *, write: bool, timeout_s: float) -> tuple[bool, bool]:
    """Whether the connection can be read and written now, or after at most this time."""
    if isinstance(sock, ssl.SSLSocket) and sock.pending():
        timeout_s = 0.0
        pending = True
    else:
        pending = False
    poll = select.poll()
    poll.register(sock, select.POLLIN | (select.POLLOUT if write else 0))
    if wake is not None:
        poll.register(wake, select.POLLIN)
    found = dict(poll.poll(timeout_s * 1000)).get(sock.fileno(), 0)
    return pending or bool(found & ~select.POLLOUT), bool(found & select.POLLOUT)
