"""What the modules that try Kubernetes' node conformance groups share: Pods in short, and quick questions."""

import json
from collections.abc import Callable, Iterable
from typing import Any

from tests.e2e.support import Kubectl, eventually

from podward.cli.http_client import HttpClient, StatusError

Check = Callable[[Any], Any]


def sh(script: str, **more: Any) -> dict[str, Any]:
    """A container that runs a script."""
    return {"name": "main", "image": "busybox", "imagePullPolicy": "IfNotPresent",
            "command": ["sh", "-c", script], **more}  # fmt: skip


def spec(*containers: dict[str, Any], policy: str = "Never", **more: Any) -> dict[str, Any]:
    return {"restartPolicy": policy, "terminationGracePeriodSeconds": 0,
            "containers": list(containers), **more}  # fmt: skip


def field(name: str, path: str) -> dict[str, Any]:
    """A variable."""
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def one_of(status: Any, name: str) -> Any:
    """The status of a container; of one that has none yet, what says that nothing has happened."""
    nothing = {"restartCount": 0, "ready": False, "state": {}}
    return next((c for c in status.get("containerStatuses") or () if c["name"] == name), nothing)


def main_of(status: Any) -> Any:
    return one_of(status, "main")


def condition(status: Any, kind: str) -> str:
    return next((c["status"] for c in status.get("conditions", ()) if c["type"] == kind), "")


class Space:
    """A namespace, asked through kubectl and, where a test asks often, over HTTPS itself."""

    def __init__(self, kubectl: Kubectl, name: str) -> None:
        self.kubectl = kubectl
        self.name = name
        self.client = HttpClient(str(kubectl.podward.kubeconfig))
        self.base = f"/api/v1/namespaces/{name}"
        self.seen: dict[str, Any] = {}
        """How something was when all began."""

    def leave(self, *namespaces: str) -> None:
        """Delete what was made there, without waiting."""
        self.kubectl("delete", "namespace", self.name, *namespaces, "--wait=false")
        self.client.close()

    def run(self, *arguments: str, **options: Any) -> str:
        """kubectl in this namespace."""
        verb, *rest = arguments
        return self.kubectl(verb, "-n", self.name, *rest, **options)

    def ask(
        self, method: str, path: str, body: Any = None, *, kind: str = "json", **query: str
    ) -> Any:
        """`path` below the namespace unless it begins with a slash; `kind` of a patch: json, merge, ..."""
        content = "application/json" if method != "PATCH" else f"application/{kind}-patch+json"
        return self.client.request(
            method, path if path.startswith("/") else f"{self.base}/{path}", query=query or None,
            body=None if body is None else json.dumps(body).encode(), content_type=content,
        )  # fmt: skip

    def refused(self, method: str, path: str, body: Any = None, **options: str) -> dict[str, Any]:
        """The Status of a refusal."""
        try:
            self.ask(method, path, body, **options)
        except StatusError as error:
            return error.status
        raise AssertionError(f"{method} {path} was not refused")

    def apply(self, *documents: dict[str, Any]) -> None:
        whole = {"apiVersion": "v1", "kind": "List", "items": list(documents)}
        self.kubectl.apply(json.dumps(whole))

    def pod(self, name: str, wanted: dict[str, Any], **meta: Any) -> dict[str, Any]:
        meta = {"name": name, "namespace": self.name, **meta}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": wanted}

    def get(self, name: str) -> Any:
        return self.ask("GET", f"pods/{name}")

    def status(self, name: str) -> Any:
        return self.get(name)["status"]

    def comes(self, name: str, check: Check, *, timeout: float = 40) -> Any:
        """The Pod's status once `check` finds it right."""

        seen: list[Any] = [None]

        def look() -> Any:
            seen[0] = self.status(name)
            return seen[0] if seen[0].get("containerStatuses") and check(seen[0]) else None

        try:
            return eventually(look, timeout=timeout)
        except BaseException as error:
            error.add_note(f"{name} is not what it should be: {seen[0]}; {self.events(name)}")
            raise

    def log(self, name: str, container: str = "main") -> list[str]:
        """The lines of a container that has ended."""

        def ended(status: Any) -> Any:
            found = [c for c in status["containerStatuses"] if c["name"] == container]
            return found and found[0]["state"].get("terminated")

        self.comes(name, ended)
        return self.run("logs", name, "-c", container).splitlines()

    def events(self, name: str) -> list[tuple[str, str]]:
        """(reason, message) of what is about it."""
        found = self.ask("GET", "events", fieldSelector=f"involvedObject.name={name}")
        return [(one["reason"], one["message"]) for one in found["items"]]

    def told(self, name: str, reason: str) -> list[str]:
        return [message for said, message in self.events(name) if said == reason]

    def watch(self, path: str, **query: str) -> Iterable[Any]:
        """(type, object) of what changes from now on."""
        lines = self.client.stream(f"{self.base}/{path}", query={"watch": "true", **query})
        for line in lines:
            event = json.loads(line)
            yield event["type"], event["object"]
