"""The host's side of the talk with the controller, in the core's words: orders and bytes in, bytes and inputs out, time passed in.

It arms when the lane is at rest, takes back a release that an earlier session left open, and tells the core once what was lost. No port,
no thread and no clock: the barrier thread gives it a port, the tests a wire in simulated time.
"""

import logging
from typing import Final, assert_never

from agent.core.effects import BarrierCommand, Believe, CancelRelease, Phase, ReleaseBarrier, ShowPrompt
from agent.core.identity import GrantNumber
from agent.core.inputs import BarrierFaulted, BarrierInput, BarrierLost, EmergencyCleared, EmergencyRaised, ReleaseRefused
from agent.core.moment import NS_PER_S
from agent.drivers import barrier_words as words
from agent.drivers.barrier_lamp import LampOrders
from agent.ports import Post
from firmware_bridge import messages, vocabulary
from firmware_bridge.greeting import HostSettings
from firmware_bridge.host_events import (
    Armed,
    ArmRefused,
    CancelAnswered,
    Connected,
    EventsLost,
    FrameRefused,
    Happened,
    HealthRead,
    HostEvent,
    LinkRefused,
    Lost,
    NotDone,
    ReleaseAnswered,
    ReleaseNotSent,
    ReleaseUnanswered,
    StateRead,
)
from firmware_bridge.link import HostLink

PULSE_MS: Final = 500  # contact time for a mechanism that takes pulses; drives want at least 100 ms, the controller allows 1 s
CONTROL_FRESH_NS: Final = NS_PER_S  # a control loop that has not turned for this long is not spoken for; it turns every 250 ms
ARM_AGAIN_NS: Final = NS_PER_S // 2

_log = logging.getLogger("gate.barrier")


class BarrierDialogue:
    """One host's talk with one controller, over any number of ports one after the other.

    Args:
        post: leaves an input for the control thread.

    Attributes:
        ready: the controller is armed, and the core knows it.
        hang_up: why the port must be closed; None while it is good. Cleared by the next `greet`.
        health: the controller's newest account of itself.
    """

    def __init__(self, settings: HostSettings, *, post: Post) -> None:
        self._post = post
        self._link = HostLink(settings)
        self._lamp = LampOrders(self._link)
        self.ready = False
        self.hang_up: str | None = None
        self.health: messages.Health | None = None
        self.frames_refused = 0
        self._arm_due_ns: int | None = None
        self._hello: Connected | None = None
        self._connected_told = False
        self._emergency_told = False
        self._lost_told: str | None = None
        self._phase = Phase.UNREADY
        self._grant = 0  # ours, under way
        self._unanswered: set[int] = set()
        self._faults_told: list[str] = []  # of ours, over once the controller is armed anew

    # --- what the thread says -------------------------------------------------------------------------------------------------------

    def greet(self, nonce: bytes, now_ns: int) -> None:
        """A port is open."""
        self.hang_up = None
        self._link.connect(nonce, now_ns)

    def port_lost(self, detail: str, now_ns: int) -> None:
        """The port is gone, or cannot be opened: what is still unanswered is told, then the loss."""
        self._link.hang_up(detail)
        self._hear(tuple(event for event in self._link.tick(now_ns).events if not isinstance(event, Lost)), now_ns)
        self._end(detail)

    def order(self, command: BarrierCommand, now_ns: int) -> None:
        match command:
            case ReleaseBarrier() if not self.ready:
                self._post(ReleaseRefused(command.grant, "not_armed"))
            case ReleaseBarrier():
                self._grant, self._phase = command.grant, Phase.RELEASED
                self._link.release(
                    grant_number=command.grant,
                    direction=words.DIRECTIONS[command.direction],
                    window_ms=command.window_ms,
                    pulse_ms=PULSE_MS,
                    expires_ns=command.expires_at_ns,
                    now_ns=now_ns,
                )
            case CancelRelease(grant):
                self._link.cancel(grant, now_ns)
            case Believe(phase):
                self._phase = phase
            case ShowPrompt(direction, prompt):
                self._lamp.prompt(direction, prompt)
            case _:
                assert_never(command)

    def receive(self, data: bytes, now_ns: int) -> None:
        self._hear(self._link.receive(data, now_ns), now_ns)

    def turn(self, now_ns: int, *, control_fresh_ns: int) -> bytes:
        """What is to be written now; the link judges each release's time at this very moment.

        Heartbeats go out only while the control loop is fresh; `control_fresh_ns` is the monotonic time of its last turn.
        """
        believed = words.BELIEFS[self._phase]
        if self._phase is Phase.UNREADY and self._grant:  # the core waits no longer for its end, but it is under way
            believed = vocabulary.Belief.PASSING
        grant = self._grant if believed in (vocabulary.Belief.RELEASED, vocabulary.Belief.PASSING) else 0
        self._link.believe(believed, grant_number=grant, fresh_until_ns=control_fresh_ns + CONTROL_FRESH_NS)
        if self._arm_due_ns is not None and now_ns >= self._arm_due_ns:
            self._arm_due_ns = None
            self._link.read_state(now_ns)
        turn = self._link.tick(now_ns)
        self._hear(turn.events, now_ns)
        return turn.data

    def next_deadline_ns(self) -> int | None:
        due = [t for t in (self._link.next_deadline_ns(), self._arm_due_ns) if t is not None]
        return min(due, default=None)

    def part(self, now_ns: int) -> bytes:
        """The last word: leave the controller at rest rather than let its lease run out."""
        self._link.disarm()
        return self._link.tick(now_ns).data

    # --- what the link tells ----------------------------------------------------------------------------------------------------

    def _hear(self, events: tuple[HostEvent, ...], now_ns: int) -> None:
        for event in events:
            self._hear_one(event, now_ns)

    def _hear_one(self, event: HostEvent, now_ns: int) -> None:  # noqa: C901, PLR0912  one row for each kind of event
        match event:
            case Connected():
                self._hello = event
            case StateRead():
                self._judge(now_ns)
            case Armed():
                self._armed()
            case ArmRefused(refusal):
                self._not_armed(refusal, now_ns)
            case LinkRefused(reason) | Lost(reason):
                self._end(reason)
            case ReleaseAnswered(ack):
                self._answered(words.answered(ack))
            case ReleaseNotSent(grant, reason):
                _log.warning("release %d was not sent: %s", grant, reason)
                self._answered(ReleaseRefused(GrantNumber(grant), "not_sent"))
            case ReleaseUnanswered(grant):
                self._unanswered.add(grant)
            case CancelAnswered(ack):
                unanswered = ack.grant_number in self._unanswered
                self._unanswered.discard(ack.grant_number)
                self._post_all(words.cancelled(ack, unanswered=unanswered))
            case Happened():
                self._happened(event, now_ns)
            case EventsLost(count):
                self._events_lost(count, now_ns)
            case HealthRead(health):
                self.health = health
            case FrameRefused(rejected):
                self.frames_refused += 1
                _log.info("frame refused: %s (%s)", rejected.reason, rejected.detail)
            case NotDone(answer):
                _log.warning("the controller does not do 0x%02x: %s", answer.type, answer.refusal.name)
            case _:
                assert_never(event)

    def _answered(self, answer: BarrierInput) -> None:
        if isinstance(answer, ReleaseRefused) and answer.grant == self._grant:
            self._grant = 0
        self._post(answer)

    def _post_all(self, inputs: tuple[BarrierInput, ...]) -> None:
        for one in inputs:
            self._post(one)

    def _happened(self, event: Happened, now_ns: int) -> None:
        inputs = words.happened(event.event, event.happened_ns)
        if isinstance(event.event, messages.PassageCompleted | messages.ReleaseEnded) and event.event.grant_number == self._grant:
            self._grant = 0
        self._lost_told = None  # a fault that is told here dies with this session, so its loss is news again
        self._emergency_told |= any(isinstance(one, EmergencyRaised) for one in inputs)
        self._post_all(inputs)
        self._link.acknowledge(event.event.event_number)
        self._judge(now_ns)

    def _events_lost(self, count: int, now_ns: int) -> None:
        """Another host took them, or the controller's queue ran over. HELLO's counter and last outcome say what they did: begin anew."""
        self._faults_told.append(f"events_lost_{count}")
        self._lost_told = None
        self._post(BarrierFaulted(self._faults_told[-1], active=True))
        if self.ready:
            self.port_lost(f"{count} events of the controller are lost; its counter and its last grant are read again", now_ns)

    def _judge(self, now_ns: int) -> None:
        """Arm when the lane is at rest and every event before is told; a release that an earlier session left open is taken back first."""
        state = self._link.state
        if state is None or not self._link.caught_up:
            return
        if state.phase in words.EMERGENCY_PHASES:
            self.ready, self._emergency_told = False, True
            self._lamp.lost()
            self._tell_connected(state)
            return
        if state.armed is vocabulary.Switch.ON:
            if not self.ready:  # a session begins disarmed, so this answers our ARM, whose own answer was lost
                self._armed()
            return
        if self.ready:
            self._lose(f"the controller has withdrawn its permission ({state.faults.name or 'no fault'})")
        if state.phase is vocabulary.Phase.SECURED:
            self._link.arm(now_ns)
        elif state.phase is vocabulary.Phase.RELEASED and state.grant_number:
            self._link.cancel(state.grant_number, now_ns)

    def _armed(self) -> None:
        state = self._link.state
        if state is None:
            return
        self.ready = True
        self._lamp.armed(self._hello.hello.capabilities if self._hello is not None else vocabulary.Capability(0))
        self._tell_connected(state)
        while self._faults_told:
            self._post(BarrierFaulted(self._faults_told.pop(), active=False))
        if self._emergency_told:
            self._emergency_told = False
            self._post(EmergencyCleared())

    def _not_armed(self, refusal: vocabulary.Refusal, now_ns: int) -> None:
        self._arm_due_ns = now_ns + ARM_AGAIN_NS
        if refusal not in (vocabulary.Refusal.STALE_STATE, vocabulary.Refusal.NO_LEASE):  # those pass by themselves
            self._lose(f"the controller does not arm: {refusal.name.lower()}")

    def _tell_connected(self, state: messages.State) -> None:
        if self._connected_told or self._hello is None:
            return
        self._connected_told, self._lost_told = True, None
        self._post(words.connected(self._hello.hello, state, keyed=self._hello.keyed))

    def _end(self, detail: str) -> None:
        """This port is of no use any more."""
        self.hang_up, self._arm_due_ns = detail, None
        self._lose(detail)

    def _lose(self, detail: str) -> None:
        """Tell the core once that there is no barrier to release, and why; again only when the reason changes."""
        self.ready, self._grant = False, 0
        self._lamp.lost()
        if self._connected_told or detail != self._lost_told:
            self._connected_told, self._lost_told = False, detail
            self._post(BarrierLost(detail))
