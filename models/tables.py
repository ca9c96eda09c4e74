"""Reads one TOML table key by key; whatever is wrong, the error names the file and the key.

Each `take_*` removes its key, so that what is left at `finish()` is what nobody knows.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from models.errors import ManifestError


@dataclass(slots=True)
class Table:
    """One table being read. place: the file and the table's own name, for errors."""

    file: str
    name: str
    left: dict[str, Any] = field(repr=False)

    def refusal(self, key: str, sentence: str) -> ManifestError:
        place = f"{self.name}.{key}" if self.name else key
        return ManifestError(f"{self.file}: {place} {sentence}")

    def take(self, key: str) -> Any:
        if key not in self.left:
            raise self.refusal(key, "is missing; add it")
        return self.left.pop(key)

    def has(self, key: str) -> bool:
        return key in self.left

    def take_text(self, key: str) -> str:
        value = self.take(key)
        if not isinstance(value, str) or not value:
            raise self.refusal(key, f"is {value!r}; it must be a text that is not empty")
        return value

    def take_number(self, key: str, *, low: float, high: float) -> float:
        value = self.take(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise self.refusal(key, f"is {value!r}; it must be a number from {low} to {high}")
        return float(value)

    def take_integer(self, key: str, *, low: int, high: int) -> int:
        value = self.take(key)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self.refusal(key, f"is {value!r}; it must be a whole number from {low} to {high}")
        return value

    def take_numbers(self, key: str, *, count: int, low: float, high: float) -> tuple[float, ...]:
        value = self.take(key)
        numbers = value if isinstance(value, list) else []
        right = all(isinstance(each, int | float) and not isinstance(each, bool) and low <= each <= high for each in numbers)
        if len(numbers) != count or not right:
            raise self.refusal(key, f"is {value!r}; it must be a list of {count} numbers from {low} to {high}")
        return tuple(float(each) for each in numbers)

    def take_points(self, key: str, *, count: int, low: float, high: float) -> tuple[tuple[float, float], ...]:
        rows = self.take(key)
        if not isinstance(rows, list) or len(rows) != count:
            raise self.refusal(key, f"is {rows!r}; it must be a list of {count} points [x, y]")
        points = []
        for index, row in enumerate(rows):
            x, y = Table(self.file, self.name, {f"{key}[{index}]": row}).take_numbers(f"{key}[{index}]", count=2, low=low, high=high)
            points.append((x, y))
        return tuple(points)

    def take_choice(self, key: str, choices: tuple[str, ...]) -> str:
        value = self.take_text(key)
        if value not in choices:
            raise self.refusal(key, f"is {value!r}; it must be one of: {', '.join(choices)}")
        return value

    def take_table(self, key: str) -> "Table":
        value = self.take(key)
        if not isinstance(value, Mapping):
            raise self.refusal(key, f"is {value!r}; it must be a table")
        return Table(self.file, f"{self.name}.{key}" if self.name else key, dict(value))

    def take_tables(self, key: str) -> tuple["Table", ...]:
        value = self.take(key)
        if not isinstance(value, list) or not value or not all(isinstance(each, Mapping) for each in value):
            raise self.refusal(key, "must be one or more tables [[...]]")
        place = f"{self.name}.{key}" if self.name else key
        return tuple(Table(self.file, f"{place}[{index}]", dict(each)) for index, each in enumerate(value))

    def finish(self) -> None:
        for key in self.left:
            raise self.refusal(key, "is not known; remove it or correct its spelling")
