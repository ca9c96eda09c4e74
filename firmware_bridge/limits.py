"""The numbers of PROTOCOL.md, each with its unit and why it is so."""

from typing import Final

PROTOCOL_VERSION: Final = 1

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 16
TAG_BYTES: Final = 16  # HMAC-SHA256 cut to 128 bits (RFC 2104 section 5 allows half or more)
MAX_FRAME_BYTES: Final = 200  # before COBS; below 254, so that COBS adds exactly one byte and a controller needs one fixed buffer

MAX_PULSE_MS: Final = 1_000  # safety rule 1
MAX_WINDOW_MS: Final = 10_000  # safety rule 1
MIN_PULSE_MS: Final = 100  # shorter is not seen by common turnstile drives
MIN_WINDOW_MS: Final = 500  # shorter than one step: nobody could use it
MAX_NOT_AFTER_AHEAD_MS: Final = 10_000  # a deadline further ahead is a mistake in the mapping of clocks

HEARTBEAT_MS: Final = 250  # safety rule 1
LEASE_MS: Final = 2_000  # safety rule 1; longer than the worst journal commit
WRONG_BELIEFS: Final = 3  # safety rule 3

HEALTH_MS: Final = 1_000
EVENT_RESEND_MS: Final = 200
EVENT_WINDOW: Final = 8  # events in flight
EVENT_QUEUE: Final = 64  # events kept for a host that is away; the oldest goes first, the passage counters stay exact
NO_SESSION_MS: Final = 250  # a controller says NO_SESSION no more often than this
