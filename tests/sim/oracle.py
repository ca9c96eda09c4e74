"""What may never be, whatever happened to a lane: read from the controller's own log and the journal's rows, and from nothing else.

Both carry the machine's one monotonic clock.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

Line = dict[str, Any]  # of the controller's log
Row = dict[str, Any]  # of the journal, as it was chained: a CloudEvent without its head

ENDS = ("passage.made", "passage.not_made", "passage.unconfirmed", "release.refused")


def problems(log: Sequence[Line], rows: Sequence[Row], *, finished: bool = True) -> list[str]:
    """Everything that is wrong; empty: nothing.

    finished: no grant may be open any more.
    """
    granted = [row for row in rows if row["type"] in ("access.granted", "staff.granted")]
    released = [line for line in log if line["kind"] == "release" and line["result"] == "ACCEPTED"]
    passed = [line for line in log if line["kind"] == "passage_completed" and line["grant_number"]]
    return [
        *_numbers(granted),
        *_releases(released, granted),
        *_passages(passed, released),
        *_ends(granted, rows, passed, finished=finished),
        *_service(rows),
        *(f"row {row['id']} does not say that it is a simulation" for row in rows if row["data"]["simulation"] is not True),
    ]


def _numbers(granted: Sequence[Row]) -> list[str]:
    numbers = [_fields(row)["grant"] for row in granted]
    return [] if numbers == sorted(set(numbers)) else [f"the grant numbers do not rise: {numbers}"]


def _releases(released: Sequence[Line], granted: Sequence[Row]) -> list[str]:
    """Each release of the controller rests on a record from before it, which had not expired."""
    found = _twice("released", (line["grant_number"] for line in released))
    by_number = {_fields(row)["grant"]: row for row in granted}
    for line in released:
        number, row = line["grant_number"], by_number.get(line["grant_number"])
        if row is None:
            found.append(f"the controller released for grant {number}, which no row names")
            continue
        if line["direction"].lower() != _fields(row)["direction"]:
            found.append(f"grant {number} was for {_fields(row)['direction']}, the release for {line['direction']}")
        if not row["data"]["monotonic_ns"] <= line["t_ns"] < _fields(row)["expires_at_ns"]:
            found.append(f"grant {number} was released at {line['t_ns']}, not between its record and its expiry")
    return found


def _passages(passed: Sequence[Line], released: Sequence[Line]) -> list[str]:
    numbers, through = {line["grant_number"] for line in released}, [line["grant_number"] for line in passed]
    strays = (f"somebody passed on grant {number}, which was never released" for number in through if number not in numbers)
    return [*_twice("passed on", through), *strays]


def _ends(granted: Sequence[Row], rows: Sequence[Row], passed: Sequence[Line], *, finished: bool) -> list[str]:
    """Each grant has one end, and it is the one that the controller saw."""
    found = []
    through = {line["grant_number"] for line in passed}
    ends: dict[int, list[str]] = {_fields(row)["grant"]: [] for row in granted}
    for row in rows:
        if row["type"] in ENDS and _fields(row)["grant"]:
            ends.setdefault(_fields(row)["grant"], []).append(row["type"])
    last = max(ends, default=0)
    for grant, kinds in ends.items():
        if not kinds and not finished and grant == last:
            continue
        if len(kinds) != 1:
            found.append(f"grant {grant} ended {len(kinds)} times: {kinds}")
        elif grant in through and kinds[0] not in ("passage.made", "passage.unconfirmed"):
            found.append(f"somebody passed on grant {grant}, and the journal says {kinds[0]}")
        elif grant not in through and kinds[0] == "passage.made":
            found.append(f"nobody passed on grant {grant}, and the journal says that somebody did")
    return found


def _service(rows: Sequence[Row]) -> list[str]:
    """Nobody is granted a way that the lane itself says is out of service."""
    found, is_open = [], dict.fromkeys(("entry", "exit"), False)
    for row in rows:
        match row["type"]:
            case "service.opened" | "service.closed" as kind:
                is_open[_fields(row)["direction"]] = kind == "service.opened"
            case "access.granted" if not is_open[_fields(row)["direction"]]:
                found.append(f"grant {_fields(row)['grant']} was given while its way was out of service")
            case _:
                pass
    return found


def _twice(what: str, numbers: Iterable[int]) -> list[str]:
    return [f"grant {number} was {what} {times} times" for number, times in Counter(numbers).items() if times > 1]


def _fields(row: Row) -> dict[str, Any]:
    fields: dict[str, Any] = row["data"]["fields"]
    return fields
