"""All golden manifests at once on a server of the tests, watched from the outside."""

import json
import threading
import time
from dataclasses import dataclass, field

import msgspec
from lightkube.models import core_v1
from tests.e2e.support import Podward
from tests.golden.comparison import DELETED_AT
from tests.golden.records import TRACES

from podward.cli.http_client import HttpClient

SECONDS = 110.0
NAMES = sorted(path.stem for path in TRACES.glob("*.yaml"))


@dataclass
class Watched:
    podward: Podward
    began: float = field(default_factory=time.time)
    changes: dict[str, list[tuple[float, core_v1.Pod]]] = field(default_factory=dict)
    """Namespace -> what its Pod was when (time.time())."""

    def begin(self) -> None:
        threading.Thread(target=self._follow, daemon=True).start()
        for name in NAMES:
            space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"rec-{name}"}}
            self.podward.cli("apply", "-f", "-", input=json.dumps(space))
            self.podward.cli("apply", "-n", f"rec-{name}", "-f", str(TRACES / f"{name}.yaml"))
            if name in DELETED_AT:
                delete = ("delete", "pod", "p", "-n", f"rec-{name}", "--wait=false")
                threading.Timer(DELETED_AT[name], self.podward.cli, delete).start()
        self.began = time.time()

    def wait(self) -> None:
        time.sleep(max(self.began + SECONDS - time.time(), 0))

    def _follow(self) -> None:
        client = HttpClient(str(self.podward.kubeconfig))
        for line in client.stream("/api/v1/pods", query={"watch": "true"}):
            event = json.loads(line)
            pod = msgspec.convert(event["object"], core_v1.Pod, strict=False)
            namespace = (pod.metadata and pod.metadata.namespace) or ""
            if event["type"] != "DELETED" and namespace.startswith("rec-"):
                self.changes.setdefault(namespace, []).append((time.time(), pod))
