"""The families of models that a manifest may name, and the graphs that each needs. A new family is a row here and its code."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from models.errors import FamilyError

FREE_OR_ONE = -1
"""In a Shape: the graph may leave the size free, or fix it at 1; what runs it asks the session which."""

Shape = tuple[int | None, ...]
"""Dimensions of a tensor; None where the graph must leave the size free."""


@dataclass(frozen=True, slots=True)
class GraphSpec:
    """What a family's code expects of one graph: float32 tensors, one in, one or more out."""

    part: str  # key below `graphs` in the manifest
    input_name: str
    input_shape: Shape
    output_name: str
    output_shape: Shape
    more_outputs: tuple[tuple[str, Shape], ...] = ()  # name and shape of each output after the first
    few_sizes: bool = False  # its code gives it inputs of two or three sizes in all, so that what a call took may be kept for the next

    @property
    def outputs(self) -> tuple[tuple[str, Shape], ...]:
        return ((self.output_name, self.output_shape), *self.more_outputs)


Rows = Mapping[str, tuple[GraphSpec, ...]]
"""Family -> its graphs."""

CHIP_PX = 112
"""Side of the chips of every ArcFace-like network: the five-point template of its training pictures is given on that side."""

YUNET_STRIDES = (8, 16, 32)
"""Pixels between two cells of YuNet's three grids."""

YUNET_HEADS = (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10))
"""YuNet's heads and how many numbers each has for a cell; each stands once for every stride."""

_YUNET_OUTPUTS: tuple[tuple[str, Shape], ...] = tuple(
    (f"{head}_{stride}", (1, None, numbers)) for head, numbers in YUNET_HEADS for stride in YUNET_STRIDES
)

DETECTORS: Rows = MappingProxyType(
    {
        "mtcnn": (
            GraphSpec("pnet", "image", (1, 3, None, None), "output", (1, 5, None, None)),
            GraphSpec("rnet", "image", (None, 3, 24, 24), "output", (None, 5)),
            GraphSpec("onet", "image", (None, 3, 48, 48), "output", (None, 15)),
        ),
        "yunet": (GraphSpec("yunet", "input", (1, 3, None, None), *_YUNET_OUTPUTS[0], _YUNET_OUTPUTS[1:], few_sizes=True),),
    },
)

EMBEDDERS: Rows = MappingProxyType(
    {
        "dlib-resnet": (GraphSpec("embedder", "image", (None, 3, 150, 150), "output", (None, 128)),),
        # Names and length of the template are the site's: they come from the manifest (`ArcfacePart.specs`).
        "arcface": (GraphSpec("embedder", "", (FREE_OR_ONE, 3, CHIP_PX, CHIP_PX), "", (FREE_OR_ONE, 0)),),
        "sface": (GraphSpec("embedder", "data", (FREE_OR_ONE, 3, CHIP_PX, CHIP_PX), "fc1", (FREE_OR_ONE, 128)),),
    },
)

PADS: Rows = MappingProxyType(
    {
        "minifasnet": (
            GraphSpec("near", "image", (None, 3, 80, 80), "output", (None, 3)),
            GraphSpec("far", "image", (None, 3, 80, 80), "output", (None, 3)),
        ),
    },
)


def row(rows: Rows, family: str, *, kind: str, place: str) -> tuple[GraphSpec, ...]:
    """Returns the graphs of a family.

    Raises:
        FamilyError: it is unknown.
    """
    if family not in rows:
        raise FamilyError(f"{place}: {kind} family {family!r} is not known; this version runs: {', '.join(rows)}")
    return rows[family]
