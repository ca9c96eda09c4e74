"""The Modbus relay board against pymodbus's own server on a pseudo-terminal, with a wire between that can be bad."""

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.framer import FramerRTU

from firmware_bridge.board import (
    BoardEvent,
    BoardFaulted,
    BoardOffline,
    BoardOnline,
    InputsRead,
    PulseRefused,
    PulseTaken,
    PulseUnknown,
)
from firmware_bridge.modbus import ModbusBoard
from firmware_bridge.modbus_words import FLASHES, Dialogue, Said, SaidNo, read_inputs, read_outputs
from tests.sim.relay_board import RelayBoard, Relays

LIMIT_S = 15.0  # far above what any step takes on a busy machine
S = 1_000_000_000
T = TypeVar("T")
Ended = PulseTaken | PulseRefused | PulseUnknown


@dataclass
class Bench:
    """A board, its host's end, and what that has told."""

    folder: Path
    relays: Relays = field(default_factory=Relays)
    address: int = 1
    flash: str = "coil_0200"
    outputs: int = 2
    simulation: bool = True

    def __post_init__(self) -> None:
        self.told: list[BoardEvent] = []
        self.peer = RelayBoard(self.folder / "board", relays=self.relays)
        self.host = ModbusBoard(
            port=str(self.folder / "board"),
            baud=9600,
            address=self.address,
            flash=self.flash,
            outputs=self.outputs,
            inputs=3,
            simulation=self.simulation,
        )

    def close(self) -> None:
        self.host.close()
        self.peer.close()

    def turn(self) -> None:
        self.told += self.host.turn(time.monotonic_ns())
        assert self.host.next_turn_ns(time.monotonic_ns()) < time.monotonic_ns() + 6 * S
        time.sleep(0.001)

    def until(self, holds: Callable[[], T], what: str) -> T:
        end = time.monotonic() + LIMIT_S
        while not (found := holds()):
            assert time.monotonic() < end, f"not within {LIMIT_S:.0f} s: {what}; told: {[e for e in self.told if not _is_input(e)]}"
            self.turn()
        return found

    def wait(self, kind: type[T], *, after: int = 0) -> T:
        return self.until(lambda: next((e for e in self.told[after:] if isinstance(e, kind)), None), kind.__name__)  # type: ignore[return-value]

    def pulse(self, token: int = 1, *, ms: int = 300, life_ns: int = S) -> None:
        now_ns = time.monotonic_ns()
        self.host.pulse(output=0, pulse_ms=ms, token=token, expires_ns=now_ns + life_ns, now_ns=now_ns)

    def end_of(self, token: int) -> Ended:
        def found() -> Ended | None:
            return next((e for e in self.told if isinstance(e, Ended) and e.token == token), None)

        end = self.until(found, f"the end of pulse {token}")
        assert end is not None
        return end

    def off_again(self) -> None:
        self.until(lambda: not any(self.relays.on()), "all outputs off")
        mark = time.monotonic()
        self.until(lambda: time.monotonic() > mark + 0.4, "a look at the outputs")


def _is_input(event: BoardEvent) -> bool:
    return isinstance(event, InputsRead)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    bench.wait(InputsRead)
    yield bench
    bench.close()


@pytest.mark.parametrize(
    ("flash", "output", "steps", "published"),
    [
        ("coil_0200", 0, 7, "01 05 02 00 00 07 8D B0"),
        ("coil_0200", 1, 8, "01 05 02 01 00 08 9C 74"),
        ("register_3", 0, 20, "01 10 00 03 00 02 04 00 04 00 14 F2 74"),
    ],
)
def test_a_flash_is_the_frame_that_the_maker_publishes(flash: str, output: int, steps: int, published: str) -> None:
    assert Dialogue().packet(FLASHES[flash](1, output, steps)) == bytes.fromhex(published)


@pytest.mark.parametrize("flash", ["coil_0200", pytest.param("register_3", marks=pytest.mark.slow)])
def test_the_board_times_the_pulse_and_it_is_written_once(tmp_path: Path, flash: str) -> None:
    bench = Bench(tmp_path, flash=flash)
    assert bench.wait(BoardOnline) == BoardOnline(f"{flash} at address 1", "unknown", authenticated=False)
    bench.pulse(7)
    assert bench.end_of(7) == PulseTaken(7)
    assert bench.relays.on()[:2] == [True, False]
    bench.off_again()
    bench.close()
    assert (bench.relays.flashes, bench.relays.offs) == ([(0, 300)], [])
    assert [e for e in bench.told if isinstance(e, BoardFaulted)] == []


def test_the_contacts_are_told_as_they_are(bench: Bench) -> None:
    assert bench.wait(InputsRead) == InputsRead((False, False, True))
    bench.relays.closed[0] = True
    bench.until(lambda: bench.told[-1] == InputsRead((True, False, True)), "the contact that closed")


def test_a_pulse_that_is_too_late_is_not_written(bench: Bench) -> None:
    bench.pulse(life_ns=0)
    assert bench.end_of(1) == PulseRefused(1, "it came too late to be written")
    bench.off_again()
    assert bench.relays.flashes == []


def test_a_lost_answer_is_made_good_by_looking_and_not_by_writing_again(bench: Bench) -> None:
    bench.peer.to_host = lambda data: b"" if data[1] == 5 else data
    bench.pulse(ms=500)
    assert bench.end_of(1) == PulseTaken(1)
    bench.off_again()
    assert bench.relays.flashes == [(0, 500)]


def test_a_pulse_that_never_arrived_is_unknown_and_not_written_again(bench: Bench) -> None:
    bench.peer.to_board = lambda data: b"" if data[1] == 5 else data
    bench.pulse(ms=1000)
    assert bench.end_of(1) == PulseUnknown(1, "the board did not confirm it, and its output is not on")
    bench.off_again()
    assert bench.relays.flashes == []


@pytest.mark.slow
def test_answers_that_come_twice_change_nothing(bench: Bench) -> None:
    bench.peer.to_host = lambda data: data + data
    for token in (1, 2):
        bench.pulse(token, ms=100)
        assert bench.end_of(token) == PulseTaken(token)
        bench.off_again()
    assert bench.relays.flashes == [(0, 100)] * 2
    assert [e for e in bench.told if isinstance(e, BoardOffline | BoardFaulted)] == []


def test_a_board_that_says_no_has_not_switched(bench: Bench) -> None:
    bench.relays.refuses = True
    bench.pulse()
    assert bench.end_of(1) == PulseRefused(1, "it does not take this value")


def test_a_board_that_says_yes_and_does_not_switch_is_not_believed(bench: Bench) -> None:
    bench.relays.lies = True
    bench.pulse(ms=1000)
    assert bench.end_of(1) == PulseUnknown(1, "the board took it, and its output is not on")


def test_an_output_that_stays_on_is_a_fault_until_it_is_off(bench: Bench) -> None:
    bench.relays.forgets = True
    bench.pulse(ms=100)
    assert bench.wait(BoardFaulted) == BoardFaulted("output_0_stays_on", active=True)
    bench.until(lambda: BoardFaulted("output_0_stays_on", active=False) in bench.told, "it was told to be off, and is")
    assert bench.relays.offs == [0]


@pytest.mark.slow
def test_no_pulse_goes_to_an_output_that_is_welded(bench: Bench) -> None:
    bench.relays.welded = True
    bench.pulse(1, ms=100)
    bench.wait(BoardFaulted)
    bench.pulse(2, ms=100)
    assert bench.end_of(2) == PulseRefused(2, "output 0 is on already")
    assert bench.relays.flashes == [(0, 100)]


@pytest.mark.slow
def test_a_board_at_another_address_is_named_and_nothing_is_written_for_it(tmp_path: Path) -> None:
    bench = Bench(tmp_path, address=9)
    bench.pulse()
    assert bench.wait(BoardOffline).reason == "no answer from the board at address 9; check cable, power, address and baud rate"
    assert isinstance(bench.end_of(1), PulseRefused)
    bench.close()
    assert bench.relays.flashes == []


@pytest.mark.slow
def test_a_board_with_fewer_outputs_than_are_named_says_so(tmp_path: Path) -> None:
    bench = Bench(tmp_path, outputs=32)
    assert "does not show 32 outputs: it has no such output or input" in bench.wait(BoardOffline).reason
    bench.close()


def test_a_board_that_is_unplugged_comes_back_under_another_number_and_opens_nothing_by_itself(bench: Bench) -> None:
    bench.peer.unplug()
    bench.pulse(1)
    lost = bench.wait(BoardOffline)
    refused = next(event for event in bench.told if isinstance(event, PulseRefused))
    assert refused.token == 1
    assert bench.told.index(refused) < bench.told.index(lost), "the core hears the end of a grant first"
    mark = len(bench.told)
    bench.peer.plug()
    bench.wait(BoardOnline, after=mark)
    bench.off_again()
    assert bench.relays.flashes == []
    bench.pulse(2, ms=100)
    assert bench.end_of(2) == PulseTaken(2)


@pytest.mark.slow
def test_a_pulse_that_the_lost_line_leaves_unconfirmed_is_unknown(bench: Bench) -> None:
    bench.relays.on_flash = lambda _output: None
    bench.peer.to_host = lambda _data: b""
    bench.pulse(ms=1000)
    bench.until(lambda: bench.relays.flashes, "the board took it")
    bench.peer.unplug()
    end = bench.end_of(1)
    assert isinstance(end, PulseUnknown), end
    assert end.reason.startswith("the line was lost")


def test_a_pseudo_terminal_is_no_board_outside_a_simulation(tmp_path: Path) -> None:
    bench = Bench(tmp_path, simulation=False)
    assert "is a pseudo-terminal; it needs --simulation" in bench.wait(BoardOffline).reason
    bench.close()


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 12))])
def test_on_a_bad_wire_no_pulse_is_doubled_and_each_has_one_end(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    bench = Bench(tmp_path)
    bench.wait(BoardOnline)

    def spoil(data: bytes) -> bytes:
        match dice.randrange(12):
            case 0:
                return b""
            case 1:
                return data[: dice.randrange(len(data))]
            case 2:
                spot = dice.randrange(len(data))
                return data[:spot] + bytes((data[spot] ^ 1 << dice.randrange(8),)) + data[spot + 1 :]
            case 3:
                return dice.randbytes(3) + data
            case _:
                return data

    bench.peer.to_board = bench.peer.to_host = spoil
    ends = []
    for token in range(1, 7):
        bench.pulse(token, ms=100)
        ends.append(bench.end_of(token))
        bench.until(lambda: not any(bench.relays.on()), "off again")
    bench.close()
    taken = sum(isinstance(end, PulseTaken) for end in ends)
    maybe = sum(isinstance(end, PulseUnknown) for end in ends)
    assert taken <= len(bench.relays.flashes) <= taken + maybe, f"seed {seed}: {ends} against {bench.relays.flashes}"
    assert [e.token for e in bench.told if isinstance(e, Ended)] == list(range(1, 7)), f"seed {seed}: each has one end"


REQUESTS = (FLASHES["coil_0200"](1, 0, 5), FLASHES["register_3"](1, 0, 5), read_outputs(1, 2), read_inputs(1, 3))
ANSWERS = ("01 05 02 00 00 05", "01 10 00 03 00 02", "01 01 01 03", "01 02 01 04")  # without their check sums


@pytest.mark.parametrize(("request_", "answer"), list(zip(REQUESTS, ANSWERS, strict=True)))
def test_an_answer_with_any_bit_turned_is_no_answer(request_: object, answer: str) -> None:
    body = bytes.fromhex(answer)
    whole = body + FramerRTU.compute_CRC(body).to_bytes(2, "big")
    dialogue = Dialogue()
    assert isinstance(dialogue.answer(request_, whole), Said)  # type: ignore[arg-type]
    for bit in range(8 * len(whole)):
        turned = bytearray(whole)
        turned[bit // 8] ^= 1 << bit % 8
        assert dialogue.answer(request_, bytes(turned)) is None, turned.hex(" ")  # type: ignore[arg-type]


@given(data=st.binary(max_size=40), which=st.sampled_from(REQUESTS))
def test_any_bytes_are_an_answer_or_none(data: bytes, which: object) -> None:
    found = Dialogue().answer(which, data)  # type: ignore[arg-type]
    assert found is None or isinstance(found, Said | SaidNo)
