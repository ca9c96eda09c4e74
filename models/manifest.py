"""What a pack says of itself, as frozen values; each key of manifest.toml stands here with its meaning. Read by `manifest_reader`.

A pack's id is its name and a digest over everything that shapes a template (the tables `detector`, `embedder` with their graphs' digests).
Templates are bound to it: two packs with one id give comparable templates, and no others do. Quality bounds and thresholds are not part
of it, because they do not change a template.
"""

import hashlib
import json
from dataclasses import dataclass
from types import MappingProxyType

FORMAT = 1
"""Version of the manifest's own layout."""

FILE = "manifest.toml"
CARD = "CARD.md"

ID_HEX_DIGITS = 12
"""Length of the digest in a pack's id: 48 bits, enough to tell packs apart; the graphs themselves are checked with all 256."""


@dataclass(frozen=True, slots=True)
class Source:
    """A published file that a part is built from."""

    part: str
    distribution: str  # the Python package that carries it
    version: str
    file: str  # path inside the installed package
    sha256: str
    licence: str


@dataclass(frozen=True, slots=True)
class Graph:
    """A built ONNX file of the pack."""

    file: str  # name inside the pack's folder
    sha256: str


@dataclass(frozen=True, slots=True)
class DetectorPart:
    family: str
    graphs: MappingProxyType[str, Graph]
    mean: tuple[float, ...]  # of B, G, R 0..255; subtracted, then `scale`; the builder folds both into the graphs
    scale: float
    pyramid_factor: float  # side of one picture of the pyramid over the one before
    thresholds: tuple[float, ...]  # least score to go on, of P-, R- and O-Net, 0..1


@dataclass(frozen=True, slots=True)
class EmbedderPart:
    family: str
    graphs: MappingProxyType[str, Graph]
    mean: tuple[float, ...]  # of R, G, B 0..255; subtracted, then `scale`; the builder folds both into the graphs
    scale: float
    chip_px: int  # side of the square chip
    template_length: int
    metric: str  # euclidean (on the raw template) or cosine
    mirror: bool  # a template is the mean of the chip's and of its mirror image's
    alignment: tuple[tuple[float, float], ...]  # where the five landmarks go on the chip, pixels; order as `Detections.landmarks`


@dataclass(frozen=True, slots=True)
class QualityBounds:
    """What a sample needs for this pack's intended use. The measures are those of `agent.biometrics.quality`, figures from CARD.md."""

    detector_score_min: float  # 0..1
    min_eye_distance_px: float  # in the frame
    max_yaw: float  # nose off the middle of the eyes along their line, in eye distances
    min_blur: float  # variance of the Laplacian of the chip's face: less is blurred
    min_brightness: float  # mean grey of the chip's face, 0..255
    max_brightness: float
    max_clipped: float  # part of the chip's face that is nearly black or nearly white


@dataclass(frozen=True, slots=True)
class Comparison:
    """Default thresholds. A score is a distance: less is more alike."""

    calibration: str  # pack-default: no FPIR claim
    people_max: int  # a roster with more people needs a measured calibration
    cohort_size: int  # largest K of the normalisation: how many smallest distances to other people are averaged
    threshold_plain: float  # largest plain distance that counts as the same person
    threshold_normalised: float  # the same after cohort normalisation
    margin: float  # least distance between the first candidate's score and the next person's


@dataclass(frozen=True, slots=True)
class Manifest:
    name: str
    summary: str
    licence: str  # of the pack as a whole
    verified: bool  # False: written to a published interface, never run by us
    detector: DetectorPart
    embedder: EmbedderPart
    pad: str  # family of presentation attack detection, or "none"
    quality: QualityBounds
    comparison: Comparison
    sources: tuple[Source, ...]
    id: str  # name and short digest; what templates are bound to

    @property
    def graphs(self) -> tuple[Graph, ...]:
        return (*self.detector.graphs.values(), *self.embedder.graphs.values())


def pack_id(name: str, detector: DetectorPart, embedder: EmbedderPart) -> str:
    """Returns the pack's id. Graph files count by their digests alone: a renamed file is the same model."""
    parts = [
        {
            key: {part: graph.sha256 for part, graph in value.items()} if isinstance(value, MappingProxyType) else value
            for key, value in ((key, getattr(each, key)) for key in each.__slots__)
        }
        for each in (detector, embedder)
    ]
    canonical = json.dumps([FORMAT, *parts], sort_keys=True, separators=(",", ":")).encode()
    return f"{name}-{hashlib.sha256(canonical).hexdigest()[:ID_HEX_DIGITS]}"
