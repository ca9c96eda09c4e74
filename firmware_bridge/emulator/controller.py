"""The whole controller as a pure machine: bytes, inputs and time in; bytes, outputs, lasting store and log lines out.

It mirrors what the reference firmware does with a board below it, so that the two can be compared step by step.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import Enum
from types import MappingProxyType
from typing import Protocol, assert_never

from firmware_bridge.codec import type_byte
from firmware_bridge.emulator.indicator import Indicator
from firmware_bridge.emulator.lane import Lane
from firmware_bridge.emulator.permission import Permission
from firmware_bridge.emulator.settings import CAPABILITIES, ControllerSettings
from firmware_bridge.emulator.store import Store
from firmware_bridge.emulator.wire import Arrival, Greeting, Wire
from firmware_bridge.errors import Rejected
from firmware_bridge.limits import HEALTH_MS, LEASE_MS, MAX_PULSE_MS, MAX_WINDOW_MS, PROTOCOL_VERSION
from firmware_bridge.messages import (
    Arm,
    ArmAck,
    Cancel,
    CancelAck,
    Disarm,
    EventAck,
    Fact,
    Health,
    Heartbeat,
    HeartbeatAck,
    Hello,
    HelloReply,
    HostMessage,
    Indicate,
    Refused,
    Release,
    ReleaseAck,
    State,
    StateRequest,
)
from firmware_bridge.ticks import WRAP, reached, span_ms, wrap
from firmware_bridge.vocabulary import Drive, Fault, Faults, Inputs, Lamp, Outcome, Phase, Refusal, Switch, Tone

Scalar = str | int | bool


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of the controller's own log: what happened, beside any host's account of it."""

    kind: str
    fields: Mapping[str, Scalar]


@dataclass(frozen=True, slots=True)
class Output:
    """What a step asks of the board, in this order: keep `store`, set `drive`, write `data`.

    `store` is None where nothing changed. The order matters: a grant number is marked as used before anything moves.
    """

    store: Store | None
    drive: Drive
    data: bytes
    log: tuple[LogLine, ...]


class Machine(Protocol):
    """A controller with power on, whoever wrote it: this one, or the reference firmware as a shared library."""

    def receive(self, data: bytes, now_ms: int) -> Output: ...
    def sense(self, inputs: Inputs, now_ms: int) -> Output: ...
    def tick(self, now_ms: int) -> Output: ...
    def next_deadline_ms(self) -> int: ...
    @property
    def phase(self) -> Phase: ...
    @property
    def drive(self) -> Drive: ...
    @property
    def armed(self) -> bool: ...
    @property
    def grant(self) -> int: ...
    @property
    def shown(self) -> tuple[Lamp, Tone]: ...
    @property
    def store(self) -> Store: ...


class PowerOn(Protocol):
    """Makes a machine. `store` None: the lasting memory is damaged."""

    def __call__(self, settings: ControllerSettings, store: Store | None, *, inputs: Inputs, now_ms: int) -> Machine: ...


class Controller:
    """One controller from power-on to power-off. `store` None: the lasting memory is damaged."""

    def __init__(self, settings: ControllerSettings, store: Store | None, *, inputs: Inputs, now_ms: int) -> None:
        self._settings = settings
        self._damaged = store is None
        self._kept = store
        self._started = self._now = wrap(now_ms)
        self._uptime_s = 0
        self._log: list[LogLine] = []
        found = store or Store()
        outcome = Outcome.INTERRUPTED if found.last_outcome is Outcome.RELEASED else found.last_outcome
        begun = Store(
            boot_count=(found.boot_count + 1) % WRAP,
            last_grant=found.last_grant,
            last_outcome=outcome,
            last_refusal=found.last_refusal,
            emergency=found.emergency,
            open_ways=found.open_ways,
            passages_entry=found.passages_entry,
            passages_exit=found.passages_exit,
        )
        self._lane = Lane(settings, begun, inputs=inputs, now_ms=now_ms)
        self._permission = Permission(settings, self._lane)
        self._wire = Wire(settings, boot_count=begun.boot_count)
        self._indicator = Indicator()
        self._lane.set_fault(Fault.STORE_DAMAGED, active=self._damaged)
        self._revision = 0
        self._told: tuple[Phase, bool, Faults] | None = None
        self._last_drive: Drive | None = None
        self._health_due = wrap(now_ms + HEALTH_MS)
        self._note("boot", boot_count=begun.boot_count, last_grant=begun.last_grant, last_outcome=outcome.name)
        self._wire.announce_boot()

    # --- in -----------------------------------------------------------------------------------------------------------------------

    def receive(self, data: bytes, now_ms: int) -> Output:
        """Bytes from the host."""
        self._advance(now_ms)
        for frame in self._wire.frames(data):  # one after the other: what the first changes counts for the second
            lease_lives = self._permission.lease_left_ms(self._now) > 0
            arrival, begins = self._wire.take(frame, now_ms=self._now, lease_lives=lease_lives)
            if begins:
                self._indicator.clear()
                self._permission.begin_session()
                self._note("session", boot_count=self._lane.store.boot_count)
            self._take(arrival)
            self._publish()
        return self._finish()

    def sense(self, inputs: Inputs, now_ms: int) -> Output:
        """The inputs of the board as they are now, all of them."""
        self._advance(now_ms)
        self._lane.sense(inputs, self._now)
        return self._finish()

    def tick(self, now_ms: int) -> Output:
        """Time alone."""
        self._advance(now_ms)
        return self._finish()

    def next_deadline_ms(self) -> int:
        """In how many ms a tick is due; 0: now."""
        times = (*self._lane.deadlines(), *self._permission.deadlines(), *self._wire.deadlines(), self._indicator.due_ms, self._health_due)
        return max(0, min(span_ms(t, self._now) for t in times if t is not None))

    @property
    def phase(self) -> Phase:
        return self._lane.phase

    @property
    def drive(self) -> Drive:
        return self._lane.drive

    @property
    def armed(self) -> bool:
        return self._lane.armed

    @property
    def grant(self) -> int:
        """Of the release under way; 0: none, or a request to exit."""
        return self._lane.opening.grant if self._lane.opening is not None else 0

    @property
    def shown(self) -> tuple[Lamp, Tone]:
        return self._indicator.lamp, self._indicator.tone

    @property
    def store(self) -> Store:
        return self._lane.store

    # --- orders -------------------------------------------------------------------------------------------------------------------

    def _take(self, arrival: Arrival) -> None:
        if isinstance(arrival, Rejected):
            self._note("frame_refused", reason=arrival.reason.value, detail=arrival.detail)
        elif isinstance(arrival, Greeting):
            self._wire.answer_hello(arrival, self._hello_reply(arrival.nonce))
            self._note("hello", host_id=arrival.hello.host_id.hex())
        else:
            self._obey(arrival)

    def _obey(self, order: HostMessage) -> None:
        match order:
            case Release():
                ack = self._permission.release(order, self._now)
                self._note("release", direction=order.direction.name, **flat(ack))
                self._wire.send(ack)
            case Cancel():
                cancelled = self._permission.cancel(order)
                self._note("cancel", **flat(cancelled))
                self._wire.send(cancelled)
            case Heartbeat():
                self._permission.heartbeat(order, self._now)
                left = self._permission.lease_left_ms(self._now)
                self._wire.send(HeartbeatAck(order.echo, self._now, left, self._lane.phase, Switch(self._lane.armed)))
            case StateRequest():
                self._publish(always=True)
            case Arm():
                refusal = self._permission.arm(order, revision=self._revision, now_ms=self._now)
                self._note("arm", refusal=refusal.name)
                self._wire.send(ArmAck(refusal, order.state_revision))
            case Disarm():
                self._permission.disarm()
                self._note("disarm")
                self._publish(always=True)
            case Indicate():
                refusal = self._why_not_indicate()
                if refusal is Refusal.NONE:
                    self._indicator.show(order, self._now)
                else:
                    self._wire.send(Refused(type_byte(order), refusal))
            case EventAck() | Hello():
                pass  # the wire has dealt with it
            case _:
                assert_never(order)

    def _why_not_indicate(self) -> Refusal:
        if self._lane.store.emergency:
            return Refusal.EMERGENCY
        return Refusal.NONE if self._permission.lease_left_ms(self._now) else Refusal.NO_LEASE

    def _hello_reply(self, nonce: bytes) -> HelloReply:
        settings, store = self._settings, self._lane.store
        return HelloReply(
            version=PROTOCOL_VERSION,
            kind=settings.kind,
            mechanics=settings.mechanics,
            fail_entry=settings.fail_entry,
            fail_exit=settings.fail_exit,
            capabilities=CAPABILITIES,
            controller_id=settings.controller_id.encode("ascii").ljust(16, b"\0"),
            firmware_digest=settings.firmware_digest,
            controller_nonce=nonce,
            boot_count=store.boot_count,
            controller_time_ms=self._now,
            last_grant_number=store.last_grant,
            last_outcome=store.last_outcome,
            passages_entry=store.passages_entry,
            passages_exit=store.passages_exit,
            oldest_event=self._wire.oldest_event,
            max_window_ms=MAX_WINDOW_MS,
            max_pulse_ms=MAX_PULSE_MS,
            lease_ms=LEASE_MS,
        )

    # --- time and telling ---------------------------------------------------------------------------------------------------------

    def _advance(self, now_ms: int) -> None:
        self._now = wrap(now_ms)
        self._lane.set_clock(self._now)  # first: what a lost lease ends now has happened now
        self._permission.advance(self._now)
        self._lane.advance(self._now)
        self._wire.advance(self._now)
        if reached(self._now, self._health_due):
            self._health_due = wrap(self._now + HEALTH_MS)
            self._tell_health()

    def _tell_health(self) -> None:
        wire = self._wire
        elapsed = span_ms(self._now, self._started)
        self._uptime_s += elapsed // 1000
        self._started = wrap(self._started + elapsed // 1000 * 1000)
        wire.send(
            Health(
                controller_time_ms=self._now,
                boot_count=self._lane.store.boot_count,
                uptime_s=self._uptime_s % WRAP,
                faults=self._lane.faults,
                good_frames=wire.good_frames % WRAP,
                checksum_errors=wire.checksum_errors % WRAP,
                refused_frames=wire.refused_frames % WRAP,
                missed_heartbeats=self._permission.missed_heartbeats % WRAP,
                dropped_events=wire.dropped_events % WRAP,
                firmware_digest=self._settings.firmware_digest[:8],
            )
        )

    def _publish(self, *, always: bool = False) -> None:
        """Send the events of this step, and the STATE where phase, armed or faults changed."""
        lane = self._lane
        while lane.facts:
            facts, lane.facts = lane.facts, []
            for fact in facts:
                self._note(snake(type(fact).__name__), **flat(fact))
                if not self._wire.report(fact, self._now):
                    lane.set_fault(Fault.EVENTS_DROPPED, active=True)
        told = (lane.phase, lane.armed, lane.faults)
        if told != self._told:
            self._told = told
            self._revision = (self._revision + 1) % WRAP
            always = True
        if always:
            self._wire.send(self._state())

    def _state(self) -> State:
        lane, store = self._lane, self._lane.store
        return State(
            revision=self._revision,
            controller_time_ms=self._now,
            phase=lane.phase,
            armed=Switch(lane.armed),
            inputs=lane.inputs,
            drive=lane.drive,
            faults=lane.faults,
            grant_number=self.grant,
            last_grant_number=store.last_grant,
            last_outcome=store.last_outcome,
            passages_entry=store.passages_entry,
            passages_exit=store.passages_exit,
            newest_event=self._wire.newest_event,
        )

    def _finish(self) -> Output:
        self._publish()
        drive = self._lane.drive
        if drive != self._last_drive:
            self._last_drive = drive
            self._note("drive", **{bit.name.lower(): bool(drive & bit) for bit in Drive if bit.name is not None})
        kept = None
        if not self._damaged and self._lane.store != self._kept:
            kept = self._kept = self._lane.store
        if self._indicator.advance(self._now, permitted=self._why_not_indicate() is Refusal.NONE):
            self._note("indicate", lamp=self._indicator.lamp.name, tone=self._indicator.tone.name)
        data, log = bytes(self._wire.out), tuple(self._log)
        self._wire.out.clear()
        self._log.clear()
        return Output(kept, drive, data, log)

    def _note(self, kind: str, **fields: Scalar) -> None:
        self._log.append(LogLine(kind, MappingProxyType(fields)))


def flat(message: ReleaseAck | CancelAck | Fact) -> dict[str, Scalar]:
    """The fields of a message as words and numbers."""
    return {
        name: value.name if isinstance(value, Enum) else value
        for name, value in asdict(message).items()
        if name not in {"event_number", "oldest_event"}
    }


def snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).removeprefix("_")
