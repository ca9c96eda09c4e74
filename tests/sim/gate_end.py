"""The gate's end of the link with the real journal and the real uplink, and a list where the mailbox would be."""

from pathlib import Path
from typing import Self

from agent.clock import SystemClock
from agent.core.events import Event
from agent.core.inputs import EventsAcknowledged, Input, UplinkReported
from agent.drivers.journal import SqliteJournal
from agent.drivers.uplink import MqttUplink
from agent.errors import AcknowledgementError
from agent.mqtt.broker import Broker
from tests.sim.lane_events import granted
from tests.sim.waiting import wait_for


class GateEnd:
    """One lane's journal and uplink. `pump` does what the control thread does with acknowledgements."""

    def __init__(self, folder: Path, broker: Broker, *, gate: str = "gate-1", simulation: bool = False, window: int = 50) -> None:
        self.clock = SystemClock()
        folder.mkdir(exist_ok=True)
        self.journal = SqliteJournal(folder / "journal.db", site="hk", gate=gate, simulation=simulation, clock=self.clock)
        self.posted: list[Input] = []
        self.disputes: list[AcknowledgementError] = []
        self.delivered = 0
        self._pumped = 0
        self.uplink = MqttUplink(
            folder / "journal.db",
            site="hk",
            gate=gate,
            simulation=simulation,
            broker=broker,
            window=window,
            post=self.posted.append,
            clock=self.clock,
            jitter=lambda: 0.0,
        )
        self._started = False

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        self._started = True
        self.uplink.start()

    def close(self) -> None:
        if self._started:
            self.uplink.stop()
            assert self.uplink.join(15.0), "the uplink did not end"
        self.journal.close()

    def record(self, count: int) -> None:
        """Commit this many events, one by one."""
        for _ in range(count):
            self.commit(granted(self.clock.now(), grant=self.journal.seq + 1))

    def commit(self, *events: Event) -> None:
        self.journal.commit(events)
        self.uplink.wake()

    def pump(self) -> None:
        """Take what was posted since the last time."""
        while self._pumped < len(self.posted):
            message = self.posted[self._pumped]
            self._pumped += 1
            if isinstance(message, EventsAcknowledged):
                try:
                    self.journal.mark_delivered(epoch=message.epoch, seq=message.seq, head=message.head)
                    self.delivered = max(self.delivered, message.seq)
                except AcknowledgementError as error:
                    self.disputes.append(error)

    def all_delivered(self) -> bool:
        self.pump()
        return self.delivered == self.journal.seq

    def wait_until_delivered(self, within_s: float = 15.0) -> None:
        wait_for(self.all_delivered, within_s=within_s, what=f"delivery of row {self.journal.seq}")

    def reports(self) -> list[UplinkReported]:
        return [message for message in self.posted if isinstance(message, UplinkReported)]

    def said(self, words: str) -> bool:
        """Whether a report holds these words."""
        return any(words in report.detail for report in self.reports())

    def connected(self) -> bool:
        return bool(self.reports()) and self.reports()[-1].connected
