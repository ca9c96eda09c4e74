"""Private keys of the roles: Ed25519, one file each, readable by the owner alone, encrypted where a passphrase was given."""

import re
import stat
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from securesystemslib.signer import CryptoSigner, SSlibKey

from agent.authority.errors import AuthorityError
from agent.authority.files import write_whole

Passphrase = Callable[[str], bytes]
"""Asks for the passphrase of what the argument names. Called only where a key is encrypted, and no passphrase so far opens it."""

_NAME: Final = re.compile(r"(?P<role>[a-z]+)-(?P<generation>[0-9]{1,9})-(?P<number>[0-9]{1,9})\.pem")
_KEY_ID: Final = re.compile(rb"\AKey-Id: ([0-9a-f]{64})\n")
"""A key file's first line: which key it is, so that nobody is asked for the passphrase of a key that is no longer in force."""
_WHOLE: Final = re.compile(rb"-----END [A-Z ]*PRIVATE KEY-----\s*\Z")
_ENCRYPTED: Final = b"ENCRYPTED"


@dataclass(frozen=True, slots=True)
class Quorum:
    """`threshold` of `keys` signatures make a role's signature."""

    threshold: int
    keys: int

    def __post_init__(self) -> None:
        if not 1 <= self.threshold <= self.keys <= KEYS_MAX:
            raise AuthorityError(f"{self.threshold} of {self.keys} signatures is not possible; give K/N with 1 <= K <= N <= {KEYS_MAX}")


KEYS_MAX: Final = 16

ROOT: Final = "root"
OPERATORS: Final = (ROOT, "enrol", "revoke")
"""Roles whose keys people hold. `root` also signs `targets`: it names who may sign for the others."""

ONLINE: Final = ("snapshot", "timestamp")
"""Roles whose keys stay with the machine that publishes."""

KEYED_ROLES: Final = OPERATORS + ONLINE
"""Every role that has keys of its own."""

SINGLE: Final = Quorum(1, 1)


def generate(
    folder: Path, quorums: Mapping[str, Quorum], *, generation: int, passphrase: bytes | None
) -> Mapping[str, tuple[SSlibKey, ...]]:
    """Make new keys for the given roles and write them as `ROLE-GENERATION-NUMBER.pem`; returns their public halves.

    passphrase: encrypts the keys that people hold; those of ONLINE stay plain, because a machine uses them.

    Raises:
        FileExistsError: there is such a key already; none is ever written over.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    made: dict[str, tuple[SSlibKey, ...]] = {}
    for role, quorum in quorums.items():
        keys = []
        for number in range(1, quorum.keys + 1):
            private = Ed25519PrivateKey.generate()
            public = SSlibKey.from_crypto(private.public_key())
            secret = passphrase if role in OPERATORS else None
            _write(folder / f"{role}-{generation}-{number}.pem", private, key_id=public.keyid, passphrase=secret)
            keys.append(public)
        made[role] = tuple(keys)
    return MappingProxyType(made)


def next_generation(folder: Path, role: str) -> int:
    """The number that a role's next keys carry; files of other names do not count."""
    found = (_NAME.fullmatch(file.name) for file in folder.glob(f"{role}-*.pem"))
    return 1 + max((int(name["generation"]) for name in found if name and name["role"] == role), default=0)


def ids_of(folder: Path, role: str, generation: int) -> set[str]:
    """Which keys a generation's files are of."""
    found = (_KEY_ID.match(file.read_bytes()) for file in folder.glob(f"{role}-{generation}-*.pem"))
    return {named[1].decode() for named in found if named}


def delete_generation(folder: Path, role: str, generation: int) -> None:
    """Take back keys that were never put in force."""
    for file in folder.glob(f"{role}-{generation}-*.pem"):
        file.unlink(missing_ok=True)


def _write(file: Path, key: Ed25519PrivateKey, *, key_id: str, passphrase: bytes | None) -> None:
    if file.exists():
        raise FileExistsError(17, "there is such a key already", str(file))
    encryption = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    write_whole(file, f"Key-Id: {key_id}\n".encode() + text, mode=0o600)


class KeyRing:
    """The private keys in a folder, opened when first needed. A passphrase that opened one is tried on the next before anybody is asked."""

    def __init__(self, folder: Path, *, passphrase: Passphrase) -> None:
        self._folder = folder
        self._passphrase = passphrase
        self._known: list[bytes] = []
        self._opened: dict[Path, CryptoSigner] = {}

    def signers(self, role: str, *, key_ids: set[str], threshold: int) -> tuple[CryptoSigner, ...]:
        """Those keys of a role that are here and still in force. Others are not opened.

        Raises:
            AuthorityError: fewer than the role's threshold, or a key file that cannot be used.
        """
        found: list[CryptoSigner] = []
        cut_short: list[str] = []
        for file in self._files(role):
            if file not in self._opened:
                text = _read(file)
                if not _WHOLE.search(text):
                    cut_short.append(file.name)
                    continue
                named = _KEY_ID.match(text)
                if len(found) == len(key_ids) or (named and named[1].decode() not in key_ids):
                    continue
                self._opened[file] = CryptoSigner(self._open(file, text))
            if self._opened[file].public_key.keyid in key_ids:
                found.append(self._opened[file])
        if len(found) < threshold:
            raise AuthorityError(
                f"{len(found)} key(s) of role '{role}' that are in force lie in {self._folder}; {threshold} are needed; bring the others"
                + (f", or restore from the backup what is cut short: {', '.join(cut_short)}" if cut_short else "")
            )
        return tuple(found)

    def is_encrypted(self, role: str, *, key_ids: set[str]) -> bool:
        """Whether keys of a role, or where none is at hand, whichever keys of people are, have a passphrase."""
        texts = [_read(file) for file in self._files(role)]
        in_force = [text for text in texts if (named := _KEY_ID.match(text)) and named[1].decode() in key_ids]
        others = [_read(file) for each in OPERATORS for file in self._files(each)]
        return any(_ENCRYPTED in text for text in in_force or texts or others)

    def _files(self, role: str) -> list[Path]:
        """Key files of a role, the newest generation first: of the files of before there was a first line, retired ones come last."""
        named = [(name, file) for file in self._folder.glob(f"{role}-*.pem") if (name := _NAME.fullmatch(file.name))]
        return [file for name, file in sorted(named, key=lambda item: (-int(item[0]["generation"]), int(item[0]["number"])))]

    def _open(self, file: Path, text: bytes) -> Ed25519PrivateKey:
        if _ENCRYPTED not in text:
            return _key(file, text, None)
        for secret in self._known:
            with suppress(AuthorityError):
                return _key(file, text, secret)
        secret = self._passphrase(str(file))
        key = _key(file, text, secret)
        self._known.append(secret)
        return key


def _read(file: Path) -> bytes:
    try:
        mode = stat.S_IMODE(file.stat().st_mode)
        text = file.read_bytes()
    except OSError as error:
        raise AuthorityError(f"the key {file} cannot be read ({error.strerror})") from error
    if mode & 0o077:
        raise AuthorityError(f"the key {file} may be read by others (mode {mode:04o}); run: chmod 600 {file}")
    return text


def _key(file: Path, text: bytes, secret: bytes | None) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(text, secret)
    except (ValueError, TypeError) as error:
        raise AuthorityError(f"the key {file} does not open: a wrong passphrase, or not a key") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise AuthorityError(f"the key {file} is not an Ed25519 key")
    return key
