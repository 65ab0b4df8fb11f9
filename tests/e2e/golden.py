"""All golden manifests and most examples at once on a server of the tests, watched from the outside."""

import json
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec
from lightkube.models import core_v1
from tests.e2e.support import ROOT, Podward
from tests.golden.comparison import DELETED_AT
from tests.golden.records import TRACES, Event, Timed, fold, step_of

from podward.apiserver.printers.pod import summarize
from podward.cli import manifests
from podward.cli.http_client import HttpClient

SECONDS = 110.0
AT_ONCE = 6
"""So many are begun together: fewer take longer to be begun, more are late for the work of starting all."""
BEGIN_SECONDS = 15.0
"""For so long it is waited for them before others are begun."""
NAMES = sorted(path.stem for path in TRACES.glob("*.yaml"))
EXAMPLES = (
    "01-liveness",
    "03-startup",
    "04-readiness",
    "05-init",
    "06-sidecar",
    "07-graceful-shutdown",
    "08-crash-loop",
    "10-health-preset",
)
"""Of those that are not golden, what takes its time and needs nobody."""
MANIFESTS = {name: [TRACES / f"{name}.yaml"] for name in NAMES} | {
    name: sorted((ROOT / "examples" / name).glob("p*.yaml"), reverse=True) for name in EXAMPLES
}
"""A preset comes before its Pod."""
DELETIONS = {**DELETED_AT, "07-graceful-shutdown": 15.0}


@dataclass
class Watched:
    podward: Podward
    began: float = field(default_factory=time.time)
    changes: dict[str, list[tuple[float, core_v1.Pod]]] = field(default_factory=dict)
    """Namespace -> what its Pod was when (time.time())."""
    gone: dict[str, float] = field(default_factory=dict)
    """Namespace -> when its Pod was no more."""

    def begin(self) -> None:
        threading.Thread(target=self._follow, daemon=True).start()
        names = list(MANIFESTS)
        for at in range(0, len(names), AT_ONCE):
            documents = [one for name in names[at : at + AT_ONCE] for one in _documents(name)]
            self.podward.cli("apply", "-f", "-", input="\n---\n".join(map(json.dumps, documents)))
            deadline = time.time() + BEGIN_SECONDS
            while time.time() < deadline and not all(map(self._begun, names[at : at + AT_ONCE])):
                time.sleep(0.02)
        self.began = time.time()

    def _begun(self, name: str) -> bool:
        """Its Pod has started something, or cannot."""
        changes = self.changes.get(f"rec-{name}")
        status = changes[-1][1].status if changes else None
        if status is None:
            return False
        found = (*(status.initContainerStatuses or ()), *(status.containerStatuses or ()))
        return any(
            one.started or one.lastState or (one.state and not _is_coming(one.state))
            for one in found
        )

    def events(self, name: str) -> list[Event]:
        """Of the Pod of one manifest; seconds since its creation."""
        listed = json.loads(self.podward.cli("get", "events", "-n", f"rec-{name}", "-o", "json"))
        found = []
        for one in listed["items"]:
            first = one.get("firstTimestamp") or one["eventTime"]
            seconds = datetime.fromisoformat(first).timestamp() - self.origin(name)
            found.append(Event(seconds, one["type"], one["reason"], one["message"]))
        return found

    def steps(self, name: str) -> list[Timed]:
        origin = self.origin(name)
        return fold([Timed(at - origin, step_of(pod)) for at, pod in self.changes[f"rec-{name}"]])

    def rows(self, name: str) -> list[list[str]]:
        """READY, STATUS and RESTARTS as they were, one after another."""
        rows = []
        for at, pod in self.changes[f"rec-{name}"]:
            summary = summarize(pod, datetime.fromtimestamp(at, UTC))
            ready = f"{summary.ready}/{summary.total}"
            rows.append([ready, summary.reason, summary.restarts.split()[0]])
        return rows

    def leaving_took(self, name: str) -> float:
        """Seconds from its deletion to its end."""
        namespace = f"rec-{name}"
        leaving = (at for at, pod in self.changes[namespace] if _is_leaving(pod))
        return self.gone[namespace] - next(leaving)

    def origin(self, name: str) -> float:
        """When its Pod was created."""
        created = self.changes[f"rec-{name}"][0][1].metadata
        assert created is not None
        assert created.creationTimestamp is not None
        return created.creationTimestamp.timestamp()

    def wait(self) -> None:
        time.sleep(max(self.began + SECONDS - time.time(), 0))

    def _follow(self) -> None:
        client = HttpClient(str(self.podward.kubeconfig))
        for line in client.stream("/api/v1/pods", query={"watch": "true"}):
            event = json.loads(line)
            pod = msgspec.convert(event["object"], core_v1.Pod, strict=False)
            namespace = (pod.metadata and pod.metadata.namespace) or ""
            if event["type"] == "DELETED":
                self.gone[namespace] = time.time()
            elif namespace.startswith("rec-"):
                if namespace not in self.changes:
                    self._delete_later(pod)
                self.changes.setdefault(namespace, []).append((time.time(), pod))

    def _delete_later(self, pod: core_v1.Pod) -> None:
        assert pod.metadata is not None
        namespace, name = pod.metadata.namespace or "", pod.metadata.name or ""
        seconds = DELETIONS.get(namespace.removeprefix("rec-"))
        if seconds is not None:
            delete = ("delete", "pod", name, "-n", namespace, "--wait=false")
            threading.Timer(seconds, self.podward.cli, delete).start()


def _documents(name: str) -> list[dict[str, Any]]:
    """With a namespace of their own."""
    meta = {"name": f"rec-{name}"}
    documents: list[dict[str, Any]] = [{"apiVersion": "v1", "kind": "Namespace", "metadata": meta}]
    for document in manifests.read(list(map(str, MANIFESTS[name]))):
        document["metadata"]["namespace"] = meta["name"]
        documents.append(document)
    return documents


def _is_coming(state: core_v1.ContainerState) -> bool:
    reason = state.waiting.reason if state.waiting is not None else None
    return reason in ("ContainerCreating", "PodInitializing")


def _is_leaving(pod: core_v1.Pod) -> bool:
    return pod.metadata is not None and pod.metadata.deletionTimestamp is not None
