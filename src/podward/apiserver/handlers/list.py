"""GET of a collection."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from podward.api import errors
from podward.api.scheme import Resource
from podward.apiserver.handlers.options import integer
from podward.apiserver.printers.table import partial, table_of
from podward.apiserver.registry import Registry
from podward.apiserver.request import Request, Response
from podward.apiserver.responses import (
    Negotiated,
    json_or_yaml,
    list_json,
    negotiate,
)
from podward.apiserver.router import Target
from podward.apiserver.selection import Selection, selection
from podward.store.base import Compacted, Record


class _Token(msgspec.Struct):
    """What a `continue` token says: the revision that the list began at, and the last key handed out."""

    rv: int
    start: str


@dataclass(frozen=True, slots=True)
class Page:
    records: list[Record]
    revision: int
    remaining: int | None
    """None: unknown, because a selector would have to be asked."""
    more: bool


async def list_collection(registry: Registry, target: Target, request: Request) -> Response:
    wanted = negotiate(request)
    selected = selection(request, registry.strategy(target.resource))
    prefix = registry.prefix(target.resource, target.namespace)
    page = await _page(registry, target.resource, prefix, request, selected)
    metadata: dict[str, Any] = {"resourceVersion": str(page.revision)}
    if page.more:
        token = _Token(page.revision, page.records[-1].key.removeprefix(prefix))
        metadata["continue"] = base64.urlsafe_b64encode(msgspec.json.encode(token)).decode()
        if page.remaining is not None:
            metadata["remainingItemCount"] = page.remaining
    return _render(registry, target.resource, page.records, metadata, wanted)


async def _page(
    registry: Registry, resource: Resource, prefix: str, request: Request, selected: Selection
) -> Page:
    limit = max(integer(request, "limit") or 0, 0)
    revision, after = _where(registry, prefix, request)
    try:
        listing = await registry.store.range(
            prefix, revision=revision, limit=limit if selected.everything else 0, after=after
        )
    except Compacted:
        raise errors.expired(
            "The provided continue parameter is too old to display a consistent list result. "
            "You must start a new list without the continue parameter."
            if after
            else f"The resourceVersion for the provided list is too old: {revision}"
        ) from None
    if selected.everything:
        return Page(listing.records, listing.revision, listing.remaining, listing.remaining > 0)
    matching = [r for r in listing.records if selected.matches(registry.cache.decode(r, resource))]
    more = bool(limit) and len(matching) > limit
    return Page(matching[:limit] if more else matching, listing.revision, None, more)


def _where(registry: Registry, prefix: str, request: Request) -> tuple[int | None, str]:
    """The revision to read at (None: the latest) and the key to go on after."""
    match = request.query.get("resourceVersionMatch", "")
    version = request.query.get("resourceVersion", "")
    token = request.query.get("continue", "")
    if match not in ("", "Exact", "NotOlderThan"):
        raise errors.bad_request(f'resourceVersionMatch: Unsupported value: "{match}"')
    if token:
        if match:
            raise errors.bad_request("resourceVersionMatch is forbidden with continue")
        return _read_token(prefix, token)
    if match and not version:
        raise errors.bad_request(
            "resourceVersionMatch is forbidden unless resourceVersion is provided"
        )
    number = parse_version(version)
    if match == "Exact":
        if number == 0:
            raise errors.bad_request('resourceVersionMatch "Exact" is forbidden for version "0"')
        require_reached(registry, number)
        return number, ""
    require_reached(registry, number)
    return None, ""


def _read_token(prefix: str, text: str) -> tuple[int, str]:
    try:
        token = msgspec.json.decode(base64.urlsafe_b64decode(text), type=_Token)
    except (ValueError, msgspec.DecodeError) as error:
        raise errors.bad_request(f"continue key is not valid: {error}") from None
    return token.rv, prefix + token.start


def parse_version(text: str) -> int:
    """A resourceVersion as the client wrote it; empty is 0."""
    if not text:
        return 0
    if not (text.isascii() and text.isdigit()):
        raise errors.bad_request(f"Invalid value: {text!r}: resourceVersion must be a number")
    return int(text)


def require_reached(registry: Registry, revision: int) -> None:
    """504 if the store has not got to `revision` yet, as a server that lags says it."""
    current = registry.store.revision
    if revision > current:
        raise errors.status_error(
            504, "Timeout", f"Too large resource version: {revision}, current: {current}"
        )


def _render(
    registry: Registry,
    resource: Resource,
    records: Sequence[Record],
    metadata: dict[str, Any],
    wanted: Negotiated,
) -> Response:
    if wanted.form == "object":
        body = list_json(resource.kind, resource.api_version, metadata, (r.value for r in records))
        return json_or_yaml(body, wanted)
    objects = [registry.cache.decode(record, resource) for record in records]
    if wanted.form == "table":
        table = table_of(
            resource,
            objects,
            registry.clock.now(),
            metadata=metadata,
            include=wanted.include,
            version=wanted.version,
        )
        return json_or_yaml(table, wanted)
    partials = {
        "kind": "PartialObjectMetadataList",
        "apiVersion": f"meta.k8s.io/{wanted.version}",
        "metadata": metadata,
        "items": [partial(obj, wanted.version) for obj in objects],
    }
    return json_or_yaml(partials, wanted)
