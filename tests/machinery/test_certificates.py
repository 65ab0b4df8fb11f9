"""Makers and readers of certificates."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from podward.machinery.certificates import (
    Pair,
    facts_of,
    is_issued_by,
    is_pair,
    make_authority,
    make_leaf,
    split_bundle,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
AUTHORITY = make_authority("ours", now=NOW)
OTHER = make_authority("ours", now=NOW)
LEAF = make_leaf(AUTHORITY, "leaf", now=NOW, life=30 * DAY, names=("a.b.svc", "192.0.2.1"))


def usage(pair: Pair) -> list[x509.ObjectIdentifier]:
    certificate = x509.load_pem_x509_certificate(pair.certificate)
    return list(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)


def test_an_authority_lives_ten_years_and_signs() -> None:
    facts = facts_of(AUTHORITY.certificate)
    assert facts is not None
    assert facts.not_after == NOW + 3650 * DAY
    read = x509.load_pem_x509_certificate(AUTHORITY.certificate)
    assert read.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert is_issued_by(AUTHORITY.certificate, AUTHORITY.certificate)


def test_a_leaf_says_what_it_is_for() -> None:
    facts = facts_of(LEAF.certificate)
    assert facts is not None
    assert facts.names == {"a.b.svc", "192.0.2.1"}
    assert usage(LEAF) == [ExtendedKeyUsageOID.SERVER_AUTH]
    client = make_leaf(AUTHORITY, "admin", now=NOW, organization="system:masters")
    assert usage(client) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert not facts_of(client.certificate).names  # type: ignore[union-attr]


def test_a_leaf_is_renewed_after_two_thirds_of_its_life_and_holds_for_clocks_that_are_late() -> (
    None
):
    facts = facts_of(LEAF.certificate)
    assert facts is not None
    assert facts.not_before < NOW
    assert abs(facts.renew_at - (NOW + 20 * DAY)) < timedelta(minutes=5)


def test_a_leaf_does_not_outlive_its_authority() -> None:
    brief = make_authority("brief", now=NOW, life=DAY)
    facts = facts_of(make_leaf(brief, "leaf", now=NOW, life=30 * DAY).certificate)
    assert facts is not None
    assert facts.not_after == NOW + DAY


def test_who_issued_it_is_told_by_the_key_and_not_by_the_name() -> None:
    assert is_issued_by(LEAF.certificate, AUTHORITY.certificate)
    assert not is_issued_by(LEAF.certificate, OTHER.certificate)
    assert not is_issued_by(LEAF.certificate, b"rubbish")


def encrypted(pair: Pair) -> bytes:
    key = serialization.load_pem_private_key(pair.key, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )


@pytest.mark.parametrize(
    "pair",
    [
        Pair(LEAF.certificate, OTHER.key),
        Pair(LEAF.certificate, b""),
        Pair(b"", LEAF.key),
        Pair(LEAF.certificate[:200], LEAF.key),
        Pair(LEAF.certificate, LEAF.key[:100]),
        Pair(LEAF.certificate, encrypted(LEAF)),
    ],
    ids=["another key", "no key", "no certificate", "half a certificate", "half a key", "password"],
)
def test_what_does_not_fit_together_is_no_pair(pair: Pair) -> None:
    assert is_pair(LEAF)
    assert not is_pair(pair)


def test_a_key_is_not_shown() -> None:
    assert "PRIVATE" not in repr(LEAF)


def test_a_bundle_is_read_whatever_stands_between_its_certificates() -> None:
    one, two = AUTHORITY.certificate, OTHER.certificate
    untidy = b"# ours\n" + one.replace(b"\n", b"\r\n") + b"junk" + two + one + two[:80]
    assert split_bundle(untidy) == (one, two)
    assert split_bundle(one[:80] + two) == (two,)
    assert split_bundle(b"") == split_bundle(b"-----END CERTIFICATE-----") == ()
    assert facts_of(b"") is None
