"""A bell between threads that select and poll can wait for beside a port."""

import contextlib
import os
import threading


class Bell:
    """`ring` from any thread, at any time, even after `close`; the waiting thread sees `fileno` readable until it calls `hush`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._out, self._in = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._closed = False

    def fileno(self) -> int:
        return self._out

    def ring(self) -> None:
        with self._lock, contextlib.suppress(BlockingIOError):  # full: it rings already
            if not self._closed:
                os.write(self._in, b"\0")

    def hush(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._out, 4096)

    def close(self) -> None:
        with self._lock:
            if not self._closed:
                self._closed = True
                os.close(self._in)
                os.close(self._out)
