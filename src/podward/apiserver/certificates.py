"""An authority of its own: who may serve and who is let in, kept below `<data-dir>/pki/`.

Files are replaced whole and readable by their owner only. What exists is kept: a restart changes no identity; a
server certificate is issued anew when its names changed or it nears its end.
"""

import base64
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from podward.machinery.clock import Clock
from podward.machinery.entropy import Entropy

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

_LIFE = timedelta(days=3650)
_RENEW_BEFORE = timedelta(days=30)
_NAMES = (
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "127.0.0.1",
    "::1",
)


@dataclass(frozen=True, slots=True)
class Credentials:
    folder: Path
    token: str

    @property
    def ca_certificate(self) -> Path:
        return self.folder / "ca.crt"

    @property
    def server_certificate(self) -> Path:
        return self.folder / "server.crt"

    @property
    def server_key(self) -> Path:
        return self.folder / "server.key"

    @property
    def admin_certificate(self) -> Path:
        return self.folder / "admin.crt"

    @property
    def admin_key(self) -> Path:
        return self.folder / "admin.key"


def ensure_authority(data_dir: Path, clock: Clock, hosts: Sequence[str]) -> Credentials:
    """Make what is missing. Keys are drawn by the cryptography library, the token by the system."""
    folder = data_dir / "pki"
    folder.mkdir(mode=0o700, exist_ok=True)
    now = clock.now()
    token_file = folder / "token"
    if not token_file.exists():
        _write(token_file, Entropy().hex(64).encode())
    credentials = Credentials(folder, token_file.read_text())
    names = sorted({*_NAMES, *hosts})
    if _sound(folder, "ca", now) is None:
        _issue(folder, "ca", "podward-ca", now, authority=True)
    server = _sound(folder, "server", now)
    if server is None or _names(server) != set(names):
        _issue(folder, "server", "podward", now, names=names)
    if _sound(folder, "admin", now) is None:
        _issue(folder, "admin", "kubernetes-admin", now, organization="system:masters")
    return credentials


def write_kubeconfig(path: Path, server_url: str, credentials: Credentials) -> None:
    """All that a client needs, embedded; each value on a line of its own."""

    def embedded(file: Path) -> str:
        return base64.b64encode(file.read_bytes()).decode()

    text = f"""apiVersion: v1
kind: Config
current-context: podward
clusters:
- name: podward
  cluster:
    server: {server_url}
    certificate-authority-data: {embedded(credentials.ca_certificate)}
contexts:
- name: podward
  context:
    cluster: podward
    user: podward
users:
- name: podward
  user:
    client-certificate-data: {embedded(credentials.admin_certificate)}
    client-key-data: {embedded(credentials.admin_key)}
    token: {credentials.token}
"""
    _write(path, text.encode())


def _write(path: Path, data: bytes) -> None:
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, data)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    fresh.rename(path)


def _load(path: Path) -> "x509.Certificate | None":
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None


def _sound(folder: Path, name: str, now: datetime) -> "x509.Certificate | None":
    """A certificate that lasts, fits the key beside it and was signed by the authority that is here now.

    A crash may have come between any two files.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import serialization

    certificate, authority = _load(folder / f"{name}.crt"), _load(folder / "ca.crt")
    if certificate is None or authority is None:
        return None
    try:
        key = serialization.load_pem_private_key((folder / f"{name}.key").read_bytes(), None)
        certificate.verify_directly_issued_by(authority)
    except (FileNotFoundError, ValueError, TypeError, InvalidSignature):
        return None
    lasts = certificate.not_valid_after_utc - now > _RENEW_BEFORE
    return certificate if lasts and key.public_key() == certificate.public_key() else None


def _names(certificate: "x509.Certificate") -> set[str]:
    from cryptography import x509

    listed = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    addresses = listed.get_values_for_type(x509.IPAddress)
    return {*listed.get_values_for_type(x509.DNSName), *map(str, addresses)}


def _issue(
    folder: Path,
    name: str,
    common_name: str,
    now: datetime,
    *,
    organization: str = "",
    names: Sequence[str] = (),
    authority: bool = False,
) -> None:
    """A key and a certificate for it, signed by the authority (by itself, if it is the authority)."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    if organization:
        attributes.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
    subject = x509.Name(attributes)
    issuer, signer = (subject, key) if authority else _authority(folder)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + _LIFE)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
        .add_extension(_usage(authority), critical=True)
    )
    if not authority:
        purpose = ExtendedKeyUsageOID.SERVER_AUTH if names else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    if names:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([_general_name(n) for n in names]), critical=False
        )
    certificate = builder.sign(signer, hashes.SHA256())
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    _write(folder / f"{name}.key", private)
    _write(folder / f"{name}.crt", certificate.public_bytes(pem))


def _authority(folder: Path) -> "tuple[x509.Name, EllipticCurvePrivateKey]":
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

    certificate = _load(folder / "ca.crt")
    key = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), None)
    assert certificate is not None
    assert isinstance(key, EllipticCurvePrivateKey)
    return certificate.subject, key


def _usage(authority: bool) -> "x509.KeyUsage":
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> "x509.GeneralName":
    from ipaddress import ip_address

    from cryptography import x509

    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)
