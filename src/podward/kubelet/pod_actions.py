"""What one turn of a pod worker shall do: (Pod, what runs, what the probes said) in, a plain record out.

Pure (spec/health.md 4.1, 4.2, 4.8, 4.9). The snapshot is taken before the turn, so a container that this turn
kills is started again in the same turn, and back-off, which the shell asks at each start, sees only
instances that had already exited: that is why the first liveness restart never waits.

Container IDs are bare here, without the runtime's scheme; so are the keys of `ProbeVerdicts`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import msgspec
from lightkube.models import core_v1

from podward.kubelet.restart_policy import (
    HASH_ANNOTATION,
    KillReason,
    comes_back_after_kill,
    container_hash,
    ephemeral_containers,
    init_containers,
    init_failed,
    init_may_retry,
    is_sidecar,
    pod_policy,
    regular_containers,
    requested_grace,
    restart_backoff_key,
    rule_action,
    should_restart,
)
from podward.kubelet.runtime.base import (
    ContainerState,
    ContainerStatus,
    PodObservation,
    SandboxState,
    SandboxStatus,
)
from podward.probes.base import Outcome, ProbeVerdicts

__all__ = [
    "HASH_ANNOTATION",
    "KillContainer",
    "PodActions",
    "StartContainer",
    "container_hash",
    "pod_actions",
    "requested_grace",
    "restart_backoff_key",
    "should_restart",
]

ContainerKind = Literal["init", "regular", "ephemeral"]


class KillContainer(msgspec.Struct, frozen=True):
    """Kill one instance and nothing else; the grace is `restart_policy.requested_grace`."""

    container_id: str
    name: str
    message: str
    """The text of the `Killing` event."""
    reason: KillReason


class StartContainer(msgspec.Struct, frozen=True):
    """Start a new instance, unless back-off forbids it."""

    name: str
    kind: ContainerKind
    """`init` covers sidecars: their events and statuses are an init container's."""
    container: core_v1.Container
    attempt: int | None
    """The new instance's restart count; None if no instance is known, then the log directory tells."""


class PodActions(msgspec.Struct, frozen=True):
    """In the order to do it: kill the Pod or the listed containers, make the sandbox, start in order."""

    kill_pod: bool = False
    """Kill all containers in parallel and stop the sandboxes; then `kill` is empty."""
    create_sandbox: bool = False
    sandbox_attempt: int = 0
    sandbox_id: str | None = None
    """The sandbox to start in; with `create_sandbox`, the one it replaces."""
    kill: tuple[KillContainer, ...] = ()
    start: tuple[StartContainer, ...] = ()
    """All that shall start, one after another: ephemeral, init and sidecars, regular. A plain init
    container that cannot be started ends the turn; any other does not."""
    restart_all: ContainerStatus | None = None
    """The instance whose exit code says that the whole Pod begins anew in its sandbox; nothing else is done."""
    terminal: bool = False
    """Nothing will ever be started again: once all is dead, the Pod is done."""

    @property
    def idle(self) -> bool:
        anything = self.kill_pod or self.create_sandbox or self.kill or self.start
        return not anything and self.restart_all is None


@dataclass(slots=True)
class _Plan:
    """What the steps below fill in."""

    pod: core_v1.Pod
    observed: PodObservation
    verdicts: ProbeVerdicts
    kill: list[KillContainer] = field(default_factory=list)
    start: list[StartContainer] = field(default_factory=list)
    kept: int = 0
    hopeless: bool = False
    """A plain init container failed and may not be tried again."""

    def add_start(self, container: core_v1.Container, kind: ContainerKind) -> None:
        newest = self.observed.newest(container.name)
        attempt = None if newest is None else newest.config.attempt
        if newest is not None and newest.state is not ContainerState.CREATED:
            attempt = newest.config.attempt + 1  # what never ran is no restart
        self.start.append(StartContainer(container.name, kind, container, attempt))

    def add_kill(self, status: ContainerStatus, message: str, reason: KillReason) -> None:
        self.kill.append(KillContainer(status.id, status.config.name, message, reason))


def pod_actions(pod: core_v1.Pod, observed: PodObservation, verdicts: ProbeVerdicts) -> PodActions:
    """Decide one turn. Needs no time: back-off is asked at each start, by whoever starts."""
    replace, sandbox = _sandbox_must_change(pod, observed)
    if replace:
        return _with_new_sandbox(pod, observed, sandbox)
    trigger = _restarts_all(pod, observed, sandbox)
    if trigger is not None:
        return PodActions(restart_all=trigger)
    plan = _Plan(pod, observed, verdicts)
    _plan_ephemeral(plan)
    initialized = _plan_init(plan, sandbox)
    if plan.hopeless:
        return _kill_pod(sandbox)
    if initialized:
        _plan_regular(plan)
        if plan.kept == 0 and not any(start.kind == "regular" for start in plan.start):
            return _kill_pod(sandbox)
    return PodActions(
        sandbox_attempt=sandbox.config.attempt if sandbox else 0,
        sandbox_id=sandbox.id if sandbox else None,
        kill=tuple(plan.kill),
        start=tuple(plan.start),
    )


# ----------------------------------------------------------------------------------------- the sandbox


def _sandbox_must_change(
    pod: core_v1.Pod, observed: PodObservation
) -> tuple[bool, SandboxStatus | None]:
    if not observed.sandboxes:
        return True, None
    newest = observed.sandboxes[0]
    ready = sum(sandbox.state is SandboxState.READY for sandbox in observed.sandboxes)
    host_network = pod.spec is not None and bool(pod.spec.hostNetwork)
    addressless = not host_network and not newest.ips
    return ready > 1 or newest.state is not SandboxState.READY or addressless, newest


def _with_new_sandbox(
    pod: core_v1.Pod, observed: PodObservation, old: SandboxStatus | None
) -> PodActions:
    """The Pod begins again with its first init container, unless it has nothing left to do."""
    if pod.metadata is not None and pod.metadata.deletionTimestamp is not None:
        return _kill_pod(old)
    if pod_policy(pod) == "Never" and old is not None and observed.containers:
        return _kill_pod(old)
    plan = _Plan(pod, observed, ProbeVerdicts())
    for container in regular_containers(pod):
        newest = observed.newest(container.name)
        policy = container.restartPolicy or pod_policy(pod)
        done = newest is not None and _succeeded(newest)
        if not (policy == "OnFailure" and done):
            plan.add_start(container, "regular")
    if not plan.start and _any_regular_created(pod, observed.containers):
        return _kill_pod(old)
    first_init = next(iter(init_containers(pod)), None)
    if first_init is not None:
        plan.start.clear()
        plan.add_start(first_init, "init")
    return PodActions(
        kill_pod=old is not None or bool(observed.containers),
        create_sandbox=True,
        sandbox_attempt=old.config.attempt + 1 if old else 0,
        sandbox_id=old.id if old else None,
        start=tuple(plan.start),
    )


def _kill_pod(sandbox: SandboxStatus | None) -> PodActions:
    return PodActions(
        kill_pod=True,
        sandbox_attempt=sandbox.config.attempt if sandbox else 0,
        sandbox_id=sandbox.id if sandbox else None,
        terminal=True,
    )


def _restarts_all(
    pod: core_v1.Pod, observed: PodObservation, sandbox: SandboxStatus | None
) -> ContainerStatus | None:
    """The exited instance for which a rule says `RestartAllContainers` (spec/health.md 4.9, KEP-5532)."""
    if _is_deleted(pod):
        return None
    for container in (*init_containers(pod), *regular_containers(pod)):
        newest = observed.newest(container.name)
        if newest is None or newest.state is not ContainerState.EXITED:
            continue
        here = sandbox is None or newest.sandbox_id == sandbox.id
        if here and rule_action(container, newest.exit_code or 0) == "RestartAllContainers":
            return newest
    return None


# -------------------------------------------------------------------------------------- the containers


def _plan_ephemeral(plan: _Plan) -> None:
    for container in ephemeral_containers(plan.pod):
        if plan.observed.newest(container.name) is None:
            plan.add_start(container, "ephemeral")


def _plan_init(plan: _Plan, sandbox: SandboxStatus | None) -> bool:
    """Find how far initialization got, scanning from the last; True if the regular ones may run.

    Instances of an earlier sandbox do not count: a new sandbox means that everything runs again.
    """
    containers = init_containers(plan.pod)
    if not containers:
        return True
    here = [c for c in plan.observed.containers if sandbox is None or c.sandbox_id == sandbox.id]
    # One that exists, in whatever state, could only have been started after all of these had passed.
    initialized = _any_regular_created(plan.pod, here)
    reached = initialized
    chosen: list[int] = []
    for index in range(len(containers) - 1, -1, -1):
        container = containers[index]
        status = next((c for c in here if c.config.name == container.name), None)
        if status is None:
            if reached and is_sidecar(container):
                chosen.append(index)
            continue
        if reached and not is_sidecar(container):
            continue
        passed = _plan_one_init(plan, container, status, index, chosen)
        if plan.hopeless:
            return False
        if passed and not reached:
            if index == len(containers) - 1:
                initialized = True
            else:
                chosen.append(index + 1)
        reached = True
    if not reached:
        chosen.append(0)
    for index in sorted(chosen):
        plan.add_start(containers[index], "init")
    return initialized


def _plan_one_init(
    plan: _Plan,
    container: core_v1.Container,
    status: ContainerStatus,
    index: int,
    chosen: list[int],
) -> bool:
    """Judge one init container that has an instance; True if the next one need not wait for it."""
    if status.state is ContainerState.RUNNING:
        return is_sidecar(container) and _sidecar_passed(plan, container, status, index, chosen)
    if is_sidecar(container):
        if status.state is ContainerState.UNKNOWN:
            plan.add_kill(status, _unknown_message("Init container"), "unknown")
        if should_restart(plan.pod, container, status):
            chosen.append(index)
        return False
    if status.state is ContainerState.CREATED:
        # It was created and could not be started: leave it and try anew, or it stays like that for ever.
        chosen.append(index)
        return False
    if not init_failed(status):
        return True
    if not init_may_retry(plan.pod, container, status.exit_code or 0):
        plan.hopeless = True
        return False
    if status.state is ContainerState.UNKNOWN:
        plan.add_kill(status, _unknown_message("Init container"), "unknown")
    chosen.append(index)
    return False


def _sidecar_passed(
    plan: _Plan,
    container: core_v1.Container,
    status: ContainerStatus,
    index: int,
    chosen: list[int],
) -> bool:
    """A running sidecar lets the next one go once started; readiness is not waited for."""
    started = True
    if container.startupProbe is not None:
        startup = plan.verdicts.startup.get(status.id)
        started = startup is Outcome.SUCCESS
    cause = _kill_cause(plan, container, status)
    if cause is not None and not _is_deleted(plan.pod):
        text, reason = cause
        plan.add_kill(status, f"Init container {container.name} {text}", reason)
        chosen.append(index)
    return started


def _plan_regular(plan: _Plan) -> None:
    for container in regular_containers(plan.pod):
        status = plan.observed.newest(container.name)
        if status is None or status.state is not ContainerState.RUNNING:
            if should_restart(plan.pod, container, status):
                if status is not None and status.state is ContainerState.UNKNOWN:
                    plan.add_kill(status, _unknown_message("Container"), "unknown")
                plan.add_start(container, "regular")
            continue
        cause = _kill_cause(plan, container, status)
        if cause is None:
            plan.kept += 1
            continue
        text, reason = cause
        message = f"Container {container.name} {text}"
        always = reason == "definition" and not _is_deleted(plan.pod)
        if always or comes_back_after_kill(plan.pod, container):
            message += ", will be restarted"
            plan.add_start(container, "regular")
        plan.add_kill(status, message, reason)


def _kill_cause(
    plan: _Plan, container: core_v1.Container, status: ContainerStatus
) -> tuple[str, KillReason] | None:
    """Why a running instance must go, if it must; verdicts of other instances do not count."""
    known = status.config.annotations.get(HASH_ANNOTATION)
    if known is not None and known != container_hash(container):
        return "definition changed", "definition"
    if plan.verdicts.liveness.get(status.id) is Outcome.FAILURE:
        return "failed liveness probe", "liveness"
    if plan.verdicts.startup.get(status.id) is Outcome.FAILURE:
        return "failed startup probe", "startup"
    return None


def _unknown_message(subject: str) -> str:
    return f'{subject} is in "unknown" state, try killing it before restart'


def _succeeded(status: ContainerStatus) -> bool:
    return status.state is ContainerState.EXITED and status.exit_code == 0


def _any_regular_created(pod: core_v1.Pod, statuses: Sequence[ContainerStatus]) -> bool:
    names = {container.name for container in regular_containers(pod)}
    return any(status.config.name in names for status in statuses)


def _is_deleted(pod: core_v1.Pod) -> bool:
    return pod.metadata is not None and pod.metadata.deletionTimestamp is not None
