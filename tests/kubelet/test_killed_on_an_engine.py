"""Podward is killed at every step of what it does on an engine, before it and after it; the next one goes on.

A whole cluster on a fake engine that outlives it. Each death is in the middle of one call: it has not reached
the engine, or its answer does not come back.
"""

import asyncio
import itertools
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Literal

import pytest
import uvloop
from lightkube.models import core_v1
from tests.engine.fake import FakeEngine

from podward.apiserver.authentication import Authenticator
from podward.cluster import Cluster
from podward.kubelet.node import NodeFacts
from podward.kubelet.runtime.cri import CriRuntime, observer
from podward.kubelet.runtime.cri import runtime_v1_pb2 as pb
from podward.machinery.clock import SystemClock
from podward.machinery.entropy import Entropy
from podward.machinery.http_client import SystemHttpClient
from podward.machinery.network import SystemNetwork
from podward.simulate.simulation import apply
from podward.store.memory import MemoryStore

POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "web", "namespace": "default"},
    "spec": {
        "initContainers": [{"name": "init", "image": "busybox", "command": ["true"]}],
        "containers": [
            {"name": "main", "image": "busybox", "command": ["sleep"]},
            {"name": "side", "image": "busybox", "command": ["sleep"]},
        ],
    },
}
CHANGES = ("RunPodSandbox", "StopPodSandbox", "RemovePodSandbox", "CreateContainer",
           "StartContainer", "StopContainer", "RemoveContainer")  # fmt: skip
"""The calls that change what the engine holds."""
When = Literal["before", "after"]


class Machine:
    """An engine, a store, and one Podward after the other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.engine = FakeEngine(folder / "s", streams=True)
        self.store = MemoryStore()
        self.cluster: Cluster | None = None
        self._changes = 0
        self._deadly: tuple[int, When] | None = None
        self.struck = asyncio.Event()
        self.engine.before = lambda method: self._step(method, "before")
        self.engine.after = lambda method: self._step(method, "after")

    async def _step(self, method: str, when: When) -> None:
        if method not in CHANGES:
            return
        if when == "after":
            for identity in self.engine.running("init"):
                self.engine.exit(identity, 0)
        if self._deadly == (self._changes, when):
            self._deadly = None
            self.struck.set()
            await asyncio.Event().wait()  # the call ends with its connection
        if when == "after":
            self._changes += 1

    def die_at(self, step: int, when: When) -> None:
        """The step-th change from now on."""
        self._changes, self._deadly = 0, (step, when)

    async def boot(self) -> None:
        clock, entropy = SystemClock(), Entropy(1)
        runtime = CriRuntime(str(self.engine.socket), instance="ours")
        await runtime.start()
        self.cluster = Cluster(
            store=self.store, runtime=runtime, clock=clock, entropy=entropy,
            network=SystemNetwork(), http_client=SystemHttpClient(), root=self.folder,
            facts=NodeFacts("node-1", "127.0.0.1", capacity={"cpu": "2", "memory": "4Gi", "pods": "9"}),
            authenticate=Authenticator({}),
        )  # fmt: skip
        await self.cluster.start()

    async def die(self) -> None:
        assert self.cluster is not None
        cluster, self.cluster = self.cluster, None
        await cluster.kill()
        await cluster.runtime.close()

    async def tear_down(self) -> None:
        if self.cluster is not None:
            await self.die()
        await self.engine.stop()

    async def pod(self) -> core_v1.Pod | None:
        assert self.cluster is not None
        listed = await self.cluster.client.list(core_v1.Pod, "default")
        return next(iter(listed.items), None)

    async def is_ready(self) -> bool:
        pod = await self.pod()
        conditions = (pod.status and pod.status.conditions) if pod is not None else None
        return any(c.type == "Ready" and c.status == "True" for c in conditions or ())

    async def restarts(self) -> dict[str, int]:
        pod = await self.pod()
        statuses = (pod.status and pod.status.containerStatuses) if pod is not None else None
        return {one.name: one.restartCount for one in statuses or ()}

    def sandboxes(self) -> list[bool]:
        """Of each, whether it is ready."""
        return [one.state == pb.SANDBOX_READY for one in self.engine.sandboxes.values()]


async def until(true: Callable[[], Awaitable[bool]], what: str) -> None:
    try:
        async with asyncio.timeout(8):
            while not await true():
                await asyncio.sleep(0.01)
    except TimeoutError:
        pytest.fail(f"not in time: {what}")


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(observer, "RELIST_SECONDS", 0.1)
    with tempfile.TemporaryDirectory(prefix="pw-fake-") as made:
        yield Path(made)


Life = Callable[[Machine, Callable[[], None]], Awaitable[None]]
"""What a machine goes through; it calls its second argument when death may come."""


def at_each_step(life: Life, folder: Path, steps: int) -> None:
    """All deaths side by side, each on a machine of its own."""

    async def one(step: int, when: When) -> None:
        place = folder / f"{step}{when[0]}"
        place.mkdir()
        machine = Machine(place)
        await machine.engine.start()
        await machine.boot()
        try:
            await life(machine, lambda: machine.die_at(step, when))
        except BaseException as error:
            error.add_note(f"killed {when} change {step}")
            raise
        finally:
            await machine.tear_down()

    async def main() -> None:
        moments: tuple[When, ...] = ("before", "after")
        async with asyncio.TaskGroup() as tasks:
            for step, when in itertools.product(range(steps), moments):
                tasks.create_task(one(step, when))

    uvloop.run(main())


def on_a_machine(life: Callable[[Machine], Awaitable[None]], folder: Path) -> None:
    async def main() -> None:
        machine = Machine(folder)
        await machine.engine.start()
        try:
            await life(machine)
        finally:
            await machine.tear_down()

    uvloop.run(main())


async def killed_and_started(machine: Machine) -> None:
    async with asyncio.timeout(8):
        await machine.struck.wait()
    await machine.die()
    await machine.boot()


async def begun(machine: Machine) -> Cluster:
    assert machine.cluster is not None
    await apply(machine.cluster.client, POD, "default")
    return machine.cluster


async def ready(machine: Machine, *, restarts: int) -> None:
    """One of each, in one sandbox, and nothing that waits for a start that nobody gives it."""

    async def settled() -> bool:
        told = await machine.restarts()
        return await machine.is_ready() and told == {"main": restarts, "side": told.get("side", 0)}

    await until(settled, f"the Pod is ready, its main container restarted {restarts} times")
    assert machine.sandboxes().count(True) == 1
    assert [len(machine.engine.running(name)) for name in ("main", "side")] == [1, 1]
    assert not [c for c in machine.engine.containers.values() if c.state == pb.CONTAINER_CREATED]


def test_while_a_pod_begins(folder: Path) -> None:
    async def life(machine: Machine, arm: Callable[[], None]) -> None:
        arm()
        await begun(machine)
        await killed_and_started(machine)
        await ready(machine, restarts=0)
        assert await machine.restarts() == {"main": 0, "side": 0}
        assert machine.sandboxes() == [True]

    at_each_step(life, folder, 7)


def test_while_a_container_is_started_again(folder: Path) -> None:
    async def life(machine: Machine, arm: Callable[[], None]) -> None:
        await begun(machine)
        await until(machine.is_ready, "the Pod is ready")
        arm()
        machine.engine.exit(machine.engine.running("main")[0], 3)
        await killed_and_started(machine)
        await ready(machine, restarts=1)
        assert await machine.restarts() == {"main": 1, "side": 0}
        pod = await machine.pod()
        statuses = (pod.status and pod.status.containerStatuses) if pod is not None else None
        ended = statuses[0].lastState.terminated if statuses and statuses[0].lastState else None
        assert ended is not None
        assert ended.exitCode == 3

    at_each_step(life, folder, 2)


def test_while_a_lost_sandbox_is_made_anew(folder: Path) -> None:
    async def life(machine: Machine, arm: Callable[[], None]) -> None:
        await begun(machine)
        await until(machine.is_ready, "the Pod is ready")
        arm()
        [sandbox] = machine.engine.sandboxes
        machine.engine.lose(sandbox)
        await killed_and_started(machine)
        await ready(machine, restarts=1)
        assert await machine.restarts() == {"main": 1, "side": 1}
        inits = [c for c in machine.engine.containers.values() if c.metadata.name == "init"]
        assert max(c.metadata.attempt for c in inits) == 1  # run again, once

    at_each_step(life, folder, 8)


def test_while_a_pod_is_deleted(folder: Path) -> None:
    async def life(machine: Machine, arm: Callable[[], None]) -> None:
        cluster = await begun(machine)
        await until(machine.is_ready, "the Pod is ready")
        arm()
        await cluster.client.delete(core_v1.Pod, "web", "default", grace_period_seconds=1)
        await killed_and_started(machine)
        await until(lambda: _gone(machine), "nothing is left of the Pod")

    at_each_step(life, folder, 5)


async def _gone(machine: Machine) -> bool:
    left = [*machine.engine.sandboxes, *machine.engine.containers]
    folders = [*machine.folder.glob("pods/*"), *machine.folder.glob("logs/*")]
    return not left and not folders and await machine.pod() is None


def test_what_is_left_of_a_pod_deleted_while_podward_was_dead(folder: Path) -> None:
    """It goes, with its folders; what others run on the same engine stays."""

    async def life(machine: Machine) -> None:
        others = pb.PodSandboxConfig(metadata=pb.PodSandboxMetadata(name="theirs", uid="theirs"))
        for labels in ({}, {"podward.dev/instance": "another", "podward.dev/pod-uid": "theirs"}):
            others.metadata.attempt += 1
            request = pb.RunPodSandboxRequest(config=others)
            request.config.labels.update(labels)
            await machine.engine.answer("RunPodSandbox", request)
        await machine.boot()
        await begun(machine)
        await until(machine.is_ready, "the Pod is ready")
        assert list(machine.folder.glob("logs/default_web_*"))
        await machine.die()
        await _delete_from(machine.store)
        await machine.boot()

        async def only_others() -> bool:
            return machine.sandboxes() == [True, True] and not machine.engine.containers

        await until(only_others, "ours are gone, others are there")
        await until(lambda: _no_folders(machine), "folders are gone")

    on_a_machine(life, folder)


async def _no_folders(machine: Machine) -> bool:
    return not [*machine.folder.glob("pods/*"), *machine.folder.glob("logs/*")]


async def _delete_from(store: MemoryStore) -> None:
    [record] = [r for r in (await store.range("/")).records if "/pods/" in r.key]
    await store.delete(record.key, lambda revision: b"", expected=None)


def test_a_container_that_vanishes_from_the_engine(folder: Path) -> None:
    async def life(machine: Machine) -> None:
        await machine.boot()
        await begun(machine)
        await until(machine.is_ready, "the Pod is ready")
        machine.engine.forget(machine.engine.running("main")[0])
        await ready(machine, restarts=1)
        pod = await machine.pod()
        statuses = (pod.status and pod.status.containerStatuses) if pod is not None else None
        ended = statuses[0].lastState.terminated if statuses and statuses[0].lastState else None
        assert ended is not None
        assert (ended.reason, ended.exitCode) == ("ContainerStatusUnknown", 137)

    on_a_machine(life, folder)
