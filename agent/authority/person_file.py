"""person.toml, optional in a person's sub-folder: what they may do, where it differs from everybody's."""

import errno
import tomllib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from agent.authority.plan import Plan
from agent.roster.document import LEVELS_OF_A_PERSON_MAX, TIME_MAX_S
from agent.roster.plain_file import read_plain
from agent.settings import ConfigError, parse, setting

FILE: Final = "person.toml"
FILE_BYTES_MAX: Final = 2**16
_DAY_S: Final = 86_400

_YEARS: Final = range(2000, 10_000)
"""Of first and last days: a roster's times are from 1970 on."""


@dataclass(frozen=True, slots=True)
class PersonFile:
    levels: tuple[str, ...] = setting((), "Access levels of authority.toml; none: people.levels there.", low=1, high=64)
    valid_from: str = setting("", "First day, YYYY-MM-DD, local time of the site; empty: the day of enrolment.", low=0, high=10)
    valid_until: str = setting("", "Last day, YYYY-MM-DD; empty: people.valid_days after the first.", low=0, high=10)
    group: str = setting("", "For error rates by group, measured later; empty: none.", low=0, high=64)
    lookalike_of: tuple[str, ...] = setting((), "People who have nearly the same face and are somebody else.", low=1, high=64)
    same_person: tuple[str, ...] = setting((), "Pictures that somebody has looked at: they show one person.", low=1, high=255)


@dataclass(frozen=True, slots=True)
class PersonPlan:
    """What a person may do. Times: seconds since 1970, the second one exclusive."""

    levels: tuple[str, ...]
    not_before_s: int
    not_after_s: int
    group: str | None
    lookalike_of: tuple[str, ...]
    same_person: tuple[str, ...]


def load_person(folder: Path, plan: Plan, *, now_s: int) -> PersonPlan:
    """A person's plan. Raises ConfigError: an unknown key, a wrong value, an access level that is not defined."""
    file = folder / FILE
    given = _given(file)
    offset_s = plan.site.utc_offset_minutes * 60
    today_s = (now_s + offset_s) // _DAY_S * _DAY_S - offset_s
    first_s = _midnight(file, "valid_from", given.valid_from, offset_s) if given.valid_from else today_s
    last_s = first_s + (plan.people.valid_days - 1) * _DAY_S
    if given.valid_until:
        last_s = _midnight(file, "valid_until", given.valid_until, offset_s)
    if last_s < first_s:
        raise ConfigError(f"{file}: 'valid_until' is before 'valid_from'")
    if not given.group.isprintable():
        raise ConfigError(f"{file}: 'group' is {given.group!r}; use letters that can be printed")
    return PersonPlan(
        levels=_levels(file, given, plan),
        not_before_s=min(first_s, TIME_MAX_S),
        not_after_s=min(last_s + _DAY_S, TIME_MAX_S),
        group=given.group or None,
        lookalike_of=given.lookalike_of,
        same_person=given.same_person,
    )


def _given(file: Path) -> PersonFile:
    try:
        text = read_plain(file, bytes_max=FILE_BYTES_MAX).decode()
        given: PersonFile = parse(PersonFile, tomllib.loads(text), file=str(file))
    except OSError as error:
        if error.errno == errno.ENOENT:
            return PersonFile()
        raise ConfigError(f"{file}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:  # not only of TOML: a number of 5,000 digits, lists a thousand deep
        raise ConfigError(f"{file}: is not TOML: {error}") from error
    return given


def _levels(file: Path, given: PersonFile, plan: Plan) -> tuple[str, ...]:
    levels, known = given.levels or plan.people.levels, plan.levels()
    if len(levels) > LEVELS_OF_A_PERSON_MAX:
        raise ConfigError(f"{file}: 'levels' has {len(levels)} names; at most {LEVELS_OF_A_PERSON_MAX} are possible")
    for level in levels:
        if level not in known:
            raise ConfigError(f"{file}: 'levels' names '{level}'; authority.toml defines: {', '.join(known)}")
    return levels


def _midnight(file: Path, key: str, text: str, offset_s: int) -> int:
    """The start of a day of the site, seconds since 1970."""
    try:
        day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise ConfigError(f"{file}: '{key}' is {text!r}; write YYYY-MM-DD") from None
    if day.year not in _YEARS:
        raise ConfigError(f"{file}: '{key}' is {text!r}; the year must be {_YEARS[0]} to {_YEARS[-1]}")
    return int((day - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(seconds=1)) - offset_s
