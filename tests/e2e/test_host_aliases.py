"""hostAliases on the process runtime: whatever resolves names in a container finds them."""

from pathlib import Path

from tests.e2e.support import Kubectl, eventually

POD = """
apiVersion: v1
kind: Pod
metadata: {name: aliased}
spec:
  restartPolicy: Never
  hostAliases: [{ip: 10.1.2.3, hostnames: [a.local, b.local]}]
  containers:
  - name: c
    image: host
    command: [sh, -c, 'getent hosts b.local > /dev/termination-log; echo >> /etc/hosts']
"""


def test_a_name_of_the_pods_own_is_resolved(recent_kubectl: Kubectl, namespace: str) -> None:
    before = Path("/etc/hosts").read_text()
    recent_kubectl.apply(POD, "-n", namespace)

    def message() -> str:
        found = recent_kubectl.json("get", "pod", "aliased", "-n", namespace)
        [status] = found["status"].get("containerStatuses", [{"state": {}}])
        return str(status["state"].get("terminated", {}).get("message", ""))

    assert eventually(message).split() == ["10.1.2.3", "a.local", "b.local"]
    assert Path("/etc/hosts").read_text() == before
