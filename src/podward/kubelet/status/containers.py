"""The status of one container, from its instances, what was said of it before, and its probes' verdicts. Pure.

(spec/health.md 4.5, 4.6, 2.5). Verdicts are keyed by bare container IDs.
"""

from collections.abc import Mapping, Sequence

import msgspec
from lightkube.models import core_v1

from podward.kubelet.restart_policy import (
    as_container,
    init_containers,
    init_failed,
    is_sidecar,
    should_restart,
)
from podward.kubelet.runtime.base import ContainerState, ContainerStatus, PodObservation
from podward.machinery.clock import whole_seconds
from podward.probes.base import Outcome, ProbeType, ProbeVerdicts

WaitingReasons = Mapping[str, tuple[str, str]]
"""Container name -> (reason, message) of its last failed start: the reason cache."""

LOST_CODE = 137
"""The exit code of a container whose end nobody saw."""


def bare_id(container_id: str | None) -> str:
    """`containerd://abc` -> `abc`; empty if there is none."""
    return (container_id or "").partition("://")[2]


def container_status(
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
    """A plain init container that ended well is finished, whatever the Pod's policy says of exits."""
    plain_init = not is_sidecar(container) and any(c is container for c in init_containers(pod))
    exited = newest is not None and newest.state is ContainerState.EXITED
    return plain_init and exited and newest is not None and not init_failed(newest)


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
                exitCode=LOST_CODE,
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
                exitCode=LOST_CODE,
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


def judged(
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


def finished(status: core_v1.ContainerStatus) -> core_v1.ContainerStatus:
    """Of a plain init container: it is ready when it is over."""
    state = status.state or core_v1.ContainerState()
    status.started = state.running is not None
    status.ready = state.terminated is not None and state.terminated.exitCode == 0
    return status


def cut(status: core_v1.ContainerStatus, limit: int) -> core_v1.ContainerStatus:
    for state in (status.state, status.lastState):
        ended = state.terminated if state else None
        if state is not None and ended is not None and ended.message:
            head = ended.message.encode()[:limit].decode(errors="ignore")
            state.terminated = msgspec.structs.replace(ended, message=head)
    return status


def ephemeral(
    pod: core_v1.Pod,
    observed: PodObservation,
    waiting: WaitingReasons,
    old: Mapping[str, core_v1.ContainerStatus],
    runtime_name: str,
) -> list[core_v1.ContainerStatus]:
    statuses = []
    for ephemeral in (pod.spec.ephemeralContainers if pod.spec else None) or ():
        container = as_container(ephemeral)
        known = old.get(container.name)
        statuses.append(container_status(pod, container, observed, waiting, known, runtime_name))
    return statuses


def edit_container(
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
