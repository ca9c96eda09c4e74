"""From the arguments to a finished evaluation: the pack, the pictures, the rates, the files written."""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

import cv2
import numpy as np

from agent.biometrics.errors import CalibrationError
from agent.biometrics.tail import Tail
from agent.diagnostics.evaluate import report
from agent.diagnostics.evaluate.found import Found
from agent.diagnostics.evaluate.identification import evaluate_identification, gallery_of, read_folders, rule_of
from agent.diagnostics.evaluate.pad import evaluate_pad, read_presentations, score_presentations
from agent.diagnostics.evaluate.pairs import evaluate_pairs, read_pairs
from agent.diagnostics.evaluate.samples import Acquired, Looker, acquire
from agent.errors import UsageError
from models.pack import Pack, find_pack, open_pack, open_pad_pack
from models.places import built_folder

OUT: Final = Path("evaluation")
BAR: Final = 30  # characters


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What the command prints. text: lines for people; values: for programs."""

    text: Iterator[str]
    values: Mapping[str, object]


def evaluate(what: str, args: argparse.Namespace) -> Evaluation:
    """Raises UsageError: wrong input. ModelError: no such pack. CalibrationError: a threshold that cannot be measured."""
    found = _EVALUATIONS[what](args)
    out: Path = args.out or OUT
    try:
        report.write(found, out)
    except OSError as error:
        raise UsageError(f"{out} cannot be written ({error.strerror}); name another folder with --out") from error
    return Evaluation(report.text(found, out), found.values)


def _pairs(args: argparse.Namespace) -> Found:
    pairs = read_pairs(args.pairs, args.images or args.pairs.parent)
    pack = _pack(args)
    acquired = _acquired(sorted({file for pair in pairs for file in (pair.one, pair.other)}), pack, args)
    if args.threshold is not None:
        return evaluate_pairs(pairs, acquired, threshold=args.threshold)
    source = "the pack's own for searches among few people, stricter than one for pairs alone"
    return evaluate_pairs(pairs, acquired, threshold=-pack.manifest.comparison.threshold_plain, source=source)


def _identification(args: argparse.Namespace) -> Found:
    folders = read_folders(args.gallery, args.probes)
    tail, fpir = _tail(args)
    pack = _pack(args)
    acquired = _acquired(folders.files, pack, args)
    references = {
        name: np.stack([acquired.templates[file] for file in files if file in acquired.templates])
        for name, files in folders.references.items()
        if any(file in acquired.templates for file in files)
    }
    if not references:
        raise UsageError(f"no picture in {args.gallery} gave a template; the first: {next(iter(acquired.failures.items()), 'none')}")
    rule = rule_of(list(references.values()), acquired, defaults=pack.manifest.comparison, fpir=fpir, threshold=args.threshold, tail=tail)
    gallery = gallery_of(references, acquired, rule, pack=pack.id)
    return evaluate_identification(folders, acquired, gallery=gallery, source=rule.source)


def _pad(args: argparse.Namespace) -> Found:
    presentations = read_presentations(args.pad)
    looker = Looker(_pack(args), min_face_px=args.min_face, strict=args.gate_quality)
    pack = open_pad_pack(find_pack(args.pad_pack, (args.packs_dir or built_folder(),)))
    looks = looker.subjects([each.file for each in presentations], progress=_bar)
    scores, failures = score_presentations(looks, pack.pad)
    threshold = pack.manifest.pad.bona_fide_min if args.threshold is None else args.threshold
    return evaluate_pad(presentations, scores, failures, threshold=threshold, pack=pack.id)


_EVALUATIONS: Mapping[str, Callable[[argparse.Namespace], Found]] = MappingProxyType(
    {"pairs": _pairs, "gallery": _identification, "pad": _pad}
)


def _tail(args: argparse.Namespace) -> tuple[Tail | None, float]:
    """The tail of a calibration's file, where one is given, and the target."""
    if args.calibration is None:
        return None, args.fpir
    try:
        content = json.loads(args.calibration.read_text(encoding="utf-8"))
        return Tail.of([float(figure) for figure in content["tail"]]), float(content["fpir"])
    except (OSError, ValueError, KeyError, TypeError, CalibrationError) as error:
        raise UsageError(f"{args.calibration} is no calibration ({error}); it is made by: gate-roster calibrate") from error


def _pack(args: argparse.Namespace) -> Pack:
    cv2.setNumThreads(1)
    return open_pack(find_pack(args.pack, (args.packs_dir or built_folder(),)))


def _acquired(files: "list[Path] | tuple[Path, ...]", pack: Pack, args: argparse.Namespace) -> Acquired:
    return acquire(files, pack, min_face_px=args.min_face, gate_quality=args.gate_quality, progress=_bar)


def _bar(done: int, total: int, name: str) -> None:
    """On a terminal only."""
    if sys.stderr.isatty():
        filled = BAR * done // max(total, 1)
        line = f"\r[{'#' * filled}{'.' * (BAR - filled)}] {done}/{total} {name:<40.40}"
        print(line if done < total else "\r" + " " * len(line) + "\r", end="", file=sys.stderr, flush=True)
