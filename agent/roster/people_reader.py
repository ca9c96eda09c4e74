"""The people of a roster document: each is read as soon as its map is decoded, so that a large roster never lies in memory as a tree.

What a person's map says of itself is checked then; what hangs on the rest of the document, which may come later, at the end.
"""

from array import array
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import zip_longest
from types import MappingProxyType
from typing import cast

from agent.core.identity import PersonId, PersonStatus
from agent.roster.document import LEVELS_OF_A_PERSON_MAX, REFERENCES_MAX, TIME_MAX_S, VERSION_MAX, Person, TemplateForm
from agent.roster.errors import RosterError
from agent.roster.fields import IDENTIFIER, Fields, label, malformed, number, sequence
from agent.roster.quality_rows import FIGURES, QualityRows

_FIGURE_MAX = 1e9
SEALED = "sealed"
"""Key of a person's references; no other map of the document has it."""


@dataclass(frozen=True, slots=True)
class _Refused:
    """Stands for a person who is not well formed; raised when the list of people is read."""

    error: RosterError


class PeopleReader:
    """Reads the people of one document. keep_sealed: whether a person's references stay in memory, or only their length."""

    def __init__(self, *, keep_sealed: bool = True) -> None:
        self._figures = array("d")
        self._levels: dict[tuple[str, ...], tuple[str, ...]] = {}  # equal ones are one tuple
        self._lengths = array("Q")  # of what is sealed, in the order of the maps
        self._keep_sealed = keep_sealed

    def take(self, content: Mapping[object, object], _immutable: bool) -> object:
        """Called with each map as it is decoded; returns a person in place of a person's map."""
        sealed = content.get(SEALED)
        if sealed is None and SEALED not in content:
            return content
        place = len(self._lengths)
        self._lengths.append(len(sealed) if type(sealed) is bytes else 0)
        try:
            return self._person(content, f"people[{place}]")
        except RosterError as error:
            return _Refused(error)

    def finish(self, rows: list[object], form: TemplateForm, levels: Mapping[str, object]) -> tuple[Person, ...]:
        """Returns the people. Raises RosterError (MALFORMED) for the first one who is not as the format says, or stands twice."""
        for names in self._levels:
            if not all(name in levels for name in names):
                self._refuse_unknown_level(rows, levels)
        sealed_bytes = [form.sealed_bytes(references) for references in range(REFERENCES_MAX + 1)]
        for index, (row, length) in enumerate(zip_longest(rows, self._lengths)):
            match row:
                case Person(id=name, quality=quality):
                    if length != sealed_bytes[len(quality)]:
                        expected = sealed_bytes[len(quality)]
                        raise malformed(f"person '{name}'.{SEALED}", f"is {length} bytes; {expected} bytes are expected")
                case _Refused(error):
                    raise error
                case None if index >= len(rows):
                    raise malformed("document", f"holds a map with the key '{SEALED}' outside its list of people")
                case _:
                    Fields(row, place=f"people[{index}]").take(SEALED)  # not a map, or it is missing
        people = cast("list[Person]", rows)
        if len({person.id for person in people}) < len(people):
            seen: set[str] = set()
            twice = next(person.id for person in people if person.id in seen or seen.add(person.id))  # type: ignore[func-returns-value]
            raise malformed(f"person '{twice}'", "is listed twice")
        return tuple(people)

    def _refuse_unknown_level(self, rows: list[object], levels: Mapping[str, object]) -> None:
        for person in (row for row in rows if isinstance(row, Person)):
            for name in person.levels:
                if name not in levels:
                    raise malformed(f"person '{person.id}': levels", f"names the access level '{name}', which the roster does not hold")

    def _person(self, content: object, place: str) -> Person:
        fields = Fields(content, place=place)
        name = fields.take("id")
        if type(name) is not str or not IDENTIFIER.fullmatch(name):
            raise malformed(f"{place}.id", f"is {name!r:.80}; 1 to 64 letters, digits, '.', '_' or '-' are expected")
        place = f"person '{name}'"
        quality = self._quality(fields.take_list("quality", low=1, high=REFERENCES_MAX), place)
        status = fields.take_name("status")
        if status not in _STATUS:
            raise malformed(f"{place}: status", f"is '{status}'; one of {', '.join(_STATUS)} is expected")
        not_before_s = fields.take_int("from", low=0, high=TIME_MAX_S)
        person = Person(
            id=PersonId(name),
            revision=fields.take_int("rev", low=1, high=VERSION_MAX),
            status=_STATUS[status],
            not_before_s=not_before_s,
            not_after_s=fields.take_int("until", low=not_before_s, high=TIME_MAX_S),
            levels=self._names(fields.take_list("levels", low=0, high=LEVELS_OF_A_PERSON_MAX), place),
            quality=quality,
            sealed=self._sealed(fields.take(SEALED), f"{place}.{SEALED}"),
            group=fields.take_name("group") if fields.has("group") else None,
        )
        fields.done()
        return person

    def _sealed(self, value: object, place: str) -> bytes:
        if type(value) is not bytes:
            raise malformed(place, f"is a {type(value).__name__}; bytes are expected")
        return value if self._keep_sealed else b""

    def _names(self, names: list[object], place: str) -> tuple[str, ...]:
        with suppress(TypeError):  # a name that cannot be a key is no name
            if (shared := self._levels.get(cast("tuple[str, ...]", tuple(names)))) is not None:
                return shared
        found = tuple(label(name, place=f"{place}: levels") for name in names)
        return self._levels.setdefault(found, found)

    def _quality(self, rows: list[object], place: str) -> QualityRows:
        """Adds a person's rows to the table of everybody's."""
        first = len(self._figures) // FIGURES
        for row in rows:
            if type(row) is list and len(row) == FIGURES:  # in place: 300,000 rows are read while a large gate starts
                eyes, yaw, blur, brightness, clipped = row
                if (
                    type(eyes) is type(yaw) is type(blur) is type(brightness) is type(clipped) is float
                    and 0 <= eyes <= _FIGURE_MAX
                    and -_FIGURE_MAX <= yaw <= _FIGURE_MAX
                    and 0 <= blur <= _FIGURE_MAX
                    and 0 <= brightness <= 255  # noqa: PLR2004  a grey level
                    and 0 <= clipped <= 1
                ):
                    self._figures.extend(row)
                    continue
            self._figures.extend(_checked_figures(row, place))
        return QualityRows(self._figures, first, len(rows))


def _checked_figures(row: object, place: str) -> list[float]:
    """What is not as it is nearly always: a whole number, or a fault, with its words."""
    values = sequence(row, low=FIGURES, high=FIGURES, place=f"{place}: quality")
    for value, (low, high) in zip(values, _FIGURES, strict=True):
        number(value, low=low, high=high, place=f"{place}: quality")
    return cast("list[float]", values)


_FIGURES = ((0, _FIGURE_MAX), (-_FIGURE_MAX, _FIGURE_MAX), (0, _FIGURE_MAX), (0, 255), (0, 1))
"""Least and greatest of each figure, in the order of SampleQuality."""

_STATUS: Mapping[str, PersonStatus] = MappingProxyType({str(status): status for status in PersonStatus})
