"""What `podward run` shows: lines for whoever reads a log, and on a terminal a table below them that lives."""

import asyncio
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Protocol

from lightkube.models import core_v1

from podward.api.errors import ApiStatusError
from podward.apiserver.printers.pod import summarize
from podward.client.informer import Informer
from podward.client.node_access import LogQuery, NodeAccessError
from podward.cluster import Cluster
from podward.kubelet.prober.manager import ProbeStreak
from podward.machinery.entropy import Entropy
from podward.machinery.gotext import human_duration
from podward.probes.base import Outcome

_REFRESH_SECONDS = 0.25
_LAST_WORDS_SECONDS = 2.0
_HEADER = ("NAME", "READY", "STATUS", "RESTARTS", "AGE", "PROBES")


class Output(Protocol):
    """Where the view goes."""

    def line(self, text: str, style: str = "") -> None: ...

    def table(self, rows: Sequence[Sequence[str]]) -> None: ...


class Lines:
    """Plain text, for pipes and logs: what changed is in the lines, so there is no table."""

    def line(self, text: str, style: str = "") -> None:
        print(text, flush=True)

    def table(self, rows: Sequence[Sequence[str]]) -> None:
        pass


class Screen:
    """A terminal: coloured lines scroll, the table of Pods stays below them."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self._console = Console(highlight=False)
        self.live = Live(console=self._console, auto_refresh=False)

    def line(self, text: str, style: str = "") -> None:
        self._console.print(text, style=style, markup=False, soft_wrap=True)

    def table(self, rows: Sequence[Sequence[str]]) -> None:
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, padding=(0, 3, 0, 0), header_style="bold")
        for name in _HEADER:
            table.add_column(name, no_wrap=True)
        for row in rows:
            style = _STATUS_STYLES.get(row[2], "yellow")
            cells = [Text(cell, style=style if i == 2 else "") for i, cell in enumerate(row)]
            table.add_row(*cells)
        self.live.update(table, refresh=True)


_STATUS_STYLES = {
    "Running": "green",
    "Completed": "green",
    "Error": "red",
    "CrashLoopBackOff": "red",
}
_EVENT_STYLES = {"Warning": "yellow"}


@contextmanager
def output() -> Iterator[Output]:
    """A `Screen` if standard output is a terminal, else `Lines`."""
    if not sys.stdout.isatty():
        yield Lines()
        return
    screen = Screen()
    with screen.live:
        yield screen


class View:
    """What is known of the Pods of a cluster, shown on `output` as it changes."""

    def __init__(self, cluster: Cluster, output: Output) -> None:
        self._cluster = cluster
        self._output = output
        self._clock = cluster.clock
        self._began = self._clock.monotonic()
        self._pods: dict[str, core_v1.Pod] = {}
        self._shown: dict[str, list[str]] = {}
        self._following: dict[str, asyncio.Task[None]] = {}
        self._gone = asyncio.Event()
        self.over = asyncio.Event()
        """Every Pod has ended for good."""

    async def run(self) -> None:
        client, clock, entropy = self._cluster.client, self._clock, Entropy()
        pods = Informer(client, core_v1.Pod, clock=clock, entropy=entropy)
        events = Informer(client, core_v1.Event, clock=clock, entropy=entropy)
        try:
            await asyncio.gather(pods.run(self._pod), events.run(self._event), self._refresh())
        finally:
            for task in self._following.values():
                task.cancel()

    def well(self) -> bool:
        """Each Pod has succeeded, or runs and is ready."""
        return bool(self._pods) and all(_well(pod) for pod in self._pods.values())

    async def finish_logs(self) -> None:
        """What ended containers still have to say; those that run are left alone."""
        if self.over.is_set() and self._following:
            await asyncio.wait(self._following.values(), timeout=_LAST_WORDS_SECONDS)

    async def delete_all(self) -> None:
        for pod in list(self._pods.values()):
            meta = pod.metadata
            assert meta is not None
            with suppress(ApiStatusError):  # gone already
                await self._cluster.client.delete(
                    core_v1.Pod, meta.name or "", meta.namespace or ""
                )
        while self._pods:
            self._gone.clear()
            await self._gone.wait()

    def _pod(self, change: str, pod: core_v1.Pod) -> None:
        uid = (pod.metadata and pod.metadata.uid) or ""
        if change == "DELETED":
            self._pods.pop(uid, None)
            self._gone.set()
            return
        self._pods[uid] = pod
        self._show(uid, pod)
        for status in (pod.status and pod.status.containerStatuses) or ():
            if status.state and not status.state.waiting and status.containerID:
                self._follow(pod, status.name, status.containerID)
        phases = [(p.status and p.status.phase) or "" for p in self._pods.values()]
        if phases and all(phase in ("Succeeded", "Failed") for phase in phases):
            self.over.set()

    def _show(self, uid: str, pod: core_v1.Pod) -> None:
        row = self._row(pod)
        facts = [*row[:3], row[3].split(" ")[0]]
        # The age of a restart moves by itself; only what happened is worth a line.
        if self._shown.get(uid) != facts:
            self._shown[uid] = facts
            name, ready, status, restarts = row[:4]
            self._say(f"{name:<24} {ready:<5} {status:<18} restarts {restarts}", "bold")

    def _row(self, pod: core_v1.Pod) -> list[str]:
        meta, now = pod.metadata, self._clock.now()
        assert meta is not None
        summary = summarize(pod, now)
        created = meta.creationTimestamp
        age = human_duration((now - created).total_seconds()) if created else ""
        streaks = self._cluster.kubelet.prober.streaks(meta.uid or "")
        return [
            meta.name or "",
            f"{summary.ready}/{summary.total}",
            summary.reason,
            summary.restarts,
            age,
            ", ".join(map(_streak_text, streaks)),
        ]

    async def _refresh(self) -> None:
        while True:
            self._output.table([self._row(pod) for pod in self._pods.values()])
            await asyncio.sleep(_REFRESH_SECONDS)

    def _event(self, change: str, event: core_v1.Event) -> None:
        involved = event.involvedObject
        if change == "DELETED" or involved.kind != "Pod":
            return
        count = f" (x{event.count})" if (event.count or 1) > 1 else ""
        message = (event.message or "").strip()
        text = f"  {event.type:<8} {event.reason:<12} pod/{involved.name}: {message}{count}"
        self._say(text, _EVENT_STYLES.get(event.type or "", ""))

    def _follow(self, pod: core_v1.Pod, container: str, container_id: str) -> None:
        if container_id not in self._following:
            following = asyncio.create_task(self._copy_log(pod, container))
            self._following[container_id] = following

    async def _copy_log(self, pod: core_v1.Pod, container: str) -> None:
        name = (pod.metadata and pod.metadata.name) or ""
        try:
            chunks = await self._cluster.node_server.logs(pod, LogQuery(container, follow=True))
        except NodeAccessError:
            return  # it has ended already
        async for chunk in chunks:
            for line in chunk.decode(errors="replace").splitlines():
                self._say(f"  [{name}/{container}] {line}", "cyan")

    def _say(self, text: str, style: str = "") -> None:
        self._output.line(f"+{self._clock.monotonic() - self._began:6.1f}s  {text}", style)


def _streak_text(streak: ProbeStreak) -> str:
    """`liveness ok`, `liveness failed 2/3`."""
    kind = str(streak.type).lower()
    if streak.last is None:
        return f"{kind} -"
    word = "ok" if streak.last is Outcome.SUCCESS else "failed"
    run = f" {streak.run}/{streak.threshold}" if streak.run < streak.threshold else ""
    return f"{kind} {word}{run}"


def _well(pod: core_v1.Pod) -> bool:
    status = pod.status
    if status is None:
        return False
    if status.phase == "Succeeded":
        return True
    ready = any(c.type == "Ready" and c.status == "True" for c in status.conditions or ())
    return status.phase == "Running" and ready
