"""`gate-agent lock-down on|off`: stops entry at this gate, or frees it, through the running agent. The way out stays open."""

import argparse
import json
from pathlib import Path

from agent.config import load
from agent.drivers.control_socket import ask


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("state", choices=("on", "off"), help="on: nobody comes in; off: as configured again")
    parser.add_argument("--reason", required=True, help="stands in the journal beside your user name")
    parser.add_argument("--config", type=Path, default=Path("/etc/gate-agent/agent.toml"), metavar="FILE", help="default: %(default)s")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Exit code 0: the agent has taken it; 1: no agent answers, or it refuses, or what came of it is not known; the sentence says which."""
    path = load(args.config).gate.runtime_dir / "control.sock"
    ask(path, {"do": "lock-down", "on": args.state == "on", "reason": args.reason})
    if args.json:
        print(json.dumps({"lock_down": args.state == "on"}))
    else:
        print("Entry is locked down; the way out stays open." if args.state == "on" else "The lock-down is over.")
    return 0
