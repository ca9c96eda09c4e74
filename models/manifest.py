"""The manifest of a pack: TOML to frozen values. What a key means stands beside its field.

A pack's id is its name and a digest over everything that shapes a template (the tables `detector`, `embedder` with their graphs' digests).
Templates are bound to it: two packs with one id give comparable templates, and no others do. Quality bounds and thresholds are not part
of it, because they do not change a template.
"""

import hashlib
import json
import re
import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType

from models.errors import ManifestError
from models.families import DETECTORS, EMBEDDERS, PADS, GraphSpec, row
from models.tables import Table

FORMAT = 1
"""Version of the manifest's own layout."""

FILE = "manifest.toml"
CARD = "CARD.md"

ID_HEX_DIGITS = 12
"""Length of the digest in a pack's id: 48 bits, enough to tell packs apart; the graphs themselves are checked with all 256."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_GRAPH_FILE = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}\.onnx")

METRICS = ("euclidean", "cosine")
CALIBRATIONS = ("pack-default",)


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
    mean: tuple[float, ...]  # of B, G, R 0..255; subtracted, then `scale`. The graphs of an own build hold it already
    scale: float
    pyramid_factor: float  # side of one picture of the pyramid over the one before
    thresholds: tuple[float, ...]  # least score to go on, of P-, R- and O-Net, 0..1


@dataclass(frozen=True, slots=True)
class EmbedderPart:
    family: str
    graphs: MappingProxyType[str, Graph]
    mean: tuple[float, ...]  # of R, G, B 0..255; subtracted, then `scale`. The graphs of an own build hold it already
    scale: float
    chip_px: int  # side of the square chip
    template_length: int
    metric: str  # euclidean (on the raw template) or cosine
    mirror: bool  # a template is the mean of the chip's and of its mirror image's
    alignment: tuple[tuple[float, float], ...]  # where the five landmarks go on the chip, pixels; order as `Detections.landmarks`


@dataclass(frozen=True, slots=True)
class QualityBounds:
    """What a sample needs for this pack's intended use. How each is measured: CARD.md, "Quality"."""

    eye_distance_min_px: float  # between the eyes, in the frame
    detector_score_min: float  # 0..1
    roll_max_deg: float  # of the line between the eyes
    yaw_max: float  # nose off the middle of the eyes along the eye line, in eye distances, absolute
    pitch_min: float  # nose's place between eye line (0) and mouth line (1)
    pitch_max: float
    sharpness_min: float  # variance of the Laplacian of the grey chip
    brightness_min: float  # mean grey of the chip, 0..255
    brightness_max: float
    clipped_max: float  # part of the chip's pixels that are 0..2 or 253..255


@dataclass(frozen=True, slots=True)
class Comparison:
    """Default thresholds. A score is a distance: less is more alike."""

    calibration: str  # pack-default: no FPIR claim
    people_max: int  # a roster with more people needs a measured calibration
    cohort_size: int  # K of the normalisation: how many smallest distances to other people are averaged
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


def load(file: Path) -> Manifest:
    """Returns the manifest.

    Raises:
        ManifestError: unreadable, an unknown or missing key, a value outside its limits.
        FamilyError: it names a family that this version cannot run.
    """
    try:
        text = file.read_text(encoding="utf-8")
        content = tomllib.loads(text)
    except OSError as reason:
        raise ManifestError(f"{file} cannot be read ({reason.strerror})") from reason
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as reason:
        raise ManifestError(f"{file} is not TOML: {reason}") from reason
    return parse(content, place=str(file))


def parse(content: dict[str, object], *, place: str) -> Manifest:
    """Returns the manifest that a TOML document holds. place: where it came from, for errors. Raises as `load`."""
    top = Table(place, "", dict(content))
    if (found := top.take_integer("format", low=0, high=2**31)) != FORMAT:
        raise top.refusal("format", f"is {found}; this version reads {FORMAT}")
    name = _matching(top, "name", _NAME, "lower-case letters, digits and hyphens, at most 64")
    summary, licence = top.take_text("summary"), top.take_text("licence")
    verified = _flag(top, "verified")
    detector, embedder = _detector(top.take_table("detector")), _embedder(top.take_table("embedder"))
    pad_table = top.take_table("pad")
    pad = pad_table.take_text("family")
    row(PADS, pad, kind="PAD", place=place)
    pad_table.finish()
    quality, comparison = _quality(top.take_table("quality")), _comparison(top.take_table("comparison"))
    sources = tuple(_source(each) for each in top.take_tables("source"))
    top.finish()
    return Manifest(
        name=name,
        summary=summary,
        licence=licence,
        verified=verified,
        detector=detector,
        embedder=embedder,
        pad=pad,
        quality=quality,
        comparison=comparison,
        sources=sources,
        id=f"{name}-{_functional_digest(detector, embedder)}",
    )


def _functional_digest(detector: DetectorPart, embedder: EmbedderPart) -> str:
    # Graph files are named by their digest alone: a renamed file is the same model.
    parts = [
        {
            key: {part: graph.sha256 for part, graph in value.items()} if isinstance(value, MappingProxyType) else value
            for key, value in ((name, getattr(each, name)) for name in each.__slots__)
        }
        for each in (detector, embedder)
    ]
    canonical = json.dumps([FORMAT, *parts], sort_keys=True, separators=(",", ":")).encode()
    return hashlib.sha256(canonical).hexdigest()[:ID_HEX_DIGITS]


def _matching(table: Table, key: str, pattern: re.Pattern[str], allowed: str) -> str:
    value = table.take_text(key)
    if not pattern.fullmatch(value):
        raise table.refusal(key, f"is {value!r}; it must be {allowed}")
    return value


def _flag(table: Table, key: str) -> bool:
    value = table.take(key)
    if not isinstance(value, bool):
        raise table.refusal(key, f"is {value!r}; it must be true or false")
    return value


def _sha256(table: Table) -> str:
    return _matching(table, "sha256", _SHA256, "64 hexadecimal digits in lower case")


def _source(table: Table) -> Source:
    source = Source(
        part=table.take_text("part"),
        distribution=table.take_text("distribution"),
        version=table.take_text("version"),
        file=table.take_text("file"),
        sha256=_sha256(table),
        licence=table.take_text("licence"),
    )
    table.finish()
    return source


def _graphs(table: Table, specs: tuple[GraphSpec, ...]) -> MappingProxyType[str, Graph]:
    graphs = {}
    for spec in specs:
        entry = table.take_table(spec.part)
        graphs[spec.part] = Graph(_matching(entry, "file", _GRAPH_FILE, "a plain file name that ends in .onnx"), _sha256(entry))
        entry.finish()
    table.finish()
    return MappingProxyType(graphs)


def _detector(table: Table) -> DetectorPart:
    family = table.take_text("family")
    specs = row(DETECTORS, family, kind="detector", place=table.file)
    part = DetectorPart(
        family=family,
        graphs=_graphs(table.take_table("graphs"), specs),
        mean=table.take_numbers("mean", count=3, low=0, high=255),
        scale=table.take_number("scale", low=1e-6, high=1),
        pyramid_factor=table.take_number("pyramid_factor", low=0.5, high=0.95),
        thresholds=table.take_numbers("thresholds", count=3, low=0.01, high=0.999),
    )
    table.finish()
    return part


def _embedder(table: Table) -> EmbedderPart:
    family = table.take_text("family")
    specs = row(EMBEDDERS, family, kind="embedder", place=table.file)
    chip_px = table.take_integer("chip_px", low=32, high=512)
    part = EmbedderPart(
        family=family,
        graphs=_graphs(table.take_table("graphs"), specs),
        mean=table.take_numbers("mean", count=3, low=0, high=255),
        scale=table.take_number("scale", low=1e-6, high=1),
        chip_px=chip_px,
        template_length=table.take_integer("template_length", low=16, high=2048),
        metric=table.take_choice("metric", METRICS),
        mirror=_flag(table, "mirror"),
        alignment=table.take_points("alignment", count=5, low=0, high=chip_px),
    )
    table.finish()
    return part


def _quality(table: Table) -> QualityBounds:
    bounds = QualityBounds(
        eye_distance_min_px=table.take_number("eye_distance_min_px", low=8, high=500),
        detector_score_min=table.take_number("detector_score_min", low=0, high=1),
        roll_max_deg=table.take_number("roll_max_deg", low=0, high=90),
        yaw_max=table.take_number("yaw_max", low=0, high=2),
        pitch_min=table.take_number("pitch_min", low=-1, high=2),
        pitch_max=table.take_number("pitch_max", low=-1, high=2),
        sharpness_min=table.take_number("sharpness_min", low=0, high=1e5),
        brightness_min=table.take_number("brightness_min", low=0, high=255),
        brightness_max=table.take_number("brightness_max", low=0, high=255),
        clipped_max=table.take_number("clipped_max", low=0, high=1),
    )
    table.finish()
    for low, high in (("pitch_min", "pitch_max"), ("brightness_min", "brightness_max")):
        if asdict(bounds)[low] >= asdict(bounds)[high]:
            raise table.refusal(low, f"is not below {high}; exchange them")
    return bounds


def _comparison(table: Table) -> Comparison:
    comparison = Comparison(
        calibration=table.take_choice("calibration", CALIBRATIONS),
        people_max=table.take_integer("people_max", low=1, high=300),
        cohort_size=table.take_integer("cohort_size", low=1, high=1000),
        threshold_plain=table.take_number("threshold_plain", low=0, high=10),
        threshold_normalised=table.take_number("threshold_normalised", low=-10, high=10),
        margin=table.take_number("margin", low=0, high=10),
    )
    table.finish()
    return comparison


__all__ = [
    "CARD",
    "FILE",
    "Comparison",
    "DetectorPart",
    "EmbedderPart",
    "Graph",
    "Manifest",
    "ManifestError",
    "QualityBounds",
    "Source",
    "load",
    "parse",
]
