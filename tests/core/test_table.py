"""The table of passage.py: total, literal, and the only place where a phase changes."""

import ast
import inspect
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core import crossing, lane, passage, reconcile, release
from agent.core.effects import Phase
from agent.core.lane import AccessGranted, StaffGranted
from agent.core.passage import TABLE, Signal, cell, signal_of
from tests.core.inputs import ALL_KINDS, INPUTS
from tests.core.play import BEGIN_NS


def test_every_signal_has_a_row_and_every_phase_a_cell() -> None:
    assert set(TABLE) == set(Signal)
    assert all(cell(phase, signal) for phase in Phase for signal in Signal)


@pytest.mark.parametrize("kind", ALL_KINDS)
@given(data=st.data())
def test_every_input_is_a_signal(kind: type, data: st.DataObject) -> None:
    assert signal_of(data.draw(INPUTS[kind](BEGIN_NS))).value.startswith(kind.__name__)


def test_the_strategies_make_every_input() -> None:
    assert set(INPUTS) == set(ALL_KINDS)


def test_no_signal_is_without_an_input() -> None:
    kinds = {kind.__name__ for kind in (*ALL_KINDS, AccessGranted, StaffGranted)}
    assert {signal.value.split(",")[0] for signal in Signal} == kinds


def test_a_cell_says_otherwise_only_beside_a_next_phase() -> None:
    odd = [(p, s) for p in Phase for s in Signal if cell(p, s).then is None and cell(p, s).otherwise is not None]
    assert odd == []


def _sets_a_phase(function: Any) -> bool:
    calls = [node for node in ast.walk(ast.parse(inspect.getsource(function))) if isinstance(node, ast.Call)]
    return any(word.arg in {"phase", "deadline_ns"} and _name(call) != "record" for call in calls for word in call.keywords)


def _name(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else ""


def test_only_the_table_changes_a_phase() -> None:
    assert [m.__name__ for m in (lane, release, crossing, reconcile) if _sets_a_phase(m)] == []
    assert _sets_a_phase(passage)


def test_an_emergency_leads_to_the_emergency_phase_from_every_phase() -> None:
    for signal in (Signal.EMERGENCY_RAISED, Signal.CONNECTED_IN_EMERGENCY):
        here = {phase: cell(phase, signal) for phase in Phase}
        assert {p: c.then or p for p, c in here.items()} == dict.fromkeys(Phase, Phase.EMERGENCY)
        assert {p: c.otherwise for p, c in here.items()} == dict.fromkeys(Phase)


def test_only_a_granted_access_or_an_order_of_staff_releases() -> None:
    into_released = {
        (p, s) for p in Phase for s in Signal if Phase.RELEASED in (cell(p, s).then, cell(p, s).otherwise) and p is not Phase.RELEASED
    }
    assert into_released == {(Phase.SECURED, Signal.ACCESS_GRANTED), (Phase.SECURED, Signal.STAFF_GRANTED)}


def test_the_diagram_shows_each_change_of_phase_once() -> None:
    lines = passage.mermaid().splitlines()
    edges = [line.strip().split(":")[0] for line in lines[2:]]
    assert lines[0] == "stateDiagram-v2"
    assert len(edges) == len(set(edges))
    assert "    secured --> released: AccessGranted<br>StaffGranted" in lines
    assert not any(edge.split(" --> ")[0] == edge.split(" --> ")[1] for edge in edges)


def test_the_printed_table_has_a_line_for_each_signal() -> None:
    lines = passage.markdown().splitlines()
    assert [line.split(" | ")[0].removeprefix("| ") for line in lines[2:]] == [signal.value for signal in TABLE]
    assert {line.count(" | ") for line in lines[2:]} == {len(Phase)}
