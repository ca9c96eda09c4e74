"""Private keys of the roles: Ed25519, one file each, readable by the owner alone, encrypted where a passphrase was given."""

import os
import stat
from collections.abc import Callable, Mapping
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

Passphrase = Callable[[str], bytes]
"""Asks for the passphrase of what the argument names. Called only where a key is encrypted."""


@dataclass(frozen=True, slots=True)
class Quorum:
    """`threshold` of `keys` signatures make a role's signature."""

    threshold: int
    keys: int

    def __post_init__(self) -> None:
        if not 1 <= self.threshold <= self.keys <= KEYS_MAX:
            raise AuthorityError(f"{self.threshold} of {self.keys} signatures is not possible; give K/N with 1 <= K <= N <= {KEYS_MAX}")


KEYS_MAX: Final = 16

OPERATORS: Final = ("root", "enrol", "revoke")
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
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    made: dict[str, tuple[SSlibKey, ...]] = {}
    for role, quorum in quorums.items():
        keys = []
        for number in range(1, quorum.keys + 1):
            private = Ed25519PrivateKey.generate()
            secret = passphrase if role in OPERATORS else None
            _write(folder / f"{role}-{generation}-{number}.pem", private, secret)
            keys.append(SSlibKey.from_crypto(private.public_key()))
        made[role] = tuple(keys)
    return MappingProxyType(made)


def _write(file: Path, key: Ed25519PrivateKey, passphrase: bytes | None) -> None:
    encryption = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as sink:
        sink.write(text)
        sink.flush()
        os.fsync(sink.fileno())


class KeyRing:
    """The private keys in a folder, opened when first needed."""

    def __init__(self, folder: Path, *, passphrase: Passphrase) -> None:
        self._folder = folder
        self._passphrase = passphrase
        self._opened: dict[Path, CryptoSigner] = {}

    def signers(self, role: str, *, key_ids: set[str], threshold: int) -> tuple[CryptoSigner, ...]:
        """Those keys of a role that are here and still in force.

        Raises:
            AuthorityError: fewer than the role's threshold, or a key file that cannot be used.
        """
        files = sorted(self._folder.glob(f"{role}-*.pem"))
        found = tuple(signer for file in files if (signer := self._open(file)).public_key.keyid in key_ids)
        if len(found) < threshold:
            raise AuthorityError(
                f"{len(found)} key(s) of role '{role}' that are in force lie in {self._folder}; {threshold} are needed; bring the others"
            )
        return found

    def _open(self, file: Path) -> CryptoSigner:
        if file not in self._opened:
            self._opened[file] = CryptoSigner(_read(file, self._passphrase))
        return self._opened[file]


def _read(file: Path, passphrase: Passphrase) -> Ed25519PrivateKey:
    try:
        mode = stat.S_IMODE(file.stat().st_mode)
        text = file.read_bytes()
    except OSError as error:
        raise AuthorityError(f"the key {file} cannot be read ({error.strerror})") from error
    if mode & 0o077:
        raise AuthorityError(f"the key {file} may be read by others (mode {mode:04o}); run: chmod 600 {file}")
    secret = passphrase(str(file)) if b"ENCRYPTED" in text else None
    try:
        key = load_pem_private_key(text, secret)
    except ValueError as error:
        raise AuthorityError(f"the key {file} does not open: a wrong passphrase, or not a key") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise AuthorityError(f"the key {file} is not an Ed25519 key")
    return key
