"""Rows of `kubectl get pods` (spec/health.md 8.2)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lightkube.models import core_v1

from podward.apiserver.printers.base import (
    AGE,
    NAME,
    Cells,
    Printer,
    TableColumn,
    age,
    name_of,
    since,
)

_TERMINAL = ("Succeeded", "Failed")


@dataclass(slots=True)
class _Restarts:
    """Restarts of the containers counted so far, and when the latest of their predecessors ended."""

    count: int = 0
    latest: datetime | None = None

    def add(self, status: core_v1.ContainerStatus) -> None:
        self.count += status.restartCount or 0
        last = status.lastState.terminated if status.lastState else None
        ended = last.finishedAt if last else None
        if ended is not None and (self.latest is None or ended > self.latest):
            self.latest = ended

    def text(self, now: datetime) -> str:
        if self.count and self.latest is not None:
            return f"{self.count} ({since(self.latest, now)} ago)"
        return str(self.count)


@dataclass(frozen=True, slots=True)
class PodSummary:
    ready: int
    total: int
    reason: str
    restarts: str


def summarize(pod: core_v1.Pod, now: datetime) -> PodSummary:
    """READY, STATUS and RESTARTS of a Pod."""
    spec, status = pod.spec, pod.status or core_v1.PodStatus()
    inits: Sequence[core_v1.Container] = (spec.initContainers if spec else None) or ()
    sidecars = {c.name for c in inits if c.restartPolicy == "Always"}
    total = len((spec.containers if spec else None) or ()) + len(sidecars)
    reason = status.reason or status.phase or ""
    if _condition(status, "PodScheduled", "reason") == "SchedulingGated":
        reason = "SchedulingGated"
    initial, all_of_init, of_sidecars, ready = _initial(status, inits, sidecars)
    restarts = all_of_init
    if initial is not None:
        reason = initial
    if initial is None or _condition(status, "Initialized", "status") == "True":
        restarts = of_sidecars
        reason, running = _regular(status, reason, restarts)
        ready += running
    if pod.metadata and pod.metadata.deletionTimestamp is not None:
        if status.reason == "NodeLost":
            reason = "Unknown"
        elif status.phase not in _TERMINAL:
            reason = "Terminating"
    return PodSummary(ready, total, reason, restarts.text(now))


def _initial(
    status: core_v1.PodStatus, inits: Sequence[core_v1.Container], sidecars: set[str]
) -> tuple[str | None, _Restarts, _Restarts, int]:
    """Of the init containers: the reason that blocks, restarts of all and of sidecars, ready sidecars."""
    counted, of_sidecars, ready = _Restarts(), _Restarts(), 0
    for index, container in enumerate(status.initContainerStatuses or ()):
        sidecar = container.name in sidecars
        counted.add(container)
        if sidecar:
            of_sidecars.add(container)
        terminated = container.state.terminated if container.state else None
        if terminated is not None and terminated.exitCode == 0:
            continue
        if sidecar and container.started:
            ready += bool(container.ready)
            continue
        return _blocking(container, index, len(inits)), counted, of_sidecars, ready
    return None, counted, of_sidecars, ready


def _blocking(container: core_v1.ContainerStatus, index: int, total: int) -> str:
    state = container.state or core_v1.ContainerState()
    if state.terminated is not None:
        return f"Init:{_ended(state.terminated)}"
    waiting = state.waiting.reason if state.waiting else None
    if waiting and waiting != "PodInitializing":
        return f"Init:{waiting}"
    return f"Init:{index}/{total}"


def _regular(status: core_v1.PodStatus, reason: str, restarts: _Restarts) -> tuple[str, int]:
    """The reason that the regular containers give, and how many of them are ready."""
    ready, running, error = 0, False, ""
    for container in reversed(status.containerStatuses or ()):
        restarts.add(container)
        state = container.state or core_v1.ContainerState()
        if state.waiting is not None and state.waiting.reason:
            reason = state.waiting.reason
        elif state.terminated is not None:
            reason = _ended(state.terminated)
            if state.terminated.exitCode != 0:
                error = reason
        elif container.ready and state.running is not None:
            running = True
            ready += 1
    if reason == "Completed":
        if running and _condition(status, "Ready", "status") == "True":
            reason = "Running"
        elif error:
            reason = error
        elif running:
            reason = "NotReady"
    return reason, ready


def _ended(state: core_v1.ContainerStateTerminated) -> str:
    if state.reason:
        return state.reason
    return f"Signal:{state.signal}" if state.signal else f"ExitCode:{state.exitCode}"


def _condition(status: core_v1.PodStatus, kind: str, field: str) -> str | None:
    for condition in status.conditions or ():
        if condition.type == kind:
            value: str | None = getattr(condition, field)
            return value
    return None


def _cells(pod: Any, now: datetime) -> Cells:
    summary = summarize(pod, now)
    status, spec = pod.status or core_v1.PodStatus(), pod.spec
    ips = [ip.ip for ip in status.podIPs or () if ip.ip] or [status.podIP or "<none>"]
    gates = [gate.conditionType for gate in spec.readinessGates or ()]
    passed = sum(_condition(status, gate, "status") == "True" for gate in gates)
    return [
        name_of(pod),
        f"{summary.ready}/{summary.total}",
        summary.reason,
        summary.restarts,
        age(pod, now),
        ips[0],
        spec.nodeName or "<none>",
        status.nominatedNodeName or "<none>",
        f"{passed}/{len(gates)}" if gates else "<none>",
    ]


def _row_conditions(pod: Any) -> list[dict[str, str]]:
    phase = pod.status.phase if pod.status else None
    if phase not in _TERMINAL:
        return []
    return [{"type": "Completed", "status": "True", "reason": phase}]


POD_PRINTER = Printer(
    (
        NAME,
        TableColumn("Ready", description="Containers that are ready, of all that should be."),
        TableColumn("Status", description="What the containers as a whole are doing."),
        TableColumn("Restarts", description="How often containers restarted, and when last."),
        AGE,
        TableColumn("IP", priority=1, description="The address of the Pod."),
        TableColumn("Node", priority=1, description="The node that the Pod is bound to."),
        TableColumn("Nominated Node", priority=1, description="Where preemption makes room."),
        TableColumn("Readiness Gates", priority=1, description="Gates passed, of all."),
    ),
    _cells,
    _row_conditions,
)
