"""Where the broker is, how we prove to each other who we are, and what a failure to do so means to a person."""

import socket
import ssl
from dataclasses import dataclass
from pathlib import Path

from agent.errors import GateError

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class LinkError(GateError):
    """The connection could not be made or kept; in words for a person."""


@dataclass(frozen=True, slots=True)
class Tls:
    """TLS 1.3 with a client certificate: the names of three PEM files."""

    ca_file: Path
    cert_file: Path
    key_file: Path


@dataclass(frozen=True, slots=True)
class Broker:
    """Where the broker is; without TLS only a loopback address is allowed."""

    host: str
    port: int
    keepalive_s: int
    tls: Tls | None

    def __post_init__(self) -> None:
        if self.tls is None and self.host not in LOOPBACK:
            raise LinkError(f"the broker is {self.host}; without TLS only one of {', '.join(sorted(LOOPBACK))} is possible")

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def context_of(tls: Tls) -> ssl.SSLContext:
    """Both sides show a certificate, and nothing below TLS 1.3 is spoken. Read anew for each connection: certificates get renewed.

    Raises:
        LinkError: a file is missing or not what it should be.
    """
    for file in (tls.ca_file, tls.cert_file, tls.key_file):
        try:
            file.open("rb").close()
        except OSError as error:
            raise LinkError(f"{file}: {error.strerror}; there is no connection to the broker without it") from error
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    try:
        context.load_verify_locations(tls.ca_file)
    except ssl.SSLError as error:
        raise LinkError(f"{tls.ca_file} holds no certificate authority in PEM form ({error.reason or error})") from error
    try:
        context.load_cert_chain(tls.cert_file, tls.key_file, password="")  # an encrypted key is refused; nobody is there to ask
    except (ssl.SSLError, ValueError) as error:
        raise LinkError(
            f"{tls.cert_file} and {tls.key_file} are not a certificate and its unencrypted key in PEM form ({error})"
        ) from error
    return context


def words_for(error: OSError | ValueError) -> str:
    """What a failure to connect means and what to do."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate cannot be trusted: {error.verify_message}; check the time of day, the authority and the name"
    if isinstance(error, ssl.SSLError):
        return tls_words(str(error))
    known = next((words for kind, words in _WORDS.items() if isinstance(error, kind)), None)
    return known or getattr(error, "strerror", None) or str(error)


_WORDS: dict[type[Exception], str] = {
    socket.gaierror: "the name is not known; check the name and the name server",
    ConnectionRefusedError: "nobody listens there; is the broker running?",
    TimeoutError: "no answer in time; check the network",
}
_TLS_WORDS = {  # what OpenSSL says -> what it means here
    "CERTIFICATE_REQUIRED": "the broker wants a client certificate",
    "UNKNOWN_CA": "our certificate is not of the authority that the broker trusts",
    "BAD_CERTIFICATE": "the broker does not take our certificate",
    "CERTIFICATE_EXPIRED": "our certificate has expired",
    "CERTIFICATE_REVOKED": "our certificate has been revoked",
    "CERTIFICATE_UNKNOWN": "the broker does not take our certificate",
    "PROTOCOL_VERSION": "the broker does not speak TLS 1.3",
    "WRONG_VERSION_NUMBER": "the broker does not speak TLS on this port",
    "UNEXPECTED_EOF": "it ended the TLS handshake; does it speak TLS on this port?",
}


def tls_words(said: str) -> str:
    """OpenSSL's words, with their meaning before them where it is known."""
    meaning = next((words for sign, words in _TLS_WORDS.items() if sign in said.upper().replace(" ", "_")), None)
    return said if meaning is None else f"{meaning} ({said})"
