"""authority.toml: what a release says beyond its people. Every key has a default; `gate-roster init` writes them all."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from agent.core.identity import AccessRule, Area, Interval
from agent.core.topics import is_name
from agent.settings import ConfigError, parse, sample, section, setting, toml_value

FILE: Final = "authority.toml"
DAY_MINUTES: Final = 1440
WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
"""Bit 0 of a weekly interval is Monday."""

_INTERVAL = re.compile(r"(?P<days>[a-z,-]+) (?P<start>[0-2]?[0-9]:[0-5][0-9])-(?P<end>[0-2]?[0-9]:[0-5][0-9])")


@dataclass(frozen=True, slots=True)
class SitePlan:
    name: str = setting(
        "site", "Name of the site, as in the gates' configuration (gate.site). Fixed: references are encrypted for it.", low=1, high=64
    )
    utc_offset_minutes: int = setting(
        480, "Local time of the schedules, minutes east of UTC. Hong Kong and Shenzhen: 480.", low=-1440, high=1440
    )
    simulation: bool = setting(False, "True: made-up people for a demo or a trial; a gate in service refuses its releases.")
    areas: tuple[str, ...] = setting(
        ("park-a", "bridge", "park-b"), "The areas that lanes join (lane.outside, lane.inside).", low=1, high=64
    )


@dataclass(frozen=True, slots=True)
class ReleasePlan:
    stale_after_days: float = setting(7.0, "A gate installs a release for this long, and complains of it afterwards.", low=0.01, high=366)
    expires_days: float = setting(30.0, "A gate without a newer release denies entry after this time.", low=0.01, high=366)


@dataclass(frozen=True, slots=True)
class PeoplePlan:
    pack: str = setting("mtcnn-dlib", "Model pack that makes the templates; the gates must run the same.", low=1, high=64)
    levels: tuple[str, ...] = setting(("always",), "Access levels of a person without a person.toml.", low=1, high=64)
    valid_days: int = setting(365, "How long a person without dates of their own may pass, from their enrolment.", low=1, high=3650)


@dataclass(frozen=True, slots=True)
class LevelPlan:
    name: str = setting("always", "Name of the access level, as in person.toml.", low=1, high=64)
    routes: tuple[str, ...] = setting(
        ("park-a -> bridge", "bridge -> park-a", "bridge -> park-b", "park-b -> bridge"), "From which area to which.", low=1, high=140
    )
    weekly: tuple[str, ...] = setting(
        ("mon-sun 00:00-24:00",), 'When, in local time: "mon-fri 06:00-22:00", "sat,sun 22:00-02:00". None: never.', low=1, high=64
    )


@dataclass(frozen=True, slots=True)
class Plan:
    site: SitePlan = section(SitePlan, "The site.")  # noqa: RUF009  a field specifier, as in agent.config
    release: ReleasePlan = section(ReleasePlan, "How long a release lasts.")  # noqa: RUF009
    people: PeoplePlan = section(PeoplePlan, "What holds for people who say nothing else.")  # noqa: RUF009
    level: tuple[LevelPlan, ...] = section(
        lambda: (LevelPlan(),),  # type: ignore[arg-type]
        "Access levels; repeat the table for each.",
    )

    def levels(self) -> Mapping[str, tuple[AccessRule, ...]]:
        """Every access level's rules, as a roster carries them."""
        return MappingProxyType({level.name: self._rules(level) for level in self.level})

    def _rules(self, level: LevelPlan) -> tuple[AccessRule, ...]:
        schedule = tuple(interval(text) for text in level.weekly)
        return tuple(self._rule(level, route, schedule) for route in level.routes)

    def _rule(self, level: LevelPlan, route: str, schedule: tuple[Interval, ...]) -> AccessRule:
        origin, arrow, destination = (part.strip() for part in route.partition("->"))
        if not arrow or origin not in self.site.areas or destination not in self.site.areas:
            raise ConfigError(
                f"{FILE}: level '{level.name}' has the route '{route}'; write 'AREA -> AREA' with areas of site.areas: "
                f"{', '.join(self.site.areas)}"
            )
        return AccessRule(
            origin=Area(origin), destination=Area(destination), schedule=schedule, utc_offset_minutes=self.site.utc_offset_minutes
        )


NAME_RULE: Final = "every gate must have the same, and it stands in topics and certificates: letters, digits, '.', '_' and '-' only"

HEADING = """gate-roster: what a release says beyond its people. Every key with its default.
Change it, then run: gate-roster release"""


def example(*, site: str = SitePlan().name, pack: str = PeoplePlan().pack, simulation: bool = False) -> str:
    """The text of a new authority.toml."""
    text = sample(Plan, heading=HEADING)
    if simulation:
        text = text.replace("\nsimulation = false", "\nsimulation = true", 1)
    return text.replace('\nname = "site"', f"\nname = {toml_value(site)}", 1).replace(
        f"\npack = {toml_value(PeoplePlan().pack)}", f"\npack = {toml_value(pack)}", 1
    )


def load(file: Path) -> Plan:
    """Read and check a plan.

    Raises:
        ConfigError: unreadable, not TOML, an unknown key, or a value that cannot be.
    """
    try:
        plan: Plan = parse(Plan, tomllib.loads(file.read_text(encoding="utf-8")), file=str(file))
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read ({error.strerror}); this is no authority: gate-roster init makes one") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{file}: is not TOML: {error}") from error
    if not is_name(plan.site.name):
        raise ConfigError(f"{file}: 'site.name' is {plan.site.name!r}; {NAME_RULE}")
    levels = plan.levels()
    if len(levels) != len(plan.level):
        raise ConfigError(f"{file}: two access levels have the same name")
    missing = [name for name in plan.people.levels if name not in levels]
    if missing:
        raise ConfigError(f"{file}: 'people.levels' names '{missing[0]}', which no [[level]] defines")
    if plan.release.expires_days < plan.release.stale_after_days:
        raise ConfigError(f"{file}: 'release.expires_days' is shorter than 'release.stale_after_days'")
    return plan


def interval(text: str) -> Interval:
    """A weekly interval from its words. An end at or before the start is of the next day.

    Raises:
        ConfigError: not understood.
    """
    found = _INTERVAL.fullmatch(text.strip().lower())
    weekdays = _weekdays(found["days"]) if found else 0
    start, end = (_minutes(found["start"]), _minutes(found["end"])) if found else (0, 0)
    if not weekdays or start >= DAY_MINUTES or end > DAY_MINUTES:
        raise ConfigError(f"{FILE}: the interval '{text}' is not understood; write for example 'mon-fri 06:00-22:00'")
    return Interval(weekdays=weekdays, start_minute=start, end_minute=end if end > start else end + DAY_MINUTES)


def _minutes(clock: str) -> int:
    hours, _, minutes = clock.partition(":")
    return int(hours) * 60 + int(minutes)


def _weekdays(text: str) -> int:
    """Bits of days such as `mon-fri` or `sat,sun`; 0 where a day is not one."""
    bits = 0
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if first not in WEEKDAYS or (dash and last not in WEEKDAYS):
            return 0
        start, end = WEEKDAYS.index(first), WEEKDAYS.index(last if dash else first)
        for day in range(start, end + 1 if end >= start else end + 1 + len(WEEKDAYS)):
            bits |= 1 << day % len(WEEKDAYS)
    return bits
