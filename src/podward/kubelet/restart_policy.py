"""Which container comes back, how it is known again and how long it gets to die (spec/health.md 4.1, 4.7).

Pure. Shared by those who decide (`pod_actions`), who report (`status`) and who probe (`prober`).
"""

import hashlib
from collections.abc import Iterator
from functools import lru_cache
from typing import Literal

from lightkube.models import core_v1

from podward.kubelet.runtime.base import ContainerState, ContainerStatus

HASH_ANNOTATION = "io.kubernetes.container.hash"
TERMINAL_PHASES = ("Succeeded", "Failed")
"""A Pod that has reached one of them never leaves it (spec/health.md 5.1)."""
MINIMUM_GRACE_SECONDS = 2
"""What every container gets between the stop signal and SIGKILL, whatever was asked for."""

KillReason = Literal["liveness", "startup", "definition", "unknown", "stop"]


def is_sidecar(container: core_v1.Container) -> bool:
    """Of an init container: does it keep running beside the regular ones?"""
    return container.restartPolicy == "Always"


def init_containers(pod: core_v1.Pod) -> list[core_v1.Container]:
    return list(_spec(pod).initContainers or ())


def regular_containers(pod: core_v1.Pod) -> list[core_v1.Container]:
    return list(_spec(pod).containers)


def ephemeral_containers(pod: core_v1.Pod) -> list[core_v1.Container]:
    return [as_container(one) for one in _spec(pod).ephemeralContainers or ()]


def as_container(ephemeral: core_v1.EphemeralContainer) -> core_v1.Container:
    fields = core_v1.Container.__struct_fields__
    return core_v1.Container(**{name: getattr(ephemeral, name) for name in fields})


def target_container_name(pod: core_v1.Pod, name: str) -> str:
    """Whose processes the ephemeral container of this name shall see; empty for its own."""
    found = (one for one in _spec(pod).ephemeralContainers or () if one.name == name)
    return next((one.targetContainerName or "" for one in found), "")


def container_named(pod: core_v1.Pod, name: str) -> core_v1.Container | None:
    everywhere = (*init_containers(pod), *regular_containers(pod), *ephemeral_containers(pod))
    return next((container for container in everywhere if container.name == name), None)


def probed_containers(pod: core_v1.Pod) -> Iterator[core_v1.Container]:
    """Those that may have probes: the regular ones, then the sidecars."""
    yield from regular_containers(pod)
    yield from (container for container in init_containers(pod) if is_sidecar(container))


def field_path(pod: core_v1.Pod, name: str) -> str:
    """Where a container stands in its Pod, as events say it: `spec.initContainers{name}`."""
    spec = _spec(pod)
    if spec.initContainers and any(one.name == name for one in spec.initContainers):
        return f"spec.initContainers{{{name}}}"
    if spec.ephemeralContainers and any(one.name == name for one in spec.ephemeralContainers):
        return f"spec.ephemeralContainers{{{name}}}"
    return f"spec.containers{{{name}}}"


def pod_policy(pod: core_v1.Pod) -> str:
    return _spec(pod).restartPolicy or "Always"


def comes_back_after_kill(pod: core_v1.Pod, container: core_v1.Container) -> bool:
    """Whether a container killed for a failed probe is started again; exit-code rules have no say."""
    if _deleted(pod):
        return False
    return (container.restartPolicy or pod_policy(pod)) != "Never"


def rule_action(container: core_v1.Container, exit_code: int) -> str | None:
    """What the container's first rule that covers this exit code says; rules need a policy beside them."""
    if not container.restartPolicy:
        return None
    for rule in container.restartPolicyRules or ():
        codes = rule.exitCodes
        if codes is None:
            continue
        listed = exit_code in (codes.values or ())
        if listed == (codes.operator == "In"):
            return rule.action
    return None


def restarts_after_exit(pod: core_v1.Pod, container: core_v1.Container, exit_code: int) -> bool:
    """The policies' answer, nearest first: the container's rules, the container's policy, the Pod's."""
    if _deleted(pod):
        return False
    if rule_action(container, exit_code) is not None:
        return True
    policy = container.restartPolicy or pod_policy(pod)
    return policy == "Always" or (policy == "OnFailure" and exit_code != 0)


def should_restart(
    pod: core_v1.Pod, container: core_v1.Container, newest: ContainerStatus | None
) -> bool:
    """Whether the container must be started, judged by its newest instance (spec/health.md 4.1)."""
    if _deleted(pod):
        return False
    if newest is None:
        return True
    match newest.state:
        case ContainerState.RUNNING:
            return False
        case ContainerState.EXITED:
            return restarts_after_exit(pod, container, newest.exit_code or 0)
        case ContainerState.CREATED | ContainerState.UNKNOWN:
            return True


def init_failed(status: ContainerStatus) -> bool:
    """Of a plain init container that is not running; killed for memory is failed whatever its code."""
    if status.state is ContainerState.EXITED:
        return status.exit_code != 0 or status.reason == "OOMKilled"
    return status.state is ContainerState.UNKNOWN


def init_may_retry(pod: core_v1.Pod, container: core_v1.Container, exit_code: int) -> bool:
    """Of a failed plain init container; `Always` and `OnFailure` are one here, a rule can save `Never`."""
    return comes_back_after_kill(pod, container) or (
        not _deleted(pod) and rule_action(container, exit_code) is not None
    )


def container_hash(container: core_v1.Container) -> str:
    """Changes only with what makes a running container be replaced: its name and its image."""
    return _short_hash(f"{container.name}\0{container.image or ''}")


@lru_cache
def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def restart_backoff_key(pod: core_v1.Pod, container: core_v1.Container) -> str:
    """A new image or new resources begin a new ladder, as does a new Pod of the same name."""
    metadata = pod.metadata
    if metadata is None:
        raise ValueError("cannot name a back-off: the pod has no metadata")
    parts = (metadata.namespace, metadata.name, metadata.uid, container.name, container.image)
    return "/".join(part or "" for part in parts) + f"/{container.resources}"


def requested_grace(
    pod: core_v1.Pod,
    container: core_v1.Container,
    reason: KillReason,
    override: int | None = None,
) -> int:
    """Seconds the container is given before any floor; 0 means that its preStop hook is skipped (4.7)."""
    if override is not None:
        return override
    if pod.metadata is not None and pod.metadata.deletionGracePeriodSeconds is not None:
        return pod.metadata.deletionGracePeriodSeconds
    of_pod = _spec(pod).terminationGracePeriodSeconds
    if of_pod is None:
        return MINIMUM_GRACE_SECONDS
    probe = {"liveness": container.livenessProbe, "startup": container.startupProbe}.get(reason)
    if probe is not None and probe.terminationGracePeriodSeconds is not None:
        return probe.terminationGracePeriodSeconds
    return of_pod


def _deleted(pod: core_v1.Pod) -> bool:
    return pod.metadata is not None and pod.metadata.deletionTimestamp is not None


def _spec(pod: core_v1.Pod) -> core_v1.PodSpec:
    if pod.spec is None:
        raise ValueError("cannot decide about a pod without spec")
    return pod.spec
