"""The host's end of the link: sessions, time, repetition, events, and any bytes at all."""

import random
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.clock_map import ClockMap
from firmware_bridge.codec import TABLE
from firmware_bridge.emulator.controller import Controller
from firmware_bridge.emulator.faults import WireFault
from firmware_bridge.emulator.settings import ControllerSettings
from firmware_bridge.errors import MessageError, Reject
from firmware_bridge.framing import Frame, FrameReader, encode_frame
from firmware_bridge.greeting import HostSettings, why_not
from firmware_bridge.host_events import (
    CancelAnswered,
    Connected,
    EventsLost,
    FrameRefused,
    Happened,
    LinkRefused,
    Lost,
    ReleaseAnswered,
    ReleaseNotSent,
    ReleaseUnanswered,
)
from firmware_bridge.link import HostLink
from firmware_bridge.mac import KEYLESS
from firmware_bridge.messages import HelloRefused, NoSession, Release, RequestToExit, StateRequest
from firmware_bridge.orders import Orders
from firmware_bridge.session import Session, seal_open
from firmware_bridge.ticks import span_ms
from firmware_bridge.vocabulary import (
    Belief,
    CancelResult,
    Capability,
    Direction,
    HelloRefusal,
    Inputs,
    Kind,
    Phase,
    Sender,
)
from tests.bridge.firmware import Firmware, load
from tests.bridge.world import HOST_ID, KEY, MS, World, host_settings

S = 1_000 * MS


def frames(wire: bytes) -> list[Frame]:
    return [f for f in FrameReader().feed(wire) if isinstance(f, Frame)]


# --- connecting -------------------------------------------------------------------------------------------------------------------


def test_a_session_begins_with_hello_and_reads_the_state_by_itself() -> None:
    world = World()
    world.connect()
    (connected,) = world.seen(Connected)
    assert (connected.keyed, connected.hello.kind, connected.hello.boot_count) == (True, Kind.EMULATOR, 1)
    assert world.link.state is not None


def test_hello_is_repeated_and_given_up_with_the_reason() -> None:
    link = HostLink(host_settings())
    link.connect(bytes(16), 0)
    sent = [now for now in range(0, 3_000, 10) if link.tick(now * MS).data]
    assert sent == [0, 300, 600, 900, 1200, 1500, 1800, 2100, 2400, 2700]
    assert link.next_deadline_ns() == 3_000 * MS
    (lost,) = link.tick(3_000 * MS).events
    assert lost == Lost("no answer to HELLO within 3000 ms; check cable, power and baud rate")
    assert link.next_deadline_ns() is None


def test_a_repeated_hello_gets_the_same_answer_and_changes_nothing() -> None:
    world = World()
    world.host_alive = False
    world.link.connect(bytes(16), world.now_ns)
    hello = world.link.tick(world.now_ns).data
    world.inject(hello)
    first = world.to_host.take(world.now_ms)
    world.inject(hello)
    assert world.to_host.take(world.now_ms) == first[-len(world.controller._wire._pending.reply) :]  # type: ignore[union-attr]


def test_a_recorded_hello_does_not_end_the_session() -> None:
    world = World()
    world.connect()
    hello = next(w for w in world.written if frames(w)[0].type == 0x01)
    world.arm()
    other = Session(bytes(32), me=Sender.HOST)
    for wire in (hello, other.seal(StateRequest())):
        world.inject(wire)
    world.run(3_000)
    assert world.controller.armed


@pytest.mark.parametrize("lacking", [Capability.CANCEL, Capability.EMERGENCY_INPUT, Capability.LASTING_STORE])
def test_a_controller_that_lacks_what_the_safety_rules_need_is_refused_by_name(lacking: Capability) -> None:
    world = World()
    world.connect()
    reply = world.seen(Connected)[0].hello
    fewer = type(reply)(**{**{f: getattr(reply, f) for f in reply.__slots__}, "capabilities": reply.capabilities & ~lacking})
    assert why_not(world.host_settings, reply) is None
    assert f"lacks {lacking.name}" in str(why_not(world.host_settings, fewer))


def test_a_controller_of_another_kind_is_refused() -> None:
    world = World(host_settings=host_settings(kind=Kind.REAL))
    world.connect()
    assert world.seen(LinkRefused)[-1].reason == "the controller says that it is EMULATOR; accepted here: REAL"
    assert not world.link.up


def test_a_refusal_of_another_hosts_hello_is_not_ours() -> None:
    link = HostLink(host_settings())
    link.connect(bytes(16), 0)
    link.tick(0)
    (event,) = link.receive(seal_open(HelloRefused(HelloRefusal.VERSION, 2, 3, b"another's nonce!")), 1)
    assert isinstance(event, FrameRefused)
    (event,) = link.receive(seal_open(HelloRefused(HelloRefusal.VERSION, 2, 3, bytes(16))), 1)
    assert event == LinkRefused("the controller refuses this host: VERSION; it speaks versions 2 to 3")


def test_a_link_without_key_is_not_made_by_omission() -> None:
    with pytest.raises(MessageError, match="link_inside_cabinet"):
        HostSettings(key=None, host_id=HOST_ID)
    with pytest.raises(MessageError, match="one of the two must go"):
        HostSettings(key=KEY, host_id=HOST_ID, link_inside_cabinet=True)


def test_a_keyed_controller_does_not_believe_the_keyless_tag() -> None:
    world = World().arm()
    forged = Session(KEYLESS, me=Sender.HOST)
    forged._sent = 1_000
    world.inject(forged.seal(Release(1, Direction.ENTRY, 5_000, 500, world.controller_ms + 500)))
    assert world.logged("frame_refused")[-1].fields["reason"] == Reject.WRONG_MAC.value
    assert world.openings() == []


def test_the_session_of_an_earlier_boot_is_refused() -> None:
    world = World().arm()
    world.release(1)
    world.walk()
    recorded = list(world.written)
    world.start_controller()
    world.host_alive = False
    for wire in recorded:
        world.inject(wire)
    assert (world.openings(), world.controller.armed) == ([1], False)
    assert world.logged("session") == world.logged("session")[:1]


def test_a_restart_of_the_controller_is_noticed_at_once() -> None:
    world = World().arm()
    world.start_controller()
    world.run(5)
    assert world.seen(Lost)[-1].reason == "the controller has restarted"


def test_a_stray_word_of_an_ended_session_is_ignored() -> None:
    world = World().arm()
    boot = world.controller.store.boot_count
    world.link.receive(seal_open(NoSession(boot)), world.now_ns)
    assert world.link.up


def test_silence_for_as_long_as_the_lease_ends_the_session() -> None:
    world = World().arm()
    heard = world.now_ns
    while world.link.up:
        assert world.now_ns - heard < 3 * S
        world.now_ms += 1
        turn = world.link.tick(world.now_ns)
        world.events += turn.events
    assert world.seen(Lost)[-1].reason == "the controller has been silent for 2000 ms"


# --- time -------------------------------------------------------------------------------------------------------------------------


@given(
    offset_ms=st.integers(0, 2**32 - 1),
    drift_ppm=st.integers(-9_000, 9_000),
    readings=st.lists(st.tuples(st.integers(1, 400), st.integers(0, 300)), min_size=1, max_size=20),
    ahead_ms=st.integers(-50, 9_000),
)
def test_a_deadline_is_never_later_than_it_was_meant(
    offset_ms: int, drift_ppm: int, readings: list[tuple[int, int]], ahead_ms: int
) -> None:
    def controller_ms(host_ns: int) -> int:
        return (offset_ms * MS + host_ns + host_ns * drift_ppm // 1_000_000) // MS

    clock, now_ns, arrived_ns = ClockMap(), 0, 0
    for pause_ms, delay_ms in readings:
        now_ns += pause_ms * MS
        arrived_ns = max(arrived_ns, now_ns + delay_ms * MS)
        clock.learn(controller_ms(now_ns) % 2**32, arrived_ns)
    deadline_ns = arrived_ns + ahead_ms * MS
    assert span_ms(clock.earliest_ms(deadline_ns), controller_ms(deadline_ns) % 2**32) <= 0


@given(offset_ms=st.integers(0, 2**32 - 1), delay_ms=st.integers(0, 5), ahead_ms=st.integers(0, 1_000))
def test_a_deadline_on_a_good_wire_is_early_by_no_more_than_the_wire_and_a_hundredth(offset_ms: int, delay_ms: int, ahead_ms: int) -> None:
    clock = ClockMap()
    clock.learn(offset_ms, delay_ms * MS)
    meant = offset_ms + delay_ms + ahead_ms
    assert -(delay_ms + ahead_ms // 100 + 2) <= span_ms(clock.earliest_ms((delay_ms + ahead_ms) * MS), meant % 2**32) <= 0


def test_a_release_that_came_too_late_over_a_slow_wire_is_refused_by_the_controller() -> None:
    world = World().arm()
    world.run(2_000)
    world.host_alive = False
    world.link.release(
        grant_number=1, direction=Direction.ENTRY, window_ms=5_000, pulse_ms=0, expires_ns=world.now_ns + 100 * MS, now_ns=world.now_ns
    )
    wire = world.link.tick(world.now_ns).data
    world.run(101)
    world.inject(wire)
    assert (world.logged("release")[-1].fields["refusal"], world.openings()) == ("LATE", [])


def test_a_release_is_not_written_once_its_time_has_passed() -> None:
    world = World().arm()
    world.release(1, within_ms=0)
    assert [e.grant_number for e in world.seen(ReleaseNotSent)] == [1]
    assert world.logged("release") == []


def test_a_release_without_a_session_is_answered_at_once() -> None:
    link = HostLink(host_settings())
    link.release(grant_number=1, direction=Direction.ENTRY, window_ms=5_000, pulse_ms=0, expires_ns=S, now_ns=0)
    assert link.next_deadline_ns() == 0
    assert link.tick(0).events == (ReleaseNotSent(1, "no session with the controller"),)


def test_a_release_is_repeated_until_its_time_and_then_cancelled() -> None:
    world = World().arm()
    world.to_controller._fault, world.to_controller._rate = WireFault.LOST, 1.0
    world.release(1, within_ms=500)
    world.run(499)
    assert world.seen(ReleaseUnanswered) == []
    world.run(2)
    assert [e.grant_number for e in world.seen(ReleaseUnanswered)] == [1]
    world.to_controller._fault = WireFault.NONE
    world.run(200)
    assert [e.ack.result for e in world.seen(CancelAnswered)] == [CancelResult.NEVER_RELEASED]
    assert world.openings() == []


def test_a_release_whose_answers_are_all_lost_is_taken_back() -> None:
    world = World().arm()
    world.to_host._fault, world.to_host._rate = WireFault.LOST, 1.0
    world.release(1, window_ms=10_000, within_ms=300)
    assert world.openings() == [1]
    world.run(301)
    world.to_host._fault = WireFault.NONE
    world.run(100)
    assert [e.ack.result for e in world.seen(CancelAnswered)] == [CancelResult.CANCELLED]


def test_a_release_is_answered_once_however_often_it_was_written() -> None:
    world = World(fault=WireFault.DOUBLED, rate=1.0).arm()
    world.release(1)
    world.run(500)
    assert len(world.seen(ReleaseAnswered)) == 1
    assert world.openings() == [1]


def test_a_slow_line_is_given_more_patience() -> None:
    fast, slow = (HostLink(HostSettings(key=KEY, host_id=HOST_ID, baud=baud))._retry_ns for baud in (115_200, 9_600))
    assert (fast, slow) == (50 * MS, 2 * 200 * 10 * S // 9_600)


# --- heartbeat --------------------------------------------------------------------------------------------------------------------


def test_heartbeats_go_out_every_quarter_second_and_only_while_the_owner_is_fresh() -> None:
    world = World().arm()
    world.host_alive = False
    start = world.now_ms
    world.link.believe(Belief.SECURED, grant_number=0, fresh_until_ns=world.now_ns + 1_000 * MS)
    sent = [at for at in range(1_900) if any(f.type == 0x07 for f in frames(world.link.tick((start + at) * MS).data))]
    assert [b - a for a, b in pairwise(sent)] == [250, 250, 250]
    assert len(sent) == 4
    assert sent[-1] < 1_000


def test_a_heartbeat_waits_while_nobody_knows_whether_a_release_arrived() -> None:
    world = World().arm()
    world.until(lambda: any(f.type == 0x07 for f in frames(world.written[-1])), limit_ms=300)
    world.host_alive = False  # from here on every byte is lost
    world.link.believe(Belief.RELEASED, grant_number=1, fresh_until_ns=world.now_ns + 9 * S)
    world.release(1, within_ms=5_000)
    beats = [at for at in range(1_500) if any(f.type == 0x07 for f in frames(world.link.tick(world.now_ns + at * MS).data))]
    assert beats[0] == 1_000  # half a lease after the one before


def test_a_lost_state_is_asked_for_again_when_a_heartbeat_shows_another_phase() -> None:
    world = World().arm()
    world.to_host._fault, world.to_host._rate = WireFault.LOST, 1.0
    world.press(Inputs.REQUEST_TO_EXIT)
    world.to_host._fault = WireFault.NONE
    world.run(600)
    assert world.link.state is not None
    assert world.link.state.phase is Phase.RELEASED


# --- events -----------------------------------------------------------------------------------------------------------------------


def told(world: World) -> list[int]:
    return [e.event.event_number for e in world.seen(Happened)]


def test_an_event_is_repeated_until_it_is_acknowledged() -> None:
    world = World(acknowledges=False).arm()
    world.press(Inputs.REQUEST_TO_EXIT)
    first = len(world.controller._wire._events)
    world.run(3_000)
    assert len(world.controller._wire._events) == first
    assert told(world) == [1]  # told once all the same
    world.link.acknowledge(1)
    world.run(300)
    assert len(world.controller._wire._events) == 0


@pytest.mark.parametrize("fault", [f for f in WireFault if f is not WireFault.NONE])
def test_every_event_arrives_once_and_in_order_over_a_bad_wire(fault: WireFault) -> None:
    world = World(fault=fault, seed=3, rate=0.4)
    world.arm(limit_ms=60_000)
    for _ in range(30):
        world.walk(step_ms=3)
    world.arm(limit_ms=60_000)
    world.until(lambda: not world.controller._wire._events, limit_ms=60_000)
    assert told(world) == list(range(1, world.controller._wire.newest_event + 1))
    assert world.seen(EventsLost) == []


def test_events_go_on_where_they_were_after_a_reconnect_and_are_told_anew_after_a_restart_of_the_host() -> None:
    world = World().arm()
    world.press(Inputs.REQUEST_TO_EXIT)
    world.acknowledges = False
    world.walk(Direction.EXIT)
    before = told(world)
    world.link.hang_up("test")
    world.arm()
    assert told(world) == before  # not acknowledged, but told already
    world.restart_host()
    world.arm()
    assert told(world)[len(before) :] == [n for n in before if n > 1]


def test_an_acknowledgement_of_what_was_never_told_is_not_sent() -> None:
    world = World().arm()
    world.link.acknowledge(77)
    world.pump()
    world.press(Inputs.REQUEST_TO_EXIT)
    assert world.happened(RequestToExit)


def test_the_time_of_an_event_is_the_hosts_time() -> None:
    world = World(controller_offset_ms=2**32 - 1_100).arm()
    world.run(500)
    world.press(Inputs.REQUEST_TO_EXIT)
    (event,) = world.seen(Happened)
    assert abs(event.happened_ns - world.now_ns) <= 2 * MS


# --- any bytes ---------------------------------------------------------------------------------------------------------------------


def wires() -> st.SearchStrategy[bytes]:
    """Noise, frames with a right checksum, and frames with a right checksum of real types and sizes."""
    sizes = {1: 27, 0x81: 133, 0x82: 19, 0x83: 4}
    real = st.sampled_from(list(TABLE)).flatmap(
        lambda code: st.builds(
            Frame,
            type=st.just(code),
            sequence=st.sampled_from([0, 1, 2, 2**32 - 1]),
            body=st.binary(min_size=sizes.get(code, 20), max_size=sizes.get(code, 60)),
        )
    )
    any_frame = st.builds(Frame, type=st.integers(0, 255), sequence=st.integers(0, 2**32 - 1), body=st.binary(max_size=150))
    return st.binary(max_size=250) | (real | any_frame).map(encode_frame)


@given(st.lists(wires(), max_size=12), st.sampled_from(["idle", "greeting", "up", "armed"]))
def test_any_bytes_give_the_host_events_and_nothing_else(stream: list[bytes], when: str) -> None:
    world = World()
    if when == "greeting":
        world.link.connect(bytes(16), world.now_ns)
    if when in ("up", "armed"):
        world.connect()
    if when == "armed":
        world.arm()
    was_up = world.link.up
    for wire in stream:
        for event in world.link.receive(wire, world.now_ns):
            assert isinstance(event, FrameRefused | LinkRefused | Lost)
        world.link.tick(world.now_ns)
    assert was_up or not world.link.up


@given(st.lists(wires(), max_size=12), st.sampled_from(["fresh", "greeting", "up", "armed"]))
def test_any_bytes_leave_the_controller_at_rest(stream: list[bytes], when: str) -> None:
    world = World()
    if when == "greeting":
        world.host_alive = False
        world.link.connect(bytes(16), world.now_ns)
        world.inject(world.link.tick(world.now_ns).data)
    if when == "up":
        world.connect()
    if when == "armed":
        world.arm()
    armed, sessions = world.controller.armed, len(world.logged("session"))
    for wire in stream:
        world.inject(wire)
        assert world.drive == 0
    assert (world.controller.armed, len(world.logged("session"))) == (armed, sessions)
    assert world.openings() == []


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("peer", ["emulator", "firmware"])
def test_a_million_bad_frames_are_all_refused(peer: str, library: Path) -> None:
    """Half of them with a right checksum and a wrong nonce, sequence, length, MAC or direction."""
    draw = random.Random(4)
    world = World(machine=Controller if peer == "emulator" else partial(Firmware, load(library))).arm()
    up = world.link._up
    assert up is not None
    right = [up.session.seal(Release(g, Direction.ENTRY, 5_000, 500, world.controller_ms + 900)) for g in range(1, 60)]
    stranger = Session(draw.randbytes(32), me=Sender.HOST)
    refused = 0
    for _ in range(1_000_000):
        frame = frames(draw.choice(right))[0]
        match draw.randrange(8):
            case 0 | 1 | 2 | 3:
                wire = bytearray(draw.choice(right))
                wire[draw.randrange(1, len(wire) - 1)] ^= 1 << draw.randrange(8)
                bad = bytes(wire)
            case 4:
                bad = stranger.seal(Release(draw.randrange(1, 2**40), Direction.EXIT, 5_000, 500, 0)) if stranger._sent < 10**6 else b""
            case 5:
                bad = encode_frame(Frame(frame.type, draw.randrange(2**32), frame.body[:-1] + bytes([frame.body[-1] ^ 1])))
            case 6:
                bad = encode_frame(Frame(frame.type, frame.sequence, frame.body[: draw.randrange(len(frame.body))]))
            case _:
                bad = encode_frame(Frame(frame.type | 0x80, frame.sequence, frame.body))
        log = world.controller.receive(bad, world.controller_ms).log
        assert {line.kind for line in log} <= {"frame_refused"}, bad.hex()
        refused += len(log)
    assert refused >= 1_000_000


# --- small ------------------------------------------------------------------------------------------------------------------------


def test_arm_before_the_state_was_read_is_our_own_mistake() -> None:
    with pytest.raises(MessageError, match="STATE"):
        HostLink(host_settings()).arm(0)


def test_the_numbers_of_a_session_do_run_out() -> None:
    session = Session(bytes(32), me=Sender.HOST)
    session._sent = 2**32 - 2
    session.seal(StateRequest())
    with pytest.raises(MessageError, match="begin a new one"):
        session.seal(StateRequest())


def test_the_same_order_again_does_not_hurry_it() -> None:
    orders, session, clock = Orders(50 * MS), Session(bytes(32), me=Sender.HOST), ClockMap()
    orders.repeat("state", StateRequest(), now_ns=0)
    assert orders.write(session, clock, now_ns=0, hold_releases=False)[0]
    orders.repeat("state", StateRequest(), now_ns=1)
    assert orders.write(session, clock, now_ns=1, hold_releases=False)[0] == b""


def test_the_round_trip_is_measured() -> None:
    world = World(fault=WireFault.DELAYED, rate=0.0).arm()
    world.run(600)
    assert world.link.round_trip_ns == 0


def test_a_controller_without_session_says_so_no_more_than_four_times_a_second() -> None:
    world = World(settings=ControllerSettings(key=KEY), host_alive=False)
    world.to_host.take(world.now_ms)
    wire = Session(bytes(32), me=Sender.HOST).seal(StateRequest())
    answers = 0
    for _ in range(1_000):
        world.inject(wire)
        answers += len(frames(world.to_host.take(world.now_ms)))
        world.run(1)
    assert answers == 4
