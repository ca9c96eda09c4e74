"""The serial port of a bought board: opened for us alone, lost, and opened again with a growing wait."""

import os
from typing import Final

from firmware_bridge.errors import PortDeniedError
from firmware_bridge.transport import SerialTransport

_NS_PER_S: Final = 1_000_000_000
_LEAST_BACK_OFF_NS: Final = _NS_PER_S // 4
_MOST_BACK_OFF_NS: Final = 5 * _NS_PER_S


class BoardLine:
    """One port that comes and goes.

    Args:
        simulation: True opens pseudo-terminals only, so that recorded pictures never open a real gate; False opens none.
    """

    def __init__(self, port: str, *, baud: int, simulation: bool) -> None:
        self._port = port
        self._baud = baud
        self._simulation = simulation
        self._back_off_ns = _LEAST_BACK_OFF_NS
        self.transport: SerialTransport | None = None
        self.due_ns = 0  # when to try the port again

    def open(self) -> SerialTransport:
        """The port, for us alone.

        Raises:
            PortError: not now; then `drop` it, and `due_ns` says when to try again.
        """
        wrong = why_not(self._port, simulation=self._simulation)
        if wrong is not None:
            raise PortDeniedError(self._port, wrong, "name the board's own port, or that of a simulated board")
        self.transport = SerialTransport(self._port, baud=self._baud)
        return self.transport

    def drop(self, now_ns: int) -> None:
        """Close it, and wait before it is tried again."""
        self.close()
        self.due_ns = now_ns + self._back_off_ns
        self._back_off_ns = min(2 * self._back_off_ns, _MOST_BACK_OFF_NS)

    def answered(self) -> None:
        """The board is there: the next loss is tried again at once."""
        self._back_off_ns = _LEAST_BACK_OFF_NS

    def close(self) -> None:
        if self.transport is not None:
            self.transport.close()
            self.transport = None


def why_not(port: str, *, simulation: bool) -> str | None:
    """Why this port does not go with a simulation, or with none: recorded pictures must never open a real gate."""
    if not os.path.lexists(port) or os.path.realpath(port).startswith("/dev/pts/") is simulation:
        return None
    return "is real, and a simulation switches nothing real" if simulation else "is a pseudo-terminal; it needs --simulation"
