"""Making and reading X.509 certificates: what the API server's authority and the webhook's have in common.

PEM in, PEM out; nothing is read from or written to a disk here. Keys are drawn by the cryptography library,
which is imported when it is first needed: most commands never are.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

AUTHORITY_LIFE = timedelta(days=3650)
_CLOCK_SKEW = timedelta(minutes=5)
"""A certificate holds from a little before it was made: who reads it has another clock."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate, perhaps with the chain that leads to its authority behind it, and its key."""

    certificate: bytes
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Facts:
    """What a certificate says."""

    not_before: datetime
    not_after: datetime
    names: frozenset[str]
    """DNS names and addresses that a server of it may have."""

    @property
    def renew_at(self) -> datetime:
        """After two thirds of its life: a third is left for whatever keeps the renewal from happening."""
        return self.not_before + (self.not_after - self.not_before) * 2 / 3


def make_authority(common_name: str, *, now: datetime, life: timedelta = AUTHORITY_LIFE) -> Pair:
    """A certificate that signs others, signed by itself."""
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = _subject(common_name, "")
    builder = _builder(subject, subject, key, key, now, now + life, authority=True)
    return _signed(builder, key, key)


def make_leaf(
    authority: Pair,
    common_name: str,
    *,
    now: datetime,
    life: timedelta = AUTHORITY_LIFE,
    names: Sequence[str] = (),
    organization: str = "",
) -> Pair:
    """A server's certificate for these names, a client's if there are none. It ends with its authority."""
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID

    signer = serialization.load_pem_private_key(authority.key, None)
    if not isinstance(signer, ec.EllipticCurvePrivateKey):
        raise ValueError("the authority's key is not an elliptic curve's")
    issuer = x509.load_pem_x509_certificate(authority.certificate)
    key = ec.generate_private_key(ec.SECP256R1())
    end = min(now + life, issuer.not_valid_after_utc)
    builder = _builder(
        _subject(common_name, organization), issuer.subject, key, signer, now, end, authority=False
    )
    purpose = ExtendedKeyUsageOID.SERVER_AUTH if names else ExtendedKeyUsageOID.CLIENT_AUTH
    builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    if names:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([_general_name(n) for n in names]), critical=False
        )
    return _signed(builder, key, signer)


def facts_of(certificate: bytes) -> Facts | None:
    """Of the first certificate in it; None if there is none that can be read."""
    from cryptography import x509

    try:
        read = x509.load_pem_x509_certificate(certificate)
        names = _names(read)
    except ValueError:
        return None
    return Facts(read.not_valid_before_utc, read.not_valid_after_utc, names)


def is_pair(pair: Pair) -> bool:
    """Both can be read, and the key is the certificate's."""
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    try:
        certificate = x509.load_pem_x509_certificate(pair.certificate)
        key = serialization.load_pem_private_key(pair.key, None)
        return key.public_key() == certificate.public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm):  # TypeError: the key has a password
        return False


def is_issued_by(certificate: bytes, authority: bytes) -> bool:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature

    try:
        issuer = x509.load_pem_x509_certificate(authority)
        x509.load_pem_x509_certificate(certificate).verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def split_bundle(bundle: bytes) -> tuple[bytes, ...]:
    """The certificates in it, each once and spelt alike; what cannot be read is left out."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    found: dict[bytes, None] = {}
    for part in bundle.split(_END)[:-1]:
        try:
            certificate = x509.load_pem_x509_certificate(part[max(part.rfind(_BEGIN), 0) :] + _END)
        except ValueError:
            continue
        found[certificate.public_bytes(Encoding.PEM)] = None
    return tuple(found)


_BEGIN, _END = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"


def _names(certificate: "x509.Certificate") -> frozenset[str]:
    from cryptography import x509

    try:
        listed = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return frozenset()
    addresses = listed.get_values_for_type(x509.IPAddress)
    return frozenset((*listed.get_values_for_type(x509.DNSName), *map(str, addresses)))


def _subject(common_name: str, organization: str) -> "x509.Name":
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    if organization:
        attributes.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
    return x509.Name(attributes)


def _builder(
    subject: "x509.Name",
    issuer: "x509.Name",
    key: "EllipticCurvePrivateKey",
    signer: "EllipticCurvePrivateKey",
    now: datetime,
    end: datetime,
    *,
    authority: bool,
) -> "x509.CertificateBuilder":
    from cryptography import x509

    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
        .add_extension(_usage(authority), critical=True)
    )


def _signed(
    builder: "x509.CertificateBuilder",
    key: "EllipticCurvePrivateKey",
    signer: "EllipticCurvePrivateKey",
) -> Pair:
    from cryptography.hazmat.primitives import hashes, serialization

    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Pair(builder.sign(signer, hashes.SHA256()).public_bytes(pem), private)


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
    from cryptography import x509

    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)
