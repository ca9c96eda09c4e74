"""The oracle sees what may never be: a sound lane's log and rows, and the same with one thing wrong."""

from collections.abc import Callable

import pytest

from tests.sim.oracle import Line, Row, problems

Story = tuple[list[Line], list[Row]]


def row(kind: str, at_ns: int, **fields: object) -> Row:
    return {"id": f"{kind}-{at_ns}", "type": kind, "data": {"simulation": True, "monotonic_ns": at_ns, "fields": fields}}


def line(kind: str, at_ns: int, grant: int, **fields: object) -> Line:
    return {"kind": kind, "t_ns": at_ns, "grant_number": grant, **fields}


def sound() -> Story:
    """One person in, one release that nobody used, one way out by the button."""
    log = [
        line("release", 110, 1, result="ACCEPTED", direction="ENTRY"),
        line("passage_completed", 150, 1, direction="ENTRY"),
        line("passage_completed", 180, 0, direction="EXIT"),
        line("release", 210, 2, result="ACCEPTED", direction="ENTRY"),
        line("release", 211, 2, result="REFUSED", direction="ENTRY"),
    ]
    rows = [
        row("service.opened", 90, direction="entry"),
        row("access.granted", 100, grant=1, direction="entry", expires_at_ns=200),
        row("passage.made", 151, grant=1),
        row("access.granted", 200, grant=2, direction="entry", expires_at_ns=300),
        row("passage.not_made", 260, grant=2),
    ]
    return log, rows


def test_a_sound_story_has_no_problems() -> None:
    assert problems(*sound()) == []


def without_a_record(log: list[Line], _: list[Row]) -> None:
    log.append(line("release", 400, 3, result="ACCEPTED", direction="ENTRY"))


def before_its_record(log: list[Line], _: list[Row]) -> None:
    log[0]["t_ns"] = 99


def after_its_expiry(log: list[Line], _: list[Row]) -> None:
    log[0]["t_ns"] = 200


def the_wrong_way(log: list[Line], _: list[Row]) -> None:
    log[0]["direction"] = "EXIT"


def twice(log: list[Line], _: list[Row]) -> None:
    log.append(log[0])


def two_people(log: list[Line], _: list[Row]) -> None:
    log.append(log[1])


def nobody_passed(log: list[Line], _: list[Row]) -> None:
    del log[1]


def somebody_passed(log: list[Line], _: list[Row]) -> None:
    log.append(line("passage_completed", 250, 2, direction="ENTRY"))


def a_number_again(_: list[Line], rows: list[Row]) -> None:
    rows.append(rows[1])


def no_end(_: list[Line], rows: list[Row]) -> None:
    del rows[2]


def two_ends(_: list[Line], rows: list[Row]) -> None:
    rows.append(row("release.refused", 270, grant=2))


def out_of_service(_: list[Line], rows: list[Row]) -> None:
    rows.insert(3, row("service.closed", 190, direction="entry"))


def not_a_simulation(_: list[Line], rows: list[Row]) -> None:
    rows[0]["data"]["simulation"] = False


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (without_a_record, "which no row names"),
        (before_its_record, "not between its record and its expiry"),
        (after_its_expiry, "not between its record and its expiry"),
        (the_wrong_way, "the release for EXIT"),
        (twice, "was released 2 times"),
        (two_people, "was passed on 2 times"),
        (nobody_passed, "nobody passed on grant 1"),
        (somebody_passed, "somebody passed on grant 2, and the journal says passage.not_made"),
        (a_number_again, "do not rise"),
        (no_end, "grant 1 ended 0 times"),
        (two_ends, "grant 2 ended 2 times"),
        (out_of_service, "while its way was out of service"),
        (not_a_simulation, "does not say that it is a simulation"),
    ],
)
def test_what_may_never_be_is_seen(spoil: Callable[[list[Line], list[Row]], None], words: str) -> None:
    log, rows = sound()
    spoil(log, rows)
    assert words in "; ".join(problems(log, rows))


def test_only_the_last_grant_may_still_be_open() -> None:
    log, rows = sound()
    assert problems(log, rows[:-1], finished=False) == []
    assert problems(log, rows[:2] + rows[3:], finished=False) != []
