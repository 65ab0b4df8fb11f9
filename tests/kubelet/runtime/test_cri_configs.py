"""What the kubelet wants, on the wire; and what an engine tells of itself."""

import json
from typing import Any

import pytest

from podward.kubelet.runtime.base import (
    ContainerConfig,
    NamespaceMode,
    PortMapping,
    Resources,
    SandboxConfig,
    SecurityContext,
    SecurityProfile,
    SeLinuxOptions,
)
from podward.kubelet.runtime.cri import runtime_v1_pb2 as pb
from podward.kubelet.runtime.cri.configs import MASKED_PATHS, container_config, sandbox_config
from podward.kubelet.runtime.cri.features import driver_told
from podward.kubelet.runtime.cri.stop_signals import signal_number

SANDBOX = SandboxConfig("web", "default", "1-2-3")


def security(context: SecurityContext) -> pb.LinuxContainerSecurityContext:
    config = ContainerConfig("a", 0, "busybox", security=context)
    return container_config(config, SANDBOX, "me").linux.security_context


def test_a_context_without_wishes_leaves_the_user_to_the_image() -> None:
    made = security(SecurityContext())
    assert not made.HasField("run_as_user")
    assert not made.HasField("run_as_group")
    assert not made.HasField("apparmor")
    assert not made.HasField("selinux_options")
    assert made.seccomp.profile_type == pb.SecurityProfile.Unconfined
    assert tuple(made.masked_paths) == MASKED_PATHS
    assert made.supplemental_groups_policy == pb.Merge


def test_every_wish_is_on_the_wire() -> None:
    made = security(
        SecurityContext(
            run_as_user=0,
            run_as_group=0,
            supplemental_groups=(5, 6),
            strict_groups=True,
            read_only_root=True,
            no_new_privileges=True,
            add_capabilities=("NET_ADMIN",),
            drop_capabilities=("ALL",),
            seccomp=SecurityProfile("Localhost", "/seccomp/a.json"),
            apparmor=SecurityProfile("Localhost", "deny"),
            selinux=SeLinuxOptions(level="s0"),
            unmasked_proc=True,
        )
    )
    assert (made.HasField("run_as_user"), made.run_as_user.value) == (True, 0)
    assert (made.HasField("run_as_group"), made.run_as_group.value) == (True, 0)
    assert list(made.supplemental_groups) == [5, 6]
    assert made.supplemental_groups_policy == pb.Strict
    assert (made.readonly_rootfs, made.no_new_privs) == (True, True)
    assert list(made.capabilities.add_capabilities) == ["NET_ADMIN"]
    assert list(made.capabilities.drop_capabilities) == ["ALL"]
    assert made.seccomp.localhost_ref == "/seccomp/a.json"
    assert made.apparmor.localhost_ref == "deny"
    assert made.apparmor_profile == "localhost/deny"
    assert made.selinux_options.level == "s0"
    assert not made.masked_paths
    assert not made.readonly_paths


def test_a_user_by_name_and_profiles_by_type() -> None:
    assert security(SecurityContext(run_as_user_name="web")).run_as_username == "web"
    names = {
        kind: security(SecurityContext(apparmor=SecurityProfile(kind))).apparmor_profile
        for kind in ("RuntimeDefault", "Unconfined")
    }
    assert names == {"RuntimeDefault": "runtime/default", "Unconfined": "unconfined"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("", pb.SIGNAL_RUNTIME_DEFAULT),
        ("SIGUSR1", pb.SIGNAL_SIGUSR1),
        ("SIGRTMIN+3", pb.SIGNAL_SIGRTMINPLUS3),
        ("SIGRTMAX-14", pb.SIGNAL_SIGRTMAXMINUS14),
    ],
)
def test_stop_signals(name: str, expected: int) -> None:
    config = ContainerConfig("a", 0, "busybox", stop_signal=name)
    made = container_config(config, SANDBOX, "me")
    assert made.stop_signal == expected
    assert made.annotations.get("podward.dev/stop-signal", "") == name


@pytest.mark.parametrize(
    ("name", "number"),
    [("SIGUSR1", 10), ("SIGRTMIN", 34), ("SIGRTMIN+3", 37), ("SIGRTMAX-1", 63), ("SIGCLD", 17)],
)
def test_signals_have_numbers(name: str, number: int) -> None:
    assert signal_number(name) == number


def test_resources_are_on_the_wire() -> None:
    wanted = Resources(102, 50_000, 100_000, 2**20, -997, {"2MB": 4})
    config = ContainerConfig("a", 0, "busybox", resources=wanted)
    made = container_config(config, SANDBOX, "me").linux.resources
    assert (made.cpu_shares, made.cpu_quota, made.cpu_period) == (102, 50_000, 100_000)
    assert (made.memory_limit_in_bytes, made.oom_score_adj) == (2**20, -997)
    assert [(one.page_size, one.limit) for one in made.hugepage_limits] == [("2MB", 4)]


def test_a_sandboxs_namespaces_and_ports() -> None:
    made = sandbox_config(
        SandboxConfig(
            "web",
            "default",
            "1-2-3",
            hostname="web",
            pid=NamespaceMode.NODE,
            port_mappings=[PortMapping(53, 5353, "UDP", "127.0.0.1")],
            sysctls={"net.ipv4.tcp_syncookies": "1"},
            cgroup_parent="/kubepods/pod1",
            security=SecurityContext(run_as_group=5),
        ),
        "me",
    )
    assert made.linux.security_context.namespace_options.pid == pb.NODE
    [port] = made.port_mappings
    assert (port.protocol, port.container_port, port.host_port) == (pb.UDP, 53, 5353)
    assert port.host_ip == "127.0.0.1"
    assert dict(made.linux.sysctls) == {"net.ipv4.tcp_syncookies": "1"}
    assert made.linux.cgroup_parent == "/kubepods/pod1"
    # A group without a user is nothing that an engine takes of a sandbox.
    assert not made.linux.security_context.HasField("run_as_group")


def runtime(name: str, **options: Any) -> dict[str, Any]:
    return {"defaultRuntimeName": name, "runtimes": {name: {"options": options}}}


@pytest.mark.parametrize(
    ("told", "driver"),
    [
        ("", "cgroupfs"),
        ("{", "cgroupfs"),
        ("[]", "cgroupfs"),
        ("{}", "cgroupfs"),
        ({"containerd": None}, "cgroupfs"),
        ({"containerd": runtime("runc", SystemdCgroup=False)}, "cgroupfs"),
        ({"containerd": runtime("runc", SystemdCgroup=True)}, "systemd"),
        ({"containerd": runtime("crun", SystemdCgroup=True)}, "systemd"),
        ({"containerd": {"runtimes": {"runc": {"options": None}}}}, "cgroupfs"),
    ],
)
def test_who_makes_an_engines_cgroups(told: object, driver: str) -> None:
    assert driver_told(told if isinstance(told, str) else json.dumps(told)) == driver


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (NamespaceMode.CONTAINER, (pb.TARGET, "a1")),
        (NamespaceMode.POD, (pb.POD, "")),
        (NamespaceMode.NODE, (pb.NODE, "")),
    ],
)
def test_a_target_is_joined_unless_its_processes_are_seen_anyway(
    mode: NamespaceMode, expected: tuple[int, str]
) -> None:
    config = ContainerConfig("debugger", 0, "busybox", process_namespace_of="a1")
    sandbox = SandboxConfig("web", "default", "1-2-3", pid=mode)
    made = container_config(config, sandbox, "me").linux.security_context.namespace_options
    assert (made.pid, made.target_id) == expected
