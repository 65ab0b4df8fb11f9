"""What a Pod's containers share; and what a node refuses to run."""

from typing import Any

import pytest
from lightkube.models import core_v1
from tests.kubelet.pod_support import made_pod

from podward.kubelet.pod_admission import refusal, unknown_sysctl
from podward.kubelet.runtime.base import Dns, Features, NamespaceMode, PortMapping, SandboxConfig
from podward.kubelet.sandbox_config import SandboxError, dotted, kernel_hostname, sandbox_config

ENGINE = Features(cgroup_driver="cgroupfs", security_contexts=True, own_network=True)


def config(pod: core_v1.Pod) -> SandboxConfig:
    return sandbox_config(
        pod, 3, log_directory="/logs", dns=Dns(), cgroup_driver="cgroupfs", runtime_handler="kata"
    )


def test_all_that_names_it() -> None:
    pod = made_pod(securityContext={"sysctls": [{"name": "net/ipv4/tcp_syncookies", "value": "1"}]})
    assert pod.metadata is not None
    pod.metadata.labels = {"app": "web", "io.kubernetes.pod.name": "somebody else"}
    pod.metadata.annotations = {"note": "hello"}
    found = config(pod)
    assert (found.pod_name, found.pod_namespace, found.pod_uid) == ("web", "default", "1-2-3")
    assert (found.attempt, found.log_directory, found.runtime_handler) == (3, "/logs", "kata")
    assert found.labels == {
        "app": "web",
        "io.kubernetes.pod.name": "web",
        "io.kubernetes.pod.namespace": "default",
        "io.kubernetes.pod.uid": "1-2-3",
    }
    assert found.annotations == {"note": "hello"}
    assert found.sysctls == {"net.ipv4.tcp_syncookies": "1"}
    assert found.cgroup_parent == "/kubepods/besteffort/pod1-2-3"


@pytest.mark.parametrize(
    ("spec", "network", "pid", "ipc"),
    [
        ({}, "pod", "container", "pod"),
        ({"shareProcessNamespace": True}, "pod", "pod", "pod"),
        ({"hostNetwork": True}, "node", "container", "pod"),
        ({"hostPID": True}, "pod", "node", "pod"),
        ({"hostIPC": True}, "pod", "container", "node"),
    ],
)
def test_namespaces(spec: dict[str, Any], network: str, pid: str, ipc: str) -> None:
    found = config(made_pod(**spec))
    assert (found.network, found.pid, found.ipc) == tuple(map(NamespaceMode, (network, pid, ipc)))


def test_ports_of_the_node_are_mapped_once_each() -> None:
    ports = [
        {"containerPort": 80, "hostPort": 8080},
        {"containerPort": 53, "hostPort": 5353, "protocol": "UDP", "hostIP": "127.0.0.1"},
        {"containerPort": 9000},
    ]
    sidecar = {"name": "s", "image": "x", "restartPolicy": "Always"}
    plain = {"name": "i", "image": "x", "ports": [{"containerPort": 1, "hostPort": 1}]}
    pod = made_pod(
        {"ports": ports},
        {"ports": ports[:1]},
        initContainers=[plain, {**sidecar, "ports": [{"containerPort": 2, "hostPort": 2}]}],
    )
    assert config(pod).port_mappings == (
        PortMapping(2, 2),
        PortMapping(80, 8080),
        PortMapping(53, 5353, "UDP", "127.0.0.1"),
    )
    assert config(made_pod({"ports": ports}, hostNetwork=True)).port_mappings == ()


LONG = "a" * 62 + "-" + "b" * 10


@pytest.mark.parametrize(
    ("name", "spec", "expected"),
    [
        ("web", {}, "web"),
        ("web", {"hostname": "db"}, "db"),
        (LONG, {}, "a" * 62),
        ("web", {"hostname": "db", "subdomain": "set"}, "db"),
        (
            "web",
            {"hostname": "db", "subdomain": "set", "setHostnameAsFQDN": True},
            "db.set.default.svc.cluster.local",
        ),
        ("web", {"setHostnameAsFQDN": True}, "web"),
        ("web", {"hostnameOverride": "other.example", "subdomain": "set"}, "other.example"),
    ],
)
def test_hostnames(name: str, spec: dict[str, Any], expected: str) -> None:
    assert kernel_hostname(made_pod(name=name, **spec)) == expected


def test_a_full_name_that_the_kernel_has_no_room_for_is_an_error() -> None:
    pod = made_pod(hostname="h" * 40, subdomain="sub", setHostnameAsFQDN=True)
    with pytest.raises(SandboxError) as error:
        kernel_hostname(pod)
    assert str(error.value) == (
        f"failed to construct FQDN from pod hostname and cluster domain, FQDN {'h' * 40}.sub.default.svc"
        ".cluster.local is too long (64 characters is the max, 70 characters requested)"
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("kernel.sem", "kernel.sem"),
        ("kernel/sem", "kernel.sem"),
        ("net.ipv4.conf.eth0/1.mtu", "net.ipv4.conf.eth0/1.mtu"),
        ("net/ipv4/conf/eth0.1/mtu", "net.ipv4.conf.eth0/1.mtu"),
        ("nothing", "nothing"),
    ],
)
def test_sysctls_with_slashes(name: str, expected: str) -> None:
    assert dotted(name) == expected


# ---- refusals


def refused(
    spec: dict[str, Any], features: Features = ENGINE, allowed: tuple[str, ...] = ()
) -> tuple[str, str] | None:
    found = refusal(made_pod(**spec), features, allowed, apparmor=False)
    return (found.reason, found.message) if found is not None else None


def sysctl(name: str, **spec: Any) -> dict[str, Any]:
    return {**spec, "securityContext": {"sysctls": [{"name": name, "value": "1"}]}}


@pytest.mark.parametrize(
    ("spec", "allowed", "why"),
    [
        (sysctl("net.ipv4.tcp_syncookies"), (), ""),
        (sysctl("net/ipv4/tcp_syncookies"), (), ""),
        (sysctl("kernel.msgmax"), (), "not allowlisted"),
        (sysctl("kernel.msgmax"), ("kernel.msg*",), ""),
        (sysctl("kernel.msgmax"), ("kernel.msgmax",), ""),
        (sysctl("kernel.msgmnb"), ("kernel.msgmax",), "not allowlisted"),
        (
            sysctl("net.ipv4.tcp_syncookies", hostNetwork=True),
            (),
            "not allowed with host net enabled",
        ),
        (sysctl("kernel.shm_rmid_forced", hostIPC=True), (), "not allowed with host ipc enabled"),
        (sysctl("kernel.sem", hostIPC=True), ("kernel.sem",), "not allowed with host ipc enabled"),
        (sysctl("kernel.shm_rmid_forced", hostNetwork=True), (), ""),
    ],
)
def test_sysctls_that_are_not_safe_are_refused(
    spec: dict[str, Any], allowed: tuple[str, ...], why: str
) -> None:
    name = spec["securityContext"]["sysctls"][0]["name"]
    expected = ("SysctlForbidden", f'forbidden sysctl: "{name}" {why}') if why else None
    assert refused(spec, allowed=allowed) == expected


@pytest.mark.parametrize(
    ("name", "unknown"),
    [
        ("kernel.msg*", False),
        ("kernel.sem", False),
        ("net.core.somaxconn", False),
        ("net/core/somaxconn", False),
        ("fs.mqueue.*", False),
        ("vm.overcommit_memory", True),
        ("kernel.*", True),
        ("*", True),
    ],
)
def test_only_sysctls_of_namespaces_can_be_allowed(name: str, unknown: bool) -> None:
    assert unknown_sysctl(name) is unknown


def test_strict_groups_need_an_engine_that_knows_them() -> None:
    spec = {"securityContext": {"supplementalGroupsPolicy": "Strict"}}
    assert refused(spec) == (
        "SupplementalGroupsPolicyNotSupported",
        "SupplementalGroupsPolicy=Strict is not supported in this node",
    )
    able = Features(security_contexts=True, supplemental_groups_policy=True)
    assert refused(spec, able) is None
    assert refused(spec, Features()) is None


def test_profiles_of_apparmor_need_a_kernel_that_has_it() -> None:
    of_pod: dict[str, Any] = {"securityContext": {"appArmorProfile": {"type": "RuntimeDefault"}}}
    assert refused(of_pod) == (
        "AppArmor",
        "Cannot enforce AppArmor: AppArmor is not enabled on the host",
    )
    assert refusal(made_pod(**of_pod), ENGINE, (), apparmor=True) is None
    own = {"securityContext": {"appArmorProfile": {"type": "Localhost", "localhostProfile": "x"}}}
    assert refusal(made_pod(own), ENGINE, (), apparmor=False) is not None
    free = {"securityContext": {"appArmorProfile": {"type": "Unconfined"}}}
    assert refusal(made_pod(free), ENGINE, (), apparmor=False) is None
