"""A built pack: found, verified and opened."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

import numpy as np

from models import manifest as manifests
from models import manifest_reader
from models.detector import Detector, Mtcnn
from models.digests import read_verified
from models.embedder import Embedder, InputForm, MirroredEmbedder
from models.errors import PackDamagedError, PackMissingError
from models.manifest import (
    AnyManifest,
    AnyPart,
    ArcfacePart,
    DetectorPart,
    EmbedderPart,
    FoldedEmbedderPart,
    Manifest,
    MtcnnPart,
    PadManifest,
    YunetPart,
)
from models.pad import MiniFasnet, Pad
from models.places import make_again
from models.session import Session, give_back_memory
from models.yunet import Yunet


@dataclass(frozen=True, slots=True)
class Pack:
    """An opened pack. Its detector and embedder belong to one thread."""

    id: str
    manifest: Manifest
    detector: Detector
    embedder: Embedder


@dataclass(frozen=True, slots=True)
class PadPack:
    """An opened pack that detects presentation attacks. Belongs to one thread."""

    id: str
    manifest: PadManifest
    pad: Pad


Sessions = Mapping[str, Session]


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
    detector = _detector(manifest.detector, _sessions(directory, manifest.detector, threads=threads))
    embedder = _embedder(manifest.embedder, _sessions(directory, manifest.embedder, threads=threads))
    give_back_memory()
    return Pack(id=manifest.id, manifest=manifest, detector=detector, embedder=embedder)


def open_pad_pack(directory: Path, *, threads: int = 1) -> PadPack:
    """Opens a built pack that detects presentation attacks. Raises as `open_pack`."""
    manifest = manifest_reader.load_pad(_manifest_file(directory))
    part = manifest.pad
    sessions = _sessions(directory, part, threads=threads)
    pad = MiniFasnet(near=sessions["near"], far=sessions["far"], near_crop=part.near_crop, far_crop=part.far_crop)
    give_back_memory()
    return PadPack(id=manifest.id, manifest=manifest, pad=pad)


def open_any(directory: Path) -> Pack | PadPack:
    """Opens a built pack of either kind. Raises as `open_pack`."""
    manifest = manifest_reader.load_any(_manifest_file(directory))
    return open_pack(directory) if isinstance(manifest, Manifest) else open_pad_pack(directory)


def read_manifest(directory: Path) -> Manifest:
    """Returns the manifest of a built pack. Raises PackMissingError where there is none, else as `manifest_reader.load`."""
    return manifest_reader.load(_manifest_file(directory))


def verify_pack(directory: Path) -> AnyManifest:
    """Checks every file's digest without loading a graph; returns the manifest. Raises as `open_pack`, less what only loading can show."""
    manifest = manifest_reader.load_any(_manifest_file(directory))
    remedy = make_again(directory.name)
    for graph in manifest.graphs:
        read_verified(directory / graph.file, sha256=graph.sha256, error=PackDamagedError, missing=PackMissingError, remedy=remedy)
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
    raise PackMissingError(f"model pack {name!r} is not built (looked in {places}; packs there: {there}); {make_again(name)}")


def list_packs(search_dirs: tuple[Path, ...]) -> tuple[Path, ...]:
    """Returns the folders of all built packs, verified or not, in order of search and name."""
    return tuple(
        file.parent for folder in search_dirs for file in sorted(folder.glob(f"*/{manifests.FILE}")) if not file.parent.name.startswith(".")
    )


def _manifest_file(directory: Path) -> Path:
    file = directory / manifests.FILE
    if not file.is_file():
        raise PackMissingError(f"no built model pack in {directory}; {make_again(directory.name)}")
    return file


def _sessions(directory: Path, part: AnyPart, *, threads: int) -> Sessions:
    return {
        spec.part: Session(directory / graph.file, sha256=graph.sha256, spec=spec, threads=threads)
        for spec in part.specs
        for graph in (part.graphs[spec.part],)
    }


def _detector(part: DetectorPart, sessions: Sessions) -> Detector:
    match part:
        case MtcnnPart():
            return Mtcnn(
                pnet=sessions["pnet"],
                rnet=sessions["rnet"],
                onet=sessions["onet"],
                pyramid_factor=part.pyramid_factor,
                thresholds=part.thresholds,
            )
        case YunetPart():
            return Yunet(
                sessions["yunet"],
                width=part.input_width,
                height=part.input_height,
                near_px=part.near_px,
                threshold=part.threshold,
                overlap_max=part.overlap_max,
            )
        case unknown:
            assert_never(unknown)


def _embedder(part: EmbedderPart, sessions: Sessions) -> Embedder:
    match part:
        case FoldedEmbedderPart():
            form = None
        case ArcfacePart():
            form = InputForm(
                mean=np.array(part.mean, dtype=np.float32), scale=np.array(part.scale, dtype=np.float32), bgr=part.channels == "bgr"
            )
        case unknown:
            assert_never(unknown)
    return MirroredEmbedder(
        sessions["embedder"],
        dim=part.template_length,
        chip_px=part.chip_px,
        mirror=part.mirror,
        unit_length=part.metric == "cosine",
        form=form,
    )
