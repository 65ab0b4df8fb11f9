"""One life of a cluster in which everything goes wrong that can, and who watches over it."""

import asyncio
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lightkube.models import core_v1

from podward.api import codec
from podward.api.scheme import SCHEME
from podward.apiserver.authentication import Authenticator
from podward.client.transports.in_process import InProcessTransport
from podward.cluster import Cluster
from podward.kubelet.node import NodeFacts
from podward.kubelet.runtime.base import ContainerState
from podward.machinery.clock import LoopClock
from podward.machinery.entropy import Entropy
from podward.simulate import virtual_loop
from podward.simulate.faults import Dice, FaultyRuntime, FaultyTransport, Rates
from podward.simulate.ports import SimulatedNetwork
from podward.simulate.runtime import SimulatedRuntime
from podward.simulate.simulation import EPOCH, NODE_IP, NODE_NAME, apply
from podward.simulate.world import World
from podward.store.memory import MemoryStore

TROUBLE_SECONDS, CALM_SECONDS = 240.0, 900.0
PODS = SCHEME.of_type(core_v1.Pod)

COMMANDS = (
    "sleep 100000",
    "exit 1",
    "sleep 5; exit 0",
    "sleep 3; exit 2",
    "trap 'exit 0' TERM; while true; do sleep 1; done",
    "trap '' TERM; sleep 100000",
    "touch /tmp/ok; sleep 20; rm /tmp/ok; sleep 100000",
)
PROBE = {"exec": {"command": ["cat", "/tmp/ok"]}, "periodSeconds": 2, "failureThreshold": 2}


@dataclass
class Life:
    seed: int
    problems: list[str] = field(default_factory=list)
    restarts: dict[tuple[str, str], int] = field(default_factory=dict)

    def complain(self, text: str) -> None:
        self.problems.append(f"seed {self.seed}: {text}")


def manifests(dice: Entropy) -> Iterator[dict[str, Any]]:
    for number in range(1 + int(dice.uniform(0, 3))):
        containers = []
        for name in "ab"[: 1 + int(dice.uniform(0, 1.6))]:
            container: dict[str, Any] = {
                "name": name,
                "image": "busybox",
                "command": ["sh", "-c", _pick(dice, COMMANDS)],
            }
            for kind in ("livenessProbe", "readinessProbe", "startupProbe"):
                if dice.uniform(0, 1) < 0.25:
                    container[kind] = dict(PROBE)
            containers.append(container)
        spec: dict[str, Any] = {
            "restartPolicy": _pick(dice, ("Always", "Always", "OnFailure", "Never")),
            "terminationGracePeriodSeconds": int(dice.uniform(0, 12)),
            "containers": containers,
        }
        if dice.uniform(0, 1) < 0.3:
            init = _pick(dice, ("sleep 2", "sleep 1; exit 1", "exit 0"))
            spec["initContainers"] = [
                {"name": "i", "image": "busybox", "command": ["sh", "-c", init]}
            ]
        yield {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"p{number}"}, "spec": spec}


def _pick(dice: Entropy, choices: tuple[str, ...]) -> str:
    return choices[int(dice.uniform(0, len(choices)))]


def live(seed: int) -> list[str]:
    """What was wrong in this life; nothing, if all is well."""

    async def main() -> list[str]:
        with tempfile.TemporaryDirectory(prefix="podward-faults-") as folder:
            return await _live(seed, Path(folder))

    return virtual_loop.run(main())


async def _live(seed: int, folder: Path) -> list[str]:
    dice, life = Entropy(seed), Life(seed)
    rates = Rates(error=_rate(dice), lost=_rate(dice), slow=_rate(dice))
    trouble = Dice(seed + 1, rates)
    clock = LoopClock(EPOCH)
    world, store = World(clock, Entropy(seed + 2)), MemoryStore()
    watching = asyncio.create_task(_watch(store, life))
    guarding = asyncio.create_task(_guard(world, life))
    cluster = await _begin(world, store, trouble, folder, seed)
    for document in manifests(dice):
        await _insist(cluster, document)
    ends = asyncio.get_running_loop().time() + TROUBLE_SECONDS
    while (left := ends - asyncio.get_running_loop().time()) > 0:
        await asyncio.sleep(min(dice.uniform(1, 90), left))
        act = dice.uniform(0, 1)
        if act < 0.45:
            await cluster.kill()
            await cluster.runtime.close()
            await asyncio.sleep(dice.uniform(0, 20))
            cluster = await _begin(world, store, trouble, folder, seed + int(left))
        elif act < 0.6:
            await _delete_one(cluster, dice)
    trouble.calm = True
    await asyncio.sleep(CALM_SECONDS)
    # A container may end in the very instant of the look: the truth needs one moment to be told.
    for _ in range(5):
        untrue = list(_untrue(world, store))
        if not untrue:
            break
        await asyncio.sleep(0.37)
    for text in untrue:
        life.complain(text)
    for task in (watching, guarding):
        task.cancel()
    await asyncio.gather(watching, guarding, return_exceptions=True)
    await cluster.kill()
    await cluster.runtime.close()
    return life.problems


def _rate(dice: Entropy) -> float:
    return dice.uniform(0, 8) if dice.uniform(0, 1) < 0.6 else 0.0


async def _begin(
    world: World, store: MemoryStore, trouble: Dice, folder: Path, seed: int
) -> Cluster:
    cluster = Cluster(
        store=store,
        runtime=FaultyRuntime(SimulatedRuntime(world), trouble),
        clock=world.clock,
        entropy=Entropy(seed + 3),
        network=SimulatedNetwork(world.ports),
        root=folder,
        facts=NodeFacts(
            name=NODE_NAME, ip=NODE_IP, capacity={"cpu": "2", "memory": "4Gi", "pods": "110"}
        ),
        authenticate=Authenticator({}),
        transport=lambda server, who: FaultyTransport(InProcessTransport(server, who), trouble),
    )
    await cluster.runtime.start()
    await cluster.start()
    return cluster


async def _insist(cluster: Cluster, document: dict[str, Any]) -> None:
    for _ in range(50):
        try:
            await apply(cluster, document, "default")
        except Exception as error:
            if "already exists" in str(error):
                return
            await asyncio.sleep(0.1)
        else:
            return


async def _delete_one(cluster: Cluster, dice: Entropy) -> None:
    try:
        pods = (await cluster.client.list(core_v1.Pod, "default")).items
        if pods:
            meta = pods[int(dice.uniform(0, len(pods)))].metadata
            assert meta is not None
            await cluster.client.delete(core_v1.Pod, meta.name or "", "default")
    except Exception:
        return  # trouble: it is not deleted then


# ---- what must always hold


async def _watch(store: MemoryStore, life: Life) -> None:
    """Every status that was ever written."""
    async for batch in store.watch("/registry/core/pods/", after=0):
        for change in batch:
            if change.type != "DELETED":
                _check_status(codec.decode_stored(change.record.value, PODS), life)


def _check_status(pod: core_v1.Pod, life: Life) -> None:
    uid, status = (pod.metadata and pod.metadata.uid) or "", pod.status
    listed = (
        *((status and status.initContainerStatuses) or ()),
        *((status and status.containerStatuses) or ()),
    )
    for one in listed:
        key = (uid, one.name)
        if one.restartCount < life.restarts.get(key, 0):
            life.complain(f"restartCount of {one.name} fell to {one.restartCount}")
        life.restarts[key] = max(life.restarts.get(key, 0), one.restartCount)
        running = one.state is not None and one.state.running is not None
        succeeded = one.state is not None and one.state.terminated is not None and one.name == "i"
        if one.ready and not running and not succeeded:
            life.complain(f"{one.name} is ready and does not run")


async def _guard(world: World, life: Life) -> None:
    """Never two instances of one container, at no moment at which anything begins."""
    while True:
        running: dict[tuple[str, str], int] = {}
        for container in world.containers.values():
            if container.state is ContainerState.RUNNING:
                key = (container.sandbox.config.pod_uid, container.config.name)
                running[key] = running.get(key, 0) + 1
        for (uid, name), count in running.items():
            if count > 1:
                life.complain(f"{count} instances of {name} of {uid} run at once")
        await asyncio.sleep(0.5)


def _untrue(world: World, store: MemoryStore) -> Iterator[str]:
    """The statuses say what is true, and nothing runs that nobody wants."""
    records = store._index.range("/registry/core/pods/", revision=None, limit=0, after="").records
    pods = [codec.decode_stored(record.value, PODS) for record in records]
    known = {pod.metadata.uid for pod in pods if pod.metadata}
    for container in world.containers.values():
        if (
            container.sandbox.config.pod_uid not in known
            and container.state is ContainerState.RUNNING
        ):
            yield f"{container.config.name} of a Pod that is gone still runs"
    for pod in pods:
        meta, status = pod.metadata, pod.status
        assert meta is not None
        if meta.deletionTimestamp is not None:
            yield f"{meta.name} is still being deleted"
        for one in (status and status.containerStatuses) or ():
            instances = [
                c
                for c in world.containers.values()
                if c.sandbox.config.pod_uid == meta.uid and c.config.name == one.name
            ]
            newest = max(instances, key=lambda c: c.config.attempt, default=None)
            says = one.state is not None and one.state.running is not None
            true = newest is not None and newest.state is ContainerState.RUNNING
            if says is not true:
                yield f"{one.name} runs: status says {says}, the truth is {true}"
            if newest is not None and newest.started_at:
                count = newest.config.attempt
                if one.restartCount != count:
                    yield f"{one.name}: restartCount {one.restartCount}, the truth is {count}"
