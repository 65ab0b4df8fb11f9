"""serviceaccounts/{name}/token, and what others need to check tokens themselves (OpenID Connect discovery)."""

from collections.abc import Awaitable, Callable

import msgspec

from podward.api import codec, errors
from podward.apiserver.handlers.options import field_validation
from podward.apiserver.request import Request, Response
from podward.apiserver.responses import json_or_yaml, negotiate
from podward.apiserver.router import Target
from podward.apiserver.service_account_tokens import ISSUER, SigningKey
from podward.apiserver.service_accounts import TOKEN_REQUEST, ServiceAccounts


async def create_token(accounts: ServiceAccounts, target: Target, request: Request) -> Response:
    wanted = negotiate(request)
    asked, _ = codec.decode(
        request.body,
        request.headers.get("content-type", ""),
        TOKEN_REQUEST,
        field_validation(request),
    )
    given = asked.metadata
    if given is not None and given.namespace and given.namespace != target.namespace:
        raise errors.bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    if given is not None and given.name and given.name != target.name:
        raise errors.bad_request(
            f"name on the object ({given.name}) does not match the name on the URL ({target.name})"
        )
    made = await accounts.issue(target.namespace, target.name, asked)
    return json_or_yaml(codec.encode_as(made, TOKEN_REQUEST), wanted, status=201)


def discovery(key: SigningKey) -> dict[str, Callable[[Request], Awaitable[Response]]]:
    async def configuration(request: Request) -> Response:
        host = request.headers.get("host", "")
        document = {
            "issuer": ISSUER,
            "jwks_uri": f"https://{host}/openid/v1/jwks" if host else f"{ISSUER}/openid/v1/jwks",
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [key.public_jwk()["alg"]],
        }
        return Response(200, msgspec.json.encode(document))

    async def keys(request: Request) -> Response:
        body = msgspec.json.encode({"keys": [key.public_jwk()]})
        return Response(200, body, "application/jwk-set+json")

    return {"/.well-known/openid-configuration": configuration, "/openid/v1/jwks": keys}
