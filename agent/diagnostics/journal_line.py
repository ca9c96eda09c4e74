"""One row of a journal as one line for a person: what a technician needs of each kind of event, and nothing that speaks to the terminal."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from agent.core.events import EventType
from agent.core.text import harmless
from agent.drivers.journal_reader import StoredRow

TELLING: Mapping[EventType, tuple[str, ...]] = MappingProxyType(
    {
        EventType.AGENT_STARTED: ("version", "simulation", "pad"),
        EventType.AGENT_STOPPED: ("reason",),
        EventType.JOURNAL_EPOCH: ("reason", "set_aside", "detail"),
        EventType.JOURNAL_DISPUTED: ("seq", "ours", "theirs"),
        EventType.ACCESS_GRANTED: ("grant", "person", "direction", "camera", "score", "threshold", "pad", "latency_ms"),
        EventType.ACCESS_DENIED: ("reason", "person", "direction", "camera", "score", "threshold", "runner_up", "pad"),
        EventType.STAFF_GRANTED: ("grant", "direction", "staff", "user", "reason"),
        EventType.STAFF_DENIED: ("denial", "direction", "staff", "user", "reason"),
        EventType.STAFF_UNHEARD: ("detail",),
        EventType.GRANT_CANCELLED: ("grant", "person", "reason"),
        EventType.RELEASE_REFUSED: ("grant", "person", "reason"),
        EventType.PASSAGE_MADE: ("grant", "person", "direction"),
        EventType.PASSAGE_NOT_MADE: ("grant", "person", "direction", "cause"),
        EventType.PASSAGE_UNCONFIRMED: ("grant", "person", "direction", "reason"),
        EventType.PASSAGE_UNGRANTED: ("grant", "direction", "phase", "passage_counter", "late_ms"),
        EventType.PASSAGE_GAP: ("expected", "counted", "grant", "outcome"),
        EventType.GRANT_GAP: ("expected", "found"),
        EventType.REQUEST_TO_EXIT: ("late_ms",),
        EventType.EMERGENCY_RAISED: ("phase", "late_ms"),
        EventType.EMERGENCY_CLEARED: (),
        EventType.BARRIER_CONNECTED: ("controller", "kind", "authenticated", "passage_counter"),
        EventType.BARRIER_LOST: ("detail",),
        EventType.BARRIER_ALARM: ("alarm", "grant", "late_ms"),
        EventType.BARRIER_FAULT: ("fault", "active", "late_ms"),
        EventType.SERVICE_OPENED: ("direction",),
        EventType.SERVICE_CLOSED: ("direction", "reasons", "detail"),
        EventType.CAMERA_CONDITION: ("camera", "condition", "detail"),
        EventType.ROSTER_LOADED: ("version", "people", "pack", "calibration", "threshold", "expires"),
        EventType.ROSTER_REFUSED: ("reason", "detail"),
        EventType.ROSTER_STALE: ("version", "expires"),
        EventType.LOCK_DOWN: ("on", "by", "reason"),
        EventType.UPLINK_CHANGED: ("connected", "detail"),
    }
)
"""For each kind of event the fields that are shown, in this order; the others are for --all-fields."""

_UNTOLD = MappingProxyType({"late_ms": 0})
"""What a field says nothing by."""
_MOMENTS = {"expires"}
"""Fields that hold seconds since 1970, shown as a time."""


def readable(row: StoredRow, *, delivered: bool, all_fields: bool) -> str:
    """One row as one line; '*' marks what the centre does not have yet, 'S' a simulation."""
    try:
        event = json.loads(row.chained)
        data = event["data"]
        fields = data["fields"]
        names = tuple(fields) if all_fields else _telling(event["type"], fields)
        told = " ".join(f"{name}={_shown(name, fields[name])}" for name in names if fields.get(name) not in (None, "", _UNTOLD.get(name)))
        marks = f"{' ' if delivered else '*'}{'S' if data['simulation'] else ' '}"
        line = f"{row.seq:>8}{marks} {event['time']} {data['severity']:<7} {event['type']:<20} {told}".rstrip()
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        line = f"{row.seq:>8}  cannot be read ({error!r}); see gate-agent journal verify"
    return harmless(line)


def _telling(kind: str, fields: Mapping[str, Any]) -> tuple[str, ...]:
    """An event of another version of the software is shown whole."""
    return TELLING[EventType(kind)] if kind in set(EventType) else tuple(fields)


def _shown(name: str, value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case int() | float() if name in _MOMENTS:
            try:
                return datetime.fromtimestamp(value, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
            except (ValueError, OverflowError, OSError):  # beyond the calendar
                return str(value)
        case float():
            return f"{value:.4g}"  # to the last digit: gate-agent journal export
        case _:
            return str(value)
