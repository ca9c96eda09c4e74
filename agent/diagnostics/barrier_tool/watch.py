"""What the controller does, once a second: as a calm screen, as lines, or as JSON; from the line itself or from the running agent."""

import json
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from agent.core.moment import NS_PER_MS, NS_PER_S
from agent.diagnostics.barrier_tool import words
from agent.diagnostics.barrier_tool.line import Heard, Line, RoundTrip
from agent.drivers.control_socket import ControlSocketError, NoAgentError, ask
from firmware_bridge.limits import EVENT_WINDOW
from firmware_bridge.vocabulary import Switch

_EVENTS_SHOWN: Final = 8
_SETTLE_NS: Final = 100 * NS_PER_MS  # the events that wait come right behind the first STATE; the first picture has them too
LEAST_COLUMNS: Final = 40
_HOUR_S, _MINUTE_S = 3600, 60

Rows = list[tuple[str, str]]  # what, and how it is; an empty first word goes on with the one before


class Screen:
    """Prints rows again and again. On a terminal each picture takes the place of the one before; elsewhere only rows that changed."""

    def __init__(self) -> None:
        self._terminal = sys.stdout.isatty()
        self._height = 0
        self._shown: dict[str, str] = {}

    def show(self, rows: Rows) -> None:
        if not self._terminal:
            for name, text in rows:
                if name and self._shown.get(name) != text:
                    self._shown[name] = text
                    print(f"{time.strftime('%H:%M:%S')}  {name:<11} {text}", flush=True)
            return
        back = f"\x1b[{self._height}F\x1b[J" if self._height else ""
        self._height = len(rows)
        print(back + "\n".join(f"{name:<11} {text}".rstrip()[: _columns()] for name, text in rows), flush=True)


def _columns() -> int:
    """A row that the terminal would break in two would spoil the next picture."""
    return max(LEAST_COLUMNS, shutil.get_terminal_size().columns)


# --- from the line ------------------------------------------------------------------------------------------------------------------


def watch_line(line: Line, *, for_s: float | None, as_json: bool) -> None:
    """Until the time is over, or Ctrl-C. A line that is lost is said and tried again."""
    line.greet()
    line.run_until(time.monotonic_ns() + _SETTLE_NS)
    screen, worst_ns, told = Screen(), 0, 0
    end_ns = None if for_s is None else time.monotonic_ns() + int(for_s * NS_PER_S)
    due_ns = time.monotonic_ns()
    while end_ns is None or due_ns < end_ns:
        trip = line.ask()
        worst_ns = max(worst_ns, 0 if trip is None else trip.ns)
        if as_json:
            fresh, told = line.events[told:], len(line.events)
            print(json.dumps(_as_json(line, trip, fresh)), flush=True)
        else:
            screen.show(_rows(line, trip, worst_ns))
        due_ns += NS_PER_S
        line.run_until(due_ns if end_ns is None else min(due_ns, end_ns))


def _as_json(line: Line, trip: RoundTrip | None, fresh: list[Heard]) -> dict[str, Any]:
    state, health = line.state, line.health
    return {
        "time_s": round(time.time(), 3),
        "through": "line",
        "trouble": line.trouble or None,
        "round_trip_ms": None if trip is None else round(trip.ns / NS_PER_MS, 3),
        "state": None
        if state is None
        else {
            "phase": state.phase.name.lower(),
            "armed": state.armed is Switch.ON,
            "sensors": words.names(state.inputs),
            "outputs": words.names(state.drive),
            "faults": words.names(state.faults),
            "grant": state.grant_number or None,
            "last_grant": state.last_grant_number,
            "last_outcome": state.last_outcome.name.lower(),
            "passages_entry": state.passages_entry,
            "passages_exit": state.passages_exit,
        },
        "health": None
        if health is None
        else asdict(health) | {"faults": words.names(health.faults), "firmware_digest": health.firmware_digest.hex()},
        "frames_refused": line.frames_refused,
        "sessions_lost": line.sessions_lost,
        "events_waiting": line.waiting_events,
        "events": [{"time_s": round(each.at_s, 3), "event": type(each.fact).__name__, "text": words.event(each.fact)} for each in fresh],
    }


def _rows(line: Line, trip: RoundTrip | None, worst_ns: int) -> Rows:
    state, health, connected = line.state, line.health, line.connected
    rows: Rows = [("watching", f"{line.port}, {line.baud} bits/s; no agent runs, nothing is armed. Ctrl-C ends.")]
    if line.trouble or state is None or connected is None:
        return [*rows, ("link", f"DOWN: {line.trouble}; tried again every second")]
    hello = connected.hello
    times = "no answer" if trip is None else f"round trip {trip.ns / NS_PER_MS:.1f} ms, worst {worst_ns / NS_PER_MS:.1f} ms"
    rows += [
        ("link", f"up, {'keyed' if connected.keyed else 'WITHOUT A KEY'}; {times}; {line.sessions_lost} times lost"),
        ("controller", f"{_name(hello.controller_id)}, {hello.kind.name.lower()}, firmware {hello.firmware_digest.hex()[:16]}"),
        ("phase", f"{words.PHASES[state.phase]}; {'ARMED' if state.armed is Switch.ON else 'not armed'}"),
        ("sensors", words.sensors(state.inputs)),
        ("outputs", ", ".join(words.names(state.drive)) or "none"),
        ("counters", f"entry {state.passages_entry}, exit {state.passages_exit}"),
        ("grant", f"highest {state.last_grant_number}: {words.OUTCOMES[state.last_outcome]}"),
        ("faults", words.faults(state.faults)),
    ]
    if health is not None:
        rows.append(("health", f"up {_span(health.uptime_s)}, boot {health.boot_count}"))
        there = _at_controller(health.checksum_errors, health.refused_frames, health.missed_heartbeats)
        rows += [("line there", there), ("line here", f"{line.frames_refused} frames refused")]
    waiting = line.waiting_events or 0
    rows.append(("events", f"{waiting} wait for the agent, which will record them"))
    if waiting > EVENT_WINDOW:
        rows.append(("", f"the controller shows only the first {EVENT_WINDOW} of them until then"))
    newest = line.events[-_EVENTS_SHOWN:]
    return rows + [("", f"{time.strftime('%H:%M:%S', time.localtime(each.at_s))}  {words.event(each.fact)}") for each in newest]


def _at_controller(checksum_errors: int, refused: int, missed: int) -> str:
    return f"{checksum_errors} checksum errors, {refused} frames refused, {missed} heartbeats missed"


def _name(controller_id: bytes) -> str:
    return controller_id.rstrip(b"\0").decode("ascii", "replace")


def _span(seconds: int) -> str:
    hours, rest = divmod(seconds, _HOUR_S)
    return f"{hours} h {rest // _MINUTE_S} min" if hours else f"{rest // _MINUTE_S} min {rest % _MINUTE_S} s"


# --- from the running agent -----------------------------------------------------------------------------------------------------------


def watch_agent(socket: Path, *, for_s: float | None, as_json: bool, sleep: Callable[[float], None] = time.sleep) -> None:
    """The agent's own snapshots; the port stays the agent's. An agent that goes away is said, and waited for."""
    screen = Screen()
    end_s = None if for_s is None else time.monotonic() + for_s
    while True:
        try:
            snapshot, trouble = ask(socket, {"ask": "snapshot"})["snapshot"], ""
        except (NoAgentError, ControlSocketError) as error:
            snapshot, trouble = None, str(error)
        if as_json:
            told = {"time_s": round(time.time(), 3), "through": "agent", "trouble": trouble or None, "snapshot": snapshot}
            print(json.dumps(told), flush=True)
        else:
            screen.show(_agent_rows(snapshot, trouble))
        if end_s is not None and time.monotonic() + 1 > end_s:
            return
        sleep(1)


def _agent_rows(snapshot: Mapping[str, Any] | None, trouble: str) -> Rows:
    rows: Rows = [("watching", "through the running agent, which has the port. Ctrl-C ends.")]
    if snapshot is None:
        return [*rows, ("agent", f"DOES NOT ANSWER: {trouble}")]
    counts = snapshot["counts"]
    rows += [
        ("lane", f"{snapshot['phase']}{', grant ' + str(snapshot['grant']) if snapshot['grant'] else ''}; link {snapshot['link']}"),
        *((way, _side(side)) for way, side in snapshot["service"].items()),
        ("lock-down", "ON" if snapshot["lock_down"] else "off"),
        ("counters", f"{snapshot['passage_counter']} passages by the controller; highest grant {snapshot['last_grant']}"),
        ("since start", f"{counts['granted']} granted, {counts['denied']} denied, {counts['passages']} passed"),
        ("faults", ", ".join(snapshot["faults"]) or "none"),
    ]
    health = snapshot.get("controller")
    if health is not None:
        rows.append(("health", f"up {_span(health['uptime_s'])}, boot {health['boot_count']}"))
        there = _at_controller(health["checksum_errors"], health["refused_frames"], health["missed_heartbeats"])
        rows += [("line there", there), ("line here", f"{health['frames_refused_here']} frames refused")]
    return rows


def _side(side: Mapping[str, Any]) -> str:
    missing = "; ".join(f"{each['reason']} ({each['detail']})" if each["detail"] else each["reason"] for each in side["reasons"])
    return f"{'open' if side['open'] else 'CLOSED: ' + missing}; shown: {side['prompt']}"
