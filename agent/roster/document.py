"""The roster document as values, and every limit of them. How it is written as bytes is codec's; docs/ROSTER.md is the format in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from agent.biometrics.calibration import Calibration
from agent.biometrics.template import Metric
from agent.core.identity import AccessRule, Area, PersonId, PersonStatus
from agent.core.inputs import SampleQuality

FORMAT: Final = "gate-roster"
FORMAT_VERSION: Final = 1
SUITE: Final = "chacha20-poly1305"
"""How a person's references are sealed; constant time also on a processor without AES instructions."""

DOCUMENT_BYTES_MAX: Final = 384 * 2**20
"""Largest document: 100,000 people with three 512-d half-precision references each are 325 MB."""
PEOPLE_MAX: Final = 200_000
REFERENCES_MAX: Final = 16
LEVELS_MAX: Final = 256
LEVELS_OF_A_PERSON_MAX: Final = 16
AREAS_MAX: Final = 64
RULES_MAX: Final = 64
INTERVALS_MAX: Final = 64
VERSION_MAX: Final = 2**53 - 1
"""Greatest integer that every JSON reader keeps exactly."""
TIME_MAX_S: Final = 253_402_300_799
"""9999-12-31T23:59:59Z."""
VALIDITY_MAX_S: Final = 400 * 86_400
"""A roster that is valid for longer than about a year is a mistake."""
TEMPLATE_LENGTHS: Final = (16, 2048)
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16
KEY_ID_BYTES: Final = 8
HALF_BYTES: Final = 4
"""Of one person's cohort half."""

ITEM_BYTES: Mapping[str, int] = MappingProxyType({"f2": 2, "f4": 4})


@dataclass(frozen=True, slots=True)
class TemplateForm:
    """How a template is written: `length` little-endian IEEE numbers of type `dtype`, compared by `metric`."""

    length: int
    metric: Metric
    dtype: str = "f2"  # f2: half precision, which moves a distance by less than 0.001; or f4

    @property
    def bytes(self) -> int:
        return self.length * ITEM_BYTES[self.dtype]

    def sealed_bytes(self, references: int) -> int:
        """Length of a sealed record of so many references."""
        return NONCE_BYTES + references * self.bytes + TAG_BYTES


@dataclass(frozen=True, slots=True)
class KeyNotice:
    """Which site key the references are sealed under. A new epoch retires a gate: it does not get the new key."""

    epoch: int
    id: bytes


@dataclass(frozen=True, slots=True)
class Person:
    """One person: what they may do, and their references, sealed.

    Attributes:
        revision: rises with every change of this person; the sealed references are bound to it.
        levels: names of access levels of the same roster.
        group: for the evaluation of error rates by group; optional.
        quality: figures of the picture behind each reference, in the references' order.
        sealed: see secrecy. Empty, which opens nothing: left in the file that was read (`codec.read`), from where a gallery takes it.
    """

    id: PersonId
    revision: int
    status: PersonStatus
    not_before_s: int
    not_after_s: int
    levels: tuple[str, ...]
    quality: Sequence[SampleQuality]
    sealed: bytes
    group: str | None = None


@dataclass(frozen=True, slots=True)
class Roster:
    """One full release.

    Attributes:
        version: of the release; the same as of the signed metadata that names it.
        issued_s, stale_after_s, expires_s: seconds since 1970; usable but old from the second, of no use from the third.
        pack: id of the model pack that made the templates.
        cohort_halves: of each person in order, as little-endian f4, where scores are normalised: what every gate would else compute by
            comparing everybody with everybody. None: each gate does.
        simulation: made-up people, for demos and trials; a gate in service refuses it.
    """

    site: str
    version: int
    issued_s: int
    stale_after_s: int
    expires_s: int
    pack: str
    form: TemplateForm
    calibration: Calibration
    key: KeyNotice
    areas: tuple[Area, ...]
    levels: Mapping[str, tuple[AccessRule, ...]]
    people: tuple[Person, ...]
    simulation: bool = False
    cohort_halves: bytes | None = None

    def rules(self, levels: Sequence[str]) -> tuple[AccessRule, ...]:
        """The access rules behind the names of access levels."""
        return tuple(rule for level in levels for rule in self.levels[level])
