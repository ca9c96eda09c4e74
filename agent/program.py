"""How each of our programs ends: one rule for exit codes, for the sentence of a failure, and for what a script reads.

0      well
1      it could not be done, or what was looked at is not well
2      wrong use: of the command line, a key or a value; of `gate-agent check`: it would not start
3      gate-roster alone: done, but somebody was refused, or the pack is unfit
130    stopped by Ctrl-C
141    nobody reads what is printed any more, as in `| head`; said by the code alone

A failure is one sentence on standard error. With --json it is also the last line of standard output: {"error": "...", "exit_code": N}.
"""

import argparse
import io
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

from agent.errors import GateError, UsageError
from firmware_bridge.errors import BridgeError
from models.errors import ModelError

STOPPED_BY_PERSON: Final = 130
UNREAD: Final = 141
"""The shell's own codes for a program that SIGINT or SIGPIPE ended."""


def arguments(parser: argparse.ArgumentParser, words: Sequence[str] | None) -> argparse.Namespace:
    """The parsed command line. Wrong use ends the program here, with the parser's own words on standard error."""
    given = list(sys.argv[1:] if words is None else words)
    try:
        return parser.parse_args(given)
    except SystemExit as stop:
        if stop.code == UsageError.exit_code and "--json" in given:
            _tell_script("wrong use; standard error says how it is used", UsageError.exit_code)
        raise


def run(command: Callable[[], int], *, program: str, as_json: bool, stopped: str = "stopped", reported: Callable[[], str] = str) -> int:
    """Carry out a command, print what it has to say to the end, and return the exit code.

    stopped: what holds after Ctrl-C. reported: what was done, for a report that standard output would not take; empty: nothing to add.
    """
    if isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr.reconfigure(errors="backslashreplace")
    with _watched_output() as fault:
        try:
            code = command()
            if sys.stdout is not None:
                sys.stdout.flush()
        except (GateError, ModelError, BridgeError, OSError, KeyboardInterrupt) as error:
            code, sentence = _failure(error, output=fault.error, stopped=stopped, reported=reported)
            if sentence:
                with suppress(OSError):
                    print(f"{program}: {sentence}", file=sys.stderr, flush=True)
            if sentence and as_json:
                _tell_script(sentence, code)
    return code


@dataclass(slots=True)
class _Fault:
    """Why standard output took nothing; None: it took all."""

    error: OSError | None = None


class _Output(io.FileIO):
    """Standard output, which notes why it took nothing: a full disk under it is not a full disk under the work."""

    def __init__(self, descriptor: int, fault: _Fault) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self._fault = fault

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            self._fault.error = error
            raise


@contextmanager
def _watched_output() -> Iterator[_Fault]:
    """Print by way of _Output. A name that this terminal's letters cannot show must not end a command, so it is written by number."""
    before = sys.stdout
    if not isinstance(before, io.TextIOWrapper) or isinstance(before.buffer, io.BytesIO):  # none, or a test that listens
        yield _Fault()
        return
    before.flush()
    fault = _Fault()
    buffered = io.BufferedWriter(_Output(before.fileno(), fault))
    sys.stdout = io.TextIOWrapper(buffered, before.encoding, "backslashreplace", line_buffering=before.line_buffering)
    try:
        yield fault
    finally:
        with suppress(OSError):
            sys.stdout.close()  # a second fault adds nothing
        sys.stdout = before


def _failure(error: BaseException, *, output: OSError | None, stopped: str, reported: Callable[[], str]) -> tuple[int, str]:
    """(exit code, sentence)."""
    match error:
        case GateError():
            return error.exit_code, str(error)
        case KeyboardInterrupt():
            return STOPPED_BY_PERSON, stopped
        case OSError() if isinstance(output, BrokenPipeError):
            return UNREAD, ""
        case OSError() if output is not None:
            done = reported()
            sentence = f"standard output cannot be written ({output.strerror}), so the report is lost; what was done stays done"
            return GateError.exit_code, f"{sentence}: {done}" if done else sentence
        case OSError():
            place = f"{error.filename}: " if error.filename else ""
            return GateError.exit_code, f"{place}{error.strerror or error}; make room or mend its rights, then try again"
        case _:
            return GateError.exit_code, str(error)


def _tell_script(sentence: str, code: int) -> None:
    with suppress(OSError):
        print(json.dumps({"error": sentence, "exit_code": code}), flush=True)
