"""The reference firmware for a Cortex-M3 in an emulated board (QEMU, mps2-an385), as a machine that `Emulator` can give a port to.

The host's line and the second line (inputs in, notes out) are Unix sockets; the lasting store is a file that the board has as memory.
"""

import ctypes
import hashlib
import mmap
import select
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from firmware_bridge.codec import decode
from firmware_bridge.emulator.controller import LogLine, Output
from firmware_bridge.emulator.settings import ControllerSettings
from firmware_bridge.emulator.store import SLOT_BYTES, Store, read_slots
from firmware_bridge.messages import State
from firmware_bridge.ticks import wrap
from firmware_bridge.vocabulary import Drive, Inputs, Lamp, Phase, Tone
from tests.bridge.firmware import NOTE_DRIVE, NOTE_INDICATE, SOURCE, CSettings, Notes, c_settings

TOOLS: Final[Mapping[str, str]] = {"arm-none-eabi-gcc": "gcc-arm-none-eabi", "qemu-system-arm": "qemu-system-arm", "make": "make"}
MEMORY_BYTES: Final = 16 << 20
_SLOT_STEP, _PROVISION_AT = 64, 0x100
_NOTE_SENSED: Final = 0xF2
_INPUT_MARK: Final = 0x40
_PATIENCE_S: Final = 20.0
_POLL_MS: Final = 2


class _Provision(ctypes.Structure):
    _fields_ = (("settings", CSettings), ("clock_offset_ms", ctypes.c_uint32), ("inputs", ctypes.c_uint16))


def missing_tools() -> list[str]:
    return [f"{tool} (Debian's {package})" for tool, package in TOOLS.items() if shutil.which(tool) is None]


def build_image(into: Path) -> Path:
    """Raises AssertionError with the compiler's words where it does not build."""
    ran = subprocess.run(["make", "-C", str(SOURCE), "firmware", f"BUILD={into}"], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return into / "mps2.elf"


class Board:
    """One board: power it on with a call, as often as it takes. Its memory outlives the power; `close` it at the end."""

    def __init__(self, image: Path, folder: Path) -> None:
        self._image = image
        self._folder = folder
        self.memory_file = folder / "board-memory"
        self.running: QemuMachine | None = None

    def __call__(self, settings: ControllerSettings, store: Store | None, *, inputs: Inputs, now_ms: int) -> "QemuMachine":
        """`store` counts for the first power-on only: after that the board has its own."""
        self.close()
        digest = hashlib.sha256(self._image.read_bytes()).digest()
        made = c_settings(settings)
        ctypes.memmove(made.firmware_digest, digest, 32)
        provision = _Provision(made, wrap(now_ms), inputs)
        with self.memory_file.open("r+b" if self.memory_file.exists() else "w+b") as file:
            file.truncate(MEMORY_BYTES)
            file.seek(_PROVISION_AT)
            file.write(bytes(provision))
            if store is None:
                file.seek(0)
                file.write(b"\xa5" * 2 * _SLOT_STEP)
        self.running = QemuMachine(self._image, self.memory_file, inputs)
        return self.running

    def close(self) -> None:
        if self.running is not None:
            self.running.power_off()
        self.running = None


class QemuMachine:
    """Implements `Machine`: the board runs by itself, so each step gives what it has said since the last one."""

    def __init__(self, image: Path, memory: Path, inputs: Inputs) -> None:
        self._inputs = inputs
        self._notes = Notes()
        self._half = b""  # of a note
        self._state: State | None = None
        self._drive, self._shown = Drive(0), (Lamp.OFF, Tone.OFF)
        self._log: list[LogLine] = []
        self._sensed = 0
        with memory.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 2 * _SLOT_STEP)
        self._kept = self.store
        with tempfile.TemporaryDirectory() as folder:  # short names: a socket's path has 108 bytes
            self._process, (self._line, self._second) = _start(image, memory, Path(folder))
        self._until(lambda: self._state is not None)

    def power_off(self) -> None:
        """At once, as a cut cable."""
        self._process.kill()
        self._process.wait()
        self._line.close()
        self._second.close()

    # --- a step -------------------------------------------------------------------------------------------------------------------

    def receive(self, data: bytes, now_ms: int) -> Output:
        self._line.sendall(data)
        return self.tick(now_ms)

    def sense(self, inputs: Inputs, now_ms: int) -> Output:
        before = self._sensed
        self._inputs = inputs
        self._second.sendall(bytes([_INPUT_MARK | inputs]))
        self._until(lambda: self._sensed > before)
        return self.tick(now_ms)

    def tick(self, now_ms: int) -> Output:
        del now_ms  # the board has its own clock
        data = _available(self._line)  # first the line, then the notes: what was said on the line is in the notes before it
        self._listen()
        log, self._log = tuple(self._log), []
        store = self.store
        kept, self._kept = (store if store != self._kept else None), store
        return Output(kept, self._drive, data, log)

    def next_deadline_ms(self) -> int:
        return _POLL_MS

    def _until(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + _PATIENCE_S
        while not condition():
            assert self._process.poll() is None, "QEMU has ended"
            assert time.monotonic() < end, "the board says nothing"
            select.select([self._second], [], [], 0.05)
            self._listen()

    def _listen(self) -> None:
        self._half += _available(self._second)
        while len(self._half) >= 2 and len(self._half) >= 2 + self._half[1]:
            size = 2 + self._half[1]
            note, self._half = self._half[:size], self._half[size:]
            if note[0] == _NOTE_SENSED:
                self._sensed += 1
                continue
            if note[0] == NOTE_DRIVE:
                self._drive = Drive(note[2])
            elif note[0] == NOTE_INDICATE:
                self._shown = (Lamp(note[2]), Tone(note[3]))
            else:
                message = decode(note[0], note[2:])
                self._state = message if isinstance(message, State) else self._state
            self._log += self._notes.read(note)

    # --- what it shows --------------------------------------------------------------------------------------------------------------

    @property
    def phase(self) -> Phase:
        return self._state.phase if self._state is not None else Phase.SECURED

    @property
    def armed(self) -> bool:
        return self._state is not None and bool(self._state.armed)

    @property
    def drive(self) -> Drive:
        return self._drive

    @property
    def grant(self) -> int:
        return self._state.grant_number if self._state is not None else 0

    @property
    def shown(self) -> tuple[Lamp, Tone]:
        return self._shown

    @property
    def store(self) -> Store:
        slots = bytes(self._memory[:SLOT_BYTES]) + bytes(self._memory[_SLOT_STEP : _SLOT_STEP + SLOT_BYTES])
        return read_slots(slots)[1] or Store()


def _start(image: Path, memory: Path, folder: Path) -> tuple[subprocess.Popen[bytes], tuple[socket.socket, socket.socket]]:
    command = ["qemu-system-arm", "-machine", "mps2-an385,memory-backend=nv", "-cpu", "cortex-m3", "-kernel", str(image)]
    command += ["-object", f"memory-backend-file,id=nv,mem-path={memory},size={MEMORY_BYTES},share=on"]
    command += ["-display", "none", "-monitor", "none"]
    for name in ("line", "second"):
        command += ["-chardev", f"socket,id={name},path={folder / name},server=on,wait=on", "-serial", f"chardev:{name}"]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    sockets = []
    end = time.monotonic() + _PATIENCE_S
    for name in ("line", "second"):
        end_of = socket.socket(socket.AF_UNIX)
        while end_of.connect_ex(str(folder / name)) != 0:
            assert process.poll() is None, "QEMU does not start"
            assert time.monotonic() < end, "QEMU opens no line"
            time.sleep(0.005)
        end_of.setblocking(False)
        sockets.append(end_of)
    return process, (sockets[0], sockets[1])


def _available(line: socket.socket) -> bytes:
    found = b""
    while True:
        try:
            data = line.recv(65536)
        except OSError:  # nothing more now
            return found
        if not data:
            return found
        found += data
