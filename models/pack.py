"""A built pack: found, verified and opened."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from models import manifest as manifests
from models import manifest_reader
from models.detector import Detector, Mtcnn
from models.digests import read_verified
from models.embedder import Embedder, MirroredEmbedder
from models.errors import PackDamagedError, PackMissingError
from models.families import DETECTORS, EMBEDDERS, GraphSpec, row
from models.manifest import DetectorPart, EmbedderPart, Manifest
from models.session import BUILD_AGAIN, Session, give_back_memory


@dataclass(frozen=True, slots=True)
class Pack:
    """An opened pack. Its detector and embedder belong to one thread."""

    id: str
    manifest: Manifest
    detector: Detector
    embedder: Embedder


Sessions = Mapping[str, Session]

_DETECTORS: Mapping[str, Callable[[DetectorPart, Sessions], Detector]] = MappingProxyType(
    {
        "mtcnn": lambda part, sessions: Mtcnn(
            pnet=sessions["pnet"],
            rnet=sessions["rnet"],
            onet=sessions["onet"],
            pyramid_factor=part.pyramid_factor,
            thresholds=part.thresholds,
        ),
    },
)

_EMBEDDERS: Mapping[str, Callable[[EmbedderPart, Sessions], Embedder]] = MappingProxyType(
    {
        "dlib-resnet": lambda part, sessions: MirroredEmbedder(
            sessions["embedder"],
            dim=part.template_length,
            chip_px=part.chip_px,
            mirror=part.mirror,
            unit_length=part.metric == "cosine",
        ),
    },
)


def open_pack(directory: Path, *, threads: int = 1) -> Pack:
    """Opens a built pack, every graph's digest verified.

    threads: within one operator of a graph, 1 or more.

    Raises:
        PackMissingError: no such folder, or a file of it is absent.
        PackDamagedError: a file is not the one that the manifest names, or cannot be loaded.
        GraphShapeError: a graph has other inputs or outputs than its family needs.
        ManifestError, FamilyError: see `manifest_reader.load`.
    """
    manifest = read_manifest(directory)
    detector, embedder = manifest.detector, manifest.embedder
    detector_sessions = _sessions(
        directory, detector, row(DETECTORS, detector.family, kind="detector", place=str(directory)), threads=threads
    )
    embedder_sessions = _sessions(
        directory, embedder, row(EMBEDDERS, embedder.family, kind="embedder", place=str(directory)), threads=threads
    )
    give_back_memory()
    return Pack(
        id=manifest.id,
        manifest=manifest,
        detector=_DETECTORS[detector.family](detector, detector_sessions),
        embedder=_EMBEDDERS[embedder.family](embedder, embedder_sessions),
    )


def read_manifest(directory: Path) -> Manifest:
    """Returns the manifest of a built pack. Raises PackMissingError where there is none, else as `manifest_reader.load`."""
    file = directory / manifests.FILE
    if not file.is_file():
        raise PackMissingError(f"no built model pack in {directory}; {BUILD_AGAIN}")
    return manifest_reader.load(file)


def verify_pack(directory: Path) -> Manifest:
    """Checks every file's digest without loading a graph; returns the manifest. Raises as `open_pack`, less what only loading can show."""
    manifest = read_manifest(directory)
    for graph in manifest.graphs:
        read_verified(directory / graph.file, sha256=graph.sha256, error=PackDamagedError, missing=PackMissingError, remedy=BUILD_AGAIN)
    return manifest


def find_pack(name: str, search_dirs: tuple[Path, ...]) -> Path:
    """Returns the folder of the built pack `name` in the first of `search_dirs` that has it.

    Raises:
        PackMissingError: none has it; the error says which packs there are.
    """
    for folder in search_dirs:
        if (folder / name / manifests.FILE).is_file():
            return folder / name
    there = ", ".join(found.name for found in list_packs(search_dirs)) or "none"
    places = ", ".join(str(folder) for folder in search_dirs)
    raise PackMissingError(f"model pack {name!r} is not built (looked in {places}; packs there: {there}); {BUILD_AGAIN}")


def list_packs(search_dirs: tuple[Path, ...]) -> tuple[Path, ...]:
    """Returns the folders of all built packs, verified or not, in order of search and name."""
    return tuple(
        file.parent for folder in search_dirs for file in sorted(folder.glob(f"*/{manifests.FILE}")) if not file.parent.name.startswith(".")
    )


def _sessions(directory: Path, part: DetectorPart | EmbedderPart, specs: tuple[GraphSpec, ...], *, threads: int) -> Sessions:
    return {
        spec.part: Session(directory / graph.file, sha256=graph.sha256, spec=spec, threads=threads)
        for spec in specs
        for graph in (part.graphs[spec.part],)
    }
