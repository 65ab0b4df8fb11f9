"""What a Pod's containers share, from its spec: namespaces, names, ports, sysctls, cgroup. Pure."""

from lightkube.models import core_v1, meta_v1

from podward.kubelet.resources import CgroupDriver, pod_cgroup
from podward.kubelet.restart_policy import init_containers, is_sidecar, regular_containers
from podward.kubelet.runtime.base import Dns, NamespaceMode, PortMapping, SandboxConfig
from podward.kubelet.security_context import sandbox_security

CLUSTER_DOMAIN = "cluster.local"
HOSTNAME_LETTERS, FQDN_LETTERS = 63, 64
"""What a DNS label, and what the kernel, has room for."""


class SandboxError(Exception):
    """A sandbox cannot be made as the Pod wants it (event `FailedCreatePodSandBox`)."""


def sandbox_config(
    pod: core_v1.Pod,
    attempt: int,
    *,
    log_directory: str,
    dns: Dns | None,
    cgroup_driver: CgroupDriver,
    runtime_handler: str,
) -> SandboxConfig:
    """Raises `SandboxError`."""
    spec, meta = pod.spec, pod.metadata or meta_v1.ObjectMeta()
    assert spec is not None
    security = spec.securityContext or core_v1.PodSecurityContext()
    return SandboxConfig(
        pod_name=meta.name or "",
        pod_namespace=meta.namespace or "",
        pod_uid=meta.uid or "",
        attempt=attempt,
        hostname=kernel_hostname(pod),
        log_directory=log_directory,
        network=NamespaceMode.NODE if spec.hostNetwork else NamespaceMode.POD,
        pid=_pid_mode(spec),
        ipc=NamespaceMode.NODE if spec.hostIPC else NamespaceMode.POD,
        dns=dns,
        port_mappings=port_mappings(pod),
        sysctls={dotted(one.name): one.value for one in security.sysctls or ()},
        cgroup_parent=pod_cgroup(pod, cgroup_driver),
        security=sandbox_security(pod),
        runtime_handler=runtime_handler,
        labels={**(meta.labels or {}), **pod_labels(meta)},
        annotations=dict(meta.annotations or {}),
    )


def pod_labels(meta: meta_v1.ObjectMeta) -> dict[str, str]:
    """By which `crictl` finds what belongs to a Pod, on its sandboxes and containers."""
    return {
        "io.kubernetes.pod.name": meta.name or "",
        "io.kubernetes.pod.namespace": meta.namespace or "",
        "io.kubernetes.pod.uid": meta.uid or "",
    }


def _pid_mode(spec: core_v1.PodSpec) -> NamespaceMode:
    if spec.hostPID:
        return NamespaceMode.NODE
    return NamespaceMode.POD if spec.shareProcessNamespace else NamespaceMode.CONTAINER


# ---- names


def hostname_of(pod: core_v1.Pod) -> str:
    """The short one. A Pod's name may be longer than a hostname: it is cut, and ends in no dash or dot."""
    spec = pod.spec
    assert spec is not None
    if spec.hostnameOverride:
        return spec.hostnameOverride
    name = spec.hostname or (pod.metadata and pod.metadata.name) or ""
    if len(name) <= HOSTNAME_LETTERS:
        return name
    return name[:HOSTNAME_LETTERS].rstrip("-.")


def domain_of(pod: core_v1.Pod) -> str:
    """What follows the hostname in the Pod's full name; empty without a subdomain."""
    spec, meta = pod.spec, pod.metadata
    assert spec is not None
    assert meta is not None
    if not spec.subdomain or spec.hostnameOverride:
        return ""
    return f"{spec.subdomain}.{meta.namespace}.svc.{CLUSTER_DOMAIN}"


def kernel_hostname(pod: core_v1.Pod) -> str:
    """What `hostname` tells in its containers: the short name, or the whole of it if the Pod asks for that."""
    spec, domain = pod.spec, domain_of(pod)
    assert spec is not None
    if not spec.setHostnameAsFQDN or not domain:
        return hostname_of(pod)
    whole = f"{hostname_of(pod)}.{domain}"
    if len(whole) > FQDN_LETTERS:
        raise SandboxError(
            f"failed to construct FQDN from pod hostname and cluster domain, FQDN {whole} is too long "
            f"({FQDN_LETTERS} characters is the max, {len(whole)} characters requested)"
        )
    return whole


# ---- network and kernel


def port_mappings(pod: core_v1.Pod) -> tuple[PortMapping, ...]:
    """Of the containers that stay; in the node's network there is nothing to map."""
    if pod.spec is not None and pod.spec.hostNetwork:
        return ()
    staying = [*filter(is_sidecar, init_containers(pod)), *regular_containers(pod)]
    found = [
        PortMapping(port.containerPort, port.hostPort, port.protocol or "TCP", port.hostIP or "")  # type: ignore[arg-type]
        for container in staying
        for port in container.ports or ()
        if port.hostPort
    ]
    return tuple(dict.fromkeys(found))


def dotted(name: str) -> str:
    """`net/ipv4/conf/eth0.1/mtu` or `net.ipv4.conf.eth0/1.mtu`: whichever comes first separates."""
    first = next((letter for letter in name if letter in "./"), ".")
    return name if first == "." else name.translate(str.maketrans("./", "/."))
