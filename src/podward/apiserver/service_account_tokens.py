"""Tokens of service accounts: JSON Web Tokens (RFC 7519) with the claims that Kubernetes gives them. Pure.

They are signed with ES256 (RFC 7518 3.4) by a key of their own. The signature's dice come from the key and what
is signed (RFC 6979), so that the same claims make the same token, in a simulation too. Only this one algorithm
is read: what a token says of itself decides nothing.
"""

import base64
import binascii
import hashlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import msgspec

from podward.machinery.entropy import Entropy

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

ISSUER: Final = "https://kubernetes.default.svc.cluster.local"
"""Who makes them, and whom they are for if nobody says: the name of an API server in its own cluster."""
LEEWAY: Final = timedelta(minutes=1)
"""A clock may have been set since a token was made."""

_ALGORITHM: Final = "ES256"
_HALF: Final = 32
"""Bytes of each of the two numbers that are a signature."""
# The order of the curve P-256 (SEC 2, 2.4.2): private keys are the numbers below it.
_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


class InvalidToken(Exception):
    """Nobody is let in with it; the text says why, and only a TokenReview tells it."""


class Bound(msgspec.Struct, frozen=True, omit_defaults=True):
    """An object without which the token is worth nothing. Of a node that is gone only the name is known."""

    name: str
    uid: str = ""


class Private(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a token says under `kubernetes.io`."""

    namespace: str
    serviceaccount: Bound
    pod: Bound | None = None
    secret: Bound | None = None
    node: Bound | None = None


class Claims(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Times are whole seconds since 1970."""

    aud: list[str]
    exp: int | None = None
    """None: it ends with what it is bound to."""
    iat: int
    iss: str
    jti: str
    kubernetes: Private = msgspec.field(name="kubernetes.io")
    nbf: int
    sub: str


class _Header(msgspec.Struct, frozen=True):
    alg: str
    kid: str = ""


def username(namespace: str, name: str) -> str:
    return f"system:serviceaccount:{namespace}:{name}"


def claims_for(
    private: Private, *, audiences: Sequence[str], seconds: int | None, token_id: str, now: datetime
) -> Claims:
    """What a token says that is made `now` and holds for so many seconds, or for as long as its Secret."""
    made = int(now.timestamp())
    return Claims(
        aud=list(audiences),
        exp=None if seconds is None else made + seconds,
        iat=made,
        iss=ISSUER,
        jti=token_id,
        kubernetes=private,
        nbf=made,
        sub=username(private.namespace, private.serviceaccount.name),
    )


def check_claims(claims: Claims, *, audiences: Sequence[str], now: datetime) -> list[str]:
    """Those of `audiences` that it is for. `InvalidToken` if there are none, or if it does not hold `now`."""
    meant = [audience for audience in audiences if audience in claims.aud]
    if claims.iss != ISSUER:
        raise InvalidToken("the token was issued by somebody else")
    if not meant:
        raise InvalidToken(
            f"token audiences {_go_list(claims.aud)} is invalid for the target audiences {_go_list(audiences)}"
        )
    if claims.exp is None and claims.kubernetes.secret is None:
        raise InvalidToken("the token has no end")
    if claims.exp is not None and now - LEEWAY > datetime.fromtimestamp(claims.exp, UTC):
        raise InvalidToken("service account token has expired")
    if now + LEEWAY < datetime.fromtimestamp(claims.nbf, UTC):
        raise InvalidToken("service account token is not valid yet")
    private = claims.kubernetes
    if claims.sub != username(private.namespace, private.serviceaccount.name):
        raise InvalidToken("the token's subject is not its service account")
    return meant


class SigningKey:
    """Makes tokens and knows its own."""

    def __init__(self, make: "Callable[[], EllipticCurvePrivateKey]") -> None:
        """`make` is called when the first token is made or read: most simulations have none."""
        self._make = make

    @cached_property
    def _key(self) -> "EllipticCurvePrivateKey":
        return self._make()

    @classmethod
    def generate(cls) -> "SigningKey":
        """Drawn by the cryptography library."""
        from cryptography.hazmat.primitives.asymmetric import ec

        key = ec.generate_private_key(ec.SECP256R1())
        return cls(lambda: key)

    @classmethod
    def drawn_from(cls, entropy: Entropy) -> "SigningKey":
        """The same of the same dice: a simulation's."""
        number = int(entropy.hex(2 * _HALF), 16) % (_ORDER - 1) + 1

        def derive() -> "EllipticCurvePrivateKey":
            from cryptography.hazmat.primitives.asymmetric import ec

            return ec.derive_private_key(number, ec.SECP256R1())

        return cls(derive)

    @classmethod
    def from_pem(cls, pem: bytes) -> "SigningKey":
        """`ValueError` if it is no such key."""
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec

        try:
            key = serialization.load_pem_private_key(pem, None)
        except (TypeError, UnsupportedAlgorithm) as error:
            raise ValueError(str(error)) from error
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
            raise ValueError("not a key of the curve P-256")
        return cls(lambda: key)

    def pem(self) -> bytes:
        from cryptography.hazmat.primitives import serialization

        return self._key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )

    @cached_property
    def id(self) -> str:
        """Of the public half: tokens name it, and so do the keys that are published."""
        from cryptography.hazmat.primitives import serialization

        public = self._key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return _text(hashlib.sha256(public).digest())

    def public_jwk(self) -> dict[str, Any]:
        """For others that want to check tokens (RFC 7517)."""
        numbers = self._key.public_key().public_numbers()
        return {
            "use": "sig",
            "kty": "EC",
            "kid": self.id,
            "crv": "P-256",
            "alg": _ALGORITHM,
            "x": _text(numbers.x.to_bytes(_HALF, "big")),
            "y": _text(numbers.y.to_bytes(_HALF, "big")),
        }

    def sign(self, claims: Claims) -> str:
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

        header = msgspec.json.encode(_Header(_ALGORITHM, self.id))
        signed = f"{_text(header)}.{_text(msgspec.json.encode(claims))}"
        scheme = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
        pair = decode_dss_signature(self._key.sign(signed.encode(), scheme))
        return f"{signed}.{_text(b''.join(n.to_bytes(_HALF, 'big') for n in pair))}"

    def read(self, token: str) -> Claims:
        """What a token of ours says; `InvalidToken` if it is not ours. Whether it holds is another question."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

        signed, _, signature = token.rpartition(".")
        head, _, body = signed.partition(".")
        try:
            header = msgspec.json.decode(_bytes(head), type=_Header)
            number = _bytes(signature)
            payload = _bytes(body)
        except (ValueError, msgspec.DecodeError):
            raise InvalidToken("not a token of a service account") from None
        if header.alg != _ALGORITHM or len(number) != 2 * _HALF:
            raise InvalidToken("the token is signed in another way")
        r, s = (int.from_bytes(half, "big") for half in (number[:_HALF], number[_HALF:]))
        try:
            self._key.public_key().verify(
                encode_dss_signature(r, s), signed.encode(), ec.ECDSA(hashes.SHA256())
            )
        except InvalidSignature:
            raise InvalidToken("the token's signature is not ours") from None
        try:
            return msgspec.json.decode(payload, type=Claims)
        except msgspec.DecodeError as error:
            raise InvalidToken(f"the token cannot be read: {error}") from None


def _text(data: bytes) -> str:
    """base64url without padding (RFC 7515 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    """`ValueError` for anything that `_text` would not have written."""
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error as error:
        raise ValueError(str(error)) from error
    if _text(data) != text:
        raise ValueError("not in its one spelling")
    return data


def _go_list(names: Sequence[str]) -> str:
    """As Go prints a list of texts with %q."""
    return "[" + " ".join(f'"{name}"' for name in names) + "]"
