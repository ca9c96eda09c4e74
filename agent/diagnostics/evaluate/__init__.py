"""`gate-agent evaluate`: how often this machine's recognition is wrong, on a user's own pictures, at a threshold fixed beforehand.

samples.py turns files into templates and remembers what could not be; pairs.py compares one with one, identification.py searches a gallery,
pad.py tells people from attacks; report.py writes what was found: text, one page, and the worst cases as a contact sheet.
"""

import argparse
import json
from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from types import MappingProxyType
from typing import Final

FPIR: Final = 0.01
MIN_FACE_PX: Final = 40
FACE_PX_MIN, FACE_PX_MAX = 12, 4096
_GOES_WITH: Final[Mapping[str, str]] = MappingProxyType({"images": "pairs", "probes": "gallery", "calibration": "gallery"})


def add_arguments(parser: argparse.ArgumentParser) -> None:
    what = parser.add_argument_group("what to evaluate (one of)")
    what.add_argument("--pairs", type=Path, metavar="FILE.csv", help="pairs: columns file_x, file_y, Decision (Yes: one person, No: two)")
    what.add_argument("--images", type=Path, metavar="DIR", help="where the pairs' files lie (default: beside the CSV file)")
    what.add_argument("--gallery", type=Path, metavar="DIR", help="identification: a sub-folder of reference pictures for each person")
    what.add_argument("--probes", type=Path, metavar="DIR", help="pictures to search with: sub-folders by person, strangers in unknown/")
    what.add_argument("--pad", type=Path, metavar="DIR", help="attack detection: bona_fide/ and one folder for each kind of attack")
    parser.add_argument("--pack", default="mtcnn-dlib", help="model pack (default: %(default)s)")
    parser.add_argument("--pad-pack", default="minifasnet", help="pack that detects attacks, for --pad (default: %(default)s)")
    parser.add_argument("--packs-dir", type=Path, metavar="DIR", help="where packs lie (default: $GATE_AGENT_PACKS, else build/packs)")
    parser.add_argument("--threshold", type=_finite, help="score from which two are one person (default: of the pack, or by --fpir)")
    parser.add_argument(
        "--fpir",
        type=_rate,
        default=FPIR,
        help="target from which a threshold is measured on a gallery of 100 people or more (default: %(default)s)",
    )
    parser.add_argument(
        "--calibration", type=Path, metavar="FILE", help="take the threshold of this calibration.json of gate-roster calibrate"
    )
    parser.add_argument(
        "--min-face", type=_face_px, default=MIN_FACE_PX, metavar="PX", help="side of the smallest face looked for (default: %(default)s)"
    )
    parser.add_argument("--gate-quality", action="store_true", help="refuse pictures that a gate would refuse: they count as not acquired")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write report.html, det.svg and worst.png there (default: evaluation)")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise argparse.ArgumentTypeError(f"{text} is no threshold; it must be neither infinite nor nan")
    return number


def _rate(text: str) -> float:
    number = float(text)
    if not 0 < number < 1:
        raise argparse.ArgumentTypeError(f"{text} is no rate; it lies within 0 and 1, for example 0.01 for one in a hundred")
    return number


def _face_px(text: str) -> int:
    number = int(text)
    if not FACE_PX_MIN <= number <= FACE_PX_MAX:
        raise argparse.ArgumentTypeError(f"{text} is no side of a face; {FACE_PX_MIN} to {FACE_PX_MAX} pixels are possible")
    return number


def run(args: argparse.Namespace) -> int:
    """Evaluate; returns 0 whatever the rates are: they are for people to judge."""
    from agent.diagnostics.evaluate.evaluation import evaluate  # noqa: PLC0415  the models are not needed for --help
    from agent.errors import UsageError  # noqa: PLC0415

    chosen = [name for name in ("pairs", "gallery", "pad") if getattr(args, name) is not None]
    if len(chosen) != 1:
        raise UsageError("say what to evaluate: --pairs FILE.csv [--images DIR], or --gallery DIR --probes DIR, or --pad DIR")
    if (args.gallery is None) != (args.probes is None):
        raise UsageError("identification needs both --gallery DIR and --probes DIR")
    for option, mode in _GOES_WITH.items():
        if getattr(args, option) is not None and chosen != [mode]:
            raise UsageError(f"--{option} goes with --{mode} only")
    if args.threshold is not None and args.calibration is not None:
        raise UsageError("give --threshold or --calibration, not both: each says from which score two are one person")
    if args.pad is not None and args.threshold is not None and not 0 <= args.threshold <= 1:
        raise UsageError(f"--threshold {args.threshold:g}: a score of attack detection lies within 0 and 1")
    found = evaluate(chosen[0], args)
    for line in found.text:
        print(line)
    if args.json:
        print(json.dumps(found.values, allow_nan=False))
    return 0
