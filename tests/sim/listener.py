"""Another client of the broker, with paho itself: hears a topic, and can say anything."""

import json
import threading
from typing import Any, Self

from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from agent.mqtt.broker import Broker
from tests.sim.waiting import wait_for


class Listener:
    """Everything that comes on a topic, parsed, in order."""

    def __init__(self, broker: Broker, topic: str) -> None:
        self.messages: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        self._subscribed = threading.Event()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        self._client.on_connect = lambda client, *_: client.subscribe(topic, qos=1)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._heard
        self._client.connect(broker.host, broker.port)

    def __enter__(self) -> Self:
        self._client.loop_start()
        wait_for(self._subscribed.is_set, what="the listener's subscription")
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _heard(self, _client: object, _data: object, message: mqtt.MQTTMessage) -> None:
        with self._lock:
            self.messages.append(json.loads(message.payload))

    def publish(self, topic: str, message: dict[str, Any] | bytes, *, retain: bool = False) -> None:
        """Say it, and wait until the broker has it."""
        data = message if isinstance(message, bytes) else json.dumps(message).encode()
        self._client.publish(topic, data, qos=1, retain=retain).wait_for_publish(5)

    def said(self, state: str, **more: str) -> bool:
        return any(m.get("state") == state and more.items() <= m.items() for m in self.messages)

    def count(self, state: str) -> int:
        return sum(m.get("state") == state for m in self.messages)

    def seqs(self) -> list[int]:
        return [m["data"]["seq"] for m in self.messages]

    def head(self, seq: int) -> str:
        return next(m["data"]["head"] for m in self.messages if m["data"]["seq"] == seq)
