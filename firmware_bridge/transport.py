"""The serial port: the only file that knows pyserial. Its troubles come out as our own errors, with what to do."""

import errno
import os
import termios
from pathlib import Path
from typing import Final

import serial

from firmware_bridge.errors import PortAbsentError, PortBusyError, PortDeniedError, PortError, PortLostError

_TROUBLE: Final = (serial.SerialException, OSError, ValueError, TypeError, termios.error)
"""All that pyserial is known to raise; TypeError when the port is closed under its feet."""

_READ_BYTES: Final = 4096
_WRITE_TIMEOUT_S: Final = 0.5  # a few frames at 9600 baud; longer means that nobody takes the bytes


class SerialTransport:
    """An open port. Wait on `fileno` with select; `read` never blocks, `write` at most half a second.

    A port that has failed once stays failed: close it and open a new one, it may have come back under another number.
    """

    def __init__(self, port: str, *, baud: int) -> None:
        """Open the port for this program alone.

        DTR and RTS stay low: on many boards they are wired to reset.

        Raises:
            PortAbsentError, PortBusyError, PortDeniedError, PortLostError: each says what to do.
        """
        self.port = port
        self._serial = serial.Serial()
        self._serial.port = port
        self._serial.baudrate = baud
        self._serial.timeout = 0
        self._serial.write_timeout = _WRITE_TIMEOUT_S
        self._serial.exclusive = True
        self._serial.dtr = False
        self._serial.rts = False
        try:
            self._serial.open()
        except _TROUBLE as error:
            raise _why(port, error) from error

    def fileno(self) -> int:
        return int(self._serial.fileno())

    def read(self) -> bytes:
        """What has arrived; empty where nothing has.

        Raises:
            PortLostError: the port is gone.
        """
        try:
            return bytes(self._serial.read(_READ_BYTES))
        except _TROUBLE as error:
            raise PortLostError(self.port, f"reading failed ({error})", "check cable and plug") from error

    def write(self, data: bytes) -> None:
        """All of it, in order.

        Raises:
            PortLostError: the port is gone, or takes no bytes.
        """
        try:
            self._serial.write(data)
        except _TROUBLE as error:
            raise PortLostError(self.port, f"writing failed ({error})", "check cable and plug") from error

    def close(self) -> None:
        self._serial.close()


def _why(port: str, error: Exception) -> PortError:
    number = error.errno if isinstance(error, OSError) else None
    if number in (errno.EAGAIN, errno.EBUSY):
        return PortBusyError(port, "another program has it", "stop the other program; one host has one controller")
    if number in (errno.ENOENT, errno.ENODEV, errno.ENXIO) or not os.path.lexists(port):
        return PortAbsentError(port, "there is no such device", f"check cable and power; ports here: {', '.join(stable_names()) or 'none'}")
    if number in (errno.EACCES, errno.EPERM):
        return PortDeniedError(port, "this user may not open it", "add the user to the group 'dialout' or fix the udev rule")
    if number == errno.EIO:
        return PortLostError(port, f"opening failed ({error})", "check cable and plug")
    return PortDeniedError(port, f"it is no serial port, or not at this speed ({error})", "check the path and the baud rate")


def stable_names() -> tuple[str, ...]:
    """Serial ports of this machine by names that survive another plug: use these, never /dev/ttyUSB0."""
    folder = Path("/dev/serial/by-id")
    return tuple(sorted(str(path) for path in folder.iterdir())) if folder.is_dir() else ()
