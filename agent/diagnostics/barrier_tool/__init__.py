"""`gate-agent barrier`: what a technician at the cabinet does with the controller, offline (docs/BENCH_TOOL.md).

While the agent runs, the port is the agent's: watch and release go through it, loopback and soak are refused. While it does not, this tool
opens the port itself (line.py). `key` makes the key that a release through the agent is signed with.
"""

import argparse
import json
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from agent.config import Config, StaffConfig, load
from agent.core.identity import Direction
from agent.diagnostics.barrier_tool.telling import bar, figure_words, figures, plug_words
from agent.errors import GateError, UsageError

EXCHANGES, PLUG_BLOCKS, SOAK_MINUTES = 1000, 200, 10.0
LONGEST = 1_000_000  # seconds of a watch, eleven days; minutes of a soak, two years
_CONFIG = Path("/etc/gate-agent/agent.toml")
_STOP_FIRST = "the agent runs and has the port; stop it first, and the lane is out of service meanwhile: systemctl stop gate-agent"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="barrier_command", metavar="WHAT", required=True)
    watch = commands.add_parser("watch", help="state, sensors, counters, health and events, once a second")
    watch.add_argument("--for", dest="seconds", type=_span, metavar="SECONDS", help="end after this time (default: Ctrl-C)")
    release = commands.add_parser("release", help="let one person through; while the agent runs: with a staff key and a reason")
    release.add_argument("--direction", type=Direction, choices=list(Direction), required=True)
    release.add_argument("--staff", metavar="NAME", help="while the agent runs: whose key it is")
    release.add_argument("--key", type=Path, metavar="FILE", help="while the agent runs: the private key, NAME.key")
    release.add_argument("--reason", metavar="TEXT", help="while the agent runs: why; it stands in the journal")
    loopback = commands.add_parser("loopback", help="measure the line: questions and answers, or a bare cable with a plug")
    loopback.add_argument("--exchanges", type=_count, default=EXCHANGES, metavar="N", help="how many (default %(default)s)")
    loopback.add_argument("--plug", action="store_true", help="TX and RX are bridged at the far end of the cable; no controller is asked")
    soak = commands.add_parser("soak", help="ask all the time and judge the line and the controller")
    soak.add_argument("--minutes", type=_span, default=SOAK_MINUTES, metavar="N", help="how long (default %(default)g)")
    soak.add_argument("--release", action="store_true", help="also release every 10 s, in both directions: on a bench only")
    key = commands.add_parser("key", help="make a staff key: NAME.key for its owner, NAME.pub for the gates")
    key.add_argument("--name", required=True, help="letters, digits, '.', '_' and '-'; stands in the journal")
    key.add_argument("--out", type=Path, default=Path(), metavar="FOLDER", help="where to (default: here)")
    for name, command in commands.choices.items():
        command.add_argument("--json", action="store_true", help="print JSON, one object a line")
        if name != "key":
            command.add_argument("--config", type=Path, default=_CONFIG, metavar="FILE", help="default: %(default)s")
            command.add_argument("--simulation", action="store_true", help="the gate is a simulation: an emulated controller is accepted")
        if name in ("release", "soak"):
            command.add_argument("--yes", action="store_true", help="do not ask before releasing")


def run(args: argparse.Namespace) -> int:
    """Exit code 0: done, and all is well; 1: not, in words; 2: wrong use."""
    if args.barrier_command == "key":
        return _key(args)
    config = load(args.config)
    snapshot = _snapshot(config)
    if snapshot is None:
        if config.barrier.kind != "controller":
            raise GateError(f"barrier.kind is {config.barrier.kind}: a bought board is watched and released through the running agent only")
        return _ON_THE_LINE[args.barrier_command](args, config)
    return _THROUGH_THE_AGENT[args.barrier_command](args, config)


def _snapshot(config: Config) -> Any:
    """The running agent's; None where nobody listens. A user who may not ask gets an error, never the port."""
    from agent.drivers.control_socket import NoAgentError, ask  # noqa: PLC0415  --help comes at once

    try:
        return ask(_socket(config), {"ask": "snapshot"})["snapshot"]
    except NoAgentError:
        return None


def _socket(config: Config) -> Path:
    return config.gate.runtime_dir / "control.sock"


# --- while the agent runs -----------------------------------------------------------------------------------------------------------


def _watch_agent(args: argparse.Namespace, config: Config) -> int:
    from agent.diagnostics.barrier_tool.watch import watch_agent  # noqa: PLC0415

    return _watched(lambda: watch_agent(_socket(config), for_s=args.seconds, as_json=args.json))


def _order(args: argparse.Namespace, config: Config) -> int:
    from agent.diagnostics.barrier_tool import order  # noqa: PLC0415

    missing = [name for name in ("staff", "key", "reason") if not getattr(args, name)]
    if missing:
        options = ", ".join(f"--{name}" for name in missing)
        raise UsageError(f"the agent runs, so a release needs a staff key and a reason; missing: {options} (a key: gate-agent barrier key)")
    _confirm(args, f"Let one person through, {args.direction}, as '{args.staff}'?")
    came = order.release(
        _socket(config),
        config.gate.state_dir / "journal.db",
        staff=args.staff,
        key_file=args.key,
        direction=args.direction,
        reason=args.reason,
        say=_say(args),
    )
    return _told_release(args, asdict(came), came.sentence, good=came.released)


def _refuse(_args: argparse.Namespace, _config: Config) -> int:
    raise GateError(_STOP_FIRST)


# --- while it does not ----------------------------------------------------------------------------------------------------------------


def _watch_line(args: argparse.Namespace, config: Config) -> int:
    from agent.diagnostics.barrier_tool.line import Line  # noqa: PLC0415
    from agent.diagnostics.barrier_tool.watch import watch_line  # noqa: PLC0415

    with Line(config, simulation=args.simulation) as line:
        return _watched(lambda: watch_line(line, for_s=args.seconds, as_json=args.json))


def _release(args: argparse.Namespace, config: Config) -> int:
    from agent.diagnostics.barrier_tool import release  # noqa: PLC0415
    from agent.diagnostics.barrier_tool.line import Line  # noqa: PLC0415

    with Line(config, simulation=args.simulation) as line:  # what forbids it is said before a person is asked
        release.permit(line, args.direction)
    _confirm(args, f"No agent runs, so the journal will say only that somebody passed. Let one person through, {args.direction}?")
    with Line(config, simulation=args.simulation) as line:
        release.permit(line, args.direction)
        came = release.release(line, args.direction, _say(args))
    return _told_release(args, {**asdict(came), "outcome": came.outcome.name.lower()}, came.sentence, good=True)


def _loopback(args: argparse.Namespace, config: Config) -> int:
    from agent.diagnostics.barrier_tool import loopback  # noqa: PLC0415
    from agent.diagnostics.barrier_tool.line import Line  # noqa: PLC0415
    from agent.plan import is_pseudo_terminal  # noqa: PLC0415

    port = config.barrier.port
    if args.plug:
        if is_pseudo_terminal(port) and not args.simulation:
            raise UsageError(f"{port} is a pseudo-terminal, which is no cable; it is tried only with --simulation")
        plugged = loopback.through_plug(port, config.barrier.baud, PLUG_BLOCKS, bar("plug", PLUG_BLOCKS))
        good = not (plugged.wrong or plugged.missing or plugged.stray)
        return _told_so_far(args, asdict(plugged), plug_words(plugged), good=good, complete=plugged.complete)
    with Line(config, simulation=args.simulation) as line:
        found = loopback.measure(line, args.exchanges, bar("loopback", args.exchanges))
    good = found.exchanges > 0 and found.faults == 0
    return _told_so_far(args, figures(found), figure_words(found), good=good, complete=found.complete)


def _soak(args: argparse.Namespace, config: Config) -> int:
    from agent.diagnostics.barrier_tool import release  # noqa: PLC0415
    from agent.diagnostics.barrier_tool.line import Line  # noqa: PLC0415
    from agent.diagnostics.barrier_tool.soak import soak  # noqa: PLC0415

    if args.release:
        _confirm(args, "The barrier will open every 10 s, in both directions. Is this a bench, or is the lane fenced off?")
    with Line(config, simulation=args.simulation) as line:
        if args.release:
            release.permit(line, Direction.ENTRY)
        seconds = max(1, int(args.minutes * 60))
        found = soak(line, minutes=args.minutes, with_releases=args.release, progress=bar("soak", seconds))
    words = [figure_words(found.line)]
    if args.release:
        words.append(f"{found.releases} releases, {found.passed} of them with a passage; {len(found.failed)} failed")
        words += [f"  {sentence}" for sentence in found.failed[:10]]
    words += [f"THE CONTROLLER RESTARTED {found.boots} times: look at its power"] if found.boots else []
    words.append("verdict: good" if found.good else "verdict: NOT GOOD" if found.complete else "verdict: none, it did not run to its end")
    told: dict[str, Any] = {
        "good": found.good,
        "minutes": found.minutes,
        "boots": found.boots,
        "releases": found.releases,
        "passed": found.passed,
    }
    told |= {"failed": list(found.failed), "line": figures(found.line)}
    return _told_so_far(args, told, "\n".join(words), good=found.good, complete=found.complete)


_ON_THE_LINE: dict[str, Callable[[argparse.Namespace, Config], int]] = {
    "watch": _watch_line,
    "release": _release,
    "loopback": _loopback,
    "soak": _soak,
}
_THROUGH_THE_AGENT = {"watch": _watch_agent, "release": _order, "loopback": _refuse, "soak": _refuse}


# --- the key --------------------------------------------------------------------------------------------------------------------------


def _key(args: argparse.Namespace) -> int:
    from agent.diagnostics.barrier_tool import keys  # noqa: PLC0415

    private, public, fingerprint = keys.make(args.name, args.out)
    there = StaffConfig().keys_dir / public.name
    words = (
        f"{private}: the private key. It stays with {args.name}, on a stick or in their home; never on the gate.\n"
        f"{public}: the public key, fingerprint {fingerprint}. At each gate where it counts, as root:\n"
        f"  install -D -m 644 {public.name} {there}\n"
        "It counts at once (staff.keys_dir names the folder), and no more when the file is deleted."
    )
    told = {"private": str(private), "public": str(public), "fingerprint": fingerprint, "install_as": str(there)}
    return _told(args, told, words, good=True)


# --- what is said -----------------------------------------------------------------------------------------------------------------------


def _told(args: argparse.Namespace, figures: dict[str, Any], sentence: str, *, good: bool) -> int:
    print(json.dumps(figures) if args.json else sentence)
    return 0 if good else 1


def _told_so_far(args: argparse.Namespace, figures: dict[str, Any], sentence: str, *, good: bool, complete: bool) -> int:
    """Ctrl-C ends a measurement, not what was measured until then."""
    if not complete and sys.stderr.isatty():
        print(file=sys.stderr)  # below the bar
    code = _told(args, figures, sentence, good=good)
    if not complete:
        sys.stdout.flush()
        raise KeyboardInterrupt
    return code


def _told_release(args: argparse.Namespace, figures: dict[str, Any], sentence: str, *, good: bool) -> int:
    """Somebody may have passed: that is said on standard error where standard output takes nothing."""
    try:
        code = _told(args, figures, sentence, good=good)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise GateError(f"standard output cannot be written ({error.strerror}); {sentence}") from error
    return code


def _say(args: argparse.Namespace) -> Callable[[str], None]:
    """Tells how far a release is. A full disk under the words must not take it back, and nobody would learn how it ended."""

    def say(sentence: str) -> None:
        with suppress(OSError):
            print(sentence, flush=True)

    return (lambda _: None) if args.json else say


def _watched(watch: Callable[[], None]) -> int:
    """Ctrl-C is how a watch ends."""
    try:
        watch()
    except KeyboardInterrupt:
        print(file=sys.stderr)
    return 0


def _confirm(args: argparse.Namespace, question: str) -> None:
    """Ask a person; a program has to say --yes."""
    if args.yes:
        return
    if not sys.stdin.isatty():
        raise UsageError("a release has to be confirmed: add --yes, or run it on a terminal")
    try:
        answer = input(f"{question} Type yes: ")
    except EOFError:
        answer = ""
    if answer.strip().lower() != "yes":
        raise GateError("nothing was released")


def _span(text: str) -> float:
    number = float(text)
    if not 0 < number <= LONGEST:
        raise argparse.ArgumentTypeError(f"{text:.40} is not above 0 and at most {LONGEST:,}")
    return number


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is below 1")
    return number
