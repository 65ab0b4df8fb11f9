"""`/openapi/v3`: an index of documents, one a group and version, each made when it is first asked for."""

import hashlib
from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any

import msgspec

from podward.api.scheme import Resource, Scheme
from podward.apiserver.discovery import answer
from podward.apiserver.openapi.schemas import closure, type_name
from podward.apiserver.request import Request, Response

Handler = Callable[[Request], Awaitable[Response]]

_JSON = "application/json"
_PATCHES = (
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
)
_WRITE_QUERY = ("dryRun", "fieldManager", "fieldValidation", "pretty")


def routes(scheme: Scheme) -> dict[str, Handler]:
    bases = dict.fromkeys(row.base_path for row in scheme)

    @cache
    def document(base: str) -> bytes:
        rows = [row for row in scheme if row.base_path == base]
        return msgspec.json.encode(_document(scheme, rows))

    def hash_of(base: str) -> str:
        return hashlib.sha256(document(base)).hexdigest()[:40].upper()

    async def index(request: Request) -> Response:
        paths = {
            base.strip("/"): {"serverRelativeURL": f"/openapi/v3{base}?hash={hash_of(base)}"}
            for base in bases
        }
        return answer(request, msgspec.json.encode({"paths": paths}), _JSON)

    def one(base: str) -> Handler:
        async def handler(request: Request) -> Response:
            return answer(request, document(base), _JSON)

        return handler

    return {"/openapi/v3": index, **{f"/openapi/v3{base}": one(base) for base in bases}}


def _document(scheme: Scheme, rows: list[Resource]) -> dict[str, Any]:
    paths: dict[str, Any] = {}
    for row in rows:
        scope = "/namespaces/{namespace}" if row.namespaced else ""
        collection = f"{row.base_path}{scope}/{row.plural}"
        paths[collection] = {
            "get": _operation(row, "list"),
            "post": _operation(row, "post", _WRITE_QUERY, (_JSON,)),
        }
        paths[collection + "/{name}"] = {
            "get": _operation(row, "get"),
            "put": _operation(row, "put", _WRITE_QUERY, (_JSON,)),
            "patch": _operation(row, "patch", _WRITE_QUERY, _PATCHES),
            "delete": _operation(row, "delete", ("dryRun", "gracePeriodSeconds")),
        }
    return {
        "openapi": "3.0.0",
        "info": {"title": "Podward", "version": rows[0].version},
        "paths": paths,
        "components": {"schemas": closure(scheme, rows[0].group, rows[0].version)},
    }


def _operation(
    row: Resource, action: str, query: tuple[str, ...] = (), consumes: tuple[str, ...] = ()
) -> dict[str, Any]:
    reference = {"$ref": f"#/components/schemas/{type_name(row.type)}"}
    operation: dict[str, Any] = {
        "operationId": f"{action}{row.kind}",
        "parameters": [
            {"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": True}}
            for name in query
        ],
        "responses": {"200": {"description": "OK", "content": {_JSON: {"schema": reference}}}},
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": {
            "group": row.group, "kind": row.kind, "version": row.version,
        },
    }  # fmt: skip
    if consumes:
        content = {media: {"schema": reference} for media in consumes}
        operation["requestBody"] = {"content": content, "required": True}
    return operation
