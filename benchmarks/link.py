"""Command to acknowledgement over a pseudo-terminal: python benchmarks/link.py [emulator|library|qemu] [COUNT] [BUSY].

The command is a CANCEL of a number of its own: answered like a RELEASE, kept in the lasting store like a RELEASE, and it moves nothing. A
pseudo-terminal has no baud rate, so the wire time of the bytes at 115,200 bit/s is computed and added. BUSY processes compute meanwhile.
"""

import json
import multiprocessing
import secrets
import select
import sys
import tempfile
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from firmware_bridge.emulator.controller import Controller, PowerOn
from firmware_bridge.emulator.settings import ControllerSettings
from firmware_bridge.emulator.shell import BoardSettings, Emulator
from firmware_bridge.greeting import HostSettings
from firmware_bridge.host_events import CancelAnswered
from firmware_bridge.link import HostLink
from firmware_bridge.transport import SerialTransport
from firmware_bridge.vocabulary import Belief, Kind
from tests.bridge.firmware import Firmware, compile_library, load
from tests.bridge.qemu import Board, build_image

KEY = bytes(range(1, 33))
CANCEL_BYTES = 8 + 16 + 9 + 3  # payload, MAC, head and CRC, stuffing and zeros
ACK_BYTES = 9 + 16 + 9 + 3
WIRE_MS = (CANCEL_BYTES + ACK_BYTES) * 10 / 115.2
ALLOWED_MS = 1.5 * WIRE_MS + 2  # issue 4


def machine(peer: str, folder: Path, stack: ExitStack) -> PowerOn:
    match peer:
        case "library":
            return partial(Firmware, load(compile_library(folder, flags=("-O2",))))
        case "qemu":
            board = Board(build_image(folder / "build"), folder)
            stack.callback(board.close)
            return board
        case _:
            return Controller


def spin() -> None:
    while True:
        sum(i * i for i in range(10_000))


def measure(port: str, count: int) -> list[float]:
    """Times of `count` commands, ms, without the wire's own."""
    transport = SerialTransport(port, baud=115_200)
    kinds = frozenset({Kind.EMULATOR, Kind.REFERENCE_ON_PC})
    link = HostLink(HostSettings(key=KEY, host_id=b"gate-001", accepted_kinds=kinds))
    link.connect(secrets.token_bytes(16), time.monotonic_ns())
    times: list[float] = []
    number, sent_ns = 0, 0
    while len(times) < count:
        now_ns = time.monotonic_ns()
        link.believe(Belief.SECURED, grant_number=0, fresh_until_ns=now_ns + 10**9)
        if link.caught_up and sent_ns == 0:
            number += 1
            link.cancel(number, now_ns)
            sent_ns = now_ns
        transport.write(link.tick(time.monotonic_ns()).data)
        due_ns = link.next_deadline_ns()
        wait_s = 0.25 if due_ns is None else min(0.25, max(0, due_ns - time.monotonic_ns()) / 1e9)
        select.select([transport.fileno()], [], [], wait_s)
        for event in link.receive(transport.read(), time.monotonic_ns()):
            if isinstance(event, CancelAnswered) and event.ack.grant_number == number:
                times.append((time.monotonic_ns() - sent_ns) / 1e6)
                sent_ns = 0
    transport.close()
    return sorted(times)


def main() -> None:
    peer, count, busy = (*sys.argv[1:], *("emulator", "10000", "0")[len(sys.argv) - 1 :])
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        board = BoardSettings(folder / "port", folder / "store", folder / "log")
        kind = Kind.EMULATOR if peer == "emulator" else Kind.REFERENCE_ON_PC
        emulator = Emulator(ControllerSettings(key=KEY, kind=kind), board, power_on=machine(peer, folder, stack))
        emulator.start()
        stack.callback(emulator.stop)
        others = [multiprocessing.Process(target=spin, daemon=True) for _ in range(int(busy))]
        for process in others:
            process.start()
        times = measure(str(folder / "port"), int(count))
        for process in others:
            process.kill()
    at = {name: times[min(len(times) - 1, int(len(times) * share))] for name, share in (("p50", 0.5), ("p99", 0.99), ("p999", 0.999))}
    print(
        json.dumps(
            {
                "peer": peer,
                "count": len(times),
                "busy": int(busy),
                "wire_ms": round(WIRE_MS, 2),
                "allowed_ms": round(ALLOWED_MS, 2),
                **{f"{name}_ms": round(WIRE_MS + ms, 2) for name, ms in at.items()},
            }
        )
    )


if __name__ == "__main__":
    main()
