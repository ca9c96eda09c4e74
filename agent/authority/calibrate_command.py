"""The arguments of `gate-roster calibrate`, and what it does in order."""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from agent.authority import calibrate_report
from agent.authority.authority import Authority
from agent.authority.calibrate import Calibrated, calibrate
from agent.authority.files import write_whole
from agent.biometrics.measurement import Targets
from agent.biometrics.measuring import PAIRS_MAX, Progress
from agent.errors import UsageError

PAGE: Final = "calibration.html"
FPIR: Final = 0.01
"""One stranger in a hundred, unless a site says otherwise; guidance for access to a facility asks for 0.003."""
FNIR: Final = 0.2
"""One rightful person in five is sent to the desk: what the default pack can do with single press pictures. A good pack does far better."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--fpir", type=float, default=FPIR, metavar="RATE", help="strangers who find somebody, of attempts (default: %(default)s)"
    )
    parser.add_argument("--fnir", type=float, default=FNIR, metavar="RATE", help="rightful people who are not found (default: %(default)s)")
    parser.add_argument("--report", type=Path, metavar="FILE", help=f"the page (default: {PAGE} in the authority's folder)")
    parser.add_argument("--pairs", type=int, default=PAIRS_MAX, metavar="N", help="comparisons at most; above it pictures are sampled")
    parser.add_argument("--discard", action="store_true", help="forget the measurement: releases carry the pack's default again")


def discard(authority: Authority) -> str:
    authority.keep_measurement(None)
    return "the measurement is discarded; releases carry the pack's default, for at most 300 people"


def run(options: argparse.Namespace, authority: Authority, *, margin: float, progress: Progress) -> tuple[Calibrated, Path]:
    """Measure, keep the record and write the page.

    Raises:
        UsageError: the page has no place, or no comparison is allowed. Else as calibrate.
    """
    page: Path = options.report or authority.folder / PAGE
    if page.is_dir() or not page.parent.is_dir():
        raise UsageError(f"--report {page} is no place for a page; name a file in a folder that exists")
    if options.pairs < 1:
        raise UsageError(f"--pairs {options.pairs} leaves nothing to compare; the default is {PAIRS_MAX}")
    targets = Targets(fpir=options.fpir, fnir=options.fnir)
    done = calibrate(authority, targets=targets, margin=margin, now_s=int(time.time()), pairs_max=options.pairs, progress=progress)
    authority.keep_measurement(done.file)
    write_whole(page, calibrate_report.html(done).encode())
    return done, page


Bar = Callable[[int, int, str], None]


def shown(bar: Bar) -> Progress:
    return lambda done, total: bar(done, total, "% measured")
