"""`gate-agent bench`: what this machine does with a lane, as ratios to what it cannot do without. Numbers to read, never to pass or fail.

floor.py holds the fixed list of bare model calls, recognition.py the whole way of a frame beside it, lane.py whole walk-ups to the release
at the controller, start.py the start of the program, figures.py the arithmetic.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

BLOCKS, PEOPLE, WALK_UPS, STARTS = 20, 15_000, 30, 5
PARTS = ("recognition", "walk-ups", "start")
BAR = 30  # characters


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)} (default: all)")
    parser.add_argument("--blocks", type=int, default=BLOCKS, help="interleaved blocks of the recognition's ratios (default: %(default)s)")
    parser.add_argument("--people", type=int, default=PEOPLE, help="made-up people in the roster (default: %(default)s)")
    parser.add_argument("--walk-ups", type=int, default=WALK_UPS, help="people who walk up, two seconds each (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Measure the parts one after the other; the machine should do nothing else meanwhile."""
    from agent.errors import UsageError  # noqa: PLC0415  the parts need the models; --help does not

    unknown = [part for part in args.parts if part not in PARTS]
    if unknown:
        raise UsageError(f"bench has no part '{unknown[0]}'; there are: {', '.join(PARTS)}")
    for name, least in (("blocks", 1), ("people", 100), ("walk_ups", 1)):
        if getattr(args, name) < least:
            raise UsageError(f"--{name.replace('_', '-')} is {getattr(args, name)}; the least is {least}")
    figures = {part: _MEASURES[part](args) for part in args.parts or PARTS}
    if args.json:
        print(json.dumps(figures))
    else:
        _print(figures)
    return 0


def _recognition(args: argparse.Namespace) -> dict[str, object]:
    from agent.diagnostics.bench.recognition import measure  # noqa: PLC0415

    return measure(blocks=args.blocks, people=args.people, progress=_bar("recognition", args.blocks))


def _walk_ups(args: argparse.Namespace) -> dict[str, object]:
    from agent.diagnostics.bench.lane import measure  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="gate-bench-") as folder:
        return measure(args.walk_ups, args.people, Path(folder), progress=_bar("walk-ups", args.walk_ups))


def _start(_args: argparse.Namespace) -> dict[str, object]:
    from agent.diagnostics.bench.start import measure  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="gate-bench-") as folder:
        return measure(STARTS, Path(folder), progress=_bar("start", STARTS))


_MEASURES: Mapping[str, Callable[[argparse.Namespace], dict[str, object]]] = {
    "recognition": _recognition,
    "walk-ups": _walk_ups,
    "start": _start,
}


def _bar(what: str, total: int) -> Callable[[int], None]:
    """A progress bar on a terminal, nothing elsewhere."""

    def show(done: int) -> None:
        if sys.stderr.isatty():
            filled = BAR * min(done, total) // total
            end = "\n" if done >= total else ""
            print(f"\r{what:<12} [{'#' * filled}{'.' * (BAR - filled)}] {done}/{total}", end=end, file=sys.stderr, flush=True)

    return show


def _print(figures: Mapping[str, Mapping[str, Any]]) -> None:
    for part, rows in figures.items():
        print(f"{part}:")
        for name, value in rows.items():
            text = ", ".join(f"{key} {figure}" for key, figure in value.items()) if isinstance(value, dict) else value
            print(f"  {name:<28} {text}")
