"""Events as a lane makes them, for tests of what comes after the core: journal, uplink, collector."""

from agent.core.events import EVENTS, Event, EventType, Value
from agent.core.moment import Moment

_PLAIN: dict[str, Value] = {
    "grant": 1,
    "person": "p-1",
    "direction": "entry",
    "passage_counter": 1,
    "highest_grant": 1,
    "counted": 1,
    "expected": 0,
}


def event(kind: EventType, at: Moment, **fields: Value) -> Event:
    """An event of this type; the fields that a test does not name hold something plain."""
    return Event(kind, at, {name: fields.get(name, _PLAIN.get(name, "x")) for name in EVENTS[kind].fields})


def granted(at: Moment, grant: int = 1, person: str = "p-1", direction: str = "entry") -> Event:
    return event(EventType.ACCESS_GRANTED, at, grant=grant, person=person, direction=direction, score=0.91, threshold=0.6)


def passed(at: Moment, grant: int = 1, person: str = "p-1", direction: str = "entry", counter: int = 1) -> Event:
    return event(EventType.PASSAGE_MADE, at, grant=grant, person=person, direction=direction, passage_counter=counter)


def pressed(at: Moment) -> Event:
    """The smallest event."""
    return event(EventType.REQUEST_TO_EXIT, at)
