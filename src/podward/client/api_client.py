"""The client: typed verbs on top of any transport."""

from collections.abc import AsyncIterator
from typing import Any, TypeVar

import msgspec
from lightkube.models import authentication_v1, meta_v1

from podward.api.scheme import SCHEME, Resource, Scheme
from podward.client.base import (
    ApiError,
    ObjectList,
    PatchType,
    RawWatchEvent,
    Response,
    Transport,
    TransportError,
    WatchEvent,
)

T = TypeVar("T")

_PATCH_CONTENT_TYPES: dict[PatchType, str] = {
    "json": "application/json-patch+json",
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
}

_JSON = {"content-type": "application/json"}


class _ListMeta(msgspec.Struct):
    resourceVersion: str = ""


class _List(msgspec.Struct):
    items: list[msgspec.Raw] = []
    metadata: _ListMeta = msgspec.field(default_factory=_ListMeta)


class ApiClient:
    """Implements `client.base.Client`."""

    def __init__(self, transport: Transport, scheme: Scheme = SCHEME) -> None:
        self._transport = transport
        self._scheme = scheme

    async def get(self, kind: type[T], name: str, namespace: str = "") -> T:
        return await self._call(kind, "GET", self._row(kind).path(namespace, name))

    async def list(
        self,
        kind: type[T],
        namespace: str = "",
        *,
        label_selector: str = "",
        field_selector: str = "",
    ) -> ObjectList[T]:
        response = await self._request(
            "GET",
            self._row(kind).path(namespace),
            query=_selectors(label_selector, field_selector),
        )
        answer = msgspec.json.decode(response.body, type=_List)
        items = [msgspec.json.decode(item, type=kind) for item in answer.items]
        return ObjectList(items, answer.metadata.resourceVersion)

    async def create(self, obj: T) -> T:
        kind = type(obj)
        row = self._row(kind)
        return await self._call(kind, "POST", row.path(_meta(obj).namespace or ""), obj=obj)

    async def update(self, obj: T, *, subresource: str = "") -> T:
        meta, kind = _meta(obj), type(obj)
        path = self._row(kind).path(meta.namespace or "", meta.name or "", subresource)
        return await self._call(kind, "PUT", path, obj=obj)

    async def patch(
        self,
        kind: type[T],
        name: str,
        patch: Any,
        *,
        namespace: str = "",
        patch_type: PatchType = "strategic",
        subresource: str = "",
    ) -> T:
        response = await self._request(
            "PATCH",
            self._row(kind).path(namespace, name, subresource),
            headers={"content-type": _PATCH_CONTENT_TYPES[patch_type]},
            body=msgspec.json.encode(patch),
        )
        return msgspec.json.decode(response.body, type=kind)

    async def delete(
        self,
        kind: type[T],
        name: str,
        namespace: str = "",
        *,
        grace_period_seconds: int | None = None,
        uid: str | None = None,
    ) -> None:
        options: dict[str, Any] = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if grace_period_seconds is not None:
            options["gracePeriodSeconds"] = grace_period_seconds
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        await self._request(
            "DELETE",
            self._row(kind).path(namespace, name),
            headers=_JSON,
            body=msgspec.json.encode(options),
        )

    async def bind(self, name: str, namespace: str, node_name: str) -> None:
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": name, "namespace": namespace},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node_name},
        }
        path = f"/api/v1/namespaces/{namespace}/pods/{name}/binding"
        await self._request("POST", path, headers=_JSON, body=msgspec.json.encode(binding))

    async def create_token(
        self, account: str, namespace: str, spec: authentication_v1.TokenRequestSpec
    ) -> authentication_v1.TokenRequestStatus:
        request = authentication_v1.TokenRequest(spec=spec)
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
        response = await self._request(
            "POST", path, headers=_JSON, body=msgspec.json.encode(request)
        )
        answer = msgspec.json.decode(response.body, type=authentication_v1.TokenRequest)
        return answer.status or authentication_v1.TokenRequestStatus()

    async def watch(
        self,
        kind: type[T],
        namespace: str = "",
        *,
        resource_version: str,
        label_selector: str = "",
        field_selector: str = "",
    ) -> AsyncIterator[WatchEvent[T]]:
        raw = self.watch_raw(
            kind,
            namespace,
            resource_version=resource_version,
            label_selector=label_selector,
            field_selector=field_selector,
        )
        async for event in raw:
            if event.type != "BOOKMARK" and event.type != "ERROR":
                yield WatchEvent(event.type, msgspec.json.decode(event.object, type=kind))

    async def watch_raw(
        self,
        kind: type[T],
        namespace: str = "",
        *,
        resource_version: str,
        label_selector: str = "",
        field_selector: str = "",
        bookmarks: bool = True,
    ) -> AsyncIterator[RawWatchEvent]:
        """As `watch`, bookmarks included: what an informer moves its version by."""
        query = {
            "watch": "true",
            "resourceVersion": resource_version,
            "allowWatchBookmarks": "true" if bookmarks else "false",
            **_selectors(label_selector, field_selector),
        }
        lines = self._transport.stream(self._row(kind).path(namespace), query=query)
        decoder = msgspec.json.Decoder(RawWatchEvent)
        async for line in lines:
            try:
                event = decoder.decode(line)
            except msgspec.DecodeError as error:
                raise TransportError(f"the watch cannot be read: {error}") from error
            if event.type == "ERROR":
                raise ApiError(msgspec.json.decode(event.object, type=meta_v1.Status))
            yield event

    def _row(self, kind: type[Any]) -> Resource:
        return self._scheme.of_type(kind)

    async def _call(self, kind: type[T], method: str, path: str, *, obj: T | None = None) -> T:
        body, headers = b"", None
        if obj is not None:
            row = self._row(kind)
            document = {**msgspec.to_builtins(obj), "apiVersion": row.api_version, "kind": row.kind}
            body, headers = msgspec.json.encode(document), _JSON
        response = await self._request(method, path, headers=headers, body=body)
        return msgspec.json.decode(response.body, type=kind)

    async def _request(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
    ) -> Response:
        response = await self._transport.request(
            method, path, query=query, headers=headers, body=body
        )
        if 200 <= response.status < 300:
            return response
        try:
            status = msgspec.json.decode(response.body, type=meta_v1.Status)
        except msgspec.DecodeError as error:
            text = response.body[:200].decode(errors="replace")
            raise TransportError(f"unreadable answer {response.status}: {text}") from error
        raise ApiError(status)


def _meta(obj: Any) -> meta_v1.ObjectMeta:
    meta = obj.metadata
    if not isinstance(meta, meta_v1.ObjectMeta):
        raise TypeError("an object needs metadata to be sent")
    return meta


def _selectors(label_selector: str, field_selector: str) -> dict[str, str]:
    pairs = {"labelSelector": label_selector, "fieldSelector": field_selector}
    return {name: text for name, text in pairs.items() if text}
