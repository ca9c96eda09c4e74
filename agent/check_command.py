"""`gate-agent check`: says what a configuration would run, and refuses what cannot be; starts nothing."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from agent.config import example, load
from agent.errors import UsageError
from agent.plan import PlanLine, Verdict, plan

_MARKS = {Verdict.OK: "  ok     ", Verdict.WARNING: "  WARNING", Verdict.MISSING: "  MISSING", Verdict.REFUSED: "  REFUSED"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, metavar="FILE", help="the configuration to look at")
    parser.add_argument("--simulation", action="store_true", help="look at it as a simulation")
    parser.add_argument("--print-example", action="store_true", help="print every key with its default, and nothing else")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Exit code 0: it would run, perhaps out of service; 2: it would refuse to start."""
    if args.print_example:
        print(example(), end="")
        return 0
    if args.config is None:
        raise UsageError("check needs --config FILE (or --print-example)")
    lines = plan(load(args.config), simulation=args.simulation)
    refused = [line for line in lines if line.verdict is Verdict.REFUSED]
    if args.json:
        print(json.dumps({"runs": not refused, "parts": [asdict(line) for line in lines]}))
    else:
        _print(args.config, lines)
    return UsageError.exit_code if refused else 0


def _print(file: Path, lines: tuple[PlanLine, ...]) -> None:
    width = max(len(line.key) for line in lines)
    print(f"{file}:")
    for line in lines:
        print(f"{_MARKS[line.verdict]}  {line.key:<{width}}  {line.text}")
    counts = {verdict: sum(line.verdict is verdict for line in lines) for verdict in Verdict}
    if counts[Verdict.REFUSED]:
        print(f"It would not start: {counts[Verdict.REFUSED]} refused.")
    elif counts[Verdict.MISSING]:
        print(f"It would start out of service for entry and keep trying: {counts[Verdict.MISSING]} missing.")
    else:
        print("It would run.")
