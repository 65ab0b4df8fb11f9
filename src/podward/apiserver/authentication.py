"""Who is there: a client certificate that our authority signed, or a bearer token. Nobody else is let in.

What a service account's token is worth depends on what is stored; `service_accounts.py` knows that.
"""

import hmac
from collections.abc import Mapping
from typing import Any

from podward.api.errors import unauthorized
from podward.apiserver.certificates import Credentials
from podward.apiserver.identity import Identity

PEER = "podward.peer"
"""Under `scope["extensions"]`: the verified client certificate's (common name, organizations)."""

ADMIN = Identity("kubernetes-admin", ("system:masters", "system:authenticated"))


class Authenticator:
    """Called with an ASGI scope; `ApiStatusError` 401 if it names nobody known."""

    def __init__(self, tokens: Mapping[str, Identity]) -> None:
        self._tokens = [(token.encode(), identity) for token, identity in tokens.items()]

    @classmethod
    def from_credentials(cls, credentials: Credentials) -> "Authenticator":
        return cls({credentials.token: ADMIN})

    def __call__(self, scope: Mapping[str, Any]) -> Identity:
        peer = (scope.get("extensions") or {}).get(PEER)
        if peer is not None:
            name, organizations = peer
            return Identity(name, (*organizations, "system:authenticated"))
        token = bearer_token(scope)
        for known, identity in self._tokens:
            if token and hmac.compare_digest(known, token):
                return identity
        raise unauthorized()


def bearer_token(scope: Mapping[str, Any]) -> bytes:
    """Empty if the request carries none."""
    given = next((v for k, v in scope.get("headers", ()) if k == b"authorization"), b"")
    scheme, _, token = given.partition(b" ")
    return token.strip() if scheme.lower() == b"bearer" else b""
