"""Answers: which form the client wants (`Accept`), and objects, lists and errors in that form."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from podward.api.errors import ApiStatusError, bad_request, status_error
from podward.apiserver.request import Request, Response

Form = Literal["object", "table", "partial"]

_FORMS: Final[Mapping[str, Form]] = {
    "Table": "table",
    "PartialObjectMetadata": "partial",
    "PartialObjectMetadataList": "partial",
}
_INCLUDES: Final = ("Metadata", "None", "Object")
_WARNING_LIMIT: Final = 256
_WARNINGS_LIMIT: Final = 4096


class Negotiated(msgspec.Struct, frozen=True):
    """What `Accept` came to."""

    form: Form = "object"
    version: str = "v1"
    """Of `meta.k8s.io`, for tables and partial objects."""
    yaml: bool = False
    include: Any = "Metadata"
    """`includeObject`: how much of the object a table row carries."""


def negotiate(request: Request) -> Negotiated:
    """The first form in `Accept` that is served; 406 if none is."""
    include = request.query.get("includeObject", "Metadata") or "Metadata"
    if include not in _INCLUDES:
        raise bad_request(f'unrecognized includeObject value: "{include}"')
    for clause in (request.headers.get("accept") or "*/*").split(","):
        media, *pairs = (part.strip() for part in clause.split(";"))
        parameters = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
        if media in ("application/yaml", "application/x-yaml"):
            return Negotiated(yaml=True, include=include)
        if media not in ("application/json", "*/*", "application/*"):
            continue
        wanted = parameters.get("as")
        if wanted is None:
            return Negotiated(include=include)
        version = parameters.get("v", "v1")
        if (
            wanted in _FORMS
            and parameters.get("g") == "meta.k8s.io"
            and version in ("v1", "v1beta1")
        ):
            return Negotiated(_FORMS[wanted], version, include=include)
    raise status_error(
        406,
        "NotAcceptable",
        "only the following media types are accepted: application/json, application/yaml",
    )


def error_response(error: ApiStatusError) -> Response:
    status = error.status
    headers: dict[str, str] = {}
    if status.details is not None and status.details.retryAfterSeconds:
        headers["retry-after"] = str(status.details.retryAfterSeconds)
    return Response(status.code or 500, msgspec.json.encode(status), headers=headers)


def json_or_yaml(
    value: Any, wanted: Negotiated, *, status: int = 200, warnings: Sequence[str] = ()
) -> Response:
    """`value` (a Struct, a document, or JSON bytes) as the client wants it written."""
    body = value if isinstance(value, bytes) else msgspec.json.encode(value)
    content_type = "application/json"
    if wanted.yaml:
        from podward.api.yaml_printer import to_yaml

        content_type = "application/yaml"
        body = to_yaml(msgspec.json.decode(body)).encode()
    return Response(status, body, content_type, warning_headers(warnings))


def warning_headers(warnings: Iterable[str]) -> dict[str, str]:
    """RFC 7234 warnings, which kubectl prints; each is said once, several are joined in one header.

    Headers have limits: if all of it is longer than 4096 characters, lines are cut at 256, and what then
    still goes beyond is left out, as an API server does it.
    """
    texts = list(dict.fromkeys(warnings))
    if sum(map(len, texts)) > _WARNINGS_LIMIT:
        texts = [text[:_WARNING_LIMIT] for text in texts]
        while sum(map(len, texts)) > _WARNINGS_LIMIT:
            texts.pop()
    values = [_warning(text) for text in texts]
    return {"warning": ", ".join(values)} if values else {}


def _warning(text: str) -> str:
    # Headers are latin-1 and one line each; what does not fit is replaced, never fatal.
    flat = " ".join(text.split()).replace("\\", "\\\\").replace('"', '\\"')
    return f'299 - "{flat.encode("latin-1", "replace").decode("latin-1")}"'


def list_json(
    kind: str, api_version: str, metadata: Mapping[str, Any], items: Iterable[bytes]
) -> bytes:
    """A list of stored documents, joined as they are: nothing is decoded."""
    head = msgspec.json.encode(
        {"kind": f"{kind}List", "apiVersion": api_version, "metadata": metadata}
    )
    return head[:-1] + b',"items":[' + b",".join(items) + b"]}"
