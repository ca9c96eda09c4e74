"""The board below the machine, emulated with files: a pseudo-terminal with a stable name, lasting memory, an append-only log."""

import contextlib
import json
import os
import time
import tty
from pathlib import Path
from typing import Final

from firmware_bridge.emulator.controller import LogLine
from firmware_bridge.emulator.store import STORE_BYTES, Slots, Store, read_slots

_READ_BYTES: Final = 4096


class PseudoTerminal:
    """The controller's serial port. `link` is a symbolic link to whatever number the system gave."""

    def __init__(self, link: Path) -> None:
        self._link = link
        self._far: int | None = None  # kept open, so that the port lives on while no host has it
        self.fd: int | None = None

    def plug_in(self) -> None:
        """Make the terminal and the link; does nothing where it is in already."""
        if self.fd is not None:
            return
        self.fd, self._far = os.openpty()
        tty.setraw(self._far)
        os.set_blocking(self.fd, False)
        fresh = self._link.with_name(f".{self._link.name}.{os.getpid()}")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(os.ttyname(self._far))
        fresh.replace(self._link)

    def pull_out(self) -> None:
        """The cable is gone: a host that has the port open gets an error."""
        for fd in (self.fd, self._far):
            if fd is not None:
                os.close(fd)
        self.fd = self._far = None
        self._link.unlink(missing_ok=True)

    def read(self) -> bytes:
        if self.fd is None:
            return b""
        try:
            return os.read(self.fd, _READ_BYTES)
        except BlockingIOError:
            return b""

    def write(self, data: bytes) -> None:
        """As a UART does: bytes that nobody takes are gone."""
        if self.fd is not None and data:
            with contextlib.suppress(BlockingIOError):
                os.write(self.fd, data)


class Memory:
    """The lasting store in a file. No fsync: killing the emulator is the power cut that it models, and the file outlives that."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._slots = Slots(0)

    def read(self) -> Store | None:
        self._slots, store = read_slots(os.pread(self._fd, STORE_BYTES, 0))
        return store

    def write(self, store: Store) -> None:
        self._slots, offset, slot = self._slots.write(store)
        os.pwrite(self._fd, slot, offset)

    def close(self) -> None:
        os.close(self._fd)


class Log:
    """JSON lines, `t_ns` on CLOCK_MONOTONIC: the controller's own account, which no host can write."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8", buffering=1)

    def write(self, line: LogLine) -> None:
        self._file.write(json.dumps({"t_ns": time.monotonic_ns(), "kind": line.kind, **line.fields}) + "\n")

    def close(self) -> None:
        self._file.close()
