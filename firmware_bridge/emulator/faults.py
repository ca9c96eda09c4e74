"""Seeded faults of a wire, one kind each: what goes in comes out late, torn, doubled, flipped or not at all.

Pure: bytes and time in, bytes with the time of their arrival out. The emulator puts it before its port, the tests between two ends.
"""

import random
from enum import StrEnum
from typing import Final, assert_never

_LONGEST_DELAY_MS: Final = 400
_NOISE_BYTES: Final = 40


class WireFault(StrEnum):
    NONE = "none"
    ONE_BYTE = "one-byte"  # each byte alone, 1 ms apart
    LOST = "lost"  # a whole write vanishes
    DOUBLED = "doubled"  # a whole write comes twice
    FLIPPED = "flipped"  # one bit is wrong
    DELAYED = "delayed"  # order kept, up to 400 ms late
    NOISE = "noise"  # random bytes before the write
    HALF = "half"  # the first half of a write, then silence
    REPLAYED = "replayed"  # an older write comes again after this one


class FaultyWire:
    """One direction of a wire. `rate` is the share of writes that suffer; the same seed gives the same faults."""

    def __init__(self, fault: WireFault, *, seed: int, rate: float = 0.3) -> None:
        self._fault = fault
        self._rate = rate
        self._random = random.Random(f"{fault}:{seed}")  # noqa: S311  repeatable on purpose, nothing secret
        self._older: list[bytes] = []
        self._last_ms = 0
        self._coming: list[tuple[int, bytes]] = []

    def put(self, data: bytes, now_ms: int) -> None:
        """One write of the sender."""
        if not data:
            return
        struck = self._random.random() < self._rate
        for delay_ms, piece in self._suffer(data) if struck else [(0, data)]:
            self._last_ms = max(self._last_ms, now_ms + delay_ms)  # a wire does not change the order
            self._coming.append((self._last_ms, piece))
        self._older = [*self._older[-20:], data]

    def _suffer(self, data: bytes) -> list[tuple[int, bytes]]:
        draw = self._random
        pieces = [(0, data)]
        match self._fault:
            case WireFault.ONE_BYTE:
                pieces = [(i, data[i : i + 1]) for i in range(len(data))]
            case WireFault.LOST:
                pieces = []
            case WireFault.DOUBLED:
                pieces += [(draw.randint(0, 50), data)]
            case WireFault.FLIPPED:
                at = draw.randrange(len(data))
                pieces = [(0, data[:at] + bytes([data[at] ^ (1 << draw.randrange(8))]) + data[at + 1 :])]
            case WireFault.DELAYED:
                pieces = [(draw.randint(1, _LONGEST_DELAY_MS), data)]
            case WireFault.NOISE:
                pieces = [(0, draw.randbytes(draw.randint(1, _NOISE_BYTES))), (0, data)]
            case WireFault.HALF:
                pieces = [(0, data[: len(data) // 2])]
            case WireFault.REPLAYED:
                pieces += [(draw.randint(0, 50), old) for old in draw.sample(self._older, min(1, len(self._older)))]
            case WireFault.NONE:
                pass
            case _:
                assert_never(self._fault)
        return pieces

    def take(self, now_ms: int) -> bytes:
        """What has arrived by now."""
        arrived = b"".join(piece for due_ms, piece in self._coming if due_ms <= now_ms)
        self._coming = [(due_ms, piece) for due_ms, piece in self._coming if due_ms > now_ms]
        return arrived

    def next_ms(self) -> int | None:
        """When the next bytes arrive."""
        return self._coming[0][0] if self._coming else None
