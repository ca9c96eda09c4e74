"""How each part of each family comes from its published file."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from models.build import dlib_resnet, free_sizes, minifasnet, mtcnn
from models.families import DETECTORS
from models.manifest import AnyPart, FoldedEmbedderPart, MtcnnPart

Recipe = Callable[[bytes, AnyPart], bytes]
"""Verified content of one weight file, and what the manifest says of the whole it belongs to, to the bytes of one ONNX graph."""


@dataclass(frozen=True, slots=True)
class Folding:
    """A recipe that folds mean and scale of the input into the graph."""

    write: Callable[[bytes, tuple[float, ...], float], bytes]

    def __call__(self, content: bytes, part: AnyPart) -> bytes:
        assert isinstance(part, MtcnnPart | FoldedEmbedderPart), "families with this recipe have such parts"
        return self.write(content, part.mean, part.scale)


def yunet(content: bytes, part: AnyPart) -> bytes:
    """The published graph is fixed at 640x640; nothing in it but its recorded shapes depends on that."""
    (spec,) = DETECTORS[part.family]
    cells = {name: (1, f"cells_{name.rpartition('_')[2]}", shape[2] or 0) for name, shape in spec.outputs}
    return free_sizes.with_sizes(content, {spec.input_name: (1, 3, "height", "width"), **cells})


def as_published(content: bytes, _part: AnyPart) -> bytes:
    return content


def minifasnets(content: bytes, _part: AnyPart) -> bytes:
    return minifasnet.network(content)


RECIPES: Mapping[tuple[str, str], Recipe] = MappingProxyType(
    {
        ("mtcnn", "pnet"): Folding(mtcnn.pnet),
        ("mtcnn", "rnet"): Folding(mtcnn.rnet),
        ("mtcnn", "onet"): Folding(mtcnn.onet),
        ("yunet", "yunet"): yunet,
        ("dlib-resnet", "embedder"): Folding(dlib_resnet.embedder),
        ("arcface", "embedder"): as_published,
        ("sface", "embedder"): as_published,
        ("minifasnet", "near"): minifasnets,
        ("minifasnet", "far"): minifasnets,
    },
)
"""(family, part) -> how its graph is made."""
