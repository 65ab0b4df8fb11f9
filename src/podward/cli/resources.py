"""Which resource a word on the command line means; asked of the server only when it is not a usual one."""

from typing import NamedTuple

from podward.cli.errors import CliError
from podward.cli.http_client import HttpClient


class Resource(NamedTuple):
    base: str
    """`/api/v1` or `/apis/{group}/{version}`."""
    plural: str
    singular: str
    kind: str
    namespaced: bool

    def path(self, namespace: str | None, name: str = "") -> str:
        scope = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return f"{self.base}{scope}/{self.plural}" + (f"/{name}" if name else "")

    @property
    def group(self) -> str:
        parts = self.base.split("/")
        return parts[2] if len(parts) == 4 else ""

    @property
    def reference(self) -> str:
        """How kubectl names one: `pod`, `lease.coordination.k8s.io`."""
        return f"{self.singular}.{self.group}" if self.group else self.singular


_CORE = [
    (Resource("/api/v1", "pods", "pod", "Pod", True), ("po",)),
    (Resource("/api/v1", "nodes", "node", "Node", False), ("no",)),
    (Resource("/api/v1", "namespaces", "namespace", "Namespace", False), ("ns",)),
    (Resource("/api/v1", "events", "event", "Event", True), ("ev",)),
    (Resource("/api/v1", "configmaps", "configmap", "ConfigMap", True), ("cm",)),
    (Resource("/api/v1", "secrets", "secret", "Secret", True), ()),
    (Resource("/api/v1", "serviceaccounts", "serviceaccount", "ServiceAccount", True), ("sa",)),
]


def by_word(client: HttpClient, word: str) -> Resource:
    """`pod`, `pods`, `po`, `Pod`, `leases.coordination.k8s.io`."""
    wanted = word.lower()
    for resource, short in _CORE:
        if wanted in (resource.plural, resource.singular, *short):
            return resource
    name, _, group = wanted.partition(".")
    for resource, short in _discovered(client):
        if name in (resource.plural, resource.singular, *short) and group in ("", resource.group):
            return resource
    raise CliError(f'error: the server doesn\'t have a resource type "{word}"')


def by_kind(client: HttpClient, api_version: str, kind: str) -> Resource | None:
    base = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
    for resource, _ in [*_CORE, *_discovered(client)]:
        if resource.base == base and resource.kind == kind:
            return resource
    return None


def _discovered(client: HttpClient) -> list[tuple[Resource, tuple[str, ...]]]:
    found = []
    for group in client.request("GET", "/apis").get("groups", ()):
        version = group["preferredVersion"]["groupVersion"]
        base = f"/apis/{version}"
        for row in client.request("GET", base).get("resources", ()):
            if "/" not in row["name"]:
                singular = row.get("singularName") or row["kind"].lower()
                resource = Resource(base, row["name"], singular, row["kind"], row["namespaced"])
                found.append((resource, tuple(row.get("shortNames") or ())))
    return found
