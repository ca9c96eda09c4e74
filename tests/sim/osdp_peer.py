"""An OSDP output board on a pseudo-terminal: libosdp's own peripheral, driven through its C interface, with faults on its line.

Its Python binding cannot be used for it: there the peripheral answers no input status (3.2.9), and gives back too much memory.
Run as a program it stands for a board in another process: `python -m tests.sim.osdp_peer --link PORT --key HEX`.
"""

import argparse
import contextlib
import ctypes
import errno
import json
import os
import pty
import select
import sys
import time
import tty
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import osdp_sys

_OUTPUT: Final = 1  # enum osdp_cmd_e
_STATUS: Final = 9
_INPUTS, _OUTPUTS = 0, 1  # enum osdp_status_report_type
_CONTACTS, _SWITCHES, _SECURITY = 1, 2, 9  # enum osdp_pd_cap_function_code_e
_READ = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(ctypes.c_uint8), ctypes.c_int)
_FLUSH = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_COMMAND = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)


class _Capability(ctypes.Structure):
    _fields_ = (("code", ctypes.c_uint8), ("level", ctypes.c_uint8), ("items", ctypes.c_uint8))


class _Identity(ctypes.Structure):
    _fields_ = (
        *(("version", ctypes.c_int), ("model", ctypes.c_int)),
        *(("vendor", ctypes.c_uint32), ("serial", ctypes.c_uint32), ("firmware", ctypes.c_uint32)),
    )


class _Channel(ctypes.Structure):
    _fields_ = (
        *(("data", ctypes.c_void_p), ("id", ctypes.c_int), ("recv", _READ), ("recv_packet", ctypes.c_void_p), ("send", _READ)),
        *(("flush", _FLUSH), ("release_packet", ctypes.c_void_p), ("close", ctypes.c_void_p)),
    )


class _Info(ctypes.Structure):
    _fields_ = (
        *(("name", ctypes.c_char_p), ("baud", ctypes.c_int), ("address", ctypes.c_int), ("flags", ctypes.c_int), ("id", _Identity)),
        *(("capabilities", ctypes.POINTER(_Capability)), ("channel", _Channel), ("key", ctypes.POINTER(ctypes.c_uint8))),
    )


class _Output(ctypes.Structure):
    _fields_ = (("number", ctypes.c_uint8), ("control", ctypes.c_uint8), ("timer", ctypes.c_uint16))


class _Status(ctypes.Structure):
    _fields_ = (("kind", ctypes.c_int), ("entries", ctypes.c_int), ("report", ctypes.c_uint8 * 64))


class _Union(ctypes.Union):
    _fields_ = (("output", _Output), ("status", _Status), ("room", ctypes.c_uint8 * 128))


class _Command(ctypes.Structure):
    _fields_ = (("next", ctypes.c_void_p), ("last", ctypes.c_void_p), ("id", ctypes.c_int), ("flags", ctypes.c_uint32), ("of", _Union))


@dataclass(frozen=True, slots=True)
class Pulse:
    """One output command as the board took it."""

    output: int
    control: int
    timer: int  # units of 100 ms


@dataclass(slots=True)
class Faults:
    """What befalls the replies of the board on their way.

    Attributes:
        lose: so many of the next replies vanish.
        silent: the board hears nothing and says nothing.
        in_pieces: replies go out one byte a step.
        sticky: outputs, once on, stay on until they are told to be off.
        welded: and even then.
        change: replaces each reply.
    """

    lose: int = 0
    silent: bool = False
    in_pieces: bool = False
    sticky: bool = False
    welded: bool = False
    change: Callable[[bytes], bytes] = field(default=lambda reply: reply)


class Port:
    """The board's end of a serial line. The gate's end is a symbolic link that survives another plug, as under /dev/serial/by-id."""

    def __init__(self, link: Path) -> None:
        self.link = link
        self._own: int | None = None

    def plug(self) -> None:
        """Under another terminal each time."""
        self._own, theirs = pty.openpty()
        tty.setraw(theirs)
        os.set_blocking(self._own, False)
        new = self.link.with_name(f"{self.link.name}.new")
        new.symlink_to(os.ttyname(theirs))
        new.rename(self.link)
        os.close(theirs)

    def unplug(self) -> None:
        if self._own is not None:
            os.close(self._own)
        self._own = None
        self.link.unlink(missing_ok=True)

    def fileno(self) -> int | None:
        return self._own

    def read(self) -> bytes:
        if self._own is None:
            return b""
        try:
            return os.read(self._own, 4096)
        except BlockingIOError:
            return b""
        except OSError as error:
            if error.errno != errno.EIO:  # nobody has the other end open
                raise
            return b""

    def write(self, data: bytes) -> None:
        if self._own is not None:
            with contextlib.suppress(BlockingIOError):
                os.write(self._own, data)


class OsdpPeer:
    """libosdp's peripheral. `step` it often; it has no thread.

    Args:
        key: its key; None: it has none yet and waits for the default key of the standard, as a new board does.
        timed: its outputs can be timed.
        clock: by which it times them, in seconds.
    """

    def __init__(
        self,
        port: Port,
        *,
        key: bytes | None,
        address: int = 3,
        inputs: int = 4,
        outputs: int = 2,
        timed: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.faults = Faults()
        self.closed = [False] * inputs
        self.pulses: list[Pulse] = []
        self.said: list[bytes] = []
        self.heard: list[bytes] = []
        self._port = port
        self._on_until = [0.0] * outputs
        self._clock = clock
        self._pieces = bytearray()
        self._library = ctypes.CDLL(osdp_sys.__file__)
        self._library.osdp_pd_setup.restype = ctypes.c_void_p
        self._library.osdp_logger_init(b"board", 0, None)
        levels = [(_SWITCHES, 2 if timed else 1, outputs), *([(_CONTACTS, 1, inputs)] if inputs else []), (255, 0, 0)]
        capabilities = (_Capability * len(levels))(*levels)
        capabilities[-1].code = 0
        # kept, since libosdp keeps only the pointers
        self._calls = (_READ(self._recv), _READ(self._send), _FLUSH(self._flush), _COMMAND(self._command))
        info = _Info(name=b"board", baud=9600, address=address, flags=0 if key is None else osdp_sys.FLAG_ENFORCE_SECURE)
        info.id = _Identity(1, 2, 0x123456, 7, 0x010203)
        info.capabilities = capabilities
        info.channel = _Channel(recv=self._calls[0], send=self._calls[1], flush=self._calls[2])
        if key is not None:
            info.key = (ctypes.c_uint8 * 16)(*key)
        self._context = ctypes.c_void_p(self._library.osdp_pd_setup(ctypes.byref(info)))
        self._library.osdp_pd_set_command_callback(self._context, self._calls[3], None)

    def step(self) -> None:
        if self._pieces:
            self._port.write(bytes(self._pieces[:1]))
            del self._pieces[:1]
        self._library.osdp_pd_refresh(self._context)

    def fileno(self) -> int | None:
        return self._port.fileno()

    # --- called by libosdp ----------------------------------------------------------------------------------------------------

    def _recv(self, _data: Any, buffer: Any, most: int) -> int:
        data = self._port.read()
        if self.faults.silent or not data:
            return 0
        self.heard.append(data)
        data = data[:most]  # a command of the gate is shorter than the 64 bytes that libosdp asks for
        ctypes.memmove(buffer, data, len(data))
        return len(data)

    def _send(self, _data: Any, buffer: Any, length: int) -> int:
        reply = bytes(buffer[:length])
        self.said.append(reply)
        if self.faults.lose:
            self.faults.lose -= 1
        elif self.faults.in_pieces:
            self._pieces += self.faults.change(reply)
        else:
            self._port.write(self.faults.change(reply))
        return length

    def _flush(self, _data: Any) -> None:
        pass

    def _command(self, _data: Any, address: int) -> int:
        command = _Command.from_address(address)
        if command.id == _OUTPUT:
            asked = command.of.output
            self.pulses.append(Pulse(asked.number, asked.control, asked.timer))
            self._switch(asked.number, on_s=asked.timer / 10)
        elif command.id == _STATUS:
            states = self.closed if command.of.status.kind == _INPUTS else [until > self._clock() for until in self._on_until]
            command.of.status.entries = len(states)
            for place, closed in enumerate(states):
                command.of.status.report[place] = closed
        return 0

    def _switch(self, output: int, *, on_s: float) -> None:
        if on_s:
            self._on_until[output] = float("inf") if self.faults.sticky or self.faults.welded else self._clock() + on_s
        elif not self.faults.welded:
            self._on_until[output] = 0.0


def _main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--link", type=Path, required=True)
    parser.add_argument("--key", required=True, help="of this pretended board only")
    parser.add_argument("--walk-ms", type=int, default=300, help="after a pulse, until somebody walks through; negative: nobody does")
    options = parser.parse_args()
    port = Port(options.link)
    port.plug()
    peer = OsdpPeer(port, key=bytes.fromhex(options.key), address=1)
    peer.closed[2] = True  # the fire contact
    print(json.dumps({"kind": "ready"}), flush=True)
    walks: list[tuple[float, int, bool]] = []  # when, input, closed
    while True:
        own = port.fileno()
        assert own is not None
        select.select([own], [], [], 0.005)
        peer.step()
        now = time.monotonic()
        while peer.pulses:
            pulse = peer.pulses.pop(0)
            print(json.dumps({"kind": "pulse", "output": pulse.output, "control": pulse.control, "ms": 100 * pulse.timer}), flush=True)
            if options.walk_ms >= 0:
                begins = now + options.walk_ms / 1000
                walks += [(begins, pulse.output, True), (begins + 0.3, pulse.output, False)]
        for when, place, closed in [walk for walk in walks if walk[0] <= now]:
            peer.closed[place] = closed
            walks.remove((when, place, closed))


if __name__ == "__main__":
    sys.exit(_main())
