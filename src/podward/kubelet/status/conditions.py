"""Phase and conditions of a Pod, from its containers' statuses (spec/health.md 5.1, 5.2). Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec
from lightkube.models import core_v1

from podward.kubelet.restart_policy import (
    init_containers,
    init_may_retry,
    is_sidecar,
    regular_containers,
)
from podward.machinery.clock import whole_seconds

OWNED = (
    "AllContainersRestarting",
    "PodReadyToStartContainers",
    "Initialized",
    "Ready",
    "ContainersReady",
    "PodScheduled",
)
"""The conditions that the kubelet writes, in this order, after all that others wrote."""

RESTARTING_ALL = "RestartingAllContainers"
"""The waiting reason of containers that were removed so that the whole Pod begins anew."""

Statuses = Mapping[str, core_v1.ContainerStatus]


def phase_of(
    pod: core_v1.Pod,
    statuses: Statuses,
    *,
    terminal: bool,
    regular_created: bool,
    restartable: Collection[str],
) -> str:
    """The phase, first match wins.

    `regular_created`: one exists or existed in the current sandbox. `restartable`: the names of containers
    that the runtime's truth allows to start again, which a status alone cannot tell.
    """
    init = _InitCount.of(pod, statuses)
    if init.failed_for_good:
        return "Failed"
    if init.pending or (init.pending_sidecars and not regular_created):
        return "Pending"
    waiting, running, unknown = init.waiting, init.running, init.unknown
    stopped: list[core_v1.ContainerStatus] = []
    for container in regular_containers(pod):
        status = statuses.get(container.name)
        state = status.state if status else None
        if status is None or state is None:
            unknown += 1
        elif state.running is not None:
            running += 1
        elif state.terminated is not None or _last_terminated(status) is not None:
            stopped.append(status)
        elif state.waiting is not None:
            waiting += 1
        else:
            unknown += 1
    if waiting:
        return "Pending"
    if running and not unknown:
        return "Running"
    if stopped and not running and not unknown:
        if not terminal and any(status.name in restartable for status in stopped):
            return "Running"
        return "Succeeded" if all(map(_exited_zero, stopped)) else "Failed"
    return "Pending"


def _exited_zero(status: core_v1.ContainerStatus) -> bool:
    ended = status.state.terminated if status.state else None
    return ended is not None and ended.exitCode == 0


def _last_terminated(
    status: core_v1.ContainerStatus,
) -> core_v1.ContainerStateTerminated | None:
    return status.lastState.terminated if status.lastState else None


@dataclass(slots=True)
class _InitCount:
    failed_for_good: bool = False
    pending: int = 0
    pending_sidecars: int = 0
    running: int = 0
    waiting: int = 0
    unknown: int = 0

    @classmethod
    def of(cls, pod: core_v1.Pod, statuses: Statuses) -> "_InitCount":
        count = cls()
        for container in init_containers(pod):
            status = statuses.get(container.name)
            if is_sidecar(container):
                count._add_sidecar(status)
            else:
                count._add_plain(pod, container, status)
        return count

    def _add_plain(
        self,
        pod: core_v1.Pod,
        container: core_v1.Container,
        status: core_v1.ContainerStatus | None,
    ) -> None:
        state = status.state if status else None
        ended = None
        if status is not None and state is not None and state.running is None:
            ended = state.terminated or _last_terminated(status)
        if ended is None:
            self.pending += 1
        elif ended.exitCode != 0 and not init_may_retry(pod, container, ended.exitCode):
            self.failed_for_good = True

    def _add_sidecar(self, status: core_v1.ContainerStatus | None) -> None:
        state = status.state if status else None
        if status is None or state is None:
            self.unknown += 1
        elif state.running is not None:
            self.running += 1
            self.pending_sidecars += not status.started
        elif state.waiting is not None and _last_terminated(status) is None:
            self.waiting += 1
            self.pending_sidecars += 1


# ----------------------------------------------------------------------------------------- conditions


class Finding(msgspec.Struct, frozen=True):
    """What a condition says, before it is compared with what it said last."""

    true: bool
    reason: str | None = None
    message: str | None = None


def findings(
    pod: core_v1.Pod,
    statuses: Statuses,
    phase: str,
    *,
    sandbox_ready: bool,
    foreign: Sequence[core_v1.PodCondition],
) -> dict[str, Finding]:
    """Condition type -> finding, for all that the kubelet owns."""
    containers = _containers_ready(pod, statuses, phase)
    return _restarting_all(statuses) | {
        "PodReadyToStartContainers": Finding(sandbox_ready),
        "Initialized": _initialized(pod, statuses, phase),
        "Ready": _ready(pod, containers, foreign),
        "ContainersReady": containers,
        "PodScheduled": Finding(True),
    }


def foreign_conditions(pod: core_v1.Pod) -> list[core_v1.PodCondition]:
    """What others say of the Pod, readiness gates among them: as the API server has it, for it is theirs."""
    held = pod.status.conditions if pod.status is not None else None
    return [condition for condition in held or () if condition.type not in OWNED]


def _restarting_all(statuses: Statuses) -> dict[str, Finding]:
    """A condition that is there only for as long as the whole Pod is being restarted in place."""
    reasons = {s.state.waiting.reason for s in statuses.values() if s.state and s.state.waiting}
    if RESTARTING_ALL not in reasons:
        return {}
    return {"AllContainersRestarting": Finding(True, "RestartAllContainersStarted")}


def _initialized(pod: core_v1.Pod, statuses: Statuses, phase: str) -> Finding:
    if phase == "Succeeded":
        return Finding(True, "PodCompleted")
    containers = init_containers(pod)
    for container in regular_containers(pod):
        status = statuses.get(container.name)
        if status is None or status.state is None:
            continue
        if status.state.running is not None or status.state.terminated is not None:
            return Finding(True)
    if not containers:
        return Finding(True)
    unknown = [c.name for c in containers if c.name not in statuses]
    incomplete = []
    for container in containers:
        status = statuses.get(container.name)
        if status is None:
            continue
        if not (status.started if is_sidecar(container) else status.ready):
            incomplete.append(container.name)
    return _naming(unknown, incomplete, "ContainersNotInitialized", "incomplete")


def _containers_ready(pod: core_v1.Pod, statuses: Statuses, phase: str) -> Finding:
    if not statuses:
        return Finding(False, "UnknownContainerStatuses")
    if phase == "Succeeded":
        return Finding(False, "PodCompleted")
    if phase == "Failed":
        return Finding(False, "PodFailed")
    sidecars = [c for c in init_containers(pod) if is_sidecar(c)]
    names = [container.name for container in (*sidecars, *regular_containers(pod))]
    unknown = [name for name in names if name not in statuses]
    unready = [name for name in names if name in statuses and not statuses[name].ready]
    return _naming(unknown, unready, "ContainersNotReady", "unready")


def _naming(unknown: list[str], lacking: list[str], reason: str, word: str) -> Finding:
    messages = []
    if unknown:
        messages.append(f"containers with unknown status: [{' '.join(unknown)}]")
    if lacking:
        messages.append(f"containers with {word} status: [{' '.join(lacking)}]")
    return Finding(False, reason, ", ".join(messages)) if messages else Finding(True)


def _ready(
    pod: core_v1.Pod, containers: Finding, foreign: Sequence[core_v1.PodCondition]
) -> Finding:
    if not containers.true:
        return containers
    given = {condition.type: condition.status for condition in foreign}
    messages = []
    for gate in (pod.spec.readinessGates if pod.spec else None) or ():
        name = gate.conditionType
        if name not in given:
            messages.append(
                f'corresponding condition of pod readiness gate "{name}" does not exist.'
            )
        elif given[name] != "True":
            messages.append(
                f'the status of pod readiness gate "{name}" is not "True", but {given[name]}'
            )
    if messages:
        return Finding(False, "ReadinessGatesNotReady", ", ".join(messages))
    return Finding(True)


def conditions(
    pod: core_v1.Pod,
    found: Mapping[str, Finding],
    previous: Sequence[core_v1.PodCondition],
    foreign: Sequence[core_v1.PodCondition],
    now: datetime,
) -> list[core_v1.PodCondition]:
    """Foreign ones untouched, then ours; a transition time moves only when the status does."""
    generation = pod.metadata.generation if pod.metadata else None
    before = {condition.type: condition for condition in previous}
    moment = whole_seconds(now)
    written = list(foreign)
    for name in OWNED:
        if name not in found:
            continue
        finding, old = found[name], before.get(name)
        status = "True" if finding.true else "False"
        kept = old.lastTransitionTime if old is not None and old.status == status else None
        written.append(
            core_v1.PodCondition(
                type=name,
                status=status,
                reason=finding.reason,
                message=finding.message,
                lastTransitionTime=kept or moment,
                observedGeneration=generation,
            )
        )
    return written
