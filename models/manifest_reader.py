"""manifest.toml to a `Manifest` or `PadManifest`: every key known, present and within its limits, or a refusal that names file and key."""

import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from models.errors import FamilyError, ManifestError
from models.families import CHIP_PX, DETECTORS, EMBEDDERS, PADS, GraphSpec, row
from models.manifest import (
    FORMAT,
    AnyManifest,
    ArcfacePart,
    Comparison,
    DetectorPart,
    Download,
    EmbedderPart,
    FoldedEmbedderPart,
    Graph,
    Graphs,
    Manifest,
    MtcnnPart,
    PadManifest,
    PadPart,
    QualityBounds,
    Source,
    YunetPart,
    pack_id,
)
from models.tables import Table

_SHA256 = re.compile(r"[0-9a-f]{64}")
_SHA1 = re.compile(r"[0-9a-f]{40}")
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_GRAPH_FILE = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}\.onnx")
_ADDRESS = re.compile(r"https://[a-z0-9.-]+/\S+")
METRICS = ("euclidean", "cosine")
CALIBRATIONS = ("pack-default",)
CHANNELS = ("rgb", "bgr")
SIZE_MAX = 2**30
"""Largest weight file, bytes: several times the largest face network in use."""

UNKNOWN = "unknown"
"""Stands for the digest of a graph that nobody here has built yet; only in a pack that says `verified = false`."""


def load(file: Path) -> Manifest:
    """Returns the manifest of a pack that recognises faces.

    Raises:
        ManifestError: unreadable, an unknown or missing key, a value outside its limits, or a pack of the other kind.
        FamilyError: it names a family that this version cannot run.
    """
    manifest = load_any(file)
    if isinstance(manifest, PadManifest):
        raise ManifestError(f"{file}: pack {manifest.name!r} detects attacks and recognises nobody; name it as recognition.pad_pack")
    return manifest


def load_pad(file: Path) -> PadManifest:
    """Returns the manifest of a pack that detects presentation attacks. Raises as `load`."""
    manifest = load_any(file)
    if isinstance(manifest, Manifest):
        raise ManifestError(f"{file}: pack {manifest.name!r} recognises faces and detects no attacks; name it as recognition.pack")
    return manifest


def load_any(file: Path) -> AnyManifest:
    """Returns the manifest of a pack of either kind. Raises as `load`."""
    try:
        text = file.read_text(encoding="utf-8")
        content = tomllib.loads(text)
    except OSError as reason:
        raise ManifestError(f"{file} cannot be read ({reason.strerror})") from reason
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as reason:
        raise ManifestError(f"{file} is not TOML: {reason}") from reason
    return parse(content, place=str(file))


def parse(content: dict[str, object], *, place: str) -> AnyManifest:
    """Returns the manifest that a TOML document holds. place: where it came from, for errors. Raises as `load`."""
    top = Table(place, "", dict(content))
    if (found := top.take_integer("format", low=0, high=2**31)) != FORMAT:
        raise top.refusal("format", f"is {found}; this version reads {FORMAT}")
    kind = top.take_choice("kind", tuple(_KINDS)) if top.has("kind") else "recognition"
    name = _matching(top, "name", _NAME, "lower-case letters, digits and hyphens, at most 64")
    summary, licence = top.take_text("summary"), top.take_text("licence")
    verified = _flag(top, "verified")
    manifest = _KINDS[kind](top, name, summary, licence, verified)
    top.finish()
    if manifest.verified and any(not graph.sha256 for graph in manifest.graphs):
        raise ManifestError(f"{place}: a verified pack names the digest of every graph, and not {UNKNOWN!r}")
    return manifest


def _recognition(top: Table, name: str, summary: str, licence: str, verified: bool) -> Manifest:
    detector, embedder = _detector(top.take_table("detector")), _embedder(top.take_table("embedder"))
    pad = top.take_table("pad")
    if (family := pad.take_text("family")) != "none":
        raise FamilyError(
            f"{top.file}: PAD family {family!r} stands in a pack that recognises faces; it is a pack of its own (kind = 'pad'), "
            "and here stands 'none'"
        )
    pad.finish()
    return Manifest(
        name=name,
        summary=summary,
        licence=licence,
        verified=verified,
        detector=detector,
        embedder=embedder,
        quality=_quality(top.take_table("quality")),
        comparison=_comparison(top.take_table("comparison")),
        sources=_sources(top),
        id=pack_id(name, detector, embedder),
    )


def _pad(top: Table, name: str, summary: str, licence: str, verified: bool) -> PadManifest:
    pad = _pad_part(top.take_table("pad"))
    return PadManifest(name, summary, licence, verified, pad, sources=_sources(top), id=pack_id(name, pad))


_KINDS: Mapping[str, Callable[[Table, str, str, str, bool], AnyManifest]] = MappingProxyType({"recognition": _recognition, "pad": _pad})


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


def _graph_sha256(table: Table) -> str:
    """The digest of a graph; empty where the manifest says that nobody knows it yet."""
    if table.left.get("sha256") == UNKNOWN:
        table.take("sha256")
        return ""
    return _sha256(table)


def _sources(top: Table) -> tuple[Source | Download, ...]:
    return tuple(_download(each) if each.has("address") else _source(each) for each in top.take_tables("source"))


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


def _download(table: Table) -> Download:
    by_git = table.has("git_blob")
    download = Download(
        part=table.take_text("part"),
        address=_matching(table, "address", _ADDRESS, "an address that begins with https://"),
        file=table.take_text("file"),
        size=table.take_integer("size", low=1, high=SIZE_MAX),
        sha256="" if by_git else _sha256(table),
        git_blob=_matching(table, "git_blob", _SHA1, "40 hexadecimal digits in lower case") if by_git else "",
        licence=table.take_text("licence"),
    )
    table.finish()
    return download


def _graphs(table: Table, specs: tuple[GraphSpec, ...]) -> Graphs:
    graphs = {}
    for spec in specs:
        entry = table.take_table(spec.part)
        graphs[spec.part] = Graph(_matching(entry, "file", _GRAPH_FILE, "a plain file name that ends in .onnx"), _graph_sha256(entry))
        entry.finish()
    table.finish()
    return MappingProxyType(graphs)


def _graphs_of(rows: Mapping[str, tuple[GraphSpec, ...]], family: str, table: Table, *, kind: str) -> Graphs:
    specs = row(rows, family, kind=kind, place=table.file)
    return _graphs(table.take_table("graphs"), specs)


def _detector(table: Table) -> DetectorPart:
    family = table.take_text("family")
    graphs = _graphs_of(DETECTORS, family, table, kind="detector")
    part = _DETECTORS[family](table, family, graphs)
    table.finish()
    return part


def _mtcnn(table: Table, family: str, graphs: Graphs) -> MtcnnPart:
    return MtcnnPart(
        family=family,
        graphs=graphs,
        mean=table.take_numbers("mean", count=3, low=0, high=255),
        scale=table.take_number("scale", low=1e-6, high=1),
        pyramid_factor=table.take_number("pyramid_factor", low=0.5, high=0.95),
        thresholds=table.take_numbers("thresholds", count=3, low=0.01, high=0.999),
    )


def _yunet(table: Table, family: str, graphs: Graphs) -> YunetPart:
    sides = {}
    for key in ("input_width", "input_height", "near_px"):
        sides[key] = table.take_integer(key, low=32, high=2048)
        if sides[key] % 32:
            raise table.refusal(key, f"is {sides[key]}; the network's grids need a multiple of 32")
    return YunetPart(
        family=family,
        graphs=graphs,
        **sides,
        threshold=table.take_number("threshold", low=0.01, high=0.999),
        overlap_max=table.take_number("overlap_max", low=0.05, high=0.95),
    )


_DETECTORS: Mapping[str, Callable[[Table, str, Graphs], DetectorPart]] = MappingProxyType({"mtcnn": _mtcnn, "yunet": _yunet})


def _embedder(table: Table) -> EmbedderPart:
    family = table.take_text("family")
    graphs = _graphs_of(EMBEDDERS, family, table, kind="embedder")
    part = _EMBEDDERS[family](table, family, graphs)
    table.finish()
    (spec,) = EMBEDDERS[family]
    for key, found, needed in (
        ("chip_px", part.chip_px, spec.input_shape[2]),
        ("template_length", part.template_length, spec.output_shape[1]),
    ):
        if needed and found != needed:
            raise table.refusal(key, f"is {found}; family {family!r} has {needed}")
    return part


def _folded(table: Table, family: str, graphs: Graphs) -> FoldedEmbedderPart:
    chip_px = table.take_integer("chip_px", low=32, high=512)
    return FoldedEmbedderPart(
        family=family,
        graphs=graphs,
        mean=table.take_numbers("mean", count=3, low=0, high=255),
        scale=table.take_number("scale", low=1e-6, high=1),
        chip_px=chip_px,
        template_length=table.take_integer("template_length", low=16, high=2048),
        metric=table.take_choice("metric", METRICS),
        mirror=_flag(table, "mirror"),
        alignment=table.take_points("alignment", count=5, low=0, high=chip_px),
    )


def _arcface(table: Table, family: str, graphs: Graphs) -> ArcfacePart:
    part = ArcfacePart(
        family=family,
        graphs=graphs,
        input=table.take_text("input"),
        output=table.take_text("output"),
        channels=table.take_choice("channels", CHANNELS),
        mean=table.take_numbers("mean", count=3, low=0, high=255),
        scale=table.take_numbers("scale", count=3, low=1e-6, high=1),
        chip_px=table.take_integer("chip_px", low=32, high=512),
        template_length=table.take_integer("template_length", low=16, high=2048),
        metric=table.take_choice("metric", METRICS),
        mirror=_flag(table, "mirror"),
        alignment=table.take_points("alignment", count=5, low=0, high=CHIP_PX),
    )
    (spec,) = EMBEDDERS[family]
    for key, found, needed in (("input", part.input, spec.input_name), ("output", part.output, spec.output_name)):
        if needed and found != needed:
            raise table.refusal(key, f"is {found!r}; family {family!r} has {needed!r}")
    return part


_EMBEDDERS: Mapping[str, Callable[[Table, str, Graphs], EmbedderPart]] = MappingProxyType(
    {"dlib-resnet": _folded, "arcface": _arcface, "sface": _arcface}
)


def _pad_part(table: Table) -> PadPart:
    family = table.take_text("family")
    part = PadPart(
        family=family,
        graphs=_graphs_of(PADS, family, table, kind="PAD"),
        near_crop=table.take_number("near_crop", low=1, high=10),
        far_crop=table.take_number("far_crop", low=1, high=10),
        bona_fide_min=table.take_number("bona_fide_min", low=0, high=1),
        attack_max=table.take_number("attack_max", low=0, high=1),
        frames=table.take_integer("frames", low=1, high=15),
    )
    table.finish()
    if part.attack_max >= part.bona_fide_min:
        raise table.refusal("attack_max", f"is {part.attack_max}; it must be below bona_fide_min, {part.bona_fide_min}")
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
