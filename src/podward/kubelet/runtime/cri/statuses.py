"""What an engine tells, in the kubelet's words. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec

from podward.kubelet.runtime.base import (
    ContainerConfig,
    ContainerState,
    ContainerStatus,
    NamespaceMode,
    SandboxConfig,
    SandboxState,
    SandboxStatus,
)
from podward.kubelet.runtime.cri import runtime_v1_pb2 as pb
from podward.kubelet.runtime.cri.configs import (
    CONFIG_ANNOTATION,
    OURS,
    PATH_ANNOTATION,
    POD_UID_LABEL,
)

_STATES: dict[int, ContainerState] = {
    pb.CONTAINER_CREATED: ContainerState.CREATED,
    pb.CONTAINER_RUNNING: ContainerState.RUNNING,
    pb.CONTAINER_EXITED: ContainerState.EXITED,
    pb.CONTAINER_UNKNOWN: ContainerState.UNKNOWN,
}


def moment(nanoseconds: int) -> datetime | None:
    """CRI's times are nanoseconds since 1970, 0 for never."""
    if not nanoseconds:
        return None
    return datetime.fromtimestamp(nanoseconds // 1000 / 1_000_000, UTC)


def theirs(given: Mapping[str, str]) -> dict[str, str]:
    """Labels or annotations without those that this runtime added."""
    return {key: value for key, value in given.items() if key not in OURS}


def sandbox_made_from(
    annotations: Mapping[str, str], metadata: pb.PodSandboxMetadata
) -> SandboxConfig:
    held = annotations.get(CONFIG_ANNOTATION)
    if held is not None:
        return msgspec.json.decode(held, type=SandboxConfig)
    return SandboxConfig(metadata.name, metadata.namespace, metadata.uid, metadata.attempt)


def sandbox_status(found: pb.PodSandboxStatus, network_namespace: str) -> SandboxStatus:
    config = sandbox_made_from(found.annotations, found.metadata)
    network = found.network
    ips = [network.ip, *(one.ip for one in network.additional_ips)]
    return SandboxStatus(
        id=found.id,
        config=msgspec.structs.replace(
            config, labels=theirs(found.labels), annotations=theirs(found.annotations)
        ),
        state=SandboxState.READY if found.state == pb.SANDBOX_READY else SandboxState.NOT_READY,
        created_at=moment(found.created_at) or datetime.fromtimestamp(0, UTC),
        ips=tuple(ip for ip in ips if ip),
        host_network=config.network is NamespaceMode.NODE,
        network_namespace=network_namespace,
    )


def container_state(state: int) -> ContainerState:
    return _STATES.get(state, ContainerState.UNKNOWN)


def container_status(sandbox_id: str, found: pb.ContainerStatus) -> ContainerStatus:
    state = container_state(found.state)
    return ContainerStatus(
        id=found.id,
        sandbox_id=sandbox_id,
        config=ContainerConfig(
            name=found.metadata.name,
            attempt=found.metadata.attempt,
            image=found.image.image,
            log_path=found.annotations.get(PATH_ANNOTATION, found.log_path),
            labels=theirs(found.labels),
            annotations=theirs(found.annotations),
        ),
        pod_uid=found.labels.get(POD_UID_LABEL, ""),
        state=state,
        created_at=moment(found.created_at) or datetime.fromtimestamp(0, UTC),
        started_at=moment(found.started_at),
        finished_at=moment(found.finished_at),
        exit_code=found.exit_code if state is ContainerState.EXITED else None,
        reason=found.reason,
        message=found.message,
        image_id=found.image_ref,
    )
