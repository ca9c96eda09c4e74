"""A long test of one controller and its line: questions all the time and, on a bench only, releases in between."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from agent.core.identity import Direction
from agent.core.moment import NS_PER_MS, NS_PER_S
from agent.diagnostics.barrier_tool import release as releases
from agent.diagnostics.barrier_tool.line import Line
from agent.diagnostics.barrier_tool.loopback import Figures, Tally
from agent.errors import GateError
from firmware_bridge.vocabulary import Outcome

PAUSE_NS: Final = 20 * NS_PER_MS  # between two questions: about as much as the agent's own heartbeats and prompts, tenfold
RELEASE_EVERY_NS: Final = 10 * NS_PER_S  # a controller allows so many in a minute


@dataclass(frozen=True, slots=True, kw_only=True)
class Soaked:
    """What the whole time came to.

    Attributes:
        minutes: how long it ran.
        complete: False: somebody stopped it before its end.
        failed: sentences of releases that did not come to a good end.
    """

    minutes: float
    line: Figures
    boots: int
    releases: int
    passed: int
    failed: tuple[str, ...]

    @property
    def complete(self) -> bool:
        return self.line.complete

    @property
    def good(self) -> bool:
        return self.complete and self.line.exchanges > 0 and self.line.faults == 0 and self.boots == 0 and not self.failed


def soak(line: Line, *, minutes: float, with_releases: bool, progress: Callable[[int], None]) -> Soaked:
    """Until the time is over, or Ctrl-C, which also takes a release back. progress: told the seconds that have passed."""
    line.greet()
    boot = _boot(line)
    tally, failed = Tally(line), list[str]()
    begun_ns = time.monotonic_ns()
    end_ns = begun_ns + int(minutes * 60 * NS_PER_S)
    released = passed = 0
    due_ns, complete = begun_ns, True
    try:
        while (now_ns := time.monotonic_ns()) < end_ns:
            tally.ask()
            if with_releases and now_ns >= due_ns and line.link.up:
                due_ns = now_ns + RELEASE_EVERY_NS
                direction = list(Direction)[released % 2]
                released += 1
                try:
                    passed += releases.release(line, direction, lambda _: None).outcome is Outcome.PASSED
                except GateError as error:
                    failed.append(str(error))
            line.run_until(min(end_ns, time.monotonic_ns() + PAUSE_NS))
            progress((time.monotonic_ns() - begun_ns) // NS_PER_S)
    except KeyboardInterrupt:
        complete, minutes = False, round((time.monotonic_ns() - begun_ns) / NS_PER_S / 60, 2)
    boots = max(0, _boot(line) - boot)
    return Soaked(
        minutes=minutes, line=tally.figures(complete=complete), boots=boots, releases=released, passed=passed, failed=tuple(failed)
    )


def _boot(line: Line) -> int:
    return 0 if line.connected is None else line.connected.hello.boot_count
