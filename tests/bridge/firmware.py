"""The reference firmware (C) as a shared library, driven by ctypes.

One context struct holds all of its state, so any number of controllers live side by side.
"""

import ctypes
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, cast

from firmware_bridge.codec import decode
from firmware_bridge.emulator.controller import LogLine, Output, flat, snake
from firmware_bridge.emulator.settings import ControllerSettings
from firmware_bridge.emulator.store import SLOT_BYTES, STORE_BYTES, Slots, Store, read_slots
from firmware_bridge.errors import Reject
from firmware_bridge.mac import KEYLESS
from firmware_bridge.messages import ArmAck, CancelAck, Disarm, Hello, NumberedEvent, Release, ReleaseAck
from firmware_bridge.ticks import wrap
from firmware_bridge.vocabulary import Drive, Inputs, Lamp, Phase, Tone

SOURCE: Final = Path(__file__).parents[2] / "firmware_bridge" / "reference"
WARNINGS: Final = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-Wconversion")
UBSAN: Final = ("-fsanitize=undefined", "-fno-sanitize-recover=undefined")
NOTE_REFUSED, NOTE_SESSION, NOTE_DRIVE, NOTE_INDICATE, NOTE_KEPT, NOTE_WRITTEN = 0xE0, 0xE1, 0xF0, 0xF1, 0xF3, 0xF4
_BUFFER_BYTES = 1 << 16
_VERDICTS: Final = (
    *(None, Reject.TOO_LONG, Reject.COBS, Reject.TOO_SHORT, Reject.CHECKSUM, Reject.UNKNOWN_TYPE, Reject.WRONG_DIRECTION),
    *(Reject.NO_SESSION, Reject.WRONG_LENGTH, Reject.WRONG_MAC, Reject.STALE_SEQUENCE, Reject.BAD_FIELD, Reject.UNEXPECTED),
)


class CSettings(ctypes.Structure):
    """`struct settings` of turnstile.h; also what lies in the lasting memory of a board."""

    _fields_ = (
        ("key", ctypes.c_uint8 * 32),
        ("controller_id", ctypes.c_uint8 * 16),
        ("firmware_digest", ctypes.c_uint8 * 32),
        *((name, ctypes.c_uint32) for name in ("exit_window_ms", "leaf_travel_ms", "minimum_gap_ms", "releases_per_minute")),
        *((name, ctypes.c_uint32) for name in ("held_open_ms", "beam_stuck_ms")),
        *((name, ctypes.c_uint8) for name in ("keyed", "kind", "mechanics", "free_entry", "free_exit")),
        ("reserved", ctypes.c_uint8 * 3),
    )


def c_settings(settings: ControllerSettings) -> CSettings:
    made = CSettings()
    ctypes.memmove(made.key, settings.key or KEYLESS, 32)
    ctypes.memmove(made.controller_id, settings.controller_id.encode("ascii").ljust(16, b"\0"), 16)
    ctypes.memmove(made.firmware_digest, settings.firmware_digest, 32)
    for name in ("exit_window_ms", "leaf_travel_ms", "minimum_gap_ms", "releases_per_minute", "held_open_ms", "beam_stuck_ms"):
        setattr(made, name, getattr(settings, name))
    made.keyed, made.kind, made.mechanics = settings.link_mode, settings.kind, settings.mechanics
    made.free_entry, made.free_exit = settings.fail_entry, settings.fail_exit
    return made


class _View(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_uint32) for name in ("out_bytes", "note_bytes", "keeps", "overflows", "next_ms")),
        *((name, ctypes.c_uint8) for name in ("drive", "phase", "armed", "lamp", "tone", "damaged")),
        ("reserved", ctypes.c_uint8 * 2),
        ("grant", ctypes.c_uint64),
        ("slots", ctypes.c_uint8 * STORE_BYTES),
        ("out", ctypes.c_uint8 * _BUFFER_BYTES),
        ("notes", ctypes.c_uint8 * _BUFFER_BYTES),
    )


def compile_library(into: Path, *, source: Path = SOURCE, flags: Iterable[str] = UBSAN) -> Path:
    """Build the shared library with the compiler of this machine.

    Raises:
        AssertionError: it does not compile; with the compiler's own words.
    """
    library = into / "libturnstile.so"
    files = [str(source / name) for name in ("mac.c", "wire.c", "lane.c", "turnstile.c", "host_shim.c")]
    ran = subprocess.run(
        ["cc", *WARNINGS, *flags, "-O1", "-g", "-fPIC", "-shared", "-o", str(library), *files], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return library


def load(library: Path) -> ctypes.CDLL:
    """The library with every argument type set; the sizes of its structs are ours."""
    lib = ctypes.CDLL(str(library))
    size, number, text, context = ctypes.c_size_t, ctypes.c_uint32, ctypes.c_char_p, ctypes.c_void_p
    for name in ("host_bytes", "host_turnstile_bytes", "host_settings_bytes"):
        getattr(lib, name).argtypes, getattr(lib, name).restype = (), size
    arguments: Mapping[str, tuple[Any, ...]] = {
        "host_power_on": (context, ctypes.POINTER(CSettings), ctypes.c_uint16, number),
        "host_receive": (context, text, size, number),
        "host_sense": (context, ctypes.c_uint16, number),
        "host_tick": (context, number),
        "host_hmac": (text, text, size, ctypes.c_char_p),
        "host_sha256": (text, size, ctypes.c_char_p),
        "host_session": (context, text, number, number),
        "host_say": (context, ctypes.c_uint8, text, size),
    }
    for name, types in arguments.items():
        getattr(lib, name).argtypes, getattr(lib, name).restype = types, None
    lib.host_crc32.argtypes, lib.host_crc32.restype = (text, size), number
    assert lib.host_settings_bytes() == ctypes.sizeof(CSettings)
    rest = lib.host_bytes() - ctypes.sizeof(_View)
    assert 0 <= rest - lib.host_turnstile_bytes() < 16, "struct host and this file's picture of it differ"
    return lib


class Firmware:
    """A controller with power on; implements `firmware_bridge.emulator.controller.Machine`."""

    def __init__(
        self, lib: ctypes.CDLL, settings: ControllerSettings | CSettings, store: Store | None, *, inputs: Inputs, now_ms: int
    ) -> None:
        made = c_settings(settings) if isinstance(settings, ControllerSettings) else settings
        self._lib = lib
        self._memory = ctypes.create_string_buffer(lib.host_bytes())
        self._view = _View.from_buffer(self._memory)
        self._notes = Notes()
        for at, slot in enumerate(_slots(store)):
            ctypes.memmove(ctypes.addressof(self._view.slots) + at * SLOT_BYTES, slot, SLOT_BYTES)
        lib.host_power_on(self._memory, ctypes.byref(made), inputs, wrap(now_ms))
        self._first = self._output()
        boot = {"boot_count": self.store.boot_count, "last_grant": self.store.last_grant, "last_outcome": self.store.last_outcome.name}
        self._waiting: Output | None = Output(
            self._first.store, self._first.drive, self._first.data, (LogLine("boot", boot), *self._first.log)
        )

    def receive(self, data: bytes, now_ms: int) -> Output:
        self._lib.host_receive(self._memory, data, len(data), wrap(now_ms))
        return self._output()

    def sense(self, inputs: Inputs, now_ms: int) -> Output:
        self._lib.host_sense(self._memory, inputs, wrap(now_ms))
        return self._output()

    def tick(self, now_ms: int) -> Output:
        """The first tick gives what the firmware said when power came on."""
        first, self._waiting = self._waiting, None
        if first is not None:
            return first
        self._lib.host_tick(self._memory, wrap(now_ms))
        return self._output()

    def next_deadline_ms(self) -> int:
        return 0 if self._waiting is not None else int(self._view.next_ms)

    @property
    def phase(self) -> Phase:
        return Phase(self._view.phase)

    @property
    def drive(self) -> Drive:
        return Drive(self._view.drive)

    @property
    def armed(self) -> bool:
        return bool(self._view.armed)

    @property
    def grant(self) -> int:
        return int(self._view.grant)

    @property
    def shown(self) -> tuple[Lamp, Tone]:
        return Lamp(self._view.lamp), Tone(self._view.tone)

    @property
    def store(self) -> Store:
        return read_slots(bytes(self._view.slots))[1] or Store(boot_count=1)

    def _output(self) -> Output:
        view = self._view
        assert view.overflows == 0, "the shim's buffers are too small for this step"
        kept, view.keeps = view.keeps, 0
        data = ctypes.string_at(ctypes.addressof(view.out), view.out_bytes)
        notes = ctypes.string_at(ctypes.addressof(view.notes), view.note_bytes)
        return Output(self.store if kept else None, self.drive, data, tuple(self._notes.read(notes)))


def _slots(store: Store | None) -> tuple[bytes, bytes]:
    """The lasting memory that holds this store; None: both slots are damaged."""
    if store is None:
        return b"\xa5" * SLOT_BYTES, b"\x5a" * SLOT_BYTES
    if store == Store():
        return bytes(SLOT_BYTES), bytes(SLOT_BYTES)
    _, offset, slot = Slots(0).write(store)
    return (slot, bytes(SLOT_BYTES)) if offset == 0 else (bytes(SLOT_BYTES), slot)


class Notes:
    """The firmware's own account as the log lines of the emulator, so that one oracle reads both."""

    def __init__(self) -> None:
        self._order: Release | None = None

    def read(self, notes: bytes) -> Iterator[LogLine]:
        at = 0
        while at < len(notes):
            code, size = notes[at], notes[at + 1]
            line = self._line(code, notes[at + 2 : at + 2 + size])
            at += 2 + size
            if line is not None:
                yield line

    def _line(self, code: int, payload: bytes) -> LogLine | None:
        match code:
            case _ if code == NOTE_REFUSED:
                return LogLine("frame_refused", {"reason": cast("Reject", _VERDICTS[payload[0]]).value})
            case _ if code == NOTE_SESSION:
                return LogLine("session", {})
            case _ if code == NOTE_DRIVE:
                drive = Drive(payload[0])
                return LogLine("drive", {str(bit.name).lower(): bool(drive & bit) for bit in Drive})
            case _ if code == NOTE_INDICATE:
                return LogLine("indicate", {"lamp": Lamp(payload[0]).name, "tone": Tone(payload[1]).name})
            case _:
                return self._message(decode(code, payload))

    def _message(self, message: object) -> LogLine | None:  # noqa: PLR0911  one row for each kind of line
        match message:
            case Release():
                self._order = message
            case ReleaseAck() if self._order is not None:
                return LogLine("release", {"direction": self._order.direction.name, **flat(message)})
            case CancelAck():
                return LogLine("cancel", flat(message))
            case ArmAck():
                return LogLine("arm", {"refusal": message.refusal.name})
            case Disarm():
                return LogLine("disarm", {})
            case Hello():
                return LogLine("hello", {"host_id": message.host_id.hex()})
            case NumberedEvent():
                return LogLine(snake(type(message).__name__), flat(message))
        return None
