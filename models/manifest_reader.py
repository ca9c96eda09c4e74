"""manifest.toml to a `Manifest`: every key known, present and within its limits, or a refusal that names file and key."""

import re
import tomllib
from pathlib import Path
from types import MappingProxyType

from models.errors import ManifestError
from models.families import DETECTORS, EMBEDDERS, PADS, GraphSpec, row
from models.manifest import FORMAT, Comparison, DetectorPart, EmbedderPart, Graph, Manifest, QualityBounds, Source, pack_id
from models.tables import Table

_SHA256 = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_GRAPH_FILE = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}\.onnx")
METRICS = ("euclidean", "cosine")
CALIBRATIONS = ("pack-default",)


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
        id=pack_id(name, detector, embedder),
    )


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
    for key, found, needed in (
        ("chip_px", part.chip_px, specs[0].input_shape[2]),
        ("template_length", part.template_length, specs[0].output_shape[1]),
    ):
        if needed is not None and found != needed:
            raise table.refusal(key, f"is {found}; family {family!r} has {needed}")
    return part


def _quality(table: Table) -> QualityBounds:
    bounds = QualityBounds(
        detector_score_min=table.take_number("detector_score_min", low=0, high=1),
        min_eye_distance_px=table.take_number("min_eye_distance_px", low=8, high=500),
        max_yaw=table.take_number("max_yaw", low=0, high=2),
        min_blur=table.take_number("min_blur", low=0, high=1e5),
        min_brightness=table.take_number("min_brightness", low=0, high=255),
        max_brightness=table.take_number("max_brightness", low=0, high=255),
        max_clipped=table.take_number("max_clipped", low=0, high=1),
    )
    table.finish()
    if bounds.min_brightness >= bounds.max_brightness:
        raise table.refusal("min_brightness", f"is {bounds.min_brightness}; it must be below max_brightness, {bounds.max_brightness}")
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
