"""`gate-agent doctor`: every check of this gate on one page, without a network, beside a running agent or without one."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from agent.config import load
from agent.core.text import harmless
from agent.diagnostics.checks import look
from agent.diagnostics.findings import Finding, Health

_MARKS = {Health.OK: "ok  ", Health.LOOK: "LOOK", Health.MEND: "MEND"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, default=Path("/etc/gate-agent/agent.toml"), metavar="FILE", help="default: %(default)s")
    parser.add_argument("--simulation", action="store_true", help="the gate is a simulation")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Exit code 0: nothing to mend; 1: something is."""
    findings = look(load(args.config), simulation=args.simulation)
    if args.json:
        print(json.dumps({"findings": [asdict(finding) for finding in findings]}))
    else:
        _print(findings)
    return int(any(finding.health is Health.MEND for finding in findings))


def _print(findings: tuple[Finding, ...]) -> None:
    width = max(len(finding.check) for finding in findings)
    for finding in findings:
        print(f"{_MARKS[finding.health]}  {finding.check:<{width}}  {harmless(finding.found)}")
        if finding.remedy and finding.health is not Health.OK:
            print(f"      {'':<{width}}  -> {harmless(finding.remedy)}")
    mend = sum(finding.health is Health.MEND for finding in findings)
    look_at = sum(finding.health is Health.LOOK for finding in findings)
    print(f"\n{mend} to mend, {look_at} to look at, {len(findings) - mend - look_at} in order.")
