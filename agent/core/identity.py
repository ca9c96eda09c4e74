"""Who, where and which way: the names that travel through every part."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NewType

PersonId = NewType("PersonId", str)  # as written in the roster; never a face, never a name
GrantNumber = NewType("GrantNumber", int)  # u64, used once for ever by one controller
TrackId = NewType("TrackId", int)  # one face followed over frames; unique within one run of the agent
Area = NewType("Area", str)  # park A, the bridge, park B: names of the site's plan

NO_GRANT = GrantNumber(0)


class Direction(StrEnum):
    ENTRY = "entry"
    EXIT = "exit"

    @property
    def opposite(self) -> "Direction":
        return Direction.EXIT if self is Direction.ENTRY else Direction.ENTRY


class PersonStatus(StrEnum):
    ACTIVE = "active"
    SUSPENDED = "suspended"


@dataclass(frozen=True, slots=True)
class Interval:
    """A weekly interval of a schedule, in the site's local time.

    Attributes:
        weekdays: bit 0 is Monday, bit 6 is Sunday; the day on which the interval starts.
        start_minute: minutes after local midnight, 0 to 1439.
        end_minute: exclusive; above 1440 the interval runs into the next day, 2880 at most.
    """

    weekdays: int
    start_minute: int
    end_minute: int


@dataclass(frozen=True, slots=True)
class AccessRule:
    """One access level, resolved by the roster: from where to where, when."""

    origin: Area
    destination: Area
    schedule: tuple[Interval, ...]  # empty: never
    utc_offset_minutes: int  # of the site's local time; Hong Kong and Shenzhen have no summer time


@dataclass(frozen=True, slots=True)
class AccessRecord:
    """What the roster says that a person may do; holds no biometrics."""

    person: PersonId
    status: PersonStatus
    not_before_s: int  # seconds since 1970, inclusive
    not_after_s: int  # seconds since 1970, exclusive
    rules: tuple[AccessRule, ...]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One row of a candidate list: the best comparison score of one person's references.

    Attributes:
        score: comparison score after the normalisation that the roster's calibration names; higher is more alike.
    """

    score: float
    record: AccessRecord
