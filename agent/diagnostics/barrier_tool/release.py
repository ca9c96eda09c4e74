"""One release by this tool itself, while no agent runs: armed, released, followed to its end, and left at rest.

The grant number is above the controller's highest and above every number that the journal gave, used or not: a number that the journal
holds open must never come to life here. The controller counts the passage, so the agent sees it afterwards and says so.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent.core.identity import NO_GRANT, Direction
from agent.core.lane import HIGHEST_GRANT
from agent.core.moment import NS_PER_MS, NS_PER_S
from agent.diagnostics.barrier_tool import words
from agent.diagnostics.barrier_tool.line import ANSWER_NS, Line, LineError
from agent.drivers import journal_known
from agent.drivers.barrier_words import DIRECTIONS
from agent.drivers.journal_reader import JournalReader
from agent.drivers.lock_down_file import LockDownFile
from firmware_bridge.host_events import Armed, ArmRefused, CancelAnswered, HostEvent, LinkRefused, Lost, ReleaseAnswered, ReleaseNotSent
from firmware_bridge.vocabulary import Belief, CancelResult, Outcome, Phase, Refusal, ReleaseResult

PULSE_MS: Final = 500  # as the agent's own driver
_LIFE_NS: Final = NS_PER_S  # of the release on its way, as a grant's
_PASSING_NS: Final = 60 * NS_PER_S  # a passage takes seconds; somebody may stand in the beams while the technician looks
_FRESH_NS: Final = NS_PER_S  # heartbeats go out this long after each turn of this tool

Say = Callable[[str], None]


class ReleaseError(LineError):
    """Nothing was released; the sentence says why and what to do."""


@dataclass(frozen=True, slots=True)
class Released:
    """What one release came to.

    Attributes:
        outcome: the controller's own word for the grant's end.
        passages: how many people the controller counted meanwhile, in both directions.
    """

    grant: int
    direction: Direction
    outcome: Outcome
    passages: int

    @property
    def sentence(self) -> str:
        counted = "" if self.passages == (self.outcome is Outcome.PASSED) else f"; the controller counted {self.passages} passages"
        return f"grant {self.grant}, {self.direction}: {words.OUTCOMES[self.outcome]}{counted}"


def next_grant(line: Line, state_dir: Path) -> int:
    """A number that neither the controller nor the journal has ever used.

    Raises:
        JournalError: there is a journal and it cannot be read, so nobody knows which numbers it gave.
    """
    file = state_dir / "journal.db"
    given = NO_GRANT
    if file.exists():
        with JournalReader(file) as reader:
            reader.extent()  # says in words what is wrong with it
            given = journal_known.last_known(reader.connection).highest_grant
    used = line.state.last_grant_number if line.state is not None else NO_GRANT
    number = max(given, used) + 1
    if number > HIGHEST_GRANT:
        raise ReleaseError(f"all {HIGHEST_GRANT} grant numbers are used up; the controller's store must be renewed")
    return number


def permit(line: Line, direction: Direction) -> None:
    """Greet the controller, and look at what forbids this release before anything is sent: what closes entry for the agent does so here.

    Raises:
        LineError: the controller does not answer, or it is forbidden, in words.
    """
    gate, state = line.config.gate, line.greet()
    if direction is Direction.ENTRY:
        known = (gate.state_dir / "trust.db").exists()
        if LockDownFile(gate.state_dir / "lock-down", first_start=not known).on:
            raise ReleaseError(
                "nothing is released: entry is locked down; it is freed, with the agent running, by: gate-agent lock-down off"
            )
        if line.config.lane.closed:
            raise ReleaseError("nothing is released: the configuration closes this lane for entry (lane.closed)")
    if state.phase is not Phase.SECURED:
        raise ReleaseError(f"nothing is released: the lane is not at rest: {words.PHASES[state.phase]}")


def release(line: Line, direction: Direction, say: Say) -> Released:
    """Arm, let one person through, and follow it to its end.

    Raises:
        LineError: the controller does not, in words; or the line was lost, and what became of it is not known.
    """
    before = line.greet()
    grant = next_grant(line, line.config.gate.state_dir)
    try:
        _arm(line)
        _send(line, grant, direction)
        say(f"released for {direction}, grant {grant}, {line.config.lane.release_window_ms / 1000:g} s: somebody may pass")
        outcome = _follow(line, grant, say)
    except BaseException:
        line.link.cancel(grant, time.monotonic_ns())  # also when the technician has interrupted; a passage under way goes on
        line.turn(time.monotonic_ns() + 200 * NS_PER_MS)
        raise
    line.link.disarm()
    line.link.believe(Belief.SECURED, grant_number=0, fresh_until_ns=0)  # no more heartbeats: nothing is armed any more
    line.ask()
    after = line.state or before
    passages = (after.passages_entry + after.passages_exit) - (before.passages_entry + before.passages_exit)
    return Released(grant, direction, outcome, passages)


def _arm(line: Line) -> None:
    """A lease first, by heartbeats that say that nothing is released; then ARM on the newest state."""
    end_ns = time.monotonic_ns() + 2 * ANSWER_NS
    line.ask()
    while line.link.round_trip_ns is None and time.monotonic_ns() < end_ns:
        _turn(line, grant=0)
    line.link.round_trip_ns = None  # of this lease; the next release waits for its own
    line.link.arm(time.monotonic_ns())
    while time.monotonic_ns() < end_ns:
        for event in _turn(line, grant=0):
            if isinstance(event, Armed):
                return
            if isinstance(event, ArmRefused) and event.refusal not in (Refusal.STALE_STATE, Refusal.NO_LEASE):
                raise ReleaseError(f"the controller does not arm: {words.REFUSALS[event.refusal]}")
            if isinstance(event, ArmRefused):
                line.ask()
                line.link.arm(time.monotonic_ns())
    raise ReleaseError("the controller does not answer ARM; the line is bad: gate-agent barrier loopback")


def _send(line: Line, grant: int, direction: Direction) -> None:
    now_ns = time.monotonic_ns()
    line.link.release(
        grant_number=grant,
        direction=DIRECTIONS[direction],
        window_ms=line.config.lane.release_window_ms,
        pulse_ms=PULSE_MS,
        expires_ns=now_ns + _LIFE_NS,
        now_ns=now_ns,
    )
    while time.monotonic_ns() < now_ns + _LIFE_NS + ANSWER_NS:
        for event in _turn(line, grant=0):
            match event:
                case ReleaseAnswered(ack) if ack.grant_number == grant and ack.result is not ReleaseResult.REFUSED:
                    return
                case ReleaseAnswered(ack) if ack.grant_number == grant:
                    raise ReleaseError(f"the controller refuses the release: {words.REFUSALS[ack.refusal]}")
                case ReleaseNotSent(_, reason):
                    raise ReleaseError(f"the release was not sent: {reason}")
                case CancelAnswered(ack) if ack.result is CancelResult.TOO_LATE:
                    return  # the answer was lost, and somebody is passing
                case CancelAnswered():
                    raise ReleaseError("no answer to the release came in time, so it was taken back: gate-agent barrier loopback")
                case _:
                    pass
    raise ReleaseError("the controller does not answer the release; the line is bad: gate-agent barrier loopback")


def _follow(line: Line, grant: int, say: Say) -> Outcome:
    """Until the lane is at rest. The controller's STATE tells; its events may be held back by those that wait for the agent."""
    end_ns = time.monotonic_ns() + line.config.lane.release_window_ms * NS_PER_MS + _PASSING_NS
    asked_ns, shown = 0, Phase.RELEASED
    while (now_ns := time.monotonic_ns()) < end_ns:
        if now_ns >= asked_ns:
            asked_ns = now_ns + 200 * NS_PER_MS
            line.link.read_state(now_ns)
        _turn(line, grant=grant)
        state = line.state
        if state is None:
            continue
        if state.phase is not shown and state.phase in (Phase.PASSING, Phase.CLOSING, Phase.EMERGENCY):
            say(words.PHASES[state.phase])
        shown = state.phase
        if state.last_grant_number > grant:
            raise LineError(f"somebody else has used grant {state.last_grant_number} meanwhile: two hosts are on this line")
        over = state.last_grant_number == grant and state.last_outcome is not Outcome.RELEASED
        if over and state.phase in (Phase.SECURED, Phase.EMERGENCY):
            return state.last_outcome
    raise LineError("the lane does not come to rest; look whether somebody stands in it, and at gate-agent barrier watch")


def _turn(line: Line, *, grant: int) -> tuple[HostEvent, ...]:
    """A turn with a heartbeat that says what the controller said last.

    Raises:
        LineError: the line was lost.
    """
    now_ns, state = time.monotonic_ns(), line.state
    ours = state is not None and grant != 0 and (state.grant_number == grant or state.last_grant_number < grant)  # not told yet
    passing = state is not None and state.phase is Phase.PASSING
    belief = (Belief.PASSING if passing else Belief.RELEASED) if ours else Belief.SECURED
    line.link.believe(belief, grant_number=grant if ours else 0, fresh_until_ns=now_ns + _FRESH_NS)
    events = line.turn(now_ns + 50 * NS_PER_MS)
    lost = next((event for event in events if isinstance(event, Lost | LinkRefused)), None)
    if lost is not None or not line.link.up:
        raise LineError(f"the line was lost ({lost.reason if lost else line.trouble}); what became of the release, the next STATE tells")
    return events
