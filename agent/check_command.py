"""`gate-agent check`: says what a configuration would run, and refuses what cannot be; starts nothing."""

import argparse
import json
import textwrap
from dataclasses import asdict
from pathlib import Path

from agent.barrier_plan import assurance
from agent.config import example, load
from agent.errors import UsageError
from agent.plan import plan
from agent.plan_line import PlanLine, Verdict
from firmware_bridge.assurance import Assurance, Keeping

_MARKS = {verdict: f"  {verdict if verdict is Verdict.OK else verdict.upper():<8}" for verdict in Verdict}


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
    config = load(args.config)
    lines = plan(config, simulation=args.simulation)
    refused = [line for line in lines if line.verdict is Verdict.REFUSED]
    if args.json:
        parts = [asdict(line) for line in lines]
        print(json.dumps({"runs": not refused, "parts": parts, "assurance": asdict(assurance(config))}))
    else:
        _print(args.config, lines)
        _print_assurance(assurance(config))
    return UsageError.exit_code if refused else 0


def _print(file: Path, lines: tuple[PlanLine, ...]) -> None:
    width = max(len(line.key) for line in lines)
    print(f"{file}:")
    for line in lines:
        print(f"{_MARKS[line.verdict]}  {line.key:<{width}}  {line.text}")
    counts = {verdict: sum(line.verdict is verdict for line in lines) for verdict in Verdict}
    if counts[Verdict.REFUSED]:
        print(f"It would not start: {counts[Verdict.REFUSED]} refused.")
    elif lacking := counts[Verdict.MISSING] + counts[Verdict.UNUSABLE]:
        print(f"It would start out of service for entry and keep trying: {lacking} missing or unusable.")
    else:
        print("It would run.")


_KEEPING = {
    Keeping.LOST: "LOST, nobody keeps it:",
    Keeping.ELSEWHERE: "KEPT ELSEWHERE, not in full:",
    Keeping.KEPT: "kept:",
}
_WIDTH = 120
_INDENT = " " * 10


def _print_assurance(table: Assurance) -> None:
    """Rule by rule what is not kept; nothing where all is."""
    if not table.not_kept:
        return
    print(f"With {table.hardware} instead of the controller, of the safety rules in docs/SAFETY.md:")
    for rule in table.rules:
        text = f"  rule {rule.rule}  {_KEEPING[rule.keeping]} {rule.meaning}"
        print(textwrap.fill(text, _WIDTH, subsequent_indent=_INDENT))
