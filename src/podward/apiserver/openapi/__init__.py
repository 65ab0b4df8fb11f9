"""OpenAPI: what kubectl validates manifests against and `kubectl explain` reads."""

from collections.abc import Awaitable, Callable

from podward.api.scheme import Scheme
from podward.apiserver.openapi import v2, v3
from podward.apiserver.request import Request, Response


def routes(scheme: Scheme) -> dict[str, Callable[[Request], Awaitable[Response]]]:
    return {**v2.routes(scheme), **v3.routes(scheme)}
