"""Who among the staff may order a release at the cabinet: their public keys lie in one folder, and each order is signed and counts once.

An order is a line of JSON with the gate, what the running agent gave for this one order, the direction, the reason and its end in
monotonic time, signed with Ed25519. Nothing in it depends on the wall clock. A key is taken away by deleting its file.
"""

import hashlib
import json
import os
import secrets
import stat
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from agent.core.identity import Direction
from agent.core.moment import NS_PER_MS, NS_PER_S
from agent.core.orders import StaffDenial, StaffRefused, StaffRelease
from agent.core.text import harmless
from agent.core.topics import is_name
from agent.errors import GateError

ORDER_LIFE_NS: Final = 30 * NS_PER_S  # from what the agent gave to the end of the order: one person's hands on one keyboard
PAUSE_NS: Final = 250 * NS_PER_MS  # between two orders, so that nobody fills the journal with denials
MOST_REASON: Final = 200  # characters
NONCES: Final = 8  # given and not used yet: so many technicians may order at the same time
_NONCE_BYTES: Final = 16
_SIGNED: Final = b"gate-agent staff release 1\n"  # stands before what is signed, so that a signature means nothing else elsewhere
_SAID: Final = 64  # characters of what an unproven order says of itself that are recorded


class StaffKeyError(GateError):
    """A staff key cannot be used; the sentence says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is signed.

    Attributes:
        nonce: as the running agent gave it.
        expires_ns: monotonic time of this machine.
    """

    site: str
    gate: str
    staff: str
    nonce: str
    direction: str
    reason: str
    expires_ns: int

    def text(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"))


def signed_bytes(text: str) -> bytes:
    return _SIGNED + text.encode()


def fingerprint(key: Ed25519PublicKey) -> str:
    return hashlib.sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class TooSoon:
    """The order came too soon after another one. It was not looked at, so it is not used up."""

    sentence: str = f"orders are taken {PAUSE_NS // NS_PER_MS} ms apart; try again"


class StaffDesk:
    """Judges orders; used by the control socket's thread alone.

    Args:
        keys_dir: folder of NAME.pub, looked at for each order.
    """

    def __init__(self, *, site: str, gate: str, keys_dir: Path, now_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._site, self._gate, self._keys_dir = site, gate, keys_dir
        self._now_ns = now_ns
        self._given: dict[str, int] = {}  # nonce -> when it ends, oldest first
        self._quiet_until_ns = 0

    def begin(self) -> Mapping[str, Any]:
        """What one order has to carry. Of more than NONCES that wait for their order the oldest becomes worthless."""
        if len(self._given) == NONCES:
            del self._given[next(iter(self._given))]
        nonce, ends_ns = secrets.token_hex(_NONCE_BYTES), self._now_ns() + ORDER_LIFE_NS
        self._given[nonce] = ends_ns
        return {"site": self._site, "gate": self._gate, "nonce": nonce, "expires_ns": ends_ns}

    def judge(self, text: str, signature: str, *, user: str) -> StaffRelease | StaffRefused | TooSoon | str:
        """The order as an input for the core; a sentence where it is none at all."""
        now_ns = self._now_ns()
        if now_ns < self._quiet_until_ns:
            return TooSoon()
        order = _read(text)
        if order is None:
            return "the order is not one of this version; use the gate-agent that is installed here"
        self._quiet_until_ns = now_ns + PAUSE_NS
        judged = self._judge_order(order, text, signature, now_ns)
        self._given.pop(order.nonce, None)  # used up, whatever came of it
        if not isinstance(judged, Ed25519PublicKey):
            return StaffRefused(
                staff=_said(order.staff, _SAID),
                user=user,
                direction=Direction(order.direction),
                reason=_said(order.reason, MOST_REASON),
                request=_said(order.nonce, _SAID),
                denial=judged,
            )
        return StaffRelease(
            staff=order.staff,
            key=fingerprint(judged),
            user=user,
            direction=Direction(order.direction),
            reason=order.reason,
            request=order.nonce,
            expires_at_ns=order.expires_ns,
        )

    def _judge_order(self, order: Order, text: str, signature: str, now_ns: int) -> StaffDenial | Ed25519PublicKey:  # noqa: PLR0911  one for each
        """The key that signed, where the order is to be believed."""
        try:
            key = read_public(self._keys_dir, order.staff)
        except StaffKeyError:
            return StaffDenial.UNKNOWN_KEY
        try:
            key.verify(bytes.fromhex(signature), signed_bytes(text))
        except (InvalidSignature, ValueError):
            return StaffDenial.WRONG_SIGNATURE
        if (order.site, order.gate) != (self._site, self._gate):
            return StaffDenial.OTHER_GATE
        if not (order.reason.strip() and order.reason.isprintable() and len(order.reason) <= MOST_REASON):
            return StaffDenial.NO_REASON
        ends_ns = self._given.get(order.nonce)
        if ends_ns is None:
            return StaffDenial.NOT_FRESH
        if not now_ns < order.expires_ns <= ends_ns:
            return StaffDenial.EXPIRED
        return key


def _read(text: str) -> Order | None:
    try:
        order = Order(**json.loads(text))
    except (ValueError, TypeError, RecursionError):
        return None
    words = (order.site, order.gate, order.staff, order.nonce, order.direction, order.reason)
    fits = all(isinstance(word, str) for word in words) and type(order.expires_ns) is int and order.direction in list(Direction)
    return order if fits else None


def _said(text: str, most: int) -> str:
    """What an unproven order says of itself, for the record: what cannot be printed by its number, so that no log or terminal obeys it."""
    return harmless(text[:most])[:most]


def public_file(keys_dir: Path, staff: str) -> Path:
    """Where the public key of this name is.

    Raises:
        StaffKeyError: it can be no name.
    """
    if not is_name(staff) or staff.startswith(".") or staff.endswith((".key", ".pub")):
        limit = "must be 1 to 64 letters, digits, '.', '_' or '-', not begin with '.' and not end in .key or .pub"
        raise StaffKeyError(f"the name {staff!r:.80} {limit}")
    return keys_dir / f"{staff}.pub"


def read_public(keys_dir: Path, staff: str) -> Ed25519PublicKey:
    """The installed key of this name.

    Raises:
        StaffKeyError: there is none, it is no such key, or others may change it.
    """
    file = public_file(keys_dir, staff)
    try:
        for path in (keys_dir, file):
            status = path.stat()
            if status.st_uid not in {0, os.geteuid()} or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                raise StaffKeyError(f"{path}: others than root may change it; run: chown root {path}; chmod go-w {path}")
        key = load_pem_public_key(file.read_bytes())
    except OSError as error:
        raise StaffKeyError(f"{file}: no key of '{staff}' is installed here ({error.strerror})") from error
    except ValueError as error:
        raise StaffKeyError(f"{file}: is no public key: {error}") from error
    if not isinstance(key, Ed25519PublicKey):
        raise StaffKeyError(f"{file}: is a key of another kind; make one with gate-agent barrier key")
    return key
