"""What a controller keeps over power loss, and its form in two alternating slots of lasting memory."""

import struct
import zlib
from dataclasses import dataclass, replace
from typing import Final

from firmware_bridge.vocabulary import Outcome, Refusal

_SLOT: Final = struct.Struct("<4sIIQBBBBII")
_CRC: Final = struct.Struct("<I")
_MAGIC: Final = b"GTS1"

SLOT_BYTES: Final = _SLOT.size + _CRC.size
STORE_BYTES: Final = 2 * SLOT_BYTES


@dataclass(frozen=True, slots=True)
class Store:
    """The lasting values.

    Attributes:
        boot_count: raised at each start, before the first HELLO; part of the nonce.
        last_grant: the highest grant number ever used.
        last_outcome, last_refusal: what became of it.
        emergency: an emergency that nobody has reset on site yet.
        open_ways: Drive bits of the ways that stand open, so that a restart does not close on a body.
        passages_entry, passages_exit: everybody who went through, whatever the cause; wraps at 2**32.
    """

    boot_count: int = 0
    last_grant: int = 0
    last_outcome: Outcome = Outcome.NONE
    last_refusal: Refusal = Refusal.NONE
    emergency: bool = False
    open_ways: int = 0
    passages_entry: int = 0
    passages_exit: int = 0

    def with_outcome(self, outcome: Outcome) -> "Store":
        return replace(self, last_outcome=outcome)


def _pack_slot(store: Store, serial: int) -> bytes:
    raw = _SLOT.pack(
        _MAGIC,
        serial,
        store.boot_count,
        store.last_grant,
        store.last_outcome,
        store.last_refusal,
        store.emergency,
        store.open_ways,
        store.passages_entry,
        store.passages_exit,
    )
    return raw + _CRC.pack(zlib.crc32(raw))


def _unpack_slot(raw: bytes) -> tuple[int, Store] | None:
    if len(raw) != SLOT_BYTES or zlib.crc32(raw[: _SLOT.size]) != _CRC.unpack(raw[_SLOT.size :])[0]:
        return None
    magic, serial, boot, grant, outcome, refusal, emergency, ways, entry, leave = _SLOT.unpack(raw[: _SLOT.size])
    if magic != _MAGIC:
        return None
    return serial, Store(boot, grant, Outcome(outcome), Refusal(refusal), bool(emergency), ways, entry, leave)


@dataclass(frozen=True, slots=True)
class Slots:
    """The serial number of the last write; the other slot is written next, so a torn write leaves the one before."""

    serial: int

    def write(self, store: Store) -> tuple["Slots", int, bytes]:
        """The next state, and at which offset which bytes go."""
        serial = (self.serial + 1) % (1 << 32)
        return Slots(serial), (serial % 2) * SLOT_BYTES, _pack_slot(store, serial)


def read_slots(memory: bytes) -> tuple[Slots, Store | None]:
    """The newest intact slot; None where both are damaged: the controller then refuses host releases (STORE_DAMAGED).

    Empty memory is a new controller: a store of zeros.
    """
    if not memory:
        return Slots(0), Store()
    found = [slot for at in (0, SLOT_BYTES) if (slot := _unpack_slot(memory[at : at + SLOT_BYTES])) is not None]
    if not found:
        return Slots(0), None
    serial, store = max(found, key=lambda slot: slot[0])
    return Slots(serial), store
