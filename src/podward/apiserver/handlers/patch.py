"""PATCH: JSON patch, merge patch, strategic merge patch."""

from typing import Any, Final

import msgspec

from podward.api import codec, errors
from podward.api.merge_keys import merge_schema
from podward.api.scheme import Resource
from podward.apiserver.handlers.options import field_validation, write_options
from podward.apiserver.handlers.render import render_object
from podward.apiserver.registry import Registry
from podward.apiserver.request import Request, Response
from podward.apiserver.responses import negotiate
from podward.apiserver.router import Target
from podward.machinery.patch import PatchError, json_patch, merge_patch, strategic_merge_patch

JSON_PATCH: Final = "application/json-patch+json"
MERGE_PATCH: Final = "application/merge-patch+json"
STRATEGIC_MERGE_PATCH: Final = "application/strategic-merge-patch+json"
_TYPES: Final = (JSON_PATCH, MERGE_PATCH, STRATEGIC_MERGE_PATCH)


async def patch(registry: Registry, target: Target, request: Request) -> Response:
    """Apply the patch to what is stored, as often as somebody else writes in between."""
    wanted = negotiate(request)
    kind = request.headers.get("content-type", "").split(";")[0].strip()
    if kind not in _TYPES:
        raise errors.status_error(
            415,
            "UnsupportedMediaType",
            "the body of the request was in an unknown format - accepted media types include: "
            + ", ".join(_TYPES),
        )
    validation = field_validation(request)
    body = _body(request.body)
    options = write_options(request, target.subresource)

    def change(old: Any, document: bytes) -> Any:
        stored = msgspec.json.decode(document)
        patched = _apply(kind, stored, body, target.resource)
        obj, found = codec.decode_builtins(patched, target.resource, validation, base=stored)
        options.warnings.extend(found)
        return obj

    stored = await registry.update(target.resource, target.namespace, target.name, change, options)
    return render_object(registry, target.resource, stored, wanted, warnings=options.warnings)


def _body(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise errors.bad_request(f"error decoding patch: {error}") from None


def _apply(kind: str, document: Any, body: Any, resource: Resource) -> Any:
    try:
        if kind == JSON_PATCH:
            return json_patch(document, body)
        if kind == MERGE_PATCH:
            return merge_patch(document, body)
        return strategic_merge_patch(document, body, merge_schema(resource))
    except PatchError as error:
        # A patch that is well formed but does not fit the object is unprocessable, as upstream.
        code = 422 if kind == JSON_PATCH else 400
        reason = "Invalid" if code == 422 else "BadRequest"
        raise errors.status_error(code, reason, str(error)) from None
