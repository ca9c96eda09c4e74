"""The registry of events: every type has its row, every event made in the code fits it, none is dead, and its page is up to date."""

import ast
from collections.abc import Iterator

import pytest

from agent.core.events import EVENTS, EventType, Severity
from script import generate_docs
from tests.architecture.source import Module, listed, module, modules

REGISTRY = "agent.core.events"


def test_every_type_has_one_row_in_the_same_order() -> None:
    assert list(EVENTS) == list(EventType)


def test_every_row_says_what_it_means_in_sentences() -> None:
    assert [k for k, spec in EVENTS.items() if not (spec.meaning.endswith(".") and spec.severity in Severity)] == []
    assert [f"{k}.{name}" for k, spec in EVENTS.items() for name, meaning in spec.fields.items() if not meaning] == []


def _used(of: Module) -> Iterator[tuple[str, int]]:
    """EventType.NAME, wherever it stands."""
    for node in ast.walk(of.tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "EventType":
            yield node.attr, node.lineno


def test_every_type_is_made_somewhere() -> None:
    used = {name for m in modules() if m.name != REGISTRY for name, _ in _used(m)}
    dead = sorted({t.name for t in EventType} - used)
    assert not dead, listed(dead)


def faults(of: Module) -> Iterator[str]:
    """Types that do not exist, and Event(...) calls whose fields, where they are written out, differ from the row."""
    for name, line in _used(of):
        if name not in EventType.__members__:
            yield f"{of.place}:{line}: EventType.{name} is not in the registry"
    for node in ast.walk(of.tree):
        match node:
            case ast.Call(func=ast.Name(id="Event"), args=[ast.Attribute(attr=name), _, ast.Dict(keys=keys)]):
                written = {k.value if isinstance(k, ast.Constant) else None for k in keys}
            case ast.Call(func=ast.Name(id="record"), args=[ast.Attribute(attr=name), *_], keywords=keywords):
                written = {k.arg for k in keywords}
            case _:
                continue
        wanted = set(EVENTS[EventType[name]].fields) if name in EventType.__members__ else written
        named = written - {None}  # None: **more, which is looked at when the event is made
        if named - wanted or (named == written and written != wanted):
            yield f"{of.place}:{node.lineno}: {name} carries {sorted(map(str, named))}; its row says {sorted(map(str, wanted))}"


def test_every_event_that_is_made_fits_its_row() -> None:
    found = [fault for m in modules() for fault in faults(m)]
    assert not found, listed(found)


@pytest.mark.parametrize(
    "text",
    [
        "EventType.DOOR_OPENED",
        "Event(EventType.LOCK_DOWN, at, {'on': True, 'by': 'x'})",
        "record(EventType.LOCK_DOWN, now, on=True, by='x', reason='y', more=1)",
        "Event(EventType.LOCK_DOWN, at, {**rest, 'template': b''})",
    ],
)
def test_an_event_that_does_not_fit_is_seen(text: str) -> None:
    assert len(list(faults(module("agent.x", text)))) == 1


def test_the_generated_pages_are_what_the_code_says() -> None:
    assert generate_docs.outdated() == [], "run script/generate_docs.py"
