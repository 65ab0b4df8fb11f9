"""A Pod's status from what runs and what the probes said (spec/health.md 4.5, 4.6, 5). Pure.

It reports what was *observed*: a turn publishes this before it kills or starts anything. Verdicts are keyed
by bare container IDs.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from ipaddress import ip_address

import msgspec
from lightkube.models import core_v1

from podward.kubelet.restart_policy import (
    init_containers,
    is_sidecar,
    regular_containers,
    should_restart,
)
from podward.kubelet.runtime.base import (
    ContainerState,
    ContainerStatus,
    PodObservation,
    SandboxState,
)
from podward.kubelet.status.conditions import OWNED, conditions, findings, phase_of
from podward.machinery.clock import whole_seconds
from podward.probes.base import Outcome, ProbeType, ProbeVerdicts

WaitingReasons = Mapping[str, tuple[str, str]]
"""Container name -> (reason, message) of its last failed start: the reason cache."""

MAX_MESSAGES_BYTES = 12 * 1024
"""All termination messages of one status together; each container has an equal share."""

DEADLINE_MESSAGE = "Pod was active on the node longer than the specified deadline"
_LOST_CODE = 137
_TERMINAL = ("Succeeded", "Failed")


def generate_status(
    pod: core_v1.Pod,
    observed: PodObservation,
    *,
    verdicts: ProbeVerdicts,
    waiting: WaitingReasons,
    previous: core_v1.PodStatus,
    terminal: bool,
    now: datetime,
    runtime_name: str,
    node_ips: Sequence[str],
    deadline_exceeded: bool = False,
) -> core_v1.PodStatus:
    """The whole status. `terminal`: the worker has stopped everything and will start nothing again."""
    old = _by_name(previous)
    regular = [
        _container_status(pod, container, observed, waiting, old.get(container.name), runtime_name)
        for container in regular_containers(pod)
    ]
    init = [
        _container_status(pod, container, observed, waiting, old.get(container.name), runtime_name)
        for container in init_containers(pod)
    ]
    regular = [
        _judged(container, status, old.get(container.name), verdicts)
        for container, status in zip(regular_containers(pod), regular, strict=True)
    ]
    init = [
        _judged(container, status, old.get(container.name), verdicts)
        if is_sidecar(container)
        else _finished(status)
        for container, status in zip(init_containers(pod), init, strict=True)
    ]
    share = MAX_MESSAGES_BYTES // max(1, len(regular) + len(init))
    regular = sorted((_cut(status, share) for status in regular), key=lambda status: status.name)
    init = [_cut(status, share) for status in init]
    phase = _phase(pod, observed, regular, init, previous, terminal, deadline_exceeded)
    same_phase = phase == previous.phase
    status = msgspec.structs.replace(
        previous,
        phase=phase,
        reason=previous.reason if same_phase else None,
        message=previous.message if same_phase else None,
        containerStatuses=regular,
        initContainerStatuses=init or None,
        ephemeralContainerStatuses=_ephemeral(pod, observed, waiting, old, runtime_name),
        startTime=previous.startTime or whole_seconds(now),
        qosClass=previous.qosClass or qos_class(pod),
        observedGeneration=pod.metadata.generation if pod.metadata else None,
    )
    if deadline_exceeded and previous.phase not in _TERMINAL:
        status.reason, status.message = "DeadlineExceeded", DEADLINE_MESSAGE
    _set_addresses(status, pod, observed, node_ips)
    return _with_conditions(pod, status, now, sandbox_ready=_sandbox_ready(pod, observed, node_ips))


def set_container_readiness(
    pod: core_v1.Pod, status: core_v1.PodStatus, container_id: str, ready: bool, now: datetime
) -> core_v1.PodStatus:
    """A readiness verdict acts on the published status at once, without waiting for the worker's turn.

    `container_id` is bare. An ID that the status does not show changes nothing.
    """
    changed = _edit_container(status, container_id, ready=ready)
    return status if changed is status else _with_conditions(pod, changed, now)


def set_container_started(
    pod: core_v1.Pod, status: core_v1.PodStatus, container_id: str, started: bool, now: datetime
) -> core_v1.PodStatus:
    """Likewise for a startup verdict; an init container's `started` completes Initialized."""
    changed = _edit_container(status, container_id, started=started)
    return status if changed is status else _with_conditions(pod, changed, now)


def mark_lost(pod: core_v1.Pod, status: core_v1.PodStatus, now: datetime) -> core_v1.PodStatus:
    """Of a Pod that is over: whatever is not shown as terminated ended out of our sight.

    Its last status is sent with a terminal phase, so that whoever waits for the end of the Pod sees it.
    """
    lost = core_v1.ContainerState(
        terminated=core_v1.ContainerStateTerminated(
            exitCode=_LOST_CODE,
            reason="ContainerStatusUnknown",
            message="The container could not be located when the pod was terminated",
        )
    )

    def ended(one: core_v1.ContainerStatus) -> core_v1.ContainerStatus:
        if one.state is not None and one.state.terminated is not None:
            return one
        return msgspec.structs.replace(one, state=lost, ready=False, started=False)

    marked = msgspec.structs.replace(
        status,
        phase=status.phase if status.phase in _TERMINAL else "Failed",
        containerStatuses=[ended(one) for one in status.containerStatuses or ()] or None,
    )
    return _with_conditions(pod, marked, now)


def normalise(status: core_v1.PodStatus) -> object:
    """What two statuses must agree in to be the same: whole seconds, and absent equals empty."""
    return _plain(msgspec.to_builtins(status, builtin_types=(datetime,)))


def statuses_equal(one: core_v1.PodStatus, other: core_v1.PodStatus) -> bool:
    return normalise(one) == normalise(other)


def bare_id(container_id: str | None) -> str:
    """`containerd://abc` -> `abc`; empty if there is none."""
    return (container_id or "").partition("://")[2]


def qos_class(pod: core_v1.Pod) -> str:
    """Guaranteed, Burstable or BestEffort, from the resources of all containers."""
    guaranteed, any_set = True, False
    for container in (*regular_containers(pod), *init_containers(pod)):
        resources = container.resources or core_v1.ResourceRequirements()
        limits, requests = resources.limits or {}, resources.requests or {}
        for name in ("cpu", "memory"):
            limit = limits.get(name)
            request = requests.get(name, limit)
            any_set = any_set or limit is not None or request is not None
            guaranteed = guaranteed and limit is not None and limit == request
    if not any_set:
        return "BestEffort"
    return "Guaranteed" if guaranteed else "Burstable"


# --------------------------------------------------------------------------------------- one container


def _container_status(
    pod: core_v1.Pod,
    container: core_v1.Container,
    observed: PodObservation,
    waiting: WaitingReasons,
    old: core_v1.ContainerStatus | None,
    runtime_name: str,
) -> core_v1.ContainerStatus:
    instances = observed.instances(container.name)
    status = (
        _from_runtime(pod, instances, old, runtime_name)
        if instances
        else _from_nothing(pod, container, observed, old)
    )
    newest = instances[0] if instances else None
    if container.name not in waiting or _is_done(container, pod, newest):
        return status
    if not should_restart(pod, container, newest):
        return status
    reason, message = waiting[container.name]
    if status.state is not None and status.state.terminated is not None:
        status.lastState = status.state
    status.state = core_v1.ContainerState(
        waiting=core_v1.ContainerStateWaiting(reason=reason, message=message or None)
    )
    return status


def _is_done(
    container: core_v1.Container, pod: core_v1.Pod, newest: ContainerStatus | None
) -> bool:
    """A plain init container that exited 0 is finished, whatever the Pod's policy says of exits."""
    plain_init = not is_sidecar(container) and any(c is container for c in init_containers(pod))
    exited = newest is not None and newest.state is ContainerState.EXITED
    return plain_init and exited and newest is not None and newest.exit_code == 0


def _from_runtime(
    pod: core_v1.Pod,
    instances: Sequence[ContainerStatus],
    old: core_v1.ContainerStatus | None,
    runtime_name: str,
) -> core_v1.ContainerStatus:
    newest = instances[0]
    status = core_v1.ContainerStatus(
        name=newest.config.name,
        image=newest.config.image,
        imageID=newest.image_id,
        ready=False,
        restartCount=max(newest.config.attempt, old.restartCount if old else 0),
        containerID=f"{runtime_name}://{newest.id}",
        state=_state(pod, newest, old, runtime_name),
    )
    if len(instances) > 1 and instances[1].state is ContainerState.EXITED:
        status.lastState = _state(pod, instances[1], None, runtime_name)
    elif old is not None:
        # The runtime may have forgotten the instance before; what was once seen of it stays true.
        status.lastState = _last_known(old, status.containerID)
    return status


def _last_known(
    old: core_v1.ContainerStatus, container_id: str | None
) -> core_v1.ContainerState | None:
    ended = old.state.terminated if old.state else None
    if ended is not None and old.containerID != container_id:
        return core_v1.ContainerState(terminated=ended)
    last = old.lastState.terminated if old.lastState else None
    if last is None or last.containerID == container_id:
        # A waiting reason had moved this very instance's end there; now it is the state again.
        return None
    return old.lastState


def _state(
    pod: core_v1.Pod,
    instance: ContainerStatus,
    old: core_v1.ContainerStatus | None,
    runtime_name: str,
) -> core_v1.ContainerState:
    started = whole_seconds(instance.started_at) if instance.started_at else None
    if instance.state is ContainerState.RUNNING:
        return core_v1.ContainerState(running=core_v1.ContainerStateRunning(startedAt=started))
    if instance.state is ContainerState.EXITED:
        finished = instance.finished_at
        return core_v1.ContainerState(
            terminated=core_v1.ContainerStateTerminated(
                exitCode=instance.exit_code or 0,
                reason=instance.reason or ("Error" if instance.exit_code else "Completed"),
                message=instance.message or None,
                startedAt=started,
                finishedAt=whole_seconds(finished) if finished else None,
                containerID=f"{runtime_name}://{instance.id}",
            )
        )
    was_running = old is not None and old.state is not None and old.state.running is not None
    if instance.state is ContainerState.UNKNOWN and was_running:
        return core_v1.ContainerState(
            terminated=core_v1.ContainerStateTerminated(
                exitCode=_LOST_CODE,
                reason="ContainerStatusUnknown",
                message="The container could not be located when the pod was terminated",
                containerID=f"{runtime_name}://{instance.id}",
            )
        )
    return _default_state(pod)


def _default_state(pod: core_v1.Pod) -> core_v1.ContainerState:
    reason = "PodInitializing" if init_containers(pod) else "ContainerCreating"
    return core_v1.ContainerState(waiting=core_v1.ContainerStateWaiting(reason=reason))


def _from_nothing(
    pod: core_v1.Pod,
    container: core_v1.Container,
    observed: PodObservation,
    old: core_v1.ContainerStatus | None,
) -> core_v1.ContainerStatus:
    """No instance: not yet created, or gone from the runtime."""
    status = core_v1.ContainerStatus(
        name=container.name,
        image=container.image or "",
        imageID="",
        ready=False,
        restartCount=old.restartCount if old else 0,
        state=_default_state(pod),
    )
    if old is None or old.state is None:
        return status
    if old.state.terminated is not None:
        # Its end was seen and stays; only the runtime's memory of it is gone.
        return msgspec.structs.replace(old)
    status.lastState = old.lastState
    if old.state.running is not None:
        status.lastState = core_v1.ContainerState(
            terminated=core_v1.ContainerStateTerminated(
                exitCode=_LOST_CODE,
                reason="ContainerStatusUnknown",
                message=(
                    "The container could not be located when the pod was deleted.  "
                    "The container used to be Running"
                ),
            )
        )
        if pod.metadata is None or pod.metadata.deletionTimestamp is None:
            status.restartCount += 1
    return status


def _judged(
    container: core_v1.Container,
    status: core_v1.ContainerStatus,
    old: core_v1.ContainerStatus | None,
    verdicts: ProbeVerdicts,
) -> core_v1.ContainerStatus:
    """Fill in `started` and `ready`.

    Without a verdict, what was said of this very instance stays: a restarted kubelet must not flip it. What
    was said of another instance never counts.
    """
    state = status.state or core_v1.ContainerState()
    same = old if old is not None and old.containerID == status.containerID else None
    identity = bare_id(status.containerID)
    probes_startup = (container.name, ProbeType.STARTUP) in verdicts.workers
    probes_readiness = (container.name, ProbeType.READINESS) in verdicts.workers
    running = state.running is not None
    status.started = False
    if running:
        startup = verdicts.startup.get(identity)
        if startup is not None:
            status.started = startup is Outcome.SUCCESS
        elif same is not None and same.started:
            status.started = True
        else:
            status.started = not probes_startup and container.startupProbe is None
    status.ready = False
    if running and status.started:
        readiness = verdicts.readiness.get(identity)
        if readiness is not None:
            status.ready = readiness is Outcome.SUCCESS
        elif probes_readiness or container.readinessProbe is not None:
            status.ready = same is not None and same.ready
        else:
            status.ready = True
    return status


def _finished(status: core_v1.ContainerStatus) -> core_v1.ContainerStatus:
    """Of a plain init container: it is ready when it is over."""
    state = status.state or core_v1.ContainerState()
    status.started = state.running is not None
    status.ready = state.terminated is not None and state.terminated.exitCode == 0
    return status


def _cut(status: core_v1.ContainerStatus, limit: int) -> core_v1.ContainerStatus:
    for state in (status.state, status.lastState):
        ended = state.terminated if state else None
        if state is not None and ended is not None and ended.message:
            head = ended.message.encode()[:limit].decode(errors="ignore")
            state.terminated = msgspec.structs.replace(ended, message=head)
    return status


def _ephemeral(
    pod: core_v1.Pod,
    observed: PodObservation,
    waiting: WaitingReasons,
    old: Mapping[str, core_v1.ContainerStatus],
    runtime_name: str,
) -> list[core_v1.ContainerStatus] | None:
    statuses = []
    for ephemeral in (pod.spec.ephemeralContainers if pod.spec else None) or ():
        container = core_v1.Container(name=ephemeral.name, image=ephemeral.image)
        statuses.append(
            _container_status(
                pod, container, observed, waiting, old.get(ephemeral.name), runtime_name
            )
        )
    return statuses or None


# --------------------------------------------------------------------------------------------- the Pod


def _phase(
    pod: core_v1.Pod,
    observed: PodObservation,
    regular: Sequence[core_v1.ContainerStatus],
    init: Sequence[core_v1.ContainerStatus],
    previous: core_v1.PodStatus,
    terminal: bool,
    deadline_exceeded: bool,
) -> str:
    if previous.phase in _TERMINAL:
        return str(previous.phase)
    if deadline_exceeded:
        return "Failed"
    statuses = {status.name: status for status in (*regular, *init)}
    sandbox = observed.sandboxes[0].id if observed.sandboxes else None
    names = {container.name for container in regular_containers(pod)}
    created = any(
        instance.config.name in names and (sandbox is None or instance.sandbox_id == sandbox)
        for instance in observed.containers
    )
    return phase_of(pod, statuses, terminal=terminal, regular_created=created)


def _with_conditions(
    pod: core_v1.Pod,
    status: core_v1.PodStatus,
    now: datetime,
    sandbox_ready: bool | None = None,
) -> core_v1.PodStatus:
    """`status` with its conditions recomputed; None leaves what was said of the sandbox."""
    previous = status.conditions or []
    if sandbox_ready is None:
        sandbox_ready = any(
            c.type == "PodReadyToStartContainers" and c.status == "True" for c in previous
        )
    foreign = [condition for condition in previous if condition.type not in OWNED]
    found = findings(
        pod,
        _by_name(status),
        status.phase or "Pending",
        sandbox_ready=sandbox_ready,
        foreign=foreign,
    )
    return msgspec.structs.replace(status, conditions=conditions(pod, found, previous, now))


def _sandbox_ready(pod: core_v1.Pod, observed: PodObservation, node_ips: Sequence[str]) -> bool:
    if not observed.sandboxes or observed.sandboxes[0].state is not SandboxState.READY:
        return False
    host_network = pod.spec is not None and bool(pod.spec.hostNetwork)
    return bool(node_ips if host_network else observed.sandboxes[0].ips)


def _set_addresses(
    status: core_v1.PodStatus,
    pod: core_v1.Pod,
    observed: PodObservation,
    node_ips: Sequence[str],
) -> None:
    """On a status of our own. A Pod that is over keeps the addresses it had."""
    if node_ips:
        status.hostIP = node_ips[0]
        status.hostIPs = [core_v1.HostIP(ip=address) for address in node_ips]
    addresses: Sequence[str] = ()
    if pod.spec is not None and pod.spec.hostNetwork:
        addresses = node_ips
    else:
        ready = (s for s in observed.sandboxes if s.state is SandboxState.READY)
        addresses = next((sandbox.ips for sandbox in ready), ())
    if not addresses:
        return
    first_family = ip_address(node_ips[0]).version if node_ips else 4
    one_each: dict[int, str] = {}
    for address in addresses:
        one_each.setdefault(ip_address(address).version, address)
    ordered = sorted(one_each, key=lambda family: family != first_family)
    status.podIPs = [core_v1.PodIP(ip=one_each[family]) for family in ordered]
    status.podIP = one_each[ordered[0]]


def _by_name(status: core_v1.PodStatus) -> dict[str, core_v1.ContainerStatus]:
    statuses = (
        *(status.containerStatuses or ()),
        *(status.initContainerStatuses or ()),
        *(status.ephemeralContainerStatuses or ()),
    )
    return {one.name: one for one in statuses}


def _edit_container(
    status: core_v1.PodStatus,
    container_id: str,
    *,
    ready: bool | None = None,
    started: bool | None = None,
) -> core_v1.PodStatus:
    """`status` itself if nothing changes. A container that does not run is never made ready."""

    def edited(one: core_v1.ContainerStatus) -> core_v1.ContainerStatus:
        running = one.state is not None and one.state.running is not None
        if bare_id(one.containerID) != container_id or not running:
            return one
        new_ready = one.ready if ready is None else ready
        new_started = one.started if started is None else started
        if (new_ready, new_started) == (one.ready, one.started):
            return one
        return msgspec.structs.replace(one, ready=new_ready, started=new_started)

    regular = [edited(one) for one in status.containerStatuses or ()]
    init = [edited(one) for one in status.initContainerStatuses or ()]
    before = (*(status.containerStatuses or ()), *(status.initContainerStatuses or ()))
    if all(new is old for new, old in zip((*regular, *init), before, strict=True)):
        return status
    return msgspec.structs.replace(
        status, containerStatuses=regular or None, initContainerStatuses=init or None
    )


def _plain(value: object) -> object:
    if isinstance(value, dict):
        plain = {key: _plain(one) for key, one in value.items()}
        return {key: one for key, one in plain.items() if one not in (None, [], {})}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return whole_seconds(value) if isinstance(value, datetime) else value
