"""Reading decoded CBOR strictly: every value has a type, a limit and a place, and what nobody asked for is refused."""

import math
import re
from collections.abc import Mapping

from agent.roster.errors import Reason, RosterError

IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""A person's identifier: it stands in events, file names and command lines."""

NAME_LENGTH_MAX = 64
"""Letters in the name of a site, an area, an access level; the same limit as in the gate's configuration."""

EXTENSION = "x_"
"""A key that begins so may be ignored by who does not know it; every other unknown key is refused."""


def malformed(place: str, sentence: str) -> RosterError:
    return RosterError(Reason.MALFORMED, f"the roster's {place} {sentence}; make and sign the release again")


class Fields:
    """One map of the document; each `take_` removes a key, `done` refuses what is left."""

    __slots__ = ("_content", "_place")

    def __init__(self, content: object, *, place: str) -> None:
        if type(content) is not dict:
            raise malformed(place, f"is a {type(content).__name__}, not a map")
        self._content = content
        self._place = place

    def _at(self, name: str) -> str:
        return f"{self._place}.{name}" if self._place else name

    def has(self, name: str) -> bool:
        return name in self._content

    def take(self, name: str) -> object:
        try:
            return self._content.pop(name)
        except KeyError:
            raise malformed(self._at(name), "is missing") from None

    def take_int(self, name: str, *, low: int, high: int) -> int:
        value = self.take(name)
        if type(value) is int and low <= value <= high:  # in place: a large roster has hundreds of thousands, and each place is words
            return value
        return integer(value, low=low, high=high, place=self._at(name))

    def take_name(self, name: str) -> str:
        return label(self.take(name), place=self._at(name))

    def take_bytes(self, name: str, *, length: int) -> bytes:
        value = self.take(name)
        if type(value) is not bytes or len(value) != length:
            found = f"{len(value)} bytes" if type(value) is bytes else f"a {type(value).__name__}"
            raise malformed(self._at(name), f"is {found}; {length} bytes are expected")
        return value

    def take_list(self, name: str, *, low: int, high: int) -> list[object]:
        value = self.take(name)
        if type(value) is list and low <= len(value) <= high:
            return value
        return sequence(value, low=low, high=high, place=self._at(name))

    def take_map(self, name: str, *, high: int) -> Mapping[str, object]:
        value = self.take(name)
        if type(value) is not dict or len(value) > high:
            found = f"a map of {len(value)}" if type(value) is dict else f"a {type(value).__name__}"
            raise malformed(self._at(name), f"is {found}; a map of at most {high} is expected")
        return {label(key, place=f"{self._at(name)}: a key"): item for key, item in value.items()}

    def done(self) -> None:
        for name in self._content:
            if type(name) is not str or not name.startswith(EXTENSION):
                raise malformed(self._at(str(name)[:NAME_LENGTH_MAX]), "is not known to this version, and must not be ignored")


def integer(value: object, *, low: int, high: int, place: str) -> int:
    if type(value) is not int or not low <= value <= high:
        raise malformed(place, f"is {_shown(value)}; a whole number from {low} to {high} is expected")
    return value


def number(value: object, *, low: float, high: float, place: str) -> None:
    """Checks a finite number; a whole one may be written without a fraction."""
    if type(value) not in (float, int) or not math.isfinite(value) or not low <= value <= high:  # type: ignore[arg-type, operator]
        raise malformed(place, f"is {_shown(value)}; a finite number from {low:g} to {high:g} is expected")


def label(value: object, *, place: str) -> str:
    """A name for people and programs: 1 to NAME_LENGTH_MAX printable letters."""
    if type(value) is not str or not 1 <= len(value) <= NAME_LENGTH_MAX or not value.isprintable():
        raise malformed(place, f"is {_shown(value)}; 1 to {NAME_LENGTH_MAX} printable letters are expected")
    return value


def sequence(value: object, *, low: int, high: int, place: str) -> list[object]:
    if type(value) is not list or not low <= len(value) <= high:
        found = f"a list of {len(value)}" if type(value) is list else f"a {type(value).__name__}"
        raise malformed(place, f"is {found}; a list of {low} to {high} is expected")
    return value


def _shown(value: object) -> str:
    """A value in an error: short, whatever was sent."""
    if type(value) in (str, int, float, bool, type(None)):
        return f"{value!r:.80}"
    return f"a {type(value).__name__}"
