"""From a URL path to what it names in the REST API. Pure."""

import msgspec

from podward.api.scheme import Resource, Scheme


class Target(msgspec.Struct, frozen=True):
    """A collection (`name` empty), an object, or a subresource of one."""

    resource: Resource
    namespace: str = ""
    """Empty for cluster-scoped resources and for a collection across all namespaces."""
    name: str = ""
    subresource: str = ""
    watch: bool = False
    """The path had the old `/watch/` in it."""


def route(path: str, scheme: Scheme) -> Target | None:
    """What `path` names; None if it is not a path of a served resource."""
    parts = path.strip("/").split("/")
    if parts[0] == "api" and len(parts) >= 3:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) >= 4:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return None
    watch = rest[0] == "watch"
    rest = rest[1:] if watch else rest
    if not all(rest):
        return None
    if len(rest) >= 3 and rest[0] == "namespaces":
        inside = _inside_namespace(scheme, group, version, rest[1], rest[2:], watch)
        if inside is not None:
            return inside
    return _object(scheme, group, version, "", rest, watch)


def _inside_namespace(
    scheme: Scheme, group: str, version: str, namespace: str, rest: list[str], watch: bool
) -> Target | None:
    if not group and rest == ["bindings"]:
        pods = scheme.of_plural("", version, "pods")
        return Target(pods, namespace, "", "binding") if pods else None
    return _object(scheme, group, version, namespace, rest, watch)


def _object(
    scheme: Scheme, group: str, version: str, namespace: str, rest: list[str], watch: bool
) -> Target | None:
    resource = scheme.of_plural(group, version, rest[0]) if rest and len(rest) <= 3 else None
    if resource is None or (namespace and not resource.namespaced):
        return None
    if resource.namespaced and not namespace and len(rest) > 1:
        return None
    name = rest[1] if len(rest) > 1 else ""
    subresource = rest[2] if len(rest) > 2 else ""
    if subresource and subresource not in resource.subresources:
        return None
    return Target(resource, namespace, name, subresource, watch)
