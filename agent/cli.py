"""`gate-agent`: one table of commands. A command's module is imported only when it is asked for, so that help and errors come at once."""

import argparse
import importlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from types import MappingProxyType
from typing import Protocol, cast

from agent import program


class CommandModule(Protocol):
    """What a command's module offers."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None: ...
    def run(self, args: argparse.Namespace) -> int: ...


@dataclass(frozen=True, slots=True)
class Command:
    module: str
    summary: str


COMMANDS: Mapping[str, Command] = MappingProxyType(
    {
        "run": Command("agent.run_command", "run the lane of a configuration file"),
        "check": Command("agent.check_command", "say what a configuration would run, and refuse what cannot be"),
        "doctor": Command("agent.diagnostics.doctor", "look at this gate without a network and say what to mend"),
        "lock-down": Command("agent.lock_down_command", "stop entry at this gate, or free it; the way out stays open"),
        "barrier": Command("agent.diagnostics.barrier_tool", "watch, release and test the turnstile's controller at the cabinet"),
        "journal": Command("agent.diagnostics.journal_view", "show, export and verify the journal"),
        "models": Command("models.commands", "build, list and verify model packs"),
        "evaluate": Command("agent.diagnostics.evaluate", "measure error rates on your own pictures"),
        "bench": Command("agent.diagnostics.bench", "measure recognition and release on this machine"),
    }
)


def build_parser(chosen: str | None = None) -> argparse.ArgumentParser:
    """The parser; the arguments of `chosen` alone are filled in (None: of all, for tests and documentation)."""
    parser = argparse.ArgumentParser(prog="gate-agent", description="The software inside a face-recognition turnstile lane.")
    parser.add_argument("--version", action="version", version=f"gate-agent {version('gate-agent')}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, command in COMMANDS.items():
        sub = commands.add_parser(name, help=command.summary, description=f"{command.summary[0].upper()}{command.summary[1:]}.")
        if chosen in (None, name):
            _module(command).add_arguments(sub)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; agent.program says which exit code it ends with."""
    words = list(sys.argv[1:] if argv is None else argv)
    chosen = next((word for word in words if not word.startswith("-")), "")
    args = program.arguments(build_parser(chosen), words)
    return program.run(lambda: _module(COMMANDS[args.command]).run(args), program="gate-agent", as_json=getattr(args, "json", False))


def _module(command: Command) -> CommandModule:
    return cast("CommandModule", importlib.import_module(command.module))
