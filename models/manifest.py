"""What a pack says of itself, as frozen values; each key of manifest.toml stands here with its meaning. Read by `manifest_reader`.

There are two kinds of packs. One recognises faces: a detector and an embedder. The other tells a face from a picture of one
(`PadManifest`); it is named and chosen apart, so that a site changes it without enrolling anybody again.

A pack's id is its name and a digest over everything that shapes a template (the tables `detector`, `embedder` with their graphs' digests).
Templates are bound to it: two packs with one id give comparable templates, and no others do. Quality bounds and thresholds are not part
of it, because they do not change a template. The id of a PAD pack covers its graphs, crops and thresholds.
"""

import hashlib
import json
from dataclasses import dataclass, replace
from types import MappingProxyType

from models.families import DETECTORS, EMBEDDERS, PADS, GraphSpec

FORMAT = 1
"""Version of the manifest's own layout."""

FILE = "manifest.toml"
CARD = "CARD.md"

ID_HEX_DIGITS = 12
"""Length of the digest in a pack's id: 48 bits, enough to tell packs apart; the graphs themselves are checked with all 256."""


@dataclass(frozen=True, slots=True)
class Source:
    """A published file that a part is built from, carried by a Python package."""

    part: str
    distribution: str  # the Python package that carries it
    version: str
    file: str  # path inside the installed package
    sha256: str
    licence: str


@dataclass(frozen=True, slots=True)
class Download:
    """A published file that a part is built from, fetched from an address or carried on a stick."""

    part: str
    address: str  # https; whatever host it redirects to, the digest decides
    file: str  # name, for people
    size: int  # bytes; nothing beyond it is read. For a file that was never had here: the most that is read
    sha256: str  # empty where only `git_blob` is known
    git_blob: str  # SHA-1 that git gives the file; empty where `sha256` is known
    licence: str


@dataclass(frozen=True, slots=True)
class Graph:
    """A built ONNX file of the pack."""

    file: str  # name inside the pack's folder
    sha256: str  # empty in a pack that was never built by us; the built pack's own manifest names it


Graphs = MappingProxyType[str, Graph]


@dataclass(frozen=True, slots=True)
class MtcnnPart:
    family: str
    graphs: Graphs
    mean: tuple[float, ...]  # of B, G, R 0..255; subtracted, then `scale`; the builder folds both into the graphs
    scale: float
    pyramid_factor: float  # side of one picture of the pyramid over the one before
    thresholds: tuple[float, ...]  # least score to go on, of P-, R- and O-Net, 0..1

    @property
    def specs(self) -> tuple[GraphSpec, ...]:
        return DETECTORS[self.family]


@dataclass(frozen=True, slots=True)
class YunetPart:
    family: str
    graphs: Graphs
    input_width: int  # of the picture that is searched, pixels; a frame is shrunk to fit into it
    input_height: int
    near_px: int  # side of the cut-out in which one face is looked at
    threshold: float  # least score of a face, 0..1
    overlap_max: float  # two boxes that overlap more are one face; intersection over union

    @property
    def specs(self) -> tuple[GraphSpec, ...]:
        return DETECTORS[self.family]


DetectorPart = MtcnnPart | YunetPart


@dataclass(frozen=True, slots=True)
class FoldedEmbedderPart:
    """An embedder that this project builds: it takes a chip as it is."""

    family: str
    graphs: Graphs
    mean: tuple[float, ...]  # of R, G, B 0..255; subtracted, then `scale`; the builder folds both into the graphs
    scale: float
    chip_px: int  # side of the square chip
    template_length: int
    metric: str  # euclidean (on the raw template) or cosine
    mirror: bool  # a template is the mean of the chip's and of its mirror image's
    alignment: tuple[tuple[float, float], ...]  # where the five landmarks go on the chip, pixels; order as `Detections.landmarks`

    @property
    def specs(self) -> tuple[GraphSpec, ...]:
        return EMBEDDERS[self.family]


@dataclass(frozen=True, slots=True)
class ArcfacePart:
    """An embedder that was published as ONNX: its input is made as its authors made it."""

    family: str
    graphs: Graphs
    input: str  # name of the graph's input and of its output
    output: str
    channels: str  # rgb or bgr: the order that the graph wants
    mean: tuple[float, ...]  # of each channel in that order, 0..255; subtracted, then times `scale`
    scale: tuple[float, ...]
    chip_px: int
    template_length: int
    metric: str
    mirror: bool
    alignment: tuple[tuple[float, float], ...]

    @property
    def specs(self) -> tuple[GraphSpec, ...]:
        (spec,) = EMBEDDERS[self.family]
        shape = (spec.output_shape[0], self.template_length)
        return (replace(spec, input_name=self.input, output_name=self.output, output_shape=shape),)


EmbedderPart = FoldedEmbedderPart | ArcfacePart


@dataclass(frozen=True, slots=True)
class PadPart:
    family: str
    graphs: Graphs
    near_crop: float  # side of the crop over the side of the face's box
    far_crop: float
    bona_fide_min: float  # least score of a live face, 0..1
    attack_max: float  # largest score of an attack; between the two nothing is said
    frames: int  # least frames of one track before anything is said

    @property
    def specs(self) -> tuple[GraphSpec, ...]:
        return PADS[self.family]


AnyPart = DetectorPart | EmbedderPart | PadPart


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
    quality: QualityBounds
    comparison: Comparison
    sources: tuple[Source | Download, ...]
    id: str  # name and short digest; what templates are bound to

    @property
    def parts(self) -> tuple[AnyPart, ...]:
        return (self.detector, self.embedder)

    @property
    def graphs(self) -> tuple[Graph, ...]:
        return (*self.detector.graphs.values(), *self.embedder.graphs.values())


@dataclass(frozen=True, slots=True)
class PadManifest:
    name: str
    summary: str
    licence: str
    verified: bool
    pad: PadPart
    sources: tuple[Source | Download, ...]
    id: str

    @property
    def parts(self) -> tuple[AnyPart, ...]:
        return (self.pad,)

    @property
    def graphs(self) -> tuple[Graph, ...]:
        return tuple(self.pad.graphs.values())


AnyManifest = Manifest | PadManifest


def pack_id(name: str, *parts: AnyPart) -> str:
    """Returns the pack's id. Graph files count by their digests alone: a renamed file is the same model."""
    plain = [
        {
            key: {part: graph.sha256 for part, graph in value.items()} if isinstance(value, MappingProxyType) else value
            for key, value in ((key, getattr(each, key)) for key in each.__slots__)
        }
        for each in parts
    ]
    canonical = json.dumps([FORMAT, *plain], sort_keys=True, separators=(",", ":")).encode()
    return f"{name}-{hashlib.sha256(canonical).hexdigest()[:ID_HEX_DIGITS]}"
