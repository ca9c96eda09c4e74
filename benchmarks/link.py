"""Command to acknowledgement over a pseudo-terminal, alone or while recognition runs: python benchmarks/link.py --help.

The command is a CANCEL of a number of its own: answered like a RELEASE, kept in the lasting store like a RELEASE, and it moves nothing. A
pseudo-terminal has no baud rate, so the wire time of the bytes at 115,200 bit/s is computed and added.
"""

import argparse
import json
import multiprocessing
import secrets
import select
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from functools import partial
from itertools import islice
from multiprocessing.synchronize import Event
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from agent.core.inputs import Pad, PadVerdict
from agent.diagnostics.bench.recognition import BOUNDS, Lane, crowd, gallery_of
from agent.diagnostics.walkup import portrait, walk_up
from agent.vision.recogniser import Recogniser
from agent.vision.sampler import open_sampler
from firmware_bridge.emulator.controller import Controller, PowerOn
from firmware_bridge.emulator.settings import ControllerSettings
from firmware_bridge.emulator.shell import BoardSettings, Emulator
from firmware_bridge.greeting import HostSettings
from firmware_bridge.host_events import CancelAnswered
from firmware_bridge.link import HostLink
from firmware_bridge.transport import SerialTransport
from firmware_bridge.vocabulary import Belief, Kind
from models.places import DEFAULT_PACK, built_folder
from tests.bridge.firmware import Firmware, compile_library, load
from tests.bridge.qemu import Board, build_image

KEY = bytes(range(1, 33))
PEOPLE, WARM_FRAMES = 15_000, 20
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


def control(peer: str, folder: Path, ready: Event, over: Event) -> None:
    """The controller, in a process of its own as a turnstile's is."""
    with ExitStack() as stack:
        kind = Kind.EMULATOR if peer == "emulator" else Kind.REFERENCE_ON_PC
        board = BoardSettings(folder / "port", folder / "store", folder / "log")
        emulator = Emulator(ControllerSettings(key=KEY, kind=kind), board, power_on=machine(peer, folder, stack))
        emulator.start()
        stack.callback(emulator.stop)
        ready.set()
        over.wait()


def spin() -> None:
    while True:
        sum(i * i for i in range(10_000))


def recognise(over: threading.Event, seen: list[int]) -> None:
    """Frame after frame with no pause, in a thread of this process as in the agent; the default pack, 15,000 people, no picture kept."""
    sampler = open_sampler(DEFAULT_PACK, (built_folder(),), threads=1, bounds=BOUNDS)
    sampler.warm_up()
    gallery = gallery_of(sampler, crowd(sampler, PEOPLE))
    images = list(islice(walk_up(portrait("hopper"), frames=60, from_eye_px=48, to_eye_px=60), 30))
    lane = Lane(Recogniser(sampler, frames=3, pad=Pad(PadVerdict.OFF)), gallery, images, search_each=True)
    while not over.is_set():
        lane.frame_ms()
        seen[0] += 1


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
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", choices=["emulator", "library", "qemu"], default="emulator")
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--busy", type=int, default=0, help="processes that compute meanwhile")
    parser.add_argument("--recognise", action="store_true", help="recognition runs at full rate in a thread beside")
    given = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ready, over, seen, thread = multiprocessing.Event(), multiprocessing.Event(), [0], None
        controller = multiprocessing.Process(target=control, args=(given.peer, folder, ready, over))
        controller.start()
        others = [multiprocessing.Process(target=spin, daemon=True) for _ in range(given.busy)]
        for process in others:
            process.start()
        ready.wait()
        done = threading.Event()
        if given.recognise:
            thread = threading.Thread(target=recognise, args=(done, seen))
            thread.start()
            while seen[0] < WARM_FRAMES:
                time.sleep(0.05)
        began, first = time.monotonic(), seen[0]
        times = measure(str(folder / "port"), given.count)
        took_s = time.monotonic() - began
        done.set()
        over.set()
        if thread is not None:
            thread.join()
        controller.join()
        for process in others:
            process.kill()
    at = {name: times[min(len(times) - 1, int(len(times) * share))] for name, share in (("p50", 0.5), ("p99", 0.99), ("p999", 0.999))}
    figures = {
        "peer": given.peer,
        "count": len(times),
        "busy": given.busy,
        "frames_per_s": round((seen[0] - first) / took_s, 1),
        "wire_ms": round(WIRE_MS, 2),
        "allowed_ms": round(ALLOWED_MS, 2),
        **{f"{name}_ms": round(WIRE_MS + ms, 2) for name, ms in at.items()},
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
