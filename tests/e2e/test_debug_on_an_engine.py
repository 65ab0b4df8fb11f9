"""`kubectl debug` on real containers: a container that joins a Pod which runs, and what it sees."""

from collections.abc import Iterator

import pytest
from tests.e2e.streams import Terminal
from tests.e2e.support import Kubectl, Podward, eventually

NAMESPACE = "engine-debug"
POD = f"""
apiVersion: v1
kind: Namespace
metadata: {{name: {NAMESPACE}}}
---
apiVersion: v1
kind: Pod
metadata: {{name: web, namespace: {NAMESPACE}}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - {{name: main, image: busybox, imagePullPolicy: IfNotPresent, command: [sleep, "84321"]}}
"""
DEBUG = ("debug", "web", "-n", NAMESPACE, "--image=busybox", "--image-pull-policy=IfNotPresent")


@pytest.fixture(scope="module")
def web(engine_podward: Podward) -> Iterator[None]:
    engine_podward.cli("apply", "-f", "-", input=POD)
    eventually(
        lambda: "1/1" in engine_podward.cli("get", "pod", "web", "-n", NAMESPACE), what="web runs"
    )
    yield
    engine_podward.cli("delete", "namespace", NAMESPACE, "--wait=false", check=False)


@pytest.mark.parametrize(("target", "seen"), [("--target=main", True), ("--quiet", False)])
def test_a_debugger_sees_the_processes_of_its_target_only_if_it_has_one(
    target: str, seen: bool, engine_kubectl: Kubectl, web: None
) -> None:
    with Terminal(engine_kubectl, *DEBUG, "-it", target, "--", "sh") as terminal:
        terminal.sees("# ")
        terminal.type("ps -o args; echo the-$((1+1))-end\n")
        assert ("sleep 84321" in terminal.sees("the-2-end")) is seen
        terminal.type("exit\n")
        terminal.ends()


def test_a_copy_of_a_pod_is_made_whose_processes_a_debugger_sees(
    engine_kubectl: Kubectl, web: None
) -> None:
    copy = ("--copy-to=copy", "--share-processes", "-c", "debugger", "--", "sleep", "60")
    engine_kubectl(*DEBUG, *copy)
    engine_kubectl("wait", "pod/copy", "--for=condition=Ready", "--timeout=20s", "-n", NAMESPACE)
    seen = engine_kubectl(
        "exec", "copy", "-c", "debugger", "-n", NAMESPACE, "--", "ps", "-o", "args"
    )
    assert "sleep 84321" in seen


def test_a_debugger_runs_once(engine_kubectl: Kubectl, web: None) -> None:
    engine_kubectl(*DEBUG, "-c", "once", "--", "sh", "-c", "echo told; exit 3")

    def ended() -> dict[str, object]:
        pod = engine_kubectl.json("get", "pod", "web", "-n", NAMESPACE)
        listed = pod["status"].get("ephemeralContainerStatuses", ())
        found: dict[str, object] = next((s for s in listed if s["name"] == "once"), {})
        return found if "terminated" in str(found.get("state")) else {}

    first = eventually(ended, what="it has ended")
    assert engine_kubectl("logs", "web", "-c", "once", "-n", NAMESPACE) == "told\n"
    # Whatever is done with the Pod later, it is not begun again.
    engine_kubectl("label", "pod", "web", "-n", NAMESPACE, "seen=yes")
    engine_kubectl(*DEBUG, "-c", "other", "--", "true")
    eventually(
        lambda: "Completed" in engine_kubectl("describe", "pod/web", "-n", NAMESPACE),
        what="the other one has ended",
    )
    assert ended() == first
    assert first["restartCount"] == 0
