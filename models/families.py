"""The families of models that a manifest may name, and the graphs that each needs. A new family is a row here and its code."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from models.errors import FamilyError

Shape = tuple[int | None, ...]
"""Dimensions of a tensor; None where any size may stand."""


@dataclass(frozen=True, slots=True)
class GraphSpec:
    """What a family's code expects of one graph: one float32 input, one float32 output."""

    part: str  # key below `graphs` in the manifest
    input_name: str
    input_shape: Shape
    output_name: str
    output_shape: Shape


Rows = Mapping[str, tuple[GraphSpec, ...] | None]
"""Family -> its graphs, or None: known by name, not implemented yet."""

DETECTORS: Rows = MappingProxyType(
    {
        "mtcnn": (
            GraphSpec("pnet", "image", (1, 3, None, None), "output", (1, 5, None, None)),
            GraphSpec("rnet", "image", (None, 3, 24, 24), "output", (None, 5)),
            GraphSpec("onet", "image", (None, 3, 48, 48), "output", (None, 15)),
        ),
        "yunet": None,
    },
)

EMBEDDERS: Rows = MappingProxyType(
    {
        "dlib-resnet": (GraphSpec("embedder", "image", (None, 3, 150, 150), "output", (None, 128)),),
        "arcface": None,
        "sface": None,
    },
)

PADS: Rows = MappingProxyType({"none": (), "minifasnet": None})


def row(rows: Rows, family: str, *, kind: str, place: str) -> tuple[GraphSpec, ...]:
    """Returns the graphs of a family.

    Raises:
        FamilyError: it is unknown, or known and not implemented in this version.
    """
    implemented = ", ".join(name for name, specs in rows.items() if specs is not None)
    if family not in rows:
        raise FamilyError(f"{place}: {kind} family {family!r} is not known; this version runs: {implemented}")
    specs = rows[family]
    if specs is None:
        raise FamilyError(f"{place}: {kind} family {family!r} is not implemented in this version; it runs: {implemented}")
    return specs
