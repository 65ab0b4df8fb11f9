"""Real containers on a containerd of its own: what Podward adds to what the engine takes.

`cri-restart`: SIGKILL of a container's first process until its successor's first instruction, in turns: the
engine driven by hand (its own notice of the end, create, start) and a Podward Pod's first restart.
`cri-start`: Pods started at once until all are Ready; the same sandboxes and containers by hand; and what one
look at everything costs when they run (the Observer's own, wall clock and CPU of this process).

Usage: bench_cri.py [PODS]
"""

import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench_api import connect
from harness import TICKS, Server, report, server, spread
from tests.engine.containerd import Containerd

from podward.kubelet.runtime.base import ContainerConfig, Mount, SandboxConfig
from podward.kubelet.runtime.cri import runtime_v1_pb2 as pb
from podward.kubelet.runtime.cri.client import CriClient
from podward.kubelet.runtime.cri.configs import container_config, sandbox_config
from podward.kubelet.runtime.cri.observer import Observer
from podward.kubelet.runtime.cri.verbose import read_info

ROUNDS = 10


class ByHand:
    """The engine, called as few times as it takes."""

    def __init__(self, client: CriClient, folder: Path) -> None:
        self._client = client
        self._folder = folder

    async def sandbox(self, name: str) -> tuple[str, SandboxConfig]:
        config = SandboxConfig(name, "by-hand", f"uid-{name}", log_directory=f"{self._folder}/logs")
        request = pb.RunPodSandboxRequest(config=sandbox_config(config, "by-hand"))
        made = await self._client.runtime("RunPodSandbox", request, pb.RunPodSandboxResponse)
        return made.pod_sandbox_id, config

    async def container(self, sandbox: tuple[str, SandboxConfig], attempt: int, script: str) -> str:
        config = ContainerConfig(
            "c", attempt, "busybox", command=("sh", "-c", script),
            mounts=(Mount(str(self._folder), "/out"),),
            log_path=f"{self._folder}/logs/{sandbox[1].pod_name}.{attempt}.log",
        )  # fmt: skip
        request = pb.CreateContainerRequest(
            pod_sandbox_id=sandbox[0],
            config=container_config(config, sandbox[1], "by-hand"),
            sandbox_config=sandbox_config(sandbox[1], "by-hand"),
        )
        made = await self._client.runtime("CreateContainer", request, pb.CreateContainerResponse)
        start = pb.StartContainerRequest(container_id=made.container_id)
        await self._client.runtime("StartContainer", start, pb.StartContainerResponse)
        return made.container_id

    async def restart(self, name: str) -> float:
        """Seconds from the end of one instance to the first instruction of the next."""
        sandbox = await self.sandbox(name)
        first = await self.container(sandbox, 0, _script(name, 0))
        await _until(self._folder / f"{name}.0")
        pid = await self._pid(first)
        killed = time.time()
        os.kill(pid, signal.SIGKILL)
        while await self._runs(first):  # noqa: ASYNC110 - it is the engine that is waited for
            await asyncio.sleep(0.002)
        await self.container(sandbox, 1, _script(name, 1))
        took = await _until(self._folder / f"{name}.1") - killed
        await self.remove(sandbox[0])
        return took

    async def _pid(self, container_id: str) -> int:
        request = pb.ContainerStatusRequest(container_id=container_id, verbose=True)
        found = await self._client.runtime("ContainerStatus", request, pb.ContainerStatusResponse)
        return read_info(found.info).pid

    async def _runs(self, container_id: str) -> bool:
        request = pb.ContainerStatusRequest(container_id=container_id)
        found = await self._client.runtime("ContainerStatus", request, pb.ContainerStatusResponse)
        return found.status.state == pb.CONTAINER_RUNNING

    async def remove(self, sandbox_id: str) -> None:
        stop = pb.StopPodSandboxRequest(pod_sandbox_id=sandbox_id)
        await self._client.runtime("StopPodSandbox", stop, pb.StopPodSandboxResponse)
        remove = pb.RemovePodSandboxRequest(pod_sandbox_id=sandbox_id)
        await self._client.runtime("RemovePodSandbox", remove, pb.RemovePodSandboxResponse)

    async def start_all(self, count: int) -> float:
        async def one(number: int) -> str:
            sandbox = await self.sandbox(f"all{number}")
            await self.container(sandbox, 0, "sleep 3600")
            return sandbox[0]

        began = time.monotonic()
        made = await asyncio.gather(*map(one, range(count)))
        took = time.monotonic() - began
        await asyncio.gather(*map(self.remove, made))
        return took


def _script(name: str, attempt: int) -> str:
    return f": >/out/{name}.{attempt}; exec sleep 3600"


async def _until(path: Path, timeout: float = 60.0) -> float:
    """When the file was made (the kernel's clock of files: to 4 ms)."""
    deadline = time.monotonic() + timeout
    while not path.exists():
        if time.monotonic() > deadline:
            raise SystemExit(f"{path} did not appear within {timeout} s")
        await asyncio.sleep(0.002)
    return path.stat().st_mtime


def _manifest(name: str, folder: Path, script: str) -> str:
    return json.dumps({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "volumes": [{"name": "out", "hostPath": {"path": str(folder)}}],
            "containers": [{
                "name": "c", "image": "busybox", "imagePullPolicy": "IfNotPresent",
                "command": ["sh", "-c", script],
                "volumeMounts": [{"name": "out", "mountPath": "/out"}],
            }],
        },
    })  # fmt: skip


async def podward_restart(podward: Server, folder: Path, number: int) -> float:
    """A Pod of its own each round: only a first restart is immediate."""
    name = f"p{number}"
    script = f"n=$(ls /out | grep -c {name}[.]); : >/out/{name}.$n; exec sleep 36{number:02}00"
    podward.cli("apply", "-f", "-", input=_manifest(name, folder, script))
    await _until(folder / f"{name}.0")
    await asyncio.sleep(1)
    [pid] = _pids(f"sleep\x0036{number:02}00\x00")
    killed = time.time()
    os.kill(pid, signal.SIGKILL)
    return await _until(folder / f"{name}.1") - killed


def _pids(command_line: str) -> list[int]:
    found = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if process.read_text() == command_line:
                found.append(int(process.parent.name))
        except OSError:
            pass
    return found


async def podward_start(podward: Server, folder: Path, count: int) -> tuple[float, float]:
    """(until the last was there, until all were Ready) of Pods applied at once."""
    items = "\n---\n".join(_manifest(f"s{i}", folder, "sleep 3600") for i in range(count))
    connection = await connect(podward)
    began = time.monotonic()
    applying = asyncio.create_task(asyncio.to_thread(podward.cli, "apply", "-f", "-", input=items))
    applied = 0.0
    while True:
        if applying.done() and not applied:
            applied = time.monotonic() - began
        listed = json.loads(await connection.call("GET", "/api/v1/namespaces/default/pods"))
        ready = [
            pod for pod in listed["items"] if pod["metadata"]["name"][0] == "s" and _ready(pod)
        ]
        if len(ready) == count:
            return applied, time.monotonic() - began
        await asyncio.sleep(0.1)


def _ready(pod: dict[str, dict[str, list[dict[str, str]]]]) -> bool:
    conditions = pod.get("status", {}).get("conditions") or []
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


async def looks(client: CriClient, instance: str) -> dict[str, object]:
    """What one look at everything costs whoever looks, once all is known."""
    observer = Observer(client, instance, lambda event: None)
    await observer.start()
    took, cpu = [], time.process_time()
    for _ in range(20):
        began = time.monotonic()
        await observer._look()
        took.append(time.monotonic() - began)
    used = (time.process_time() - cpu) / 20
    seen = len(observer.ledger.sandboxes), len(observer.ledger.containers)
    await observer.close()
    return {
        "sandboxes": seen[0],
        "containers": seen[1],
        **spread(took, "s"),
        "cpu_s": round(used, 4),
    }


async def measure(engine: Containerd, podward: Server, folder: Path, count: int) -> None:
    client = CriClient(str(engine.socket))
    by_hand = ByHand(client, folder)
    alone, with_podward = [], []
    for number in range(ROUNDS):
        alone.append(await by_hand.restart(f"h{number}"))
        with_podward.append(await podward_restart(podward, folder, number))
        podward.cli("delete", "pod", f"p{number}")
    added = [b - a for a, b in zip(alone, with_podward, strict=True)]
    report("cri-restart", rounds=ROUNDS, engine_alone=spread(alone, "s"),
           podward=spread(with_podward, "s"), added=spread(added, "s"))  # fmt: skip
    hand = await by_hand.start_all(count)
    before = podward.cpu_s()
    applied, ready = await podward_start(podward, folder, count)
    cpu = podward.cpu_s() - before
    instance = (podward.data_dir / "runtime/instance").read_text().strip()
    report("cri-start", pods=count, engine_alone_s=round(hand, 2), applied_s=round(applied, 2),
           all_ready_s=round(ready, 2), podward_cpu_s=round(cpu, 2), podward_rss_mb=podward.rss_mb(),
           look=await looks(client, instance), ticks_per_s=TICKS)  # fmt: skip
    await client.close()


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    engine = Containerd().start().load_usual()
    try:
        with (
            tempfile.TemporaryDirectory() as name,
            server("--runtime", f"cri://{engine.socket}") as podward,
        ):
            asyncio.run(measure(engine, podward, Path(name), count))
    finally:
        engine.tear_down()


if __name__ == "__main__":
    main()
