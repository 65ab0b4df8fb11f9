"""What a container runs as, from its spec, its Pod's and its image: everything resolved. Pure."""

from collections.abc import Mapping, Sequence

import msgspec
from lightkube.models import core_v1, meta_v1

from podward.kubelet.environment import expand_all
from podward.kubelet.resources import container_resources
from podward.kubelet.restart_policy import HASH_ANNOTATION, container_hash
from podward.kubelet.runtime.base import ContainerConfig, ImageStatus, Mount
from podward.kubelet.sandbox_config import pod_labels
from podward.kubelet.security_context import container_security, verify_non_root

RESTART_COUNT = "io.kubernetes.container.restartCount"
MESSAGE_PATH = "io.kubernetes.container.terminationMessagePath"
MESSAGE_POLICY = "io.kubernetes.container.terminationMessagePolicy"
MESSAGE_FILE = "podward.dev/termination-message-file"
"""Where on this machine what is left at that path lies."""
PRE_STOP_HANDLER = "io.kubernetes.container.preStopHandler"
PORTS = "io.kubernetes.container.ports"
POD_GRACE = "io.kubernetes.pod.terminationGracePeriod"
POD_DELETION_GRACE = "io.kubernetes.pod.deletionGracePeriod"


def container_config(
    pod: core_v1.Pod,
    container: core_v1.Container,
    image: ImageStatus,
    *,
    attempt: int,
    env: Mapping[str, str],
    mounts: Sequence[Mount],
    message_file: str,
    logs: str,
    memory_capacity: int,
    seccomp_root: str,
    users: bool,
    process_namespace_of: str = "",
) -> ContainerConfig:
    """`logs`: the folder of its log files. `users`: whether the runtime cares who a container runs as.

    Raises `NonRootError`.
    """
    if users:
        verify_non_root(pod, container, image)
    lifecycle = container.lifecycle
    return ContainerConfig(
        name=container.name,
        attempt=attempt,
        image=container.image or "",
        image_ref=image.ref,
        command=expand_all(container.command, env),
        args=expand_all(container.args, env),
        working_dir=container.workingDir or "",
        env=env,
        mounts=[*mounts, Mount(message_file, _message_path(container))],
        log_path=f"{logs}/{attempt}.log",
        resources=container_resources(pod, container, memory_capacity),
        security=container_security(pod, container, image, seccomp_root),
        stop_signal=(lifecycle and lifecycle.stopSignal) or "",
        stdin=bool(container.stdin),
        stdin_once=bool(container.stdinOnce),
        tty=bool(container.tty),
        labels={
            **pod_labels(pod.metadata or meta_v1.ObjectMeta()),
            "io.kubernetes.container.name": container.name,
        },
        annotations={**_annotations(pod, container, attempt), MESSAGE_FILE: message_file},
        process_namespace_of=process_namespace_of,
    )


def _message_path(container: core_v1.Container) -> str:
    return container.terminationMessagePath or "/dev/termination-log"


def _annotations(pod: core_v1.Pod, container: core_v1.Container, attempt: int) -> dict[str, str]:
    """What must be known of it even when its Pod is not any more (spec/health.md 4.5)."""
    found = {
        HASH_ANNOTATION: container_hash(container),
        RESTART_COUNT: str(attempt),
        MESSAGE_PATH: _message_path(container),
        MESSAGE_POLICY: container.terminationMessagePolicy or "File",
    }
    lifecycle, meta, spec = container.lifecycle, pod.metadata, pod.spec
    if lifecycle is not None and lifecycle.preStop is not None:
        found[PRE_STOP_HANDLER] = _json(lifecycle.preStop)
    if container.ports:
        found[PORTS] = _json(container.ports)
    if meta is not None and meta.deletionGracePeriodSeconds is not None:
        found[POD_DELETION_GRACE] = str(meta.deletionGracePeriodSeconds)
    if spec is not None and spec.terminationGracePeriodSeconds is not None:
        found[POD_GRACE] = str(spec.terminationGracePeriodSeconds)
    return found


def _json(thing: object) -> str:
    return msgspec.json.encode(thing).decode()
