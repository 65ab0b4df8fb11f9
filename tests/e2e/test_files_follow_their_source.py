"""`kubectl edit` of a ConfigMap, of a Secret, of a Pod's labels: what a running container reads."""

from collections.abc import Iterator
from typing import Any

import pytest
from tests.e2e.support import Kubectl, Podward, eventually

MANIFEST = """
apiVersion: v1
kind: ConfigMap
metadata: {name: moving}
data: {colour: blue, gone: "yes"}
---
apiVersion: v1
kind: Secret
metadata: {name: moving}
stringData: {word: hush}
---
apiVersion: v1
kind: Pod
metadata: {name: moving}
spec:
  terminationGracePeriodSeconds: 1
  volumes:
  - name: all
    projected:
      sources:
      - configMap: {name: moving}
      - secret: {name: moving, items: [{key: word, path: secret/word, mode: 0400}]}
      - downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}
  - {name: plain, configMap: {name: moving}}
  containers:
  - name: main
    image: host
    command: [sh, -c, 'exec 5< /all/colour; trap "exit 0" TERM; while true; do sleep 0.2; done']
    env: [{name: COLOUR, valueFrom: {configMapKeyRef: {name: moving, key: colour}}}]
    volumeMounts:
    - {name: all, mountPath: /all}
    - {name: plain, mountPath: /one, subPath: colour}
"""


@pytest.fixture
def moving(podward: Podward) -> Iterator[Podward]:
    podward.cli("apply", "-f", "-", input=MANIFEST)
    yield podward
    podward.cli("delete", "-f", "-", input=MANIFEST, check=False)


def test_a_running_container_reads_what_kubectl_changed(
    moving: Podward, recent_kubectl: Kubectl
) -> None:
    run = recent_kubectl

    def inside(script: str) -> str:
        return run("exec", "moving", "--", "sh", "-c", script)

    def pod() -> Any:
        return run.json("get", "pod", "moving")

    eventually(lambda: pod()["status"]["phase"] == "Running", what="it runs")
    look = "cat /all/colour /all/secret/word /all/labels; ls /all; cat /one; echo $COLOUR"
    assert inside(look).split() == ["bluehushcolour", "gone", "labels", "secret", "blueblue"]
    new = '{"data": {"colour": "green", "gone": null, "new": "1"}}'
    run("patch", "configmap", "moving", "--type=merge", "-p", new)
    run("patch", "secret", "moving", "-p", '{"stringData": {"word": "loud"}}')
    run("label", "pod", "moving", "tier=web")
    eventually(
        lambda: (
            inside(look).split()
            == ['greenloudtier="web"colour', "labels", "new", "secret", "blueblue"]
        ),
        what="the new content",
    )
    # What was open before is what it was; the mode holds; nobody but the kubelet writes.
    assert inside("cat /proc/1/fd/5") == "blue"
    assert inside("stat -L -c %a /all/secret/word").strip() == "400"
    assert inside("(echo x > /all/colour) 2> /dev/null || echo no").strip() == "no"
    assert pod()["status"]["containerStatuses"][0]["restartCount"] == 0
    run("delete", "secret", "moving")
    message = 'MountVolume.SetUp failed for volume "all" : secret "moving" not found'
    selector = "involvedObject.name=moving,reason=FailedMount"
    eventually(
        lambda: message in run("get", "events", "--field-selector", selector), what="the event"
    )
    assert inside("cat /all/secret/word") == "loud"
