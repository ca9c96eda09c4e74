"""Writes firmware_bridge/vectors.toml from PROTOCOL.md alone: shares no code with firmware_bridge, on purpose.

    python tests/bridge/make_vectors.py > firmware_bridge/vectors.toml

A test holds that the file is what this prints, so neither can drift; change both only together with the protocol.
"""

import hashlib
import hmac

KEY = bytes.fromhex("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f")
KEYLESS = bytes(32)
HOST_NONCE = bytes.fromhex("a0a1a2a3a4a5a6a7a8a9aaabacadaeaf")
CONTROLLER_NONCE = bytes.fromhex("c0c1c2c3c4c5c6c7c8c9cacbcccdcecf")
HOST_ID = b"gate-001"

# name of the field: bytes on the wire; text stands for a byte string in hexadecimal digits
NUMBERED = {"event_number": 4, "oldest_event": 4, "happened_ms": 4}
LAYOUT: dict[str, tuple[int, dict[str, int]]] = {
    "HELLO": (0x01, {"min_version": 1, "max_version": 1, "link_mode": 1, "host_id": 8, "host_nonce": 16}),
    "STATE_REQUEST": (0x02, {}),
    "ARM": (0x03, {"state_revision": 4}),
    "DISARM": (0x04, {}),
    "RELEASE": (0x05, {"grant_number": 8, "direction": 1, "window_ms": 2, "pulse_ms": 2, "not_after_ms": 4}),
    "CANCEL": (0x06, {"grant_number": 8}),
    "HEARTBEAT": (0x07, {"echo": 4, "belief": 1, "grant_number": 8}),
    "INDICATE": (0x08, {"lamp": 1, "tone": 1, "duration_ms": 2}),
    "EVENT_ACK": (0x09, {"event_number": 4}),
    "HELLO_REPLY": (
        0x81,
        {
            "version": 1,
            "kind": 1,
            "mechanics": 1,
            "fail_entry": 1,
            "fail_exit": 1,
            "capabilities": 4,
            "controller_id": 16,
            "firmware_digest": 32,
            "controller_nonce": 16,
            "boot_count": 4,
            "controller_time_ms": 4,
            "last_grant_number": 8,
            "last_outcome": 1,
            "passages_entry": 4,
            "passages_exit": 4,
            "oldest_event": 4,
            "max_window_ms": 2,
            "max_pulse_ms": 2,
            "lease_ms": 2,
        },
    ),
    "HELLO_REFUSED": (0x82, {"reason": 1, "min_version": 1, "max_version": 1, "host_nonce": 16}),
    "NO_SESSION": (0x83, {"boot_count": 4}),
    "STATE": (
        0x84,
        {
            "revision": 4,
            "controller_time_ms": 4,
            "phase": 1,
            "armed": 1,
            "inputs": 2,
            "drive": 1,
            "faults": 2,
            "grant_number": 8,
            "last_grant_number": 8,
            "last_outcome": 1,
            "passages_entry": 4,
            "passages_exit": 4,
            "newest_event": 4,
        },
    ),
    "ARM_ACK": (0x85, {"refusal": 1, "state_revision": 4}),
    "RELEASE_ACK": (
        0x86,
        {"grant_number": 8, "result": 1, "refusal": 1, "outcome": 1, "window_ms": 2, "pulse_ms": 2, "controller_time_ms": 4},
    ),
    "CANCEL_ACK": (0x87, {"grant_number": 8, "result": 1}),
    "HEARTBEAT_ACK": (0x88, {"echo": 4, "controller_time_ms": 4, "lease_left_ms": 2, "phase": 1, "armed": 1}),
    "HEALTH": (
        0x89,
        {
            "controller_time_ms": 4,
            "boot_count": 4,
            "uptime_s": 4,
            "faults": 2,
            "good_frames": 4,
            "checksum_errors": 4,
            "refused_frames": 4,
            "missed_heartbeats": 4,
            "dropped_events": 4,
            "firmware_digest": 8,
        },
    ),
    "REFUSED": (0x8A, {"type": 1, "refusal": 1}),
    "PASSAGE_STARTED": (0x90, {**NUMBERED, "grant_number": 8, "direction": 1}),
    "PASSAGE_COMPLETED": (0x91, {**NUMBERED, "grant_number": 8, "direction": 1, "cause": 1, "passages": 4}),
    "RELEASE_ENDED": (0x92, {**NUMBERED, "grant_number": 8, "reason": 1}),
    "REQUEST_TO_EXIT": (0x93, NUMBERED),
    "EMERGENCY_CHANGED": (0x94, {**NUMBERED, "emergency": 1}),
    "FORCED_OPEN": (0x95, {**NUMBERED, "direction": 1, "passages": 4}),
    "HELD_OPEN": (0x96, {**NUMBERED, "grant_number": 8, "held": 1}),
    "TAILGATING": (0x97, {**NUMBERED, "grant_number": 8, "direction": 1, "passages": 4}),
    "REVERSE_PASSAGE": (0x98, {**NUMBERED, "grant_number": 8, "direction": 1, "passages": 4}),
    "TAMPER": (0x99, {**NUMBERED, "open": 1}),
    "FAULT_CHANGED": (0x9A, {**NUMBERED, "fault": 1, "active": 1}),
}
OPEN = {"HELLO", "HELLO_REFUSED", "NO_SESSION"}
EVENT = {"event_number": 5, "oldest_event": 4, "happened_ms": 0xFFFFFFFE}
BIG = 0xFEDCBA9876543210

GOOD: list[tuple[str, str, int, dict[str, int | str]]] = [
    ("hello", "HELLO", 0, {"min_version": 1, "max_version": 1, "link_mode": 1, "host_id": HOST_ID.hex(), "host_nonce": HOST_NONCE.hex()}),
    ("state-request", "STATE_REQUEST", 1, {}),
    ("arm", "ARM", 2, {"state_revision": 258}),
    ("disarm", "DISARM", 3, {}),
    (
        "release-entry",
        "RELEASE",
        4,
        {"grant_number": 1, "direction": 1, "window_ms": 5000, "pulse_ms": 500, "not_after_ms": 0x01020304},
    ),
    (
        "release-exit-largest-values",
        "RELEASE",
        0xFFFFFFFF,
        {"grant_number": 2**64 - 1, "direction": 2, "window_ms": 65535, "pulse_ms": 65535, "not_after_ms": 0xFFFFFFFF},
    ),
    ("cancel", "CANCEL", 5, {"grant_number": BIG}),
    ("heartbeat-secured", "HEARTBEAT", 6, {"echo": 0, "belief": 0, "grant_number": 0}),
    ("heartbeat-released", "HEARTBEAT", 256, {"echo": 77, "belief": 1, "grant_number": BIG}),
    ("indicate", "INDICATE", 7, {"lamp": 2, "tone": 1, "duration_ms": 1500}),
    ("event-ack", "EVENT_ACK", 8, {"event_number": 5}),
    (
        "hello-reply",
        "HELLO_REPLY",
        0,
        {
            "version": 1,
            "kind": 3,
            "mechanics": 2,
            "fail_entry": 0,
            "fail_exit": 1,
            "capabilities": 0xFF,
            "controller_id": b"lane-7".ljust(16, b"\0").hex(),
            "firmware_digest": hashlib.sha256(b"firmware").hexdigest(),
            "controller_nonce": CONTROLLER_NONCE.hex(),
            "boot_count": 9,
            "controller_time_ms": 0xFFFFFF00,
            "last_grant_number": BIG,
            "last_outcome": 7,
            "passages_entry": 100,
            "passages_exit": 99,
            "oldest_event": 4,
            "max_window_ms": 10000,
            "max_pulse_ms": 1000,
            "lease_ms": 2000,
        },
    ),
    ("hello-refused", "HELLO_REFUSED", 0, {"reason": 2, "min_version": 1, "max_version": 1, "host_nonce": HOST_NONCE.hex()}),
    ("no-session", "NO_SESSION", 0, {"boot_count": 10}),
    (
        "state",
        "STATE",
        1,
        {
            "revision": 258,
            "controller_time_ms": 1000,
            "phase": 2,
            "armed": 1,
            "inputs": 0b010001,
            "drive": 0b0101,
            "faults": 0b001000,
            "grant_number": BIG,
            "last_grant_number": BIG,
            "last_outcome": 2,
            "passages_entry": 100,
            "passages_exit": 99,
            "newest_event": 5,
        },
    ),
    ("arm-ack", "ARM_ACK", 2, {"refusal": 0, "state_revision": 258}),
    ("arm-ack-stale", "ARM_ACK", 3, {"refusal": 12, "state_revision": 257}),
    (
        "release-ack-accepted",
        "RELEASE_ACK",
        4,
        {"grant_number": 1, "result": 0, "refusal": 0, "outcome": 2, "window_ms": 5000, "pulse_ms": 500, "controller_time_ms": 1001},
    ),
    (
        "release-ack-late",
        "RELEASE_ACK",
        5,
        {"grant_number": 2, "result": 2, "refusal": 2, "outcome": 1, "window_ms": 5000, "pulse_ms": 500, "controller_time_ms": 1002},
    ),
    ("cancel-ack-too-late", "CANCEL_ACK", 6, {"grant_number": BIG, "result": 1}),
    (
        "heartbeat-ack",
        "HEARTBEAT_ACK",
        7,
        {"echo": 77, "controller_time_ms": 1003, "lease_left_ms": 2000, "phase": 1, "armed": 1},
    ),
    (
        "health",
        "HEALTH",
        8,
        {
            "controller_time_ms": 2000,
            "boot_count": 9,
            "uptime_s": 86400,
            "faults": 0b100001,
            "good_frames": 400,
            "checksum_errors": 3,
            "refused_frames": 2,
            "missed_heartbeats": 1,
            "dropped_events": 0,
            "firmware_digest": hashlib.sha256(b"firmware").digest()[:8].hex(),
        },
    ),
    ("refused", "REFUSED", 9, {"type": 8, "refusal": 13}),
    ("passage-started", "PASSAGE_STARTED", 10, {**EVENT, "grant_number": 1, "direction": 1}),
    ("passage-completed", "PASSAGE_COMPLETED", 11, {**EVENT, "grant_number": 1, "direction": 1, "cause": 1, "passages": 200}),
    ("passage-completed-exit-button", "PASSAGE_COMPLETED", 12, {**EVENT, "grant_number": 0, "direction": 2, "cause": 2, "passages": 201}),
    ("release-ended", "RELEASE_ENDED", 13, {**EVENT, "grant_number": 1, "reason": 6}),
    ("request-to-exit", "REQUEST_TO_EXIT", 14, dict(EVENT)),
    ("emergency-on", "EMERGENCY_CHANGED", 15, {**EVENT, "emergency": 1}),
    ("forced-open", "FORCED_OPEN", 16, {**EVENT, "direction": 2, "passages": 202}),
    ("held-open", "HELD_OPEN", 17, {**EVENT, "grant_number": 1, "held": 1}),
    ("tailgating", "TAILGATING", 18, {**EVENT, "grant_number": 1, "direction": 1, "passages": 203}),
    ("reverse-passage", "REVERSE_PASSAGE", 19, {**EVENT, "grant_number": 1, "direction": 2, "passages": 204}),
    ("tamper", "TAMPER", 20, {**EVENT, "open": 1}),
    ("fault-changed", "FAULT_CHANGED", 21, {**EVENT, "fault": 1, "active": 1}),
]


def little_endian(value: int, size: int) -> bytes:
    return bytes((value >> (8 * i)) & 0xFF for i in range(size))


def payload_of(name: str, values: dict[str, int | str]) -> bytes:
    out = b""
    for field, size in LAYOUT[name][1].items():
        value = values[field]
        out += bytes.fromhex(value) if isinstance(value, str) else little_endian(value, size)
    return out


def crc32(data: bytes) -> int:
    """Bit by bit, as the polynomial says: 0xEDB88320, reflected."""
    register = 0xFFFFFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = (register >> 1) ^ (0xEDB88320 if register & 1 else 0)
    return register ^ 0xFFFFFFFF


def stuff(data: bytes) -> bytes:
    """COBS one byte at a time, with the code byte written back (frames here are shorter than 254 bytes)."""
    out, code_at = bytearray([0]), 0
    for byte in data:
        if byte:
            out.append(byte)
        else:
            out[code_at] = len(out) - code_at
            code_at = len(out)
            out.append(0)
    out[code_at] = len(out) - code_at
    return bytes(out)


def session_key(key: bytes, hello: bytes, nonce: bytes) -> bytes:
    return hmac.new(key, b"gate-native-1 session" + hello + nonce, hashlib.sha256).digest()


def derived_nonce(boot_count: int, hello_count: int) -> bytes:
    counts = little_endian(boot_count, 4) + little_endian(hello_count, 4)
    return hmac.new(KEY, b"gate-native-1 nonce" + counts, hashlib.sha256).digest()[:16]


def tag_of(key: bytes, sender: str, code: int, sequence: int, payload: bytes) -> bytes:
    covered = {"host": b"H", "controller": b"C"}[sender] + bytes([code]) + little_endian(sequence, 4) + payload
    return hmac.new(key, covered, hashlib.sha256).digest()[:16]


def wire_of(code: int, sequence: int, body: bytes) -> bytes:
    raw = bytes([code]) + little_endian(sequence, 4) + body
    return b"\0" + stuff(raw + little_endian(crc32(raw), 4)) + b"\0"


HELLO_PAYLOAD = payload_of(*next((name, values) for _, name, _, values in GOOD))
SESSION = session_key(KEY, HELLO_PAYLOAD, CONTROLLER_NONCE)
OTHER_SESSION = session_key(KEY, HELLO_PAYLOAD, bytes(reversed(CONTROLLER_NONCE)))
KEYLESS_HELLO = HELLO_PAYLOAD[:2] + b"\0" + HELLO_PAYLOAD[3:]
KEYLESS_SESSION = session_key(KEYLESS, KEYLESS_HELLO, CONTROLLER_NONCE)


def sealed(name: str, sequence: int, payload: bytes, *, key: bytes = SESSION, sender: str | None = None) -> bytes:
    code = LAYOUT[name][0]
    sender = sender or ("controller" if code & 0x80 else "host")
    return wire_of(code, sequence, payload + tag_of(key, sender, code, sequence, payload))


def bad() -> list[tuple[str, str, str, int, bytes]]:
    """Name, receiver, error, sequence taken last, bytes."""
    release = payload_of("RELEASE", {"grant_number": 3, "direction": 1, "window_ms": 5000, "pulse_ms": 500, "not_after_ms": 9000})
    right = sealed("RELEASE", 7, release)
    state = payload_of("STATE", next(values for label, _, _, values in GOOD if label == "state"))
    tagged = bytearray(release + tag_of(SESSION, "host", 0x05, 7, release))
    tagged[-1] ^= 1
    no_stuffing = bytes([0x05, 7, 0, 0, 0])
    unknown = b"\x01\x02\x03"
    return [
        ("one-bit-wrong", "controller", "checksum", 0, right[:-8] + bytes([right[-8] ^ 0x10]) + right[-7:]),
        ("checksum-of-zeros", "controller", "checksum", 0, b"\0" + stuff(no_stuffing + bytes(4)) + b"\0"),
        ("shorter-than-head-and-checksum", "controller", "too short", 0, b"\0" + stuff(bytes(8)) + b"\0"),
        ("block-past-the-end", "controller", "cobs", 0, b"\0\x09\x01\x02\x03\0"),
        ("202-bytes-without-a-zero", "controller", "too long", 0, b"\0" + b"\x55" * 202 + b"\0"),
        ("type-not-in-the-table", "controller", "unknown type", 0, wire_of(0x7E, 7, unknown + tag_of(SESSION, "host", 0x7E, 7, unknown))),
        ("own-message-comes-back", "controller", "wrong direction", 0, sealed("STATE", 7, state)),
        ("own-message-comes-back-to-the-host", "host", "wrong direction", 0, right),
        ("payload-one-byte-short", "controller", "wrong length", 0, sealed("RELEASE", 7, release[:-1])),
        ("payload-one-byte-long", "controller", "wrong length", 0, sealed("RELEASE", 7, release + b"\0")),
        ("no-room-for-the-mac", "controller", "wrong length", 0, wire_of(0x05, 7, release[:15])),
        ("direction-3", "controller", "bad field", 0, sealed("RELEASE", 7, release[:8] + b"\x03" + release[9:])),
        ("direction-0", "controller", "bad field", 0, sealed("RELEASE", 7, release[:8] + b"\x00" + release[9:])),
        ("mac-one-bit-wrong", "controller", "wrong mac", 0, wire_of(0x05, 7, bytes(tagged))),
        ("mac-of-another-session", "controller", "wrong mac", 0, sealed("RELEASE", 7, release, key=OTHER_SESSION)),
        ("mac-of-the-keyless-link", "controller", "wrong mac", 0, sealed("RELEASE", 7, release, key=KEYLESS_SESSION)),
        ("mac-of-the-other-side", "controller", "wrong mac", 0, sealed("RELEASE", 7, release, sender="controller")),
        ("mac-of-another-sequence", "controller", "wrong mac", 0, wire_of(0x05, 8, release + tag_of(SESSION, "host", 0x05, 7, release))),
        (
            "mac-of-another-type",
            "controller",
            "wrong mac",
            0,
            wire_of(0x06, 7, release[:8] + tag_of(SESSION, "host", 0x05, 7, release[:8])),
        ),
        ("sequence-taken-before", "controller", "stale sequence", 7, right),
        ("sequence-below-the-last", "controller", "stale sequence", 0xFFFFFFFF, right),
        ("sequence-0", "controller", "stale sequence", 0, sealed("RELEASE", 0, release)),
        ("hello-with-a-sequence", "controller", "stale sequence", 0, wire_of(0x01, 1, HELLO_PAYLOAD)),
        ("hello-one-byte-short", "controller", "wrong length", 0, wire_of(0x01, 0, HELLO_PAYLOAD[:-1])),
        ("hello-with-link-mode-2", "controller", "bad field", 0, wire_of(0x01, 0, HELLO_PAYLOAD[:2] + b"\x02" + HELLO_PAYLOAD[3:])),
    ]


def inline(values: dict[str, int | str]) -> str:
    return "{ " + ", ".join(f"{name} = {value if isinstance(value, int) else repr(value)}" for name, value in values.items()) + " }"


def text() -> str:
    lines = [
        "# Test vectors of the native serial protocol (PROTOCOL.md), for any implementation. Bytes are hexadecimal digits in wire order;",
        "# integers are plain (grant numbers need 64 bits unsigned). Written once by tests/bridge/make_vectors.py, which shares no code",
        "# with the implementation. The key is published: never use it.",
        "",
        "[session]",
        f'key = "{KEY.hex()}"',
        f'hello_payload = "{HELLO_PAYLOAD.hex()}"',
        f'controller_nonce = "{CONTROLLER_NONCE.hex()}"',
        f'session_key = "{SESSION.hex()}"',
        "",
        "[keyless_session]  # link_mode 0 in the HELLO, 32 zero bytes in the place of the key",
        f'hello_payload = "{KEYLESS_HELLO.hex()}"',
        f'controller_nonce = "{CONTROLLER_NONCE.hex()}"',
        f'session_key = "{KEYLESS_SESSION.hex()}"',
        "",
        "[derived_nonce]  # for a controller without a random source",
        "boot_count = 9",
        "hello_count = 2",
        f'nonce = "{derived_nonce(9, 2).hex()}"',
        "",
        "# Each message at least once. Tags are those of [session]; `wire` is the whole frame with its zeros.",
    ]
    for label, name, sequence, values in GOOD:
        code, payload = LAYOUT[name][0], payload_of(name, values)
        sender = "controller" if code & 0x80 else "host"
        tag = b"" if name in OPEN else tag_of(SESSION, sender, code, sequence, payload)
        lines += [
            "",
            "[[message]]",
            f'name = "{label}"',
            f'message = "{name}"',
            f'sender = "{sender}"',
            f"type = 0x{code:02x}",
            f"sequence = {sequence}",
            f"fields = {inline(values)}" if values else "fields = {}",
            f'payload = "{payload.hex()}"',
            f'tag = "{tag.hex()}"',
            f'wire = "{wire_of(code, sequence, payload + tag).hex()}"',
        ]
    lines += [
        "",
        "# What must be refused, and by what name (PROTOCOL.md section 10). The receiver is in [session] and has taken `taken` last.",
    ]
    for label, receiver, error, taken, wire in bad():
        lines += [
            "",
            "[[bad]]",
            f'name = "{label}"',
            f'receiver = "{receiver}"',
            f"taken = {taken}",
            f'error = "{error}"',
            f'wire = "{wire.hex()}"',
        ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(text(), end="")
