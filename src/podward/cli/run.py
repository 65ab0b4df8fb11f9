"""`podward run`: a whole cluster for as long as these manifests run in the foreground; nothing is left behind.

Shows what happens as it happens: a line for each change of a Pod (as `get -w` prints it), each event, and the
containers' own output behind `[pod/container]`. The exit code says whether the Pods were well at the end.
"""

import asyncio
import logging
import shutil
import signal
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from podward.cli.errors import CliError
from podward.cli.logs import seconds

if TYPE_CHECKING:
    from lightkube.models import core_v1

    from podward.cluster import Cluster, ClusterConfig

TEAR_DOWN_SECONDS = 45.0


@click.command()
@click.argument("files", nargs=-1, required=True)
@click.option("--for", "span", default="", metavar="90s", help="Stop by itself after this long.")
@click.option(
    "--isolation", type=click.Choice(["auto", "bwrap", "none"]), default="auto", show_default=True
)
def command(files: tuple[str, ...], span: str, isolation: str) -> None:
    """Run manifests in the foreground and show what happens."""
    from podward.cli import manifests

    documents = manifests.read(files)
    limit = float(seconds(span)) if span else None
    logging.basicConfig(level=logging.ERROR, format="%(levelname)s %(name)s: %(message)s")
    folder = Path(tempfile.mkdtemp(prefix="podward-run-"))
    try:
        well = _run(folder, documents, limit, isolation)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if not well:
        raise SystemExit(1)


def _run(
    folder: Path, documents: list[dict[str, Any]], limit: float | None, isolation: str
) -> bool:
    import uvloop

    from podward.cluster import ClusterConfig, ClusterError

    config = ClusterConfig(
        data_dir=folder / "data",
        listen_port=0,
        node_name=socket.gethostname().lower(),
        isolation=isolation,
        stop_pods=True,
    )
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_session(config, documents, limit))
    except ClusterError as error:
        raise CliError(str(error)) from None


async def _session(
    config: "ClusterConfig", documents: list[dict[str, Any]], limit: float | None
) -> bool:
    from podward.cluster import start

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with start(config) as (cluster, ready):
        print(
            f"podward is ready; look from another terminal: KUBECONFIG={ready.kubeconfig} kubectl get pods"
        )
        await asyncio.to_thread(_apply, ready.kubeconfig, documents)
        view = View(cluster)
        watching = asyncio.create_task(view.run())
        try:
            async with asyncio.timeout(limit):
                await _first(stop.wait(), view.over.wait())
        except TimeoutError:
            pass
        well = view.well()
        print("stopping" + ("" if well else "; not every Pod is well"), flush=True)
        stop.clear()
        try:
            async with asyncio.timeout(TEAR_DOWN_SECONDS):
                await _first(view.delete_all(), stop.wait())  # a second Ctrl-C does not wait
        except TimeoutError:
            pass
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    return well


def _apply(kubeconfig: Path, documents: list[dict[str, Any]]) -> None:
    from podward.cli.apply import apply
    from podward.cli.http_client import HttpClient

    client = HttpClient(str(kubeconfig))
    for document in documents:
        print(apply(client, document, "default"), flush=True)


async def _first(*waits: Any) -> None:
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class View:
    """What is known of the Pods, printed as it changes."""

    def __init__(self, cluster: "Cluster") -> None:
        self._cluster = cluster
        self._clock = cluster.clock
        self._began = self._clock.monotonic()
        self._pods: dict[str, core_v1.Pod] = {}
        self._shown: dict[str, list[str]] = {}
        self._following: dict[str, asyncio.Task[None]] = {}
        self._gone = asyncio.Event()
        self.over = asyncio.Event()
        """Every Pod has ended for good."""

    async def run(self) -> None:
        from lightkube.models import core_v1

        from podward.client.informer import Informer
        from podward.machinery.entropy import Entropy

        client, clock, entropy = self._cluster.client, self._clock, Entropy()
        pods = Informer(client, core_v1.Pod, clock=clock, entropy=entropy)
        events = Informer(client, core_v1.Event, clock=clock, entropy=entropy)
        try:
            await asyncio.gather(pods.run(self._pod), events.run(self._event))
        finally:
            for task in self._following.values():
                task.cancel()

    def well(self) -> bool:
        """Each Pod has succeeded, or runs and is ready."""
        return bool(self._pods) and all(_well(pod) for pod in self._pods.values())

    async def delete_all(self) -> None:
        from lightkube.models import core_v1

        for pod in list(self._pods.values()):
            meta = pod.metadata
            assert meta is not None
            await self._cluster.client.delete(core_v1.Pod, meta.name or "", meta.namespace or "")
        while self._pods:
            self._gone.clear()
            await self._gone.wait()

    def _pod(self, change: str, pod: "core_v1.Pod") -> None:
        uid = (pod.metadata and pod.metadata.uid) or ""
        if change == "DELETED":
            self._pods.pop(uid, None)
            self._gone.set()
            return
        self._pods[uid] = pod
        self._show(uid, pod)
        for status in (pod.status and pod.status.containerStatuses) or ():
            if status.state and status.state.running and status.containerID:
                self._follow(pod, status.name, status.containerID)
        phases = [(p.status and p.status.phase) or "" for p in self._pods.values()]
        if phases and all(phase in ("Succeeded", "Failed") for phase in phases):
            self.over.set()

    def _show(self, uid: str, pod: "core_v1.Pod") -> None:
        from podward.api.scheme import SCHEME
        from podward.apiserver.printers.table import printer_for

        row = SCHEME.of_type(type(pod))
        cells = [str(c) for c in printer_for(row).cells(pod, self._clock.now())[:4]]
        # The age of a restart moves by itself; only what happened is worth a line.
        facts = [*cells[:3], cells[3].split(" ")[0]]
        if self._shown.get(uid) != facts:
            self._shown[uid] = facts
            name, ready, status, restarts = cells
            self._say(f"{name:<24} {ready:<5} {status:<18} restarts {restarts}")

    def _event(self, change: str, event: "core_v1.Event") -> None:
        involved = event.involvedObject
        if change == "DELETED" or involved.kind != "Pod":
            return
        count = f" (x{event.count})" if (event.count or 1) > 1 else ""
        message = (event.message or "").strip()
        self._say(f"  {event.type:<8} {event.reason:<12} pod/{involved.name}: {message}{count}")

    def _follow(self, pod: "core_v1.Pod", container: str, container_id: str) -> None:
        if container_id not in self._following:
            following = asyncio.create_task(self._copy_log(pod, container))
            self._following[container_id] = following

    async def _copy_log(self, pod: "core_v1.Pod", container: str) -> None:
        from podward.client.node_access import LogQuery, NodeAccessError

        name = (pod.metadata and pod.metadata.name) or ""
        try:
            chunks = await self._cluster.node_server.logs(pod, LogQuery(container, follow=True))
        except NodeAccessError:
            return  # it has ended already
        async for chunk in chunks:
            for line in chunk.decode(errors="replace").splitlines():
                self._say(f"  [{name}/{container}] {line}")

    def _say(self, text: str) -> None:
        print(f"+{self._clock.monotonic() - self._began:6.1f}s  {text}", flush=True)


def _well(pod: "core_v1.Pod") -> bool:
    status = pod.status
    if status is None:
        return False
    if status.phase == "Succeeded":
        return True
    ready = any(c.type == "Ready" and c.status == "True" for c in status.conditions or ())
    return status.phase == "Running" and ready
