"""The host's half of HELLO: what it asks for, and what it takes as an answer."""

from dataclasses import dataclass

from firmware_bridge.codec import decode, encode
from firmware_bridge.errors import MessageError, Reject, Rejected
from firmware_bridge.framing import Frame
from firmware_bridge.limits import NONCE_BYTES, PROTOCOL_VERSION, TAG_BYTES
from firmware_bridge.mac import check_key, session_key
from firmware_bridge.messages import Hello, HelloReply
from firmware_bridge.session import Session
from firmware_bridge.vocabulary import Capability, Kind, LinkMode, Sender

NEEDED = (
    Capability.RELEASE_ENTRY
    | Capability.RELEASE_EXIT
    | Capability.CANCEL
    | Capability.PASSAGE_BEAMS
    | Capability.REQUEST_TO_EXIT
    | Capability.EMERGENCY_INPUT
    | Capability.LASTING_STORE
)
"""Without these the safety rules do not hold, so a controller that lacks one is refused."""

_ID_BYTES = 8


@dataclass(frozen=True, slots=True)
class HostSettings:
    """Who this host is and what it accepts.

    Attributes:
        key: the link's key, 32 bytes; None asks for a keyless link, and only with `link_inside_cabinet`.
        host_id: 8 bytes that name this gate; the same after a restart, so that it may take its own session over at once.
        accepted_kinds: REAL in service; EMULATOR and REFERENCE_ON_PC in a simulation.
        baud: speed of the line; only the patience before a repetition follows from it.
    """

    key: bytes | None
    host_id: bytes
    accepted_kinds: frozenset[Kind] = frozenset({Kind.REAL})
    link_inside_cabinet: bool = False
    needed: Capability = NEEDED
    baud: int = 115_200

    def __post_init__(self) -> None:
        check_key(self.key)
        if self.key is None and not self.link_inside_cabinet:
            raise MessageError("the link has no key; give one, or set link_inside_cabinet = true if the cable is in a locked cabinet")
        if self.key is not None and self.link_inside_cabinet:
            raise MessageError("the link has a key and link_inside_cabinet = true; one of the two must go")
        if len(self.host_id) != _ID_BYTES:
            raise MessageError(f"host_id is {len(self.host_id)} bytes; it must be {_ID_BYTES}")

    @property
    def link_mode(self) -> LinkMode:
        return check_key(self.key)[0]


def hello(settings: HostSettings, nonce: bytes) -> Hello:
    """The HELLO of one attempt. `nonce` comes from a random source and is used for this attempt only.

    Raises:
        MessageError: a nonce of another length.
    """
    if len(nonce) != NONCE_BYTES:
        raise MessageError(f"the nonce is {len(nonce)} bytes; it must be {NONCE_BYTES}")
    return Hello(PROTOCOL_VERSION, PROTOCOL_VERSION, settings.link_mode, settings.host_id, nonce)


def read_reply(settings: HostSettings, asked: Hello, frame: Frame) -> tuple[Session, HelloReply] | Rejected:
    """The session that a HELLO_REPLY begins, if its MAC proves that the controller has the key and heard this HELLO."""
    if len(frame.body) < TAG_BYTES:
        return Rejected(Reject.WRONG_LENGTH, f"HELLO_REPLY has {len(frame.body)} bytes; the MAC alone is {TAG_BYTES}")
    if frame.sequence != 0:
        return Rejected(Reject.STALE_SEQUENCE, f"HELLO_REPLY has sequence {frame.sequence}; it is 0")
    unproven = decode(frame.type, frame.body[:-TAG_BYTES])
    if isinstance(unproven, Rejected):
        return unproven
    if not isinstance(unproven, HelloReply):
        return Rejected(Reject.UNEXPECTED, f"{type(unproven).__name__} where a HELLO_REPLY is awaited")
    key = session_key(check_key(settings.key)[1], hello_payload=encode(asked), controller_nonce=unproven.controller_nonce)
    session = Session(key, me=Sender.HOST)
    proven = session.open(frame)
    if isinstance(proven, Rejected):
        return proven
    return session, unproven


def why_not(settings: HostSettings, reply: HelloReply) -> str | None:
    """Why this host does not work with that controller; None where it does."""
    if reply.version != PROTOCOL_VERSION:
        return f"the controller speaks version {reply.version} of the protocol; this host speaks {PROTOCOL_VERSION}"
    if reply.kind not in settings.accepted_kinds:
        accepted = ", ".join(sorted(kind.name for kind in settings.accepted_kinds))
        return f"the controller says that it is {reply.kind.name}; accepted here: {accepted}"
    lacking = settings.needed & ~reply.capabilities
    if lacking:
        return f"the controller lacks {' and '.join(str(flag.name) for flag in lacking)}, which the safety rules need"
    return None
