"""Figures of reference pictures as a large roster holds them: plain numbers, made into values where one is asked for.

A gate counts them and never looks at them; as values of their own they would be most of what it holds while it loads.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, overload

from agent.core.inputs import SampleQuality

if TYPE_CHECKING:
    from array import array

FIGURES = 5
"""Numbers of one row: the fields of SampleQuality, in their order."""


class QualityRows(Sequence[SampleQuality]):
    """The rows of one person, in a table of everybody's. Equal to any sequence of the same values."""

    __slots__ = ("_count", "_first", "_table")

    def __init__(self, table: "array[float]", first: int, count: int) -> None:
        """table: FIGURES numbers for each row; first, count: this person's rows."""
        self._table = table
        self._first = first
        self._count = count

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, place: int) -> SampleQuality: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[SampleQuality, ...]: ...
    def __getitem__(self, place: int | slice) -> SampleQuality | tuple[SampleQuality, ...]:
        if isinstance(place, slice):
            return tuple(self[i] for i in range(*place.indices(self._count)))
        row = self._first + range(self._count)[place]
        return SampleQuality(*self._table[FIGURES * row : FIGURES * (row + 1)])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return repr(tuple(self))
