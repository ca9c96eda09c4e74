"""Templates at rest: one sealed record for each person, under the key of the site (docs/adr/0008).

    sealed = nonce (12 random bytes) | ChaCha20-Poly1305 of the references, one after the other | tag (16 bytes)
    associated data = deterministic CBOR of ["gate-roster/1", site, pack, epoch, person, revision]

So a record of another person, revision, pack or site does not open, and who finds the file finds no face in it.
"""

import hashlib
import os
import secrets
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cbor2
import numpy as np
import numpy.typing as npt
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from agent.biometrics.template import F32
from agent.core.identity import PersonId
from agent.roster.document import KEY_ID_BYTES, NONCE_BYTES, KeyNotice, Person, Roster, TemplateForm
from agent.roster.errors import Reason, RosterError
from agent.roster.fields import malformed
from agent.roster.plain_file import open_plain

CONTEXT = "gate-roster/1"
KEY_BYTES = 32
_KEY_ID_CONTEXT = b"gate-roster/1 site key id"
_KEY_FILE_BYTES_MAX = 4096
BLOCK_PEOPLE = 1024
"""People whose references lie open at once while a gallery is built, as 1.5 MB of 128-d templates: it keeps one row for each person."""


@dataclass(frozen=True, slots=True)
class SiteKey:
    """The key of a site. `id` may be shown: it tells keys apart and says nothing about them."""

    secret: bytes = field(repr=False)

    @property
    def id(self) -> bytes:
        return hashlib.sha256(_KEY_ID_CONTEXT + self.secret).digest()[:KEY_ID_BYTES]


@dataclass(frozen=True, slots=True)
class Binding:
    """What a sealed record is bound to."""

    site: str
    pack: str
    epoch: int
    person: PersonId
    revision: int

    def associated_data(self) -> bytes:
        return cbor2.dumps([CONTEXT, self.site, self.pack, self.epoch, self.person, self.revision], canonical=True)


_BOUND = 6
"""Values of the array in the associated data."""


def new_key() -> SiteKey:
    return SiteKey(secrets.token_bytes(KEY_BYTES))


def write_key(file: Path, key: SiteKey) -> None:
    """Make a key file that only its owner may read. Raises FileExistsError where there is one: a key is never overwritten."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as sink:
        sink.write(key.secret.hex() + "\n")
        sink.flush()
        os.fsync(sink.fileno())


def read_key(file: Path) -> SiteKey:
    """Read a key file: 64 hexadecimal digits, readable by its owner alone.

    Raises:
        RosterError: UNREADABLE, in words; never with the file's content.
    """
    try:
        with os.fdopen(open_plain(file, follow_links=True), "rb") as source:
            mode = os.fstat(source.fileno()).st_mode
            text = source.read(_KEY_FILE_BYTES_MAX)
    except OSError as error:
        raise RosterError(Reason.UNREADABLE, f"the site key {file} cannot be read ({error.strerror}); install it") from error
    if stat.S_IMODE(mode) & 0o077:
        raise RosterError(
            Reason.UNREADABLE, f"the site key {file} may be read by others (mode {stat.S_IMODE(mode):04o}); run: chmod 600 {file}"
        )
    try:
        secret = bytes.fromhex(text.decode("ascii").strip())
    except ValueError:
        secret = b""
    if len(secret) != KEY_BYTES:
        raise RosterError(Reason.UNREADABLE, f"the site key {file} does not hold {2 * KEY_BYTES} hexadecimal digits; install it again")
    return SiteKey(secret)


def seal(key: SiteKey, templates: F32, *, form: TemplateForm, binding: Binding) -> bytes:
    """Seal the references (n, length) of one person.

    Raises:
        ValueError: not of the form, or a value that its number type cannot hold.
    """
    if templates.ndim != 2 or templates.shape[1] != form.length:  # noqa: PLR2004  a table
        raise ValueError(f"templates of shape {templates.shape}; (n, {form.length}) is expected")
    with np.errstate(over="ignore"):
        written = np.ascontiguousarray(templates, dtype=f"<{form.dtype}")
    if not np.isfinite(written).all():
        raise ValueError(f"a template of '{binding.person}' holds a value that {form.dtype} cannot")
    nonce = secrets.token_bytes(NONCE_BYTES)
    return nonce + ChaCha20Poly1305(key.secret).encrypt(nonce, written.tobytes(), binding.associated_data())


def unseal(key: SiteKey, sealed: bytes, *, form: TemplateForm, binding: Binding) -> F32:
    """The references (n, length) of one person. Raises RosterError (WRONG_KEY) where the record is not of this key and binding."""
    try:
        content = ChaCha20Poly1305(key.secret).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], binding.associated_data())
    except (InvalidTag, ValueError) as error:
        raise _not_ours(binding.person) from error
    return np.frombuffer(content, dtype=f"<{form.dtype}").reshape(-1, form.length).astype(np.float32)


def check_key(key: SiteKey, notice: KeyNotice) -> None:
    """Raises RosterError (WRONG_KEY) where the roster is sealed under another key."""
    if key.id != notice.id:
        raise RosterError(
            Reason.WRONG_KEY,
            f"the roster's references are sealed under site key {notice.id.hex()} (epoch {notice.epoch}); this one is {key.id.hex()}; "
            "install the site key of the authority that made the release",
        )


class Opener:
    """Opens the references of a roster's people in their order, a block of people at a time.

    Args:
        take: is given each block: a table (n, length), and how many rows of it each person has.

    Raises:
        RosterError: WRONG_KEY, also by `add` and `finish`; by those MALFORMED too, for a template that is not finite. It names the person.
    """

    def __init__(self, key: SiteKey, roster: Roster, take: Callable[[F32, npt.NDArray[np.int64]], None]) -> None:
        check_key(key, roster.key)
        self._key = key
        self._roster = roster
        self._take = take
        self._opened = 0  # people
        self._block: list[bytes] = []

    def add(self, sealed: bytes) -> None:
        """The next person's references."""
        self._block.append(sealed)
        if len(self._block) == BLOCK_PEOPLE:
            self._open_block()

    def finish(self) -> None:
        self._open_block()

    def _open_block(self) -> None:
        if not self._block:
            return
        people = self._roster.people[self._opened : self._opened + len(self._block)]
        if len(people) < len(self._block):
            raise malformed("people", f"are {len(self._roster.people)}, and more have references")
        self._opened += len(people)
        table, counts = _unsealed(self._key, self._roster, people, self._block)
        self._block.clear()
        self._take(table, counts)


def unseal_all(key: SiteKey, roster: Roster) -> Sequence[F32]:
    """The references (n, length) of each person, in the roster's order. Raises as `Opener`."""
    found: list[F32] = []
    opener = Opener(key, roster, lambda table, counts: found.extend(np.split(table, np.cumsum(counts)[:-1])))
    for person in roster.people:
        opener.add(person.sealed)
    opener.finish()
    return found


def _unsealed(key: SiteKey, roster: Roster, people: Sequence[Person], records: Sequence[bytes]) -> tuple[F32, npt.NDArray[np.int64]]:
    cipher = ChaCha20Poly1305(key.secret)
    # The same for everybody but the last two values, so the first part is written once.
    same = _array_head(_BOUND) + b"".join(map(cbor2.dumps, (CONTEXT, roster.site, roster.pack, roster.key.epoch)))
    contents = []
    for person, sealed in zip(people, records, strict=True):
        record = memoryview(sealed)
        try:
            contents.append(
                cipher.decrypt(record[:NONCE_BYTES], record[NONCE_BYTES:], same + cbor2.dumps(person.id) + cbor2.dumps(person.revision))
            )
        except (InvalidTag, ValueError) as error:
            raise _not_ours(person.id) from error
    table = np.frombuffer(b"".join(contents), dtype=f"<{roster.form.dtype}").reshape(-1, roster.form.length).astype(np.float32)
    table.setflags(write=False)
    counts = np.array([len(person.quality) for person in people], dtype=np.int64)
    finite = np.isfinite(table).all(axis=1)
    if not finite.all():
        owner = people[int(np.searchsorted(np.cumsum(counts), int(np.argmin(finite)), side="right"))]
        raise malformed(f"person '{owner.id}'", "has a template that is not finite")
    return table, counts


def _array_head(length: int) -> bytes:
    """How deterministic CBOR begins an array of fewer than 24 values."""
    return bytes([0x80 | length])


def _not_ours(person: PersonId) -> RosterError:
    return RosterError(
        Reason.WRONG_KEY,
        f"the references of '{person}' do not open: sealed under another key, or for another person, revision, pack or site; "
        "enrol them again and sign a new release",
    )
