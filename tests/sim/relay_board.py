"""A Modbus relay board on a pseudo-terminal: pymodbus's own server before a board of ours, with a wire between them that can be bad.

Run as a program it stands for a board in another process, with somebody who walks through when it opens:
`python -m tests.sim.relay_board --link PORT --walk-ms 300`.
"""

import argparse
import asyncio
import contextlib
import json
import os
import pty
import select
import struct
import threading
import time
import tty
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pymodbus.constants import ExcCodes
from pymodbus.pdu import ExceptionResponse, ModbusPDU
from pymodbus.server import ModbusSerialServer
from pymodbus.simulator import DataType, SimData, SimDevice

OUTPUTS = 8
Spoil = Callable[[bytes], bytes]


@dataclass
class Relays:
    """The board itself: it times what it is told to flash. All from one lock, as its one processor would."""

    welded: bool = False  # whatever closes stays closed
    forgets: bool = False  # does not time its pulses: they stay on until told to be off
    lies: bool = False  # says yes to a flash, and does not switch
    refuses: bool = False  # answers a flash with an exception
    on_flash: Callable[[int], None] = lambda _output: None
    flashes: list[tuple[int, int]] = field(default_factory=list)  # output and ms, as taken
    offs: list[int] = field(default_factory=list)
    closed: list[bool] = field(default_factory=lambda: [False, False, True, False, False, False, False, False])

    def __post_init__(self) -> None:
        self._until = [0.0] * OUTPUTS
        self._lock = threading.RLock()

    def flash(self, output: int, ms: int) -> None:
        with self._lock:
            self.flashes.append((output, ms))
            if not self.lies:
                self._until[output] = float("inf") if self.forgets or self.welded else time.monotonic() + ms / 1000
        self.on_flash(output)

    def off(self, output: int) -> None:
        with self._lock:
            self.offs.append(output)
            if not self.welded:
                self._until[output] = 0.0

    def on(self) -> list[bool]:
        with self._lock:
            return [time.monotonic() < until for until in self._until]


def _write_coil(relays: Relays) -> type[ModbusPDU]:
    class WriteCoil(ModbusPDU):
        """Function 05 as this board reads it: 0x02nn is a flash of output nn for value x 100 ms."""

        function_code = 5
        rtu_frame_size = 8
        body = b""

        def encode(self) -> bytes:
            return self.body

        def decode(self, data: bytes) -> None:
            self.body = data[:4]

        async def datastore_update(self, context: Any, device_id: int) -> ModbusPDU:
            del context, device_id
            coil, value = struct.unpack(">HH", self.body)
            if 0x0200 <= coil < 0x0200 + OUTPUTS and not relays.refuses:
                relays.flash(coil - 0x0200, value * 100)
            elif coil < OUTPUTS and value == 0:
                relays.off(coil)
            else:
                return ExceptionResponse(5, ExcCodes.ILLEGAL_VALUE)
            return self

    return WriteCoil


def _device(relays: Relays, address: int) -> SimDevice:
    async def act(function: int, _start: int, first: int, _count: int, now: list[int], wanted: Any) -> ExcCodes | None:
        if function == 16:
            if relays.refuses or wanted is None or wanted[0] != 4 or (first - 3) % 5:
                return ExcCodes.ILLEGAL_VALUE
            relays.flash((first - 3) // 5, wanted[1] * 100)
        if function in (1, 2):
            bits = relays.on() if function == 1 else relays.closed
            now[0] = sum(bit << place for place, bit in enumerate(bits))
        return None

    eight = [SimData(0, values=[False] * 16, datatype=DataType.BITS)]
    registers = [SimData(0, count=64, datatype=DataType.REGISTERS)]
    return SimDevice(address, (eight, list(eight), registers, list(registers)), action=act)


class RelayBoard:
    """The board behind its wire; `link` names the host's end. Each end is a pseudo-terminal, and a thread is the wire between."""

    def __init__(self, link: Path, *, address: int = 1, relays: Relays | None = None) -> None:
        self.relays = relays or Relays()
        self.link = link
        self.to_board: Spoil = lambda data: data
        self.to_host: Spoil = lambda data: data
        self._address = address
        self._far, self._board_end = _terminal()
        self._near: tuple[int, int] | None = None
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._server: ModbusSerialServer | None = None
        self._threads = [threading.Thread(target=self._serve, daemon=True), threading.Thread(target=self._carry, daemon=True)]
        self.plug()
        for thread in self._threads:
            thread.start()

    def plug(self) -> None:
        """A new terminal under the same name, as a converter gets a new number."""
        with self._lock:
            self._near = _terminal()
            self.link.unlink(missing_ok=True)
            self.link.symlink_to(os.ttyname(self._near[1]))

    def unplug(self) -> None:
        with self._lock:
            near, self._near = self._near, None
            self.link.unlink(missing_ok=True)
            for end in near or ():
                os.close(end)

    def close(self) -> None:
        self._ended.set()
        if self._server is not None:
            asyncio.run_coroutine_threadsafe(self._server.shutdown(), self._loop).result(5)
        for thread in self._threads:
            thread.join(5)
        self.unplug()
        for end in (self._far, self._board_end):
            os.close(end)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._server_life())
        self._loop.close()

    async def _server_life(self) -> None:
        self._server = ModbusSerialServer(
            _device(self.relays, self._address),
            port=os.ttyname(self._board_end),
            baudrate=9600,
            custom_pdu=[_write_coil(self.relays)],
            trace_packet=self._mine,
        )
        await self._server.serve_forever()

    def _mine(self, sending: bool, data: bytes) -> bytes:
        """A board is silent when another address is asked."""
        return data if sending or data[:1] == bytes((self._address,)) else b""

    def _carry(self) -> None:
        while not self._ended.is_set():
            with self._lock:
                near = self._near
                if near is not None and select.select([near[0]], [], [], 0)[0]:
                    os.write(self._far, self.to_board(os.read(near[0], 4096)))
                if near is not None and select.select([self._far], [], [], 0)[0]:
                    os.write(near[0], self.to_host(os.read(self._far, 4096)))
            select.select([self._far, *([near[0]] if near else [])] if near else [], [], [], 0.002)


def _terminal() -> tuple[int, int]:
    ends = pty.openpty()
    for end in ends:
        tty.setraw(end)
    return ends


class Walker:
    """Whoever stands before the gate: walks through when it opens, and the passage contact closes for a moment behind them."""

    def __init__(self, relays: Relays, walk_ms: int) -> None:
        self._relays = relays
        self._walk_s = walk_ms / 1000
        relays.on_flash = self.opened

    def opened(self, output: int) -> None:
        for after_s, closed in ((self._walk_s, True), (self._walk_s + 0.25, False)):
            timer = threading.Timer(after_s, self._contact, (output, closed))
            timer.daemon = True
            timer.start()

    def _contact(self, output: int, closed: bool) -> None:
        self._relays.closed[output] = closed


def main() -> None:
    """Says "ready", then each flash, one JSON line each, until standard input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--link", type=Path, required=True)
    parser.add_argument("--walk-ms", type=int, default=-1, help="nobody walks where it is negative")
    args = parser.parse_args()
    board = RelayBoard(args.link)
    if args.walk_ms >= 0:
        Walker(board.relays, args.walk_ms)
    print(json.dumps({"kind": "ready"}), flush=True)
    told = 0
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            for output, ms in board.relays.flashes[told:]:
                told += 1
                print(json.dumps({"kind": "flash", "output": output, "ms": ms}), flush=True)
            time.sleep(0.02)


if __name__ == "__main__":
    main()
