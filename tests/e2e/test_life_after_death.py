"""Containers outlive Podward: killed or stopped, the next one adopts them and starts nothing twice."""

import json
import os
import signal
import subprocess
import time
from typing import Any

import pytest
from tests.e2e.support import Podward, eventually

PODS = """
apiVersion: v1
kind: Pod
metadata: {name: lasting}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - {name: main, image: busybox, command: [sleep, "LASTING"]}
---
apiVersion: v1
kind: Pod
metadata: {name: ending}
spec:
  restartPolicy: Never
  containers:
  - {name: main, image: busybox, command: [sh, -c, "sleep ENDING; exit 42"]}
"""


@pytest.fixture
def lasting() -> str:
    """How long the Pod `lasting` sleeps, as no other process of this machine does."""
    return f"86399.{time.time_ns()}"


def pods(podward: Podward) -> dict[str, Any]:
    listed = json.loads(podward.cli("get", "pods", "-o", "json"))
    return {pod["metadata"]["name"]: pod for pod in listed["items"]}


def container(pod: dict[str, Any]) -> dict[str, Any]:
    status: dict[str, Any] = (pod.get("status", {}).get("containerStatuses") or [{}])[0]
    return status


def processes(argument: str) -> list[int]:
    found = subprocess.run(["pgrep", "-fx", f"sleep {argument}"], capture_output=True, text=True)
    return [int(pid) for pid in found.stdout.split()]


def running(podward: Podward, *names: str) -> bool:
    now = pods(podward)
    return all("running" in container(now[name]).get("state", {}) for name in names if name in now)


def test_containers_survive_kill_9_and_are_adopted(own_podward: Podward, lasting: str) -> None:
    ending = lasting.replace("86399", "86398")
    manifest = PODS.replace("LASTING", lasting).replace("ENDING", ending)
    own_podward.cli("apply", "-f", "-", input=manifest)
    eventually(lambda: running(own_podward, "lasting", "ending") and len(pods(own_podward)) == 2)
    before = pods(own_podward)
    pids = eventually(lambda: processes(lasting))
    assert len(pids) == 1
    [sleep] = eventually(lambda: processes(ending))

    own_podward.kill()
    assert processes(lasting) == pids
    # `ending` exits while nobody watches.
    os.kill(sleep, signal.SIGKILL)
    eventually(lambda: not processes(ending))
    own_podward.start()

    def settled() -> bool:
        return bool(pods(own_podward)["ending"]["status"]["phase"] == "Failed")

    eventually(settled, what="the exit that nobody saw")
    after = pods(own_podward)
    assert container(after["ending"])["state"]["terminated"]["exitCode"] == 42
    assert container(after["lasting"])["containerID"] == container(before["lasting"])["containerID"]
    assert container(after["lasting"])["restartCount"] == 0
    assert processes(lasting) == pids

    os.kill(pids[0], signal.SIGKILL)  # the adopted container is still watched

    def restarted() -> bool:
        return bool(container(pods(own_podward)["lasting"])["restartCount"] == 1)

    eventually(restarted, what="the restart of an adopted container")
    assert container(pods(own_podward)["lasting"])["lastState"]["terminated"]["exitCode"] == 137


def test_sigterm_leaves_containers_running_and_stop_pods_ends_them(
    own_podward: Podward, lasting: str
) -> None:
    own_podward.cli("apply", "-f", "-", input=PODS.split("---")[0].replace("LASTING", lasting))
    eventually(lambda: running(own_podward, "lasting") and pods(own_podward))
    pids = eventually(lambda: processes(lasting))
    assert own_podward.stop() == 0
    assert processes(lasting) == pids
    own_podward.options = ("--stop-pods",)
    own_podward.start()
    eventually(lambda: running(own_podward, "lasting"))
    assert own_podward.stop() == 0
    eventually(lambda: not processes(lasting), what="the container's end")


def test_who_is_stopped_while_it_starts_a_container_leaves_none(own_podward: Podward) -> None:
    seconds = f"7{os.getpid()}"
    manifest = PODS.split("---")[0].replace("LASTING", seconds)
    own_podward.cli("apply", "-f", "-", input=manifest)
    eventually(lambda: processes(seconds), what="the container")
    own_podward.options = ("--stop-pods",)
    own_podward.stop()
    for _ in range(3):
        own_podward.start()
        assert own_podward.stop() == 0
    assert processes(seconds) == []


def test_a_second_podward_on_the_same_data_directory_refuses(own_podward: Podward) -> None:
    done = subprocess.run(
        [*own_podward.command()[:-4], "--listen", "127.0.0.1:0"],
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert str(own_podward.data_dir) in done.stderr
    assert "Traceback" not in done.stderr


def test_every_acknowledged_write_survives_kill_9(own_podward: Podward) -> None:
    for round_ in range(3):
        manifest = "".join(
            f"---\n{{apiVersion: v1, kind: ConfigMap, metadata: {{name: c-{round_}-{i}}}, data: {{k: v}}}}\n"
            for i in range(20)
        )
        printed = own_podward.cli("apply", "-f", "-", input=manifest)
        assert printed.count(" created") == 20
        own_podward.kill()
        own_podward.start()
        names = own_podward.cli("get", "configmaps", "-o", "name").split()
        assert {f"configmap/c-{round_}-{i}" for i in range(20)} <= set(names)
