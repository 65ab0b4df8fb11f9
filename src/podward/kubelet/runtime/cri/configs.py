"""What the kubelet wants, as runtime.v1 says it. Pure."""

import msgspec

from podward.kubelet.runtime.base import (
    ContainerConfig,
    Mount,
    MountPropagation,
    NamespaceMode,
    Resources,
    SandboxConfig,
    SecurityContext,
    SecurityProfile,
)
from podward.kubelet.runtime.cri import runtime_v1_pb2 as pb

INSTANCE_LABEL = "podward.dev/instance"
"""Whose it is: an engine may serve others too."""
POD_UID_LABEL = "podward.dev/pod-uid"
CONFIG_ANNOTATION = "podward.dev/sandbox-config"
"""What a sandbox was made from lives with it: its containers are made from it too, whoever makes them."""
PATH_ANNOTATION = "podward.dev/log-path"
SIGNAL_ANNOTATION = "podward.dev/stop-signal"
OURS = (INSTANCE_LABEL, POD_UID_LABEL, CONFIG_ANNOTATION, PATH_ANNOTATION, SIGNAL_ANNOTATION)

_NAMESPACES = {
    NamespaceMode.POD: pb.POD,
    NamespaceMode.CONTAINER: pb.CONTAINER,
    NamespaceMode.NODE: pb.NODE,
}
_PROPAGATIONS = {
    MountPropagation.PRIVATE: pb.PROPAGATION_PRIVATE,
    MountPropagation.HOST_TO_CONTAINER: pb.PROPAGATION_HOST_TO_CONTAINER,
    MountPropagation.BIDIRECTIONAL: pb.PROPAGATION_BIDIRECTIONAL,
}
_PROFILES = {
    "RuntimeDefault": pb.SecurityProfile.RuntimeDefault,
    "Unconfined": pb.SecurityProfile.Unconfined,
    "Localhost": pb.SecurityProfile.Localhost,
}
MASKED_PATHS = (
    "/proc/asound", "/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
    "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap",
)  # fmt: skip
READONLY_PATHS = (
    "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger",
)  # fmt: skip


def sandbox_config(config: SandboxConfig, instance: str) -> pb.PodSandboxConfig:
    labels = {
        "io.kubernetes.pod.name": config.pod_name,
        "io.kubernetes.pod.namespace": config.pod_namespace,
        "io.kubernetes.pod.uid": config.pod_uid,
        **config.labels,
        INSTANCE_LABEL: instance,
        POD_UID_LABEL: config.pod_uid,
    }
    bare = msgspec.structs.replace(config, labels={}, annotations={})
    annotations = {**config.annotations, CONFIG_ANNOTATION: msgspec.json.encode(bare).decode()}
    made = pb.PodSandboxConfig(
        metadata=pb.PodSandboxMetadata(
            name=config.pod_name,
            uid=config.pod_uid,
            namespace=config.pod_namespace,
            attempt=config.attempt,
        ),
        hostname="" if config.network is NamespaceMode.NODE else config.hostname,
        log_directory=config.log_directory,
        port_mappings=[
            pb.PortMapping(
                protocol=pb.Protocol.Value(one.protocol),
                container_port=one.container_port,
                host_port=one.host_port,
                host_ip=one.host_ip,
            )
            for one in config.port_mappings
        ],
        labels=labels,
        annotations=annotations,
        linux=pb.LinuxPodSandboxConfig(
            cgroup_parent=config.cgroup_parent,
            sysctls=config.sysctls,
            security_context=_sandbox_security(config),
        ),
    )
    if config.dns is not None:
        made.dns_config.servers.extend(config.dns.servers)
        made.dns_config.searches.extend(config.dns.searches)
        made.dns_config.options.extend(config.dns.options)
    return made


def _namespaces(config: SandboxConfig) -> pb.NamespaceOption:
    return pb.NamespaceOption(
        network=_NAMESPACES[config.network],
        pid=_NAMESPACES[config.pid],
        ipc=_NAMESPACES[config.ipc],
    )


def _sandbox_security(config: SandboxConfig) -> pb.LinuxSandboxSecurityContext:
    security = config.security
    made = pb.LinuxSandboxSecurityContext(
        namespace_options=_namespaces(config),
        readonly_rootfs=security.read_only_root,
        supplemental_groups=security.supplemental_groups,
        supplemental_groups_policy=_groups_policy(security),
        privileged=security.privileged,
        seccomp=_profile(security.seccomp, "RuntimeDefault"),
    )
    if security.run_as_user is not None:
        made.run_as_user.value = security.run_as_user
    if security.run_as_group is not None and security.run_as_user is not None:
        made.run_as_group.value = security.run_as_group
    _selinux(security, made.selinux_options)
    return made


def container_config(
    config: ContainerConfig, sandbox: SandboxConfig, instance: str
) -> pb.ContainerConfig:
    folder = f"{sandbox.log_directory}/"
    log_path = config.log_path.removeprefix(folder) if sandbox.log_directory else ""
    return pb.ContainerConfig(
        metadata=pb.ContainerMetadata(name=config.name, attempt=config.attempt),
        image=pb.ImageSpec(
            image=config.image_ref or config.image, user_specified_image=config.image
        ),
        command=config.command,
        args=config.args,
        working_dir=config.working_dir,
        envs=[pb.KeyValue(key=k, value=v.encode()) for k, v in config.env.items()],
        mounts=[_mount(mount) for mount in config.mounts],
        labels={
            **config.labels,
            INSTANCE_LABEL: instance,
            POD_UID_LABEL: sandbox.pod_uid,
        },
        annotations={
            **config.annotations,
            PATH_ANNOTATION: config.log_path,
            **({SIGNAL_ANNOTATION: config.stop_signal} if config.stop_signal else {}),
        },
        log_path=log_path,
        stdin=config.stdin,
        stdin_once=config.stdin_once,
        tty=config.tty,
        stop_signal=_signal(config.stop_signal),
        linux=pb.LinuxContainerConfig(
            resources=resources(config.resources),
            security_context=_container_security(config, sandbox),
        ),
    )


def _signal(name: str) -> pb.Signal:
    """`SIGRTMIN+1` is SIGNAL_SIGRTMINPLUS1 on the wire."""
    wire = name.replace("+", "PLUS").replace("-", "MINUS")
    found: pb.Signal = pb.Signal.Value(f"SIGNAL_{wire or 'RUNTIME_DEFAULT'}")
    return found


def _groups_policy(security: SecurityContext) -> pb.SupplementalGroupsPolicy:
    return pb.Strict if security.strict_groups else pb.Merge


def _mount(mount: Mount) -> pb.Mount:
    return pb.Mount(
        container_path=mount.container_path,
        host_path=mount.host_path,
        readonly=mount.read_only,
        propagation=_PROPAGATIONS[mount.propagation],
        recursive_read_only=mount.recursive_read_only,
    )


def resources(wanted: Resources) -> pb.LinuxContainerResources:
    return pb.LinuxContainerResources(
        cpu_period=wanted.cpu_period,
        cpu_quota=wanted.cpu_quota,
        cpu_shares=wanted.cpu_shares,
        memory_limit_in_bytes=wanted.memory_limit_bytes,
        oom_score_adj=wanted.oom_score_adj,
        hugepage_limits=[
            pb.HugepageLimit(page_size=size, limit=limit)
            for size, limit in wanted.hugepage_limits.items()
        ],
    )


def _container_security(
    config: ContainerConfig, sandbox: SandboxConfig
) -> pb.LinuxContainerSecurityContext:
    security, namespaces = config.security, _namespaces(sandbox)
    if config.process_namespace_of and namespaces.pid == pb.CONTAINER:
        namespaces.pid, namespaces.target_id = pb.TARGET, config.process_namespace_of
    masked = () if security.unmasked_proc or security.privileged else MASKED_PATHS
    readonly = () if security.unmasked_proc or security.privileged else READONLY_PATHS
    made = pb.LinuxContainerSecurityContext(
        capabilities=pb.Capability(
            add_capabilities=security.add_capabilities, drop_capabilities=security.drop_capabilities
        ),
        privileged=security.privileged,
        namespace_options=namespaces,
        readonly_rootfs=security.read_only_root,
        supplemental_groups=security.supplemental_groups,
        supplemental_groups_policy=_groups_policy(security),
        no_new_privs=security.no_new_privileges,
        masked_paths=masked,
        readonly_paths=readonly,
        seccomp=_profile(security.seccomp, "Unconfined"),
    )
    if security.apparmor is not None:
        made.apparmor.CopyFrom(_profile(security.apparmor, "RuntimeDefault"))
        made.apparmor_profile = _apparmor_name(security.apparmor)
    if security.run_as_user is not None:
        made.run_as_user.value = security.run_as_user
    made.run_as_username = security.run_as_user_name
    if security.run_as_group is not None:
        made.run_as_group.value = security.run_as_group
    _selinux(security, made.selinux_options)
    return made


def _profile(profile: SecurityProfile | None, default: str) -> pb.SecurityProfile:
    """`default`: a kubelet runs containers without seccomp unless told otherwise, and sandboxes with it."""
    if profile is None:
        return pb.SecurityProfile(profile_type=_PROFILES[default])
    return pb.SecurityProfile(
        profile_type=_PROFILES[profile.type], localhost_ref=profile.localhost_ref
    )


def _apparmor_name(profile: SecurityProfile) -> str:
    """How engines were told before profiles had a message of their own: some read only this."""
    match profile.type:
        case "RuntimeDefault":
            return "runtime/default"
        case "Localhost":
            return f"localhost/{profile.localhost_ref}"
        case _:
            return "unconfined"


def _selinux(security: SecurityContext, target: pb.SELinuxOption) -> None:
    wanted = security.selinux
    if wanted is not None:
        target.user, target.role = wanted.user, wanted.role
        target.type, target.level = wanted.type, wanted.level
