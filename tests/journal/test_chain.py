"""The hash chain and the envelope, against an independent reading of the specification in agent/core/envelope.py."""

import contextlib
import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core import chain, envelope
from agent.core.events import EVENTS, Event, EventType
from agent.core.moment import ClockQuality
from agent.core.topics import Lane, lane_of
from tests.sim.clock import StandingClock
from tests.sim.lane_events import event, granted

LANE = Lane("hk", "gate-1", simulation=False)
EPOCH = "0123456789abcdef"


def verify_as_another_maker(payloads: list[bytes]) -> bool:
    """Written from the words of the specification only: cut `,"head":"HEAD"` before `}}`, hash with the head before."""
    previous = bytes(32)
    for data in payloads:
        head = json.loads(data)["data"]["head"]
        member = f',"head":"{head}"'.encode()
        assert len(member) == 74
        assert data.endswith(member + b"}}")
        previous = hashlib.sha256(previous + data[: -len(member) - 2] + b"}}").digest()
        if previous.hex() != head:
            return False
    return True


def sealed(events: list[Event], lane: Lane = LANE) -> list[bytes]:
    head = chain.GENESIS
    out = []
    for seq, one in enumerate(events, start=1):
        body = envelope.seal(one, lane, epoch=EPOCH, seq=seq)
        head = chain.link(head, body)
        out.append(envelope.payload(body, head))
    return out


def test_another_maker_verifies_the_chain_from_the_words_of_the_specification() -> None:
    clock = StandingClock()
    assert verify_as_another_maker(sealed([granted(clock.now(), grant=n) for n in range(1, 5)]))


def test_one_flipped_byte_breaks_the_chain() -> None:
    rows = sealed([granted(StandingClock().now(), grant=n) for n in range(1, 4)])
    rows[1] = rows[1].replace(b'"entry"', b'"exit "')
    assert not verify_as_another_maker(rows)


def test_a_removed_row_breaks_the_chain() -> None:
    rows = sealed([granted(StandingClock().now(), grant=n) for n in range(1, 4)])
    assert not verify_as_another_maker([rows[0], rows[2]])


def test_the_simulation_flag_is_inside_the_chained_bytes() -> None:
    one = granted(StandingClock().now())
    real = envelope.seal(one, LANE, epoch=EPOCH, seq=1)
    simulated = envelope.seal(one, Lane("hk", "gate-1", simulation=True), epoch=EPOCH, seq=1)
    assert b'"simulation":false' in real
    assert b'"simulation":true' in simulated
    assert chain.link(chain.GENESIS, real) != chain.link(chain.GENESIS, simulated)


def test_an_event_is_a_cloud_event() -> None:
    clock = StandingClock()
    clock.of_quality(ClockQuality.HELD)
    whole = json.loads(sealed([granted(clock.now(), grant=7)])[0])
    data = whole.pop("data")
    assert whole == {
        "specversion": "1.0",
        "id": f"{EPOCH}:1",
        "source": "/gate/hk/gate-1",
        "type": "access.granted",
        "time": "2026-11-22T12:00:00.000000Z",
        "subject": "grant/7",
        "datacontenttype": "application/json",
    }
    assert data["fields"]["grant"] == 7
    assert (data["clock"], data["severity"], data["seq"]) == ("held", "info", 1)


def test_no_subject_names_a_person() -> None:
    whole = json.loads(sealed([event(EventType.ACCESS_DENIED, StandingClock().now(), person="p-77", camera="", direction="")])[0])
    assert "subject" not in whole


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_json_cannot_say_is_written_as_null(number: float) -> None:
    data = sealed([event(EventType.ACCESS_DENIED, StandingClock().now(), score=number, threshold=0.5)])[0]
    fields = json.loads(data)["data"]["fields"]
    assert (fields["score"], fields["threshold"]) == (None, 0.5)


fields = st.one_of(st.text(max_size=20), st.integers(), st.floats(), st.booleans(), st.none())


@given(st.lists(fields, min_size=1, max_size=5), st.booleans())
def test_what_was_sealed_is_read_back(values: list[Any], simulation: bool) -> None:
    lane = Lane("hk", "gate-1", simulation=simulation)
    events = [event(EventType.CAMERA_CONDITION, StandingClock().now(), camera="c", condition="ok", detail=value) for value in values]
    head = chain.GENESIS
    for seq, data in enumerate(sealed(events, lane), start=1):
        found = envelope.read(data)
        assert (found.epoch, found.seq, found.source, found.simulation) == (EPOCH, seq, lane.source, simulation)
        head = chain.link(head, found.chained)
        assert head == found.head


@given(st.lists(st.text(min_size=0, max_size=3), min_size=14, max_size=14), st.integers(1, 100_000))
def test_no_event_is_ever_longer_than_a_consumer_takes(texts: list[str], times: int) -> None:
    names = list(EVENTS[EventType.ACCESS_DENIED].fields)
    long = {name: text * times for name, text in zip(names, texts, strict=False)}
    [data] = sealed([event(EventType.ACCESS_DENIED, StandingClock().now(), **long)])
    assert envelope.read(data).seq == 1


def test_a_long_text_is_cut_and_shows_it() -> None:
    [data] = sealed([event(EventType.CAMERA_CONDITION, StandingClock().now(), detail="x" * 5_000)])
    assert json.loads(data)["data"]["fields"]["detail"] == "x" * 1_000 + "..."


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(envelope.EnvelopeError):  # anything else that it raises fails the test
        envelope.read(data)


@given(st.data())
def test_a_changed_event_is_refused_or_breaks_the_chain(data: st.DataObject) -> None:
    [good] = sealed([granted(StandingClock().now())])
    place = data.draw(st.integers(0, len(good) - 1))
    other = data.draw(st.integers(0, 255).filter(lambda b: b != good[place]))
    bad = good[:place] + bytes([other]) + good[place + 1 :]
    try:
        found = envelope.read(bad)
    except envelope.EnvelopeError:
        return
    assert chain.link(chain.GENESIS, found.chained) != found.head


_HEAD = "a" * 64


@pytest.mark.parametrize(
    "text",
    [
        "",
        "}}",
        f'[1,{{"data":1,"head":"{_HEAD}"}}}}',
        f'{{"data":{{"epoch":"{EPOCH}","seq":1,"head":"{_HEAD}"}}}}',
        f'{{"specversion":"1.0","id":"x","data":{{"epoch":"{EPOCH}","seq":1,"head":"{_HEAD}"}}}}',
        f'{{"specversion":"1.0","id":"{EPOCH}:0","data":{{"epoch":"{EPOCH}","seq":0,"head":"{_HEAD}"}}}}',
        f'{{"specversion":"1.0","id":"{EPOCH}:1","data":{{"epoch":"{EPOCH}","seq":true,"head":"{_HEAD}"}}}}',
        "[" * 30_000,
        '{"data":{"seq":' + "9" * 5_000 + f',"head":"{_HEAD}"}}}}',
        " " * 70_000,
    ],
)
def test_garbage_is_refused_in_words(text: str) -> None:
    with pytest.raises(envelope.EnvelopeError, match=r"\w+ "):
        envelope.read(text.encode())


def test_a_lane_speaks_on_its_own_topics() -> None:
    assert (LANE.event, LANE.state, LANE.ack) == ("gate/v1/hk/gate-1/event", "gate/v1/hk/gate-1/state", "gate/v1/hk/gate-1/ack")
    assert Lane("hk", "gate-1", simulation=True).event == "gate-sim/v1/hk/gate-1/event"


@pytest.mark.parametrize(
    "topic", ["gate/v1/hk/gate-1/ack", "gate/v2/hk/g/event", "gate/v1/hk/event", "gate/v1//g/event", "x", "gate/v1/h k/g/event"]
)
def test_a_topic_that_is_no_event_topic_belongs_to_nobody(topic: str) -> None:
    assert lane_of(topic) is None


@pytest.mark.parametrize("simulation", [False, True])
def test_an_event_topic_says_whose_it_is(simulation: bool) -> None:
    lane = Lane("hk", "gate-1", simulation=simulation)
    assert lane_of(lane.event) == lane


@pytest.mark.parametrize("name", ["", "a/b", "#", "+", "a b", "x" * 65, "ä"])
def test_a_name_that_cannot_stand_in_a_topic_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="letters, digits"):
        Lane("hk", name, simulation=False)
