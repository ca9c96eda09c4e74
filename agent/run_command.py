"""`gate-agent run`: one lane, until it is asked to stop."""

import argparse
import logging
import os
import sys
import threading
from pathlib import Path

from agent.app import App
from agent.config import load
from agent.errors import UsageError
from agent.parts import Options
from agent.plan import plan
from agent.plan_line import Verdict

_log = logging.getLogger("gate")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="the gate's configuration")
    parser.add_argument("--json", action="store_true", help="print each recorded event as one JSON line")
    parser.add_argument("--simulation", action="store_true", help="allow recorded pictures and an emulated controller; every event says so")
    parser.add_argument("--until-end", action="store_true", help="stop after the last picture (simulation only)")
    parser.add_argument("--every-frame", action="store_true", help="use each picture at the file's own rate, drop none (simulation only)")
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="write a picture of each decision there (simulation only)")


def run(args: argparse.Namespace) -> int:
    """Exit code 0: it was asked to stop; 2: the configuration cannot be run."""
    config = load(args.config)
    _refuse_outside_simulation(args)
    lines = plan(config, simulation=args.simulation)
    refused = [line for line in lines if line.verdict is Verdict.REFUSED]
    if refused:
        raise UsageError(f"{args.config}: {refused[0].key}: {refused[0].text}")
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    for line in lines:
        if line.verdict is Verdict.WARNING:
            _log.warning("%s: %s", line.key, line.text)
    options = Options(
        simulation=args.simulation,
        json_lines=args.json,
        until_end=args.until_end,
        every_frame=args.every_frame,
        pictures=args.pictures,
    )
    App(config, options).run()
    leave(0)
    return 0


def leave(code: int) -> None:
    """End the process here if a thread is left in a library's call, such as a camera's read that never comes back.

    The interpreter's own end would unwind that thread through C++ which forbids it, and abort: a unit that failed, though all is closed.
    """
    if any(thread.daemon for thread in threading.enumerate()):
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _refuse_outside_simulation(args: argparse.Namespace) -> None:
    for option in ("until_end", "every_frame", "pictures"):
        if getattr(args, option) and not args.simulation:
            raise UsageError(f"--{option.replace('_', '-')} goes with --simulation only; a gate drops old frames and keeps no pictures")
