"""What a request is about, as authorization and its refusals name it: read off the method and the path. Pure.

The path is read as a Kubernetes API server reads it, whether or not there is such a resource: who may not ask
is not told what there is.
"""

import re
from collections.abc import Mapping
from typing import Final

import msgspec
from lightkube.models import meta_v1

from podward.api.errors import ApiStatusError, status_error
from podward.machinery.gotext import quote

_VERBS: Final = {
    "POST": "create",
    "GET": "get",
    "HEAD": "get",
    "PUT": "update",
    "PATCH": "patch",
    "DELETE": "delete",
}
_OF_NAMESPACES: Final = ("status", "finalize")
"""Subresources of a namespace; whatever else stands behind its name is in it."""


class Attributes(msgspec.Struct, frozen=True):
    """A resource and what is done to it, or a path that is none (`path` is then not empty)."""

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""

    @property
    def full_resource(self) -> str:
        """`pods/log`: as rules name it."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


def attributes_of(method: str, path: str, query: Mapping[str, str]) -> Attributes:
    parts = path.strip("/").split("/")
    if parts[0] == "api" and len(parts) >= 3:
        group, rest = "", parts[2:]
    elif parts[0] == "apis" and len(parts) >= 4:
        group, rest = parts[1], parts[3:]
    else:
        return Attributes(method.lower(), path=path)
    verb = _VERBS.get(method, "")
    if rest[0] == "watch" and len(rest) > 1:
        verb, rest = "watch", rest[1:]
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 1:
        namespace = rest[1]
        if len(rest) > 2 and rest[2] not in _OF_NAMESPACES:
            rest = rest[2:]
    resource, name, subresource = (*rest[:3], "", "")[:3]
    if not name and verb == "get":
        watch = query.get("watch", "false").lower() not in ("", "0", "false")
        verb = "watch" if watch else "list"
    if not name and verb in ("list", "watch"):
        name = _selected_name(query.get("fieldSelector", ""))
    if not name and verb == "delete":
        verb = "deletecollection"
    return Attributes(verb, group, resource, subresource, namespace, name)


def _selected_name(field_selector: str) -> str:
    """A list of one object is about that object."""
    match = re.fullmatch(r"metadata\.name==?([^,=!]+)", field_selector)
    return match[1] if match else ""


def refusal(user: str, asked: Attributes, reason: str = "") -> ApiStatusError:
    """403, in the words of a Kubernetes API server."""
    if asked.path:
        why = f"User {quote(user)} cannot {asked.verb} path {quote(asked.path)}"
        text, details = "forbidden", meta_v1.StatusDetails()
    else:
        scope = f"in the namespace {quote(asked.namespace)}" if asked.namespace else None
        why = (
            f"User {quote(user)} cannot {asked.verb} resource {quote(asked.full_resource)} in API group "
            f"{quote(asked.group)} {scope or 'at the cluster scope'}"
        )
        text = f"{asked.resource}.{asked.group}" if asked.group else asked.resource
        text += f" {quote(asked.name)} is forbidden" if asked.name else " is forbidden"
        details = meta_v1.StatusDetails(
            name=asked.name or None, group=asked.group or None, kind=asked.resource
        )
    why += f": {reason}" if reason else ""
    return status_error(403, "Forbidden", f"{text}: {why}", details)
