"""Tokens: what is signed is read again, what was touched is not; each holds for its time and its readers."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from podward.apiserver.service_account_tokens import (
    ISSUER,
    Bound,
    Claims,
    InvalidToken,
    Private,
    SigningKey,
    check_claims,
    claims_for,
)
from podward.machinery.entropy import Entropy

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KEY = SigningKey.drawn_from(Entropy(1))
ROBOT = Private("team", Bound("robot", "u-1"), pod=Bound("web", "u-2"), node=Bound("n1", "u-3"))


def made(*audiences: str, seconds: int = 3600) -> Claims:
    return claims_for(
        ROBOT, audiences=audiences or (ISSUER,), seconds=seconds, token_id="t-1", now=NOW
    )


def opened(token: str) -> tuple[Any, Any]:
    head, body = (base64.urlsafe_b64decode(part + "==") for part in token.split(".")[:2])
    return json.loads(head), json.loads(body)


def test_the_claims_are_those_of_kubernetes() -> None:
    header, claims = opened(KEY.sign(made("vault")))
    assert header == {"alg": "ES256", "kid": KEY.id}
    start = int(NOW.timestamp())
    assert claims == {
        "aud": ["vault"], "exp": start + 3600, "iat": start, "nbf": start, "jti": "t-1",
        "iss": "https://kubernetes.default.svc.cluster.local",
        "sub": "system:serviceaccount:team:robot",
        "kubernetes.io": {
            "namespace": "team", "serviceaccount": {"name": "robot", "uid": "u-1"},
            "pod": {"name": "web", "uid": "u-2"}, "node": {"name": "n1", "uid": "u-3"},
        },
    }  # fmt: skip


texts = st.text(max_size=20)
bound = st.builds(Bound, texts, texts)


@given(
    st.builds(
        Private, texts, bound, pod=st.none() | bound, secret=st.none() | bound, node=st.none() | bound
    ),
    st.lists(texts, max_size=3),
    st.integers(600, 1 << 32),
)  # fmt: skip
def test_what_is_signed_is_read_again(private: Private, audiences: list[str], seconds: int) -> None:
    claims = claims_for(private, audiences=audiences, seconds=seconds, token_id="t", now=NOW)
    assert KEY.read(KEY.sign(claims)) == claims


@given(st.integers(0, 10_000), st.characters(max_codepoint=127))
def test_no_letter_of_a_token_can_be_another(place: int, letter: str) -> None:
    token = KEY.sign(made())
    place %= len(token)
    if token[place] == letter:
        return
    with pytest.raises(InvalidToken):
        KEY.read(token[:place] + letter + token[place + 1 :])


@given(st.text())
def test_whatever_else_comes_is_refused(text: str) -> None:
    with pytest.raises(InvalidToken):
        KEY.read(text)


def test_a_token_does_not_choose_how_it_is_checked() -> None:
    _, body, signature = KEY.sign(made()).split(".")
    for header in ({"alg": "none"}, {"alg": "HS256", "kid": KEY.id}, {"alg": "RS256"}):
        head = base64.urlsafe_b64encode(json.dumps(header).encode()).rstrip(b"=").decode()
        for end in (signature, ""):
            with pytest.raises(InvalidToken):
                KEY.read(f"{head}.{body}.{end}")


def test_a_token_of_another_key_is_refused() -> None:
    with pytest.raises(InvalidToken, match="signature"):
        KEY.read(SigningKey.drawn_from(Entropy(2)).sign(made()))


def test_the_same_dice_make_the_same_token() -> None:
    assert SigningKey.drawn_from(Entropy(1)).sign(made()) == KEY.sign(made())
    assert SigningKey.from_pem(KEY.pem()).id == KEY.id


def test_a_file_that_is_no_key_is_told_apart() -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ed25519

    other = ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    for pem in (b"", b"nonsense", other):
        with pytest.raises(ValueError):
            SigningKey.from_pem(pem)


@pytest.mark.parametrize(
    ("claims", "after", "audiences", "text"),
    [
        (made(), -61, [ISSUER], "service account token is not valid yet"),
        (made(), -60, [ISSUER], ""),
        (made(), 3660, [ISSUER], ""),
        (made(), 3661, [ISSUER], "service account token has expired"),
        (made("a", "b"), 0, ["b", "c"], ""),
        (made("a"), 0, ["b"], 'token audiences ["a"] is invalid for the target audiences ["b"]'),
        (made("a"), 0, [], 'token audiences ["a"] is invalid for the target audiences []'),
        (msgspec.structs.replace(made(), iss="me"), 0, [ISSUER],
         "the token was issued by somebody else"),
        (msgspec.structs.replace(made(), sub="system:serviceaccount:a:b"), 0, [ISSUER],
         "the token's subject is not its service account"),
    ],
)  # fmt: skip
def test_when_and_for_whom_a_token_holds(
    claims: Claims, after: int, audiences: list[str], text: str
) -> None:
    def check() -> list[str]:
        return check_claims(claims, audiences=audiences, now=NOW + timedelta(seconds=after))

    if text:
        with pytest.raises(InvalidToken) as caught:
            check()
        assert str(caught.value) == text
    else:
        assert check() == [name for name in audiences if name in claims.aud]


def test_the_published_key_checks_a_signature() -> None:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    jwk = KEY.public_jwk()
    x, y = (int.from_bytes(base64.urlsafe_b64decode(jwk[c] + "=="), "big") for c in "xy")
    signed, _, signature = KEY.sign(made()).rpartition(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    pair = int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
    public = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    public.verify(encode_dss_signature(*pair), signed.encode(), ec.ECDSA(hashes.SHA256()))
