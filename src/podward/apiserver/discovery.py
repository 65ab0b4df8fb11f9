"""Discovery: which groups, versions and resources there are, group by group or all at once. From the scheme."""

import hashlib
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import msgspec

from podward.api.scheme import Resource, Scheme
from podward.apiserver.request import Request, Response
from podward.apiserver.version import version

Handler = Callable[[Request], Awaitable[Response]]

_SUBRESOURCES: dict[str, tuple[str, list[str]]] = {
    "status": ("", ["get", "patch", "update"]),
    "finalize": ("", ["update"]),
    "ephemeralcontainers": ("", ["get", "patch", "update"]),
    "binding": ("Binding", ["create"]),
    "log": ("", ["get"]),
    "exec": ("PodExecOptions", ["create", "get"]),
    "attach": ("PodAttachOptions", ["create", "get"]),
    "portforward": ("PodPortForwardOptions", ["create", "get"]),
    "token": ("TokenRequest", ["create"]),
}
"""Name -> (its kind, if not the resource's own; its verbs)."""
_GROUPS = {"token": ("authentication.k8s.io", "v1")}
"""Of subresources whose kind is of another group than the resource: that group and its version."""

_AGGREGATED = "APIGroupDiscoveryList"


def routes(scheme: Scheme) -> dict[str, Handler]:
    table: dict[str, Handler] = {
        "/version": version,
        "/api": _root(scheme, core=True),
        "/apis": _root(scheme, core=False),
    }
    for group, api_version in _group_versions(scheme):
        base = f"/apis/{group}/{api_version}" if group else f"/api/{api_version}"
        table[base] = _fixed(_resource_list(scheme, group, api_version))
        if group:
            table[f"/apis/{group}"] = _fixed(
                {"kind": "APIGroup", "apiVersion": "v1", **_api_group(scheme, group)}
            )
    return table


def _group_versions(scheme: Scheme) -> list[tuple[str, str]]:
    return list(dict.fromkeys((row.group, row.version) for row in scheme))


def _fixed(document: dict[str, Any]) -> Handler:
    body = msgspec.json.encode(document)

    async def handler(request: Request) -> Response:
        return answer(request, body, "application/json")

    return handler


def answer(request: Request, body: bytes, content_type: str) -> Response:
    """With an ETag, so that a client which has it already gets a 304."""
    tag = '"' + hashlib.sha256(body).hexdigest()[:40].upper() + '"'
    headers = {"etag": tag, "vary": "Accept", "cache-control": "public"}
    if request.headers.get("if-none-match") == tag:
        return Response(304, b"", content_type, headers)
    return Response(200, body, content_type, headers)


def _root(scheme: Scheme, *, core: bool) -> Handler:
    if core:
        versions = [v for g, v in _group_versions(scheme) if not g]
        plain: dict[str, Any] = {
            "kind": "APIVersions",
            "versions": versions,
            "serverAddressByClientCIDRs": [],
        }
    else:
        groups = list(dict.fromkeys(g for g, _ in _group_versions(scheme) if g))
        listed = [_api_group(scheme, group) for group in groups]
        plain = {"kind": "APIGroupList", "apiVersion": "v1", "groups": listed}
    body = msgspec.json.encode(plain)

    async def handler(request: Request) -> Response:
        wanted = _aggregated_version(request.headers.get("accept", ""))
        if wanted is None:
            return answer(request, body, "application/json")
        document = _aggregated(scheme, wanted, core=core)
        media = f"application/json;g=apidiscovery.k8s.io;v={wanted};as={_AGGREGATED}"
        return answer(request, msgspec.json.encode(document), media)

    return handler


def _aggregated_version(accept: str) -> str | None:
    """The version of aggregated discovery that the client would rather have than the plain form."""
    for clause in accept.split(","):
        media, *pairs = (part.strip() for part in clause.split(";"))
        parameters = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
        if media != "application/json":
            continue
        if parameters.get("as") == _AGGREGATED and parameters.get("v") in ("v2", "v2beta1"):
            return parameters["v"]
        if "as" not in parameters:
            return None
    return None


def _api_group(scheme: Scheme, group: str) -> dict[str, Any]:
    versions = [
        {"groupVersion": f"{group}/{v}", "version": v}
        for g, v in _group_versions(scheme)
        if g == group
    ]
    return {"name": group, "versions": versions, "preferredVersion": versions[0]}


def _resource_list(scheme: Scheme, group: str, api_version: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = []
    for row in _rows(scheme, group, api_version):
        entry: dict[str, Any] = {
            "name": row.plural,
            "singularName": row.singular,
            "namespaced": row.namespaced,
            "kind": row.kind,
            "verbs": row.verbs,
        }
        if row.short_names:
            entry["shortNames"] = list(row.short_names)
        if row.categories:
            entry["categories"] = list(row.categories)
        found.append(entry)
        for name in row.subresources:
            kind, verbs = _SUBRESOURCES[name]
            below: dict[str, Any] = {
                "name": f"{row.plural}/{name}",
                "singularName": "",
                "namespaced": row.namespaced,
            }
            if name in _GROUPS:
                below["group"], below["version"] = _GROUPS[name]
            found.append({**below, "kind": kind or row.kind, "verbs": verbs})
    group_version = f"{group}/{api_version}" if group else api_version
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": group_version,
        "resources": found,
    }


def _rows(scheme: Scheme, group: str, api_version: str) -> Iterable[Resource]:
    return (row for row in scheme if (row.group, row.version) == (group, api_version))


def _aggregated(scheme: Scheme, wanted: str, *, core: bool) -> dict[str, Any]:
    items = []
    for group in dict.fromkeys(g for g, _ in _group_versions(scheme) if bool(g) is not core):
        versions = [
            {
                "version": api_version,
                "freshness": "Current",
                "resources": [_described(row) for row in _rows(scheme, group, api_version)],
            }
            for g, api_version in _group_versions(scheme)
            if g == group
        ]
        metadata: dict[str, Any] = {"creationTimestamp": None}
        if group:
            metadata["name"] = group
        items.append({"metadata": metadata, "versions": versions})
    return {
        "kind": _AGGREGATED,
        "apiVersion": f"apidiscovery.k8s.io/{wanted}",
        "metadata": {},
        "items": items,
    }


def _described(row: Resource) -> dict[str, Any]:
    def kind(name: str, subresource: str = "") -> dict[str, str]:
        group, version = _GROUPS.get(subresource, (row.group, row.version))
        return {"group": group, "version": version, "kind": name}

    entry: dict[str, Any] = {
        "resource": row.plural,
        "responseKind": kind(row.kind),
        "scope": "Namespaced" if row.namespaced else "Cluster",
        "singularResource": row.singular,
        "verbs": row.verbs,
    }
    if row.short_names:
        entry["shortNames"] = list(row.short_names)
    if row.categories:
        entry["categories"] = list(row.categories)
    if row.subresources:
        entry["subresources"] = [
            {
                "subresource": name,
                "responseKind": kind(_SUBRESOURCES[name][0] or row.kind, name),
                "verbs": _SUBRESOURCES[name][1],
            }
            for name in row.subresources
        ]
    return entry
