"""The line as libosdp sees it: whole frames only, none that may not pass, and one output command written once.

libosdp calls `read`, `write` and `flush` from within its `refresh`. None of them raises for a lost port: libosdp 3.2.9 would carry on with
a pending exception. What went wrong stands in `trouble`.
"""

import ctypes
import secrets
from typing import Final

from firmware_bridge.errors import PortError
from firmware_bridge.osdp_wire import Assembler, Code, Frame, answers, may_send, read_frame
from firmware_bridge.transport import SerialTransport

_C_LIBRARY: Final = ctypes.CDLL(None)


class OsdpLine:
    """One for the life of a board, taken anew for each session with `begin`. The owner sets `now_ns` before each call of libosdp.

    Attributes:
        command, reply: the open parts of the newest command written and of the newest reply let through.
        moved_ns: when the newest of them passed.
        heard: the board has answered in this session.
        output_written: the command of `allow_output` went to the port, in whole or in part.
        output_answered: a reply to it was let through.
        frames_refused: frames that came at a time or in a dress that they may not, since the board was made.
    """

    id = 0  # libosdp reads it: this line carries one board

    def __init__(self, address: int) -> None:
        self.now_ns = 0
        self.frames_refused = 0
        self._assembler = Assembler(address)
        self._transport: SerialTransport | None = None
        self._waiting = bytearray()
        self._start_over()

    def _start_over(self) -> None:
        self.trouble: PortError | None = None
        self.command: Frame | None = None
        self.reply: Frame | None = None
        self.heard = False
        self.moved_ns = self.now_ns
        self.output_written = False
        self.output_answered = False
        self._output_expires_ns: int | None = None
        self._unanswered = False
        self._waiting.clear()
        self._assembler.clear()

    def begin(self, transport: SerialTransport) -> None:
        self._transport = transport
        self._start_over()

    def end(self) -> None:
        """Whatever libosdp still wants goes nowhere."""
        self._transport = None

    @property
    def quiet(self) -> bool:
        """The newest command has its reply."""
        return not self._unanswered

    def allow_output(self, expires_ns: int) -> None:
        """Let one output command through, once, and not after this time.

        libosdp writes a command again that found no reply, and its own peripheral switches again: so the second writing is refused here.
        """
        self._output_expires_ns = expires_ns
        self.output_written = self.output_answered = False

    # --- called by libosdp ----------------------------------------------------------------------------------------------------

    def write(self, data: bytes) -> int:
        """All of a frame, or nothing: 0 makes libosdp give up the session."""
        command = read_frame(data)
        if self._transport is None or self.trouble is not None or command is None or not may_send(command):
            return 0
        if command.code == Code.OUTPUT:
            if self._output_expires_ns is None or self.now_ns >= self._output_expires_ns:
                return 0
            self._output_expires_ns = None
            self.output_written = True
        if command.code == Code.CAPABILITIES:
            # What follows is the challenge, from rand(). libosdp 3.2.9 never seeds it: the first session after each start would have the
            # same session keys, and an old recording of the board would pass for the board.
            _C_LIBRARY.srand(ctypes.c_uint(secrets.randbits(32)))
        try:
            self._transport.write(data)
        except PortError as error:
            self.trouble = error
            return 0
        self.command, self._unanswered, self.moved_ns = command, True, self.now_ns
        return len(data)

    def read(self, most: int) -> bytes:
        """The next bytes of a whole frame, at most so many."""
        if not self._waiting:
            for data in self._assembler.push(self._read_port()):
                self._judge(data)
        taken = bytes(self._waiting[:most])
        del self._waiting[:most]
        return taken

    def flush(self) -> None:
        """Forget what came before the next command."""
        self._read_port()
        self._assembler.clear()
        self._waiting.clear()

    # --------------------------------------------------------------------------------------------------------------------------

    def _judge(self, data: bytes) -> None:
        reply = read_frame(data)
        if reply is None or self.command is None or not self._unanswered or not answers(self.command, reply):
            self.frames_refused += 1
            return
        self._unanswered, self.heard = False, True
        self.reply, self.moved_ns = reply, self.now_ns
        if self.command.code == Code.OUTPUT:
            self.output_answered = True
        self._waiting += data

    def _read_port(self) -> bytes:
        if self._transport is None or self.trouble is not None:
            return b""
        try:
            return self._transport.read()
        except PortError as error:
            self.trouble = error
            return b""
