"""What the core needs after a restart, kept up by the transaction that adds the rows: no start reads a million of them."""

import sqlite3
from collections.abc import Mapping

from agent.core.events import Event, EventType, Value
from agent.core.identity import Direction, GrantNumber, PersonId
from agent.core.known import LastKnown, OpenGrant

_ENDS = {EventType.RELEASE_REFUSED, EventType.PASSAGE_MADE, EventType.PASSAGE_NOT_MADE, EventType.PASSAGE_UNCONFIRMED}
_COUNTERS = {  # which field holds the controller's count of all passages
    EventType.PASSAGE_MADE: "passage_counter",
    EventType.PASSAGE_UNCONFIRMED: "passage_counter",
    EventType.PASSAGE_UNGRANTED: "passage_counter",
    EventType.PASSAGE_GAP: "counted",
    EventType.BARRIER_CONNECTED: "passage_counter",
}
_GIVEN = {EventType.ACCESS_GRANTED, EventType.STAFF_GRANTED}
_GRANTS = {**dict.fromkeys(_GIVEN, "grant"), EventType.BARRIER_CONNECTED: "highest_grant"}


def remember(connection: sqlite3.Connection, event: Event) -> None:
    """Bring the tables up to date with one more event, inside the caller's transaction."""
    data = event.data
    if (field := _GRANTS.get(event.type)) is not None:
        _raise_highest(connection, _number(data, field))
    if (field := _COUNTERS.get(event.type)) is not None and data[field] is not None:
        connection.execute("UPDATE lane SET passage_counter = ?", (str(_number(data, field)),))
    if event.type in _GIVEN:
        connection.execute(
            "UPDATE lane SET open_grant = ?, open_person = ?, open_direction = ?",
            (str(_number(data, "grant")), data.get("person"), data["direction"]),  # staff identify nobody
        )
    if event.type in _ENDS:
        connection.execute(
            "UPDATE lane SET open_grant = NULL, open_person = NULL, open_direction = NULL WHERE open_grant = ?",
            (str(_number(data, "grant")),),
        )
    if event.type is EventType.PASSAGE_MADE and data["person"] is not None:
        # Replaced, not updated: the rows stay in the order of the passages, the one longest ago first.
        connection.execute("REPLACE INTO passage VALUES (?, ?)", (data["person"], data["direction"]))
    if event.type is EventType.EMERGENCY_RAISED:
        connection.execute("DELETE FROM passage")  # everybody may have left


def last_known(connection: sqlite3.Connection) -> LastKnown:
    highest, grant, person, direction, counter = connection.execute(
        "SELECT highest_grant, open_grant, open_person, open_direction, passage_counter FROM lane"
    ).fetchone()
    return LastKnown(
        highest_grant=GrantNumber(int(highest)),
        open_grant=None if grant is None else OpenGrant(GrantNumber(int(grant)), person and PersonId(person), Direction(direction)),
        passage_counter=None if counter is None else int(counter),
        last_passage={PersonId(p): Direction(d) for p, d in connection.execute("SELECT person, direction FROM passage ORDER BY rowid")},
    )


def _raise_highest(connection: sqlite3.Connection, grant: int) -> None:
    (highest,) = connection.execute("SELECT highest_grant FROM lane").fetchone()
    if grant > int(highest):
        connection.execute("UPDATE lane SET highest_grant = ?", (str(grant),))


def _number(data: Mapping[str, Value], field: str) -> int:
    value = data[field]
    if not isinstance(value, int):
        raise TypeError(f"the event's field {field} is {value!r}; it must be a whole number")
    return value
