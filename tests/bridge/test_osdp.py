"""The OSDP driver against libosdp's own peripheral on a pseudo-terminal, and against boards and wires that mean no good."""

import ctypes
import dataclasses
import gc
import os
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from firmware_bridge.board import BoardFaulted, BoardOffline, BoardOnline, InputsRead, PulseRefused, PulseTaken, PulseUnknown
from firmware_bridge.errors import MessageError
from firmware_bridge.osdp_wire import Block, Code, read_frame
from tests.bridge.osdp_bench import ADDRESS, NS_PER_MS, Bench, frame
from tests.sim.osdp_peer import Pulse


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.close()


@pytest.fixture
def lane(bench: Bench) -> Bench:
    """A bench whose board is online."""
    bench.come_online()
    return bench


# --- who may be a board -----------------------------------------------------------------------------------------------------------


def test_a_board_with_our_key_comes_online_and_says_what_it_is(bench: Bench) -> None:
    assert bench.come_online() == BoardOnline("vendor 123456, model 2.1, serial 00000007", "1.2.3", authenticated=True)


def test_nothing_is_printed_and_least_of_all_a_key(bench: Bench, capfd: pytest.CaptureFixture[str]) -> None:
    bench.come_online()
    bench.peer = bench.new_peer(key=bytes(range(50, 66)))
    bench.go_offline()
    assert capfd.readouterr() == ("", "")
    assert bench.key.hex() not in repr(bench.events)


def test_a_board_with_another_key_never_comes_online(bench: Bench) -> None:
    bench.peer = bench.new_peer(key=bytes(range(50, 66)))
    assert bench.go_offline() == BoardOffline("the board has another key than this gate (see docs/OSDP.md)")
    bench.run(for_ms=1_000, hurry=True)
    assert bench.told(BoardOnline) == []


def test_a_board_that_has_no_key_yet_never_comes_online(bench: Bench) -> None:
    bench.peer = bench.new_peer(key=None)
    bench.go_offline()
    bench.run(for_ms=1_000, hurry=True)
    assert bench.told(BoardOnline) == []
    assert bench.peer.pulses == []


def test_a_board_without_a_secure_channel_is_not_used(bench: Bench) -> None:
    bench.peer = None
    while not bench.told(BoardOffline):
        bench.turn(hurry=True)
        for asked in bench.port.read().split(b"\x53")[1:]:
            answer = {Code.ID: b"\x45" + bytes(12), Code.CAPABILITIES: b"\x46" + bytes([1, 1, 4, 2, 2, 2])}.get(asked[4], b"\x40")
            bench.port.write(frame(address=0x80 | ADDRESS, control=asked[3] & 3, rest=answer))
    assert bench.told(BoardOffline) == [BoardOffline("the board offers no secure channel, and without it nothing is switched")]


def test_another_address_is_not_answered(bench: Bench) -> None:
    bench.peer = bench.new_peer(key=bench.key, address=ADDRESS + 1)
    assert "nothing answers" in bench.go_offline().reason


@pytest.mark.parametrize("address", [-1, 127])
def test_an_address_that_no_board_can_have_is_refused(bench: Bench, address: int) -> None:
    with pytest.raises(MessageError, match=str(address)):
        type(bench.board)(port="/dev/null", baud=9_600, address=address, key=bench.key, simulation=True)


# --- pulses -----------------------------------------------------------------------------------------------------------------------


def test_a_pulse_is_timed_by_the_board_and_goes_out_once(lane: Bench) -> None:
    for token, (pulse_ms, timer) in enumerate([(100, 1), (101, 2), (450, 5), (500, 5), (1_000, 10)]):
        lane.pulse(token, output=token % 2, pulse_ms=pulse_ms)
        assert lane.outcome(token) == PulseTaken(token)
        assert lane.there.pulses.pop() == Pulse(output=token % 2, control=5, timer=timer)
        assert lane.there.pulses == []


@pytest.mark.parametrize("pulse_ms", [99, 1_001])
def test_a_pulse_outside_safety_rule_1_is_our_own_mistake(lane: Bench, pulse_ms: int) -> None:
    with pytest.raises(MessageError, match=str(pulse_ms)):
        lane.pulse(1, pulse_ms=pulse_ms)


def test_an_output_that_the_board_does_not_have_is_refused_and_the_board_stays(lane: Bench) -> None:
    lane.pulse(1, output=2)
    assert lane.outcome(1) == PulseRefused(1, "the board has outputs 0 to 1, not 2")
    lane.pulse(2, output=1)
    assert lane.outcome(2) == PulseTaken(2)


def test_a_board_that_cannot_time_its_outputs_gets_no_pulse(bench: Bench) -> None:
    bench.peer = bench.new_peer(key=bench.key, timed=False)
    bench.come_online()
    bench.pulse(1)
    assert isinstance(bench.outcome(1), PulseRefused)
    assert bench.there.pulses == []


def test_a_pulse_whose_time_is_over_is_not_written(lane: Bench) -> None:
    lane.pulse(1, lasts_ms=0)
    assert isinstance(lane.outcome(1), PulseRefused)
    lane.pulse(2)
    assert lane.outcome(2) == PulseTaken(2)
    assert lane.there.pulses == [Pulse(0, 5, 5)]
    assert lane.told(BoardOffline) == []


def test_a_pulse_whose_time_runs_out_within_libosdp_is_not_written_either_and_not_called_taken(lane: Bench) -> None:
    """libosdp 3.2.9 calls a command completed that it could not write."""
    session, about = lane.board._session, lane.board._nameplate
    assert session is not None
    assert about is not None
    lane.until(lambda: lane.board._line.quiet and lane.board._idle)
    lane.pulse(1, lasts_ms=5)
    lane.board._command(session, about, lane.now_ns, lane.events)
    assert lane.board._pulse is not None
    lane.pass_by(for_ms=10)
    assert isinstance(lane.outcome(1), PulseRefused)
    lane.run(for_ms=1_000, hurry=True)
    assert lane.there.pulses == []


def test_a_pulse_whose_reply_is_lost_is_unknown_and_never_written_again(lane: Bench) -> None:
    lane.there.faults.change = lambda said: b"" if lane.there.pulses else said
    lane.pulse(1)
    assert isinstance(lane.outcome(1, hurry=True), PulseUnknown)
    lane.there.faults.change = lambda said: said
    lane.run(for_ms=2_000, hurry=True)
    assert lane.there.pulses == [Pulse(0, 5, 5)]
    assert len(lane.outcomes(1)) == 1


@pytest.mark.slow  # for libosdp's own clock
def test_a_repetition_by_libosdp_itself_does_not_reach_the_wire(lane: Bench) -> None:
    """Without our watch over silence, for which no test of the whole driver can wait: libosdp repeats after a second."""
    session, line, commands = lane.board._session, lane.board._line, lane.there.heard
    assert session is not None
    lane.until(lambda: line.quiet)
    assert session.pulse(output=0, pulse_ms=500)
    line.allow_output(time.monotonic_ns() + 10_000 * NS_PER_MS)
    lane.there.faults.silent = True
    commands.clear()
    written = []
    deadline = time.monotonic() + 5
    while session.online:
        assert time.monotonic() < deadline
        line.now_ns = time.monotonic_ns()
        session.step()
        written.append(lane.port.read())
    outputs = [data for data in written if data and (found := read_frame(data)) is not None and found.code == Code.OUTPUT]
    assert len(outputs) == 1


def test_a_pulse_that_waits_while_the_board_is_lost_goes_out_to_nobody(lane: Bench) -> None:
    lane.there.faults.silent = True
    lane.run(for_ms=100)  # by now a question is without its answer
    lane.pulse(1, lasts_ms=60_000)
    lane.go_offline()
    lane.pulse(2, lasts_ms=60_000)
    assert isinstance(lane.outcome(1), PulseRefused)
    assert lane.outcome(2) == PulseRefused(2, "the board is offline")
    lane.there.faults.silent = False
    lane.come_online()
    lane.run(for_ms=2_000, hurry=True)
    assert lane.there.pulses == []
    lane.pulse(3)
    assert lane.outcome(3) == PulseTaken(3)


# --- inputs and outputs -----------------------------------------------------------------------------------------------------------


def test_inputs_are_told_as_they_are(lane: Bench) -> None:
    for closed in ((True, False, False, False), (False, True, True, False), (False,) * 4):
        lane.there.closed = list(closed)
        lane.events.clear()
        lane.until(lambda closed=closed: InputsRead(closed) in lane.events)


def test_an_output_that_stays_on_is_a_fault_and_is_told_to_be_off(lane: Bench) -> None:
    lane.there.faults.sticky = True
    lane.pulse(1, pulse_ms=100)
    lane.until(lambda: BoardFaulted("output_0_stays_on", active=True) in lane.events, hurry=True)
    lane.until(lambda: BoardFaulted("output_0_stays_on", active=False) in lane.events, hurry=True)
    assert [(pulse.control, pulse.timer) for pulse in lane.there.pulses] == [(5, 1), (1, 0)]


# --- the line ---------------------------------------------------------------------------------------------------------------------


def test_a_board_that_falls_silent_is_noticed_and_comes_back(lane: Bench) -> None:
    lane.there.faults.silent = True
    assert lane.go_offline() == BoardOffline("the board at address 3 has stopped answering")
    lane.there.faults.silent = False
    lane.come_online()


def test_one_lost_reply_costs_a_moment_of_which_nobody_hears(lane: Bench) -> None:
    begun = lane.board._begun_ns
    lane.there.faults.lose = 1
    lane.until(lambda: lane.board._begun_ns > begun)
    lane.pulse(1)
    assert lane.outcome(1) == PulseTaken(1)
    assert lane.told(BoardOffline) == []
    assert len(lane.told(BoardOnline)) == 1


def test_a_board_that_was_exchanged_in_a_moment_is_told(lane: Bench) -> None:
    lane.peer = lane.new_peer(key=lane.key, inputs=2)
    lane.come_online()
    assert lane.told(BoardOffline) == [BoardOffline("another board answers in its place")]
    lane.until(lambda: InputsRead((False, False)) in lane.events)


def test_a_pulse_that_waits_for_the_next_session_does_not_go_to_another_board(lane: Bench) -> None:
    lane.there.faults.silent = True
    lane.until(lambda: lane.board._lost is not None)
    lane.pulse(1, lasts_ms=60_000)
    lane.peer = lane.new_peer(key=lane.key, inputs=2)
    assert lane.outcome(1) == PulseRefused(1, "the board is offline")
    assert lane.told(BoardOffline) == [BoardOffline("another board answers in its place")]
    lane.run(for_ms=1_000, hurry=True)
    assert lane.there.pulses == []


def test_replies_in_pieces_are_put_together(bench: Bench) -> None:
    bench.there.faults.in_pieces = True
    bench.until(lambda: bool(bench.told(BoardOnline)))
    bench.pulse(1)
    assert bench.outcome(1) == PulseTaken(1)
    assert bench.told(BoardOffline) == []


def test_a_line_that_is_cut_and_comes_back_under_another_name_is_found(lane: Bench) -> None:
    first = lane.port.link.readlink()
    taken = os.open(first, os.O_RDWR | os.O_NOCTTY)  # so that its number is not given again
    lane.port.unplug()
    lane.run(for_ms=50)
    (lost,) = lane.told(BoardOffline)
    assert "check cable" in lost.reason
    lane.port.plug()
    os.close(taken)
    assert lane.port.link.readlink() != first
    lane.come_online()
    lane.pulse(1)
    assert lane.outcome(1) == PulseTaken(1)


def test_a_second_program_does_not_get_the_port(lane: Bench) -> None:
    second = lane.new_board()
    (told,) = second.turn(lane.now_ns)
    assert isinstance(told, BoardOffline)
    assert "another program has it" in told.reason
    assert second.turn(lane.now_ns + 10_000 * NS_PER_MS) == ()
    second.close()


def test_a_pseudo_terminal_is_no_board_outside_a_simulation(bench: Bench) -> None:
    real = type(bench.board)(port=str(bench.port.link), baud=9_600, address=ADDRESS, key=bench.key, simulation=False)
    (told,) = real.turn(bench.now_ns)
    assert isinstance(told, BoardOffline)
    assert "pseudo-terminal" in told.reason


def test_noise_between_the_frames_switches_nothing_and_loses_no_pulse(lane: Bench) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    dice = random.Random(seed)
    lane.noise = lambda: dice.randbytes(dice.randrange(12)) if dice.random() < 0.3 else b""
    lane.there.closed = [True, False, True, False]
    lane.until(lambda: InputsRead((True, False, True, False)) in lane.events)
    for token in range(4):
        lane.until(lambda: lane.board._nameplate is not None)
        before = len(lane.there.pulses)
        lane.pulse(token)
        outcome = lane.outcome(token)
        assert len(lane.there.pulses) - before <= 1
        assert not isinstance(outcome, PulseTaken) or len(lane.there.pulses) - before == 1
    assert set(lane.told(InputsRead)) <= {InputsRead((False,) * 4), InputsRead((True, False, True, False))}


# --- somebody on the wire ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", [Block.CRYPTOGRAM, Block.INITIAL_MAC, Block.REPLY_AUTHENTICATED, Block.REPLY_ENCRYPTED, None])
def test_a_forged_reply_reports_no_input_and_confirms_no_pulse(lane: Bench, block: Block | None) -> None:
    """libosdp 3.2.9 takes the first two: within its secure channel it does not check a reply that wears a block of the handshake."""
    forged = []

    def forge(said: bytes) -> bytes:
        told = read_frame(said)
        assert told is not None
        if told.block not in (Block.REPLY_AUTHENTICATED, Block.REPLY_ENCRYPTED):
            return said
        dress = b"" if block is None else bytes([3, block, 1])
        answer = b"\x40" if lane.there.pulses else b"\x49\x01\x01\x01\x01"
        forged.append(answer)
        sequence = said[said.index(0x53) + 4] & 3
        return frame(address=0x80 | ADDRESS, control=sequence | (0x08 if dress else 0), rest=dress + answer)

    lane.there.faults.change = forge
    lane.pulse(1)
    assert isinstance(lane.outcome(1, hurry=True), PulseUnknown | PulseRefused)
    lane.run(for_ms=1_000, hurry=True)
    assert forged != []
    assert set(lane.told(InputsRead)) <= {InputsRead((False,) * 4)}


def test_the_line_writes_no_output_in_the_clear(lane: Bench) -> None:
    lane.board._line.allow_output(lane.now_ns + 1_000 * NS_PER_MS)
    assert lane.board._line.write(frame(address=ADDRESS, control=1, rest=b"\x68\x00\x05\x05\x00")) == 0
    lane.run(for_ms=50)
    assert lane.there.pulses == []


def test_two_sessions_never_begin_with_the_same_challenge(lane: Bench) -> None:
    """libosdp 3.2.9 draws it from rand(), which nobody seeds: each start of the program would draw the same."""

    def challenges() -> list[bytes]:
        return [data for data in lane.there.heard if (told := read_frame(data)) is not None and told.code == Code.CHALLENGE]

    def challenge_after_a_start() -> bytes:
        lane.there.heard.clear()
        ctypes.CDLL(None).srand(1)  # as after a start
        lane.there.faults.lose = 1
        lane.until(lambda: bool(challenges()), hurry=True)
        return challenges()[0][-10:-2]

    assert challenge_after_a_start() != challenge_after_a_start()


# --- for a long time --------------------------------------------------------------------------------------------------------------


def test_what_libosdp_forgets_is_given_back(lane: Bench) -> None:
    def poll(times: int) -> int:
        told = 0
        while told < times:
            lane.board._ask_due_ns = 0
            lane.turn()
            told += len(lane.told(InputsRead))
            for kept in (lane.events, lane.there.said, lane.there.heard):
                kept.clear()
        gc.collect()
        return sys.getallocatedblocks()

    poll(300)  # Python's own stores fill
    first = poll(300)
    assert poll(300) - first < 150  # libosdp alone keeps four blocks for each


@dataclasses.dataclass(frozen=True)
class Step:
    """Of a random life: what befalls the line, for how long, and a pulse or none."""

    fault: str
    for_ms: int
    pulse: bool


def _life(seed: int, steps: int) -> list[Step]:
    dice = random.Random(seed)
    faults = ("none", "none", "silent", "lose", "in_pieces", "unplugged", "noise", "restarted")
    return [Step(dice.choice(faults), dice.randrange(20, 400), dice.random() < 0.7) for _ in range(steps)]


def _live(bench: Bench, seed: int, steps: int) -> None:
    """Each pulse has another length and output, so that the board's own list tells which came, and how often."""
    print("seed", seed)
    dice = random.Random(seed)
    arrived: list[Pulse] = []
    bench.come_online()
    for token, step in enumerate(_life(seed, steps)):
        bench.there.faults.silent = step.fault == "silent"
        bench.there.faults.in_pieces = step.fault == "in_pieces"
        bench.there.faults.lose = dice.randrange(1, 4) if step.fault == "lose" else 0
        bench.noise = (lambda: dice.randbytes(dice.randrange(8))) if step.fault == "noise" else bytes
        if step.fault == "unplugged":
            bench.port.unplug()
        if step.fault == "restarted":
            arrived += bench.there.pulses
            bench.peer = bench.new_peer(key=bench.key)
        if step.pulse:
            bench.pulse(token, output=token % 2, pulse_ms=100 * (1 + token // 2 % 10), lasts_ms=dice.randrange(1, 800))
        bench.run(for_ms=step.for_ms)
        if step.fault == "unplugged":
            bench.port.plug()
    bench.noise = bytes
    bench.there.faults.silent = bench.there.faults.in_pieces = False
    bench.there.faults.lose = 0
    pulses = [token for token, step in enumerate(_life(seed, steps)) if step.pulse]
    bench.until(lambda: all(bench.outcomes(token) for token in pulses) and bench.board._nameplate is not None, within_s=10, hurry=True)
    bench.run(for_ms=100)
    arrived += bench.there.pulses
    for token in pulses:
        (outcome,) = bench.outcomes(token)
        came = arrived.count(Pulse(token % 2, 5, 1 + token // 2 % 10))
        allowed = {PulseTaken: {1}, PulseRefused: {0}, PulseUnknown: {0, 1}}[type(outcome)]
        assert came in allowed, (token, outcome, came)


def test_whatever_befalls_the_line_a_pulse_comes_once_or_not_and_its_outcome_is_true(bench: Bench) -> None:
    _live(bench, seed=random.randrange(2**32), steps=2)


@pytest.mark.slow
@pytest.mark.parametrize("life", range(10))
def test_long_lives_of_the_line_lose_and_double_no_pulse(bench: Bench, life: int) -> None:
    _live(bench, seed=random.randrange(2**32) + life, steps=20)
