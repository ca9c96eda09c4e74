"""An authority and certificates made at test time."""

import datetime as dt
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from agent.diagnostics.local_broker import ServerFiles
from agent.mqtt.broker import Tls

_DAY = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Issued:
    cert_file: Path
    key_file: Path


class Authority:
    """Issues certificates into a folder; `ca_file` is its own."""

    def __init__(self, folder: Path, name: str = "gates' authority") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        constraints = x509.BasicConstraints(ca=True, path_length=0)
        usage = x509.KeyUsage(
            digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False, key_agreement=False,
            key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
        )  # fmt: skip
        builder = self._builder(self._name, self._key, days=2).add_extension(constraints, critical=True).add_extension(usage, critical=True)
        self.ca_file = folder / "ca.pem"
        self.ca_file.write_bytes(builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM))

    def issue(self, common_name: str, *, server: bool = False, hosts: tuple[str, ...] = ("127.0.0.1",), days: int = 2) -> Issued:
        """A certificate for a server (by address) or a client (by name); days below zero: expired since then."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        purpose = ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = self._builder(subject, key, days=days).add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        if server:
            names = x509.SubjectAlternativeName([x509.IPAddress(ip_address(host)) for host in hosts])
            builder = builder.add_extension(names, critical=False)
        stem = self._folder / common_name.replace("/", "_")
        issued = Issued(stem.with_suffix(".pem"), stem.with_suffix(".key"))
        issued.cert_file.write_bytes(builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM))
        issued.key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return issued

    def server(self, *, days: int = 2, hosts: tuple[str, ...] = ("127.0.0.1",)) -> ServerFiles:
        issued = self.issue("broker", server=True, days=days, hosts=hosts)
        return ServerFiles(self.ca_file, issued.cert_file, issued.key_file)

    def client(self, common_name: str, *, days: int = 2) -> Tls:
        issued = self.issue(common_name, days=days)
        return Tls(self.ca_file, issued.cert_file, issued.key_file)

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, *, days: int) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        end = now + days * _DAY
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(min(now, end) - _DAY)
            .not_valid_after(end)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
