"""One session between two ends: seals what is sent, opens what is received. The same on both sides."""

from typing import Final

from firmware_bridge.codec import TABLE, UNTAGGED, decode, encode, sender_of, type_byte
from firmware_bridge.errors import MessageError, Reject, Rejected
from firmware_bridge.framing import Frame, encode_frame
from firmware_bridge.limits import TAG_BYTES
from firmware_bridge.mac import same, tag
from firmware_bridge.messages import Message
from firmware_bridge.vocabulary import Sender

_LAST_SEQUENCE: Final = 0xFFFF_FFFF


def seal_open(message: Message) -> bytes:
    """A message without a session: HELLO, HELLO_REFUSED, NO_SESSION. Sequence 0, no MAC."""
    code = type_byte(message)
    if code not in UNTAGGED:
        raise MessageError(f"{type(message).__name__} needs a session")
    return encode_frame(Frame(code, 0, encode(message)))


def read_open(frame: Frame, *, receiver: Sender) -> Message | Rejected:
    """A message of a type that carries no MAC."""
    wrong = why_not_mine(frame, receiver=receiver)
    if wrong is not None:
        return wrong
    if frame.sequence != 0:
        return Rejected(Reject.STALE_SEQUENCE, f"type 0x{frame.type:02x} has sequence {frame.sequence}; outside a session it is 0")
    return decode(frame.type, frame.body)


def why_not_mine(frame: Frame, *, receiver: Sender) -> Rejected | None:
    """Whether the type alone already says that this side does not take it: the first thing to look at (PROTOCOL.md section 10)."""
    if frame.type not in TABLE:
        return Rejected(Reject.UNKNOWN_TYPE, f"type 0x{frame.type:02x} is not in the table")
    if sender_of(frame.type) is receiver:
        return Rejected(Reject.WRONG_DIRECTION, f"type 0x{frame.type:02x} is one that this side sends")
    return None


class Session:
    """Sequence numbers and MAC under one session key.

    `me` says which side this is. A frame is taken only with a right tag and a sequence above the last one taken: a copy, an
    older frame or one of another session is refused, a gap is not.
    """

    def __init__(self, key: bytes, *, me: Sender) -> None:
        self._key = key
        self._me = me
        self._sent = 0
        self._taken = 0

    @property
    def spent(self) -> bool:
        """Whether every number that this side may send has been sent."""
        return self._sent == _LAST_SEQUENCE

    def seal(self, message: Message) -> bytes:
        """The bytes for the wire.

        Raises:
            MessageError: the numbers of this session are used up; a new HELLO begins a new one.
        """
        if self.spent:
            raise MessageError(f"{_LAST_SEQUENCE} messages were sent in this session; begin a new one")
        self._sent += 1
        return self._frame(message, self._sent)

    def seal_reply(self, message: Message) -> bytes:
        """The HELLO_REPLY: sequence 0, with the tag of the session that it begins."""
        return self._frame(message, 0)

    def _frame(self, message: Message, sequence: int) -> bytes:
        code, payload = type_byte(message), encode(message)
        return encode_frame(Frame(code, sequence, payload + self._tag(self._me, code, sequence, payload)))

    def _tag(self, sender: Sender, code: int, sequence: int, payload: bytes) -> bytes:
        return tag(self._key, sender=sender, code=code, sequence=sequence, payload=payload)

    def open(self, frame: Frame) -> Message | Rejected:
        """A message of this session. MAC first: nothing of an unproven frame is believed."""
        wrong = why_not_mine(frame, receiver=self._me)
        if wrong is not None:
            return wrong
        if len(frame.body) < TAG_BYTES:
            return Rejected(Reject.WRONG_LENGTH, f"{len(frame.body)} bytes; the MAC alone is {TAG_BYTES}")
        payload, found = frame.body[:-TAG_BYTES], frame.body[-TAG_BYTES:]
        other = Sender.CONTROLLER if self._me is Sender.HOST else Sender.HOST
        if not same(found, self._tag(other, frame.type, frame.sequence, payload)):
            return Rejected(Reject.WRONG_MAC, f"type 0x{frame.type:02x} sequence {frame.sequence}: not of this session, or not of this key")
        if frame.sequence <= self._taken and not (frame.sequence == 0 and frame.type == _REPLY):
            return Rejected(Reject.STALE_SEQUENCE, f"sequence {frame.sequence}; the last taken is {self._taken}")
        self._taken = max(self._taken, frame.sequence)
        return decode(frame.type, payload)


_REPLY: Final = 0x81  # HELLO_REPLY is the only tagged message with sequence 0; the host takes it once, while it waits for it
