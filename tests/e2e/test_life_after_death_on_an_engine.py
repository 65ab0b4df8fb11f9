"""Podward and its engine die, in every order, and Pods live on as real containers."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.support import Podward, eventually, unmount_below
from tests.engine.containerd import Containerd

from podward.store.sqlite import SqliteStore

PODS = """
apiVersion: v1
kind: Pod
metadata: {name: lasting}
spec:
  terminationGracePeriodSeconds: 1
  initContainers:
  - {name: init, image: busybox, imagePullPolicy: IfNotPresent, command: ["true"]}
  containers:
  - name: main
    image: busybox
    imagePullPolicy: IfNotPresent
    command: [sleep, "86399"]
    livenessProbe:
      exec: {command: ["true"]}
      periodSeconds: 1
      failureThreshold: 1
---
apiVersion: v1
kind: Pod
metadata: {name: ending}
spec:
  restartPolicy: Never
  containers:
  - name: main
    image: busybox
    imagePullPolicy: IfNotPresent
    command: [sh, -c, "while [ ! -e /stop/now ]; do sleep 0.1; done; exit 42"]
    volumeMounts: [{name: stop, mountPath: /stop}]
  volumes: [{name: stop, hostPath: {path: FOLDER}}]
---
apiVersion: v1
kind: Pod
metadata: {name: orphan}
spec:
  containers:
  - {name: main, image: busybox, imagePullPolicy: IfNotPresent, command: [sleep, "86398"]}
---
apiVersion: v1
kind: Pod
metadata: {name: mortal}
spec:
  containers:
  - {name: main, image: busybox, imagePullPolicy: IfNotPresent, command: [sleep, "86397"]}
"""


class World:
    def __init__(self, folder: Path, engine: Containerd) -> None:
        self.folder = folder
        self.engine = engine
        self.podward = Podward(
            folder / "data", "--runtime", f"cri://{engine.socket}", "--stop-pods"
        )
        (folder / "stop").mkdir()

    def apply(self) -> None:
        manifest = PODS.replace("FOLDER", str(self.folder / "stop"))
        self.podward.cli("apply", "-f", "-", input=manifest)
        eventually(self.all_run, what="all Pods run")

    def all_run(self) -> bool:
        found = self.pods()
        return len(found) == 4 and all(
            "running" in main(p).get("state", {}) for p in found.values()
        )

    def pods(self) -> dict[str, Any]:
        listed = json.loads(self.podward.cli("get", "pods", "-o", "json"))
        return {pod["metadata"]["name"]: pod for pod in listed["items"]}

    def tasks(self) -> set[str]:
        """IDs of what runs on the engine, sandboxes too."""
        lines = self.engine.ctr("tasks", "ls").splitlines()[1:]
        return {line.split()[0] for line in lines if "RUNNING" in line}

    def log(self) -> str:
        return (self.folder / "data.stderr").read_text()

    def events(self, reason: str) -> list[dict[str, Any]]:
        listed = json.loads(self.podward.cli("get", "events", "-o", "json"))
        return [event for event in listed["items"] if event["reason"] == reason]


def main(pod: dict[str, Any]) -> dict[str, Any]:
    status: dict[str, Any] = (pod.get("status", {}).get("containerStatuses") or [{}])[0]
    return status


def bare(pod: dict[str, Any]) -> str:
    return str(main(pod)["containerID"]).partition("://")[2]


@pytest.fixture(scope="module")
def engine(containerd: Containerd) -> Iterator[Containerd]:
    """One that tests may kill. (That the machine can have one, the shared one shows.)"""
    made = Containerd().start().load_usual()
    yield made
    made.tear_down()


@pytest.fixture
def world(engine: Containerd, tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path, engine)
    made.podward.start()
    yield made
    made.podward.kill()
    unmount_below(made.podward.data_dir)


def test_a_podward_that_was_killed_adopts_its_pods(world: World) -> None:
    world.apply()
    before, ran = world.pods(), world.tasks()
    world.engine.ctr("containers", "create", "docker.io/library/busybox:latest", "somebody-elses")
    world.podward.kill()
    assert world.tasks() == ran
    (world.folder / "stop/now").touch()  # it exits while nobody watches
    eventually(lambda: bare(before["ending"]) not in world.tasks(), what="the exit")
    # Deleted by force while it was dead.
    _forget(world, "orphan")
    world.podward.start()
    eventually(lambda: world.pods()["ending"]["status"]["phase"] == "Failed")
    after = world.pods()
    assert main(after["ending"])["state"]["terminated"]["exitCode"] == 42
    assert main(after["lasting"])["containerID"] == main(before["lasting"])["containerID"]
    assert main(after["lasting"])["restartCount"] == 0
    eventually(lambda: bare(before["orphan"]) not in world.tasks(), what="the orphan's end")
    uid = before["orphan"]["metadata"]["uid"]
    eventually(lambda: not list((world.folder / "data").glob(f"*/*{uid}*")), what="its folders")
    assert "somebody-elses" in world.engine.ctr("containers", "ls", "-q")
    # What it adopted it heals.
    world.engine.ctr("tasks", "kill", "-s", "SIGKILL", bare(after["mortal"]))
    [sandbox] = _sandboxes(world, after["lasting"])
    world.engine.ctr("tasks", "kill", "-s", "SIGKILL", sandbox)
    eventually(lambda: main(world.pods()["mortal"])["restartCount"] == 1, what="the restart")
    assert main(world.pods()["mortal"])["lastState"]["terminated"]["exitCode"] == 137
    eventually(lambda: world.events("SandboxChanged"), what="the new sandbox")
    eventually(lambda: main(world.pods()["lasting"])["restartCount"] == 1, what="all starts anew")
    init = world.pods()["lasting"]["status"]["initContainerStatuses"][0]
    assert (init["restartCount"], init["state"]["terminated"]["exitCode"]) == (1, 0)


def test_an_engine_that_was_killed_is_found_again(world: World) -> None:
    world.apply()
    before, ran = world.pods(), world.tasks()
    world.engine.stop(9)
    eventually(lambda: "does not answer" in world.log(), what="the warning")
    (world.folder / "stop/now").touch()
    eventually(lambda: world.events("Unhealthy"), what="a probe that errors")
    world.engine.start()
    eventually(lambda: "answers again" in world.log(), what="the engine is back")
    eventually(lambda: world.pods()["ending"]["status"]["phase"] == "Failed")
    after = world.pods()
    assert main(after["ending"])["state"]["terminated"]["exitCode"] == 42
    for name in ("lasting", "orphan", "mortal"):
        assert main(after[name])["containerID"] == main(before[name])["containerID"]
        assert main(after[name])["restartCount"] == 0
    assert world.tasks() <= ran
    assert world.log().count("does not answer") == 1
    assert "Traceback" not in world.log()
    assert not world.events("FailedSync")
    assert not world.events("Killing")
    for event in world.events("Unhealthy"):
        assert "probe errored" in event["message"]
    # Its last hour may come while the engine is away, too.
    world.engine.stop(9)
    assert world.podward.stop() == 0
    world.engine.start()
    assert "Traceback" not in world.log()


def test_podward_does_not_start_without_its_engine(tmp_path: Path) -> None:
    socket = tmp_path / "no.sock"
    done = subprocess.run(
        [sys.executable, "-m", "podward", "up", "--data-dir", str(tmp_path / "data"),
         "--listen", "127.0.0.1:0", "--runtime", f"cri://{socket}"],
        capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert str(socket) in done.stderr


def _sandboxes(world: World, pod: dict[str, Any]) -> list[str]:
    """IDs of those that run."""
    uid = pod["metadata"]["uid"]
    selector = f'labels."io.kubernetes.pod.uid"=={uid},labels."io.cri-containerd.kind"==sandbox'
    return [
        i
        for i in world.engine.ctr("containers", "ls", "-q", selector).split()
        if i in world.tasks()
    ]


def _forget(world: World, pod: str) -> None:
    """Take the Pod out of a dead server's store."""

    async def delete() -> None:
        store = SqliteStore.open(world.folder / "data/store.db")
        [record] = [r for r in (await store.range("/")).records if r.key.endswith(f"/{pod}")]
        await store.delete(record.key, lambda revision: b"", expected=None)
        await store.close()

    asyncio.run(delete())
