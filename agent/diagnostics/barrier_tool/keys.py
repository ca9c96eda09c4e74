"""A staff key: made once by its owner, the private half kept by them, the public half installed at the gates where it counts."""

import os
import stat
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat, load_pem_private_key

from agent.drivers.staff_desk import Order, StaffKeyError, fingerprint, public_file, signed_bytes


def make(name: str, folder: Path) -> tuple[Path, Path, str]:
    """Write NAME.key (0600) and NAME.pub; returns both, and the key's fingerprint.

    Raises:
        StaffKeyError: it can be no name, a file of that name is there, or the folder takes none.
    """
    public = public_file(folder, name)
    private = public.with_suffix(".key")
    key = Ed25519PrivateKey.generate()
    try:
        _write(private, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), 0o600)
        _write(public, key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), 0o644)
    except FileExistsError as error:
        raise StaffKeyError(f"{error.filename} is there already; it is not overwritten. Choose another --name or --out") from error
    except OSError as error:
        raise StaffKeyError(f"{folder}: no key can be written there ({error.strerror}); choose another --out") from error
    return private, public, fingerprint(key.public_key())


def _write(file: Path, content: bytes, mode: int) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as sink:
        os.fchmod(sink.fileno(), mode)  # whatever the umask is
        sink.write(content)
        sink.flush()
        os.fsync(sink.fileno())


def read_private(file: Path) -> Ed25519PrivateKey:
    """The private half.

    Raises:
        StaffKeyError: unreadable, readable by others, or no such key.
    """
    try:
        mode = stat.S_IMODE(file.stat().st_mode)
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise StaffKeyError(f"{file}: others may use this key (mode {mode:04o}); run: chmod 0600 {file}")
        key = load_pem_private_key(file.read_bytes(), password=None)
    except OSError as error:
        raise StaffKeyError(f"{file}: the key cannot be read ({error.strerror}); give your NAME.key with --key") from error
    except (ValueError, TypeError) as error:
        raise StaffKeyError(f"{file}: is no private key of gate-agent barrier key") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise StaffKeyError(f"{file}: is a key of another kind; make one with gate-agent barrier key")
    return key


def sign(order: Order, key: Ed25519PrivateKey) -> dict[str, str]:
    """The request that carries the order to the running agent."""
    text = order.text()
    return {"do": "release", "order": text, "signature": key.sign(signed_bytes(text)).hex()}
