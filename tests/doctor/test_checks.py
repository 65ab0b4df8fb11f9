"""What facts mean: one table a check."""

from dataclasses import replace
from typing import Any

import pytest

from podward.doctor.checks import CHECKS, About, Severity, judge, works
from podward.doctor.facts import (
    Cgroups,
    Condition,
    Engine,
    EngineConfig,
    Facts,
    Machine,
    Network,
    NoEngine,
    Tool,
    Trial,
)

CONTROLLERS = frozenset({"cpu", "memory", "pids"})
MACHINE = Machine(
    python="3.11.7",
    libraries={"grpcio": "1.76", "msgspec": "0.20"},
    as_root=True,
    init="systemd",
    data_dir="/var/lib/podward",
    disk_bytes=100 * 1024**3,
    disk_free_bytes=50 * 1024**3,
    year=2026,
    clock_in_step=True,
    bubblewrap=Tool("/usr/bin/bwrap", "0.8.0"),
    nsenter=Tool("/usr/bin/nsenter"),
    setpriv=Tool("/usr/bin/setpriv"),
    cgroups=Cgroups("v2", CONTROLLERS, CONTROLLERS),
    ip_forward=True,
    bridge_filter=True,
    seccomp=True,
    apparmor=True,
    overlay=True,
)
NETWORK = Network("/etc/cni/net.d", ("/opt/cni/bin",), ("/etc/cni/net.d/10-pods.conflist",), "pods")
CONFIG = EngineConfig(
    "registry.k8s.io/pause:3.9", False, True, "overlayfs", "/var/lib/containerd", NETWORK
)
ENGINE = Engine(
    socket="/run/containerd/containerd.sock",
    name="containerd",
    version="1.7.2",
    conditions={"RuntimeReady": Condition(True), "NetworkReady": Condition(True)},
    config=CONFIG,
    sandbox_image_here=True,
    disk_bytes=100 * 1024**3,
    disk_free_bytes=50 * 1024**3,
    lowers_oom_scores=True,
)
GOOD = Facts(MACHINE, ENGINE)


def machine(**changes: Any) -> Facts:
    return replace(GOOD, machine=replace(MACHINE, **changes))


def engine(**changes: Any) -> Facts:
    return replace(GOOD, engine=replace(ENGINE, **changes))


def config(**changes: Any) -> Facts:
    return engine(config=replace(CONFIG, **changes))


def verdict(facts: Facts, name: str) -> tuple[str, str, str] | None:
    for one in judge(facts, None):
        if one.check == name:
            return one.finding.severity, one.finding.text, one.finding.mend
    return None


def test_a_good_machine_has_nothing_to_mend() -> None:
    verdicts = judge(replace(GOOD, trial=Trial((("sandbox", 0.3),))), None)
    assert [one.check for one in verdicts] == [check.name for check in CHECKS]
    assert {one.finding.severity for one in verdicts} == {Severity.OK}
    assert {one.finding.mend for one in verdicts} == {""}
    assert works(verdicts, About.PROCESS)
    assert works(verdicts, About.CRI)


@pytest.mark.parametrize(
    ("check", "facts", "severity", "text", "mend"),
    [
        ("python", machine(libraries={"grpcio": "", "msgspec": "1"}), "error",
         "missing: grpcio", "pip install grpcio"),
        ("data directory", machine(data_dir_failure="it may not be written"), "error",
         "/var/lib/podward cannot be used: it may not be written", "--data-dir"),
        ("data directory", machine(disk_free_bytes=9 * 1024**3), "warning",
         "9.0 of 100.0 GiB are free", "make room"),
        ("data directory", machine(disk_free_bytes=1024**2), "error", "0.0 of", "make room"),
        ("port", machine(listen_failure="address already in use"), "warning",
         "127.0.0.1:6443 cannot be listened at: address already in use", "--listen"),
        ("clock", machine(year=1970), "error", "the year 1970", "set-ntp"),
        ("clock", machine(clock_in_step=False), "warning", "nothing keeps", "set-ntp"),
        ("clock", machine(clock_in_step=None), "ok", "right", ""),
        ("bubblewrap", machine(bubblewrap=Tool()), "warning", "not installed",
         "apt-get install bubblewrap"),
        ("bubblewrap", machine(as_root=False), "ok", "in user namespaces", ""),
        ("entering", machine(setpriv=Tool()), "warning", "not installed: setpriv",
         "apt-get install util-linux"),
        ("memory limits", machine(cgroups=Cgroups("v1", CONTROLLERS)), "warning", "not kept", ""),
        ("memory limits", machine(cgroups=Cgroups("v1", CONTROLLERS), as_root=False), "warning",
         "not kept", "run podward as root"),
        ("memory limits", machine(cgroups=Cgroups("v1", frozenset({"cpu"}))), "warning",
         "no memory controller", ""),
        ("engine", replace(GOOD, engine=NoEngine("none found", "install one")), "error",
         "none found", "install one"),
        ("runtime", engine(conditions={"RuntimeReady": Condition(False, "Broken", "why")}), "error",
         "(Broken: why)", "journalctl"),
        ("runtime", engine(conditions={}), "error", "does not say why", "journalctl"),
        ("network", engine(conditions={"NetworkReady": Condition(False, "NotReady", "why")},
                           config=replace(CONFIG, network=Network("/cni"))), "error",
         "Pods get no network (NotReady: why)", "> /cni/10-pods.conflist"),
        ("network", engine(conditions={}), "error", "no network",
         "mend or remove /etc/cni/net.d/10-pods.conflist"),
        ("network", engine(conditions={}, config=None), "error", "no network",
         "> /etc/cni/net.d/10-pods.conflist"),
        ("CNI plugins", config(network=replace(NETWORK, missing_plugins=("bridge", "portmap"))),
         "error", "not in /opt/cni/bin: bridge, portmap",
         "apt-get install containernetworking-plugins"),
        ("CNI plugins", config(network=replace(NETWORK, missing_plugins=("bridge",),
                                               plugins_elsewhere="/usr/lib/cni")),
         "error", "but in /usr/lib/cni", 'bin_dir = "/usr/lib/cni"'),
        ("sandbox image", engine(sandbox_image_here=False), "warning",
         "registry.k8s.io/pause:3.9 is not here",
         "ctr --address /run/containerd/containerd.sock --namespace k8s.io images pull "
         "registry.k8s.io/pause:3.9"),
        ("engine disk", engine(disk_free_bytes=5 * 1024**3), "warning",
         "/var/lib/containerd: 5.0 of 100.0 GiB are free", "make room below /var/lib/containerd"),
        ("OOM scores", engine(lowers_oom_scores=False), "error", "CAP_SYS_RESOURCE",
         '[plugins."io.containerd.grpc.v1.cri"]: restrict_oom_score_adj = true'),
        ("OOM scores", engine(lowers_oom_scores=False, version="2.1.0"), "error", "CAP_SYS_RESOURCE",
         '[plugins."io.containerd.cri.v1.runtime"]: restrict_oom_score_adj = true'),
        ("OOM scores", engine(lowers_oom_scores=False, config=replace(CONFIG, restricts_oom_score=True)),
         "ok", "lowers none", ""),
        ("cgroups", machine(cgroups=Cgroups("v1", frozenset({"cpu", "pids"}))), "warning",
         "without memory", "cgroup_enable=memory"),
        ("cgroup driver", machine(init="init"), "error", "process 1 is init", "SystemdCgroup = false"),
        ("cgroup driver", config(systemd_cgroups=False), "warning", "beside systemd",
         "SystemdCgroup = true"),
        ("snapshots", config(snapshotter="native"), "warning", "a copy", 'snapshotter = "overlayfs"'),
        ("snapshots", machine(overlay=False), "error", "does not have", "modprobe overlay"),
        ("seccomp", machine(seccomp=False), "warning", "no seccomp", ""),
        ("seccomp", machine(apparmor=False), "ok", "no AppArmor", ""),
        ("forwarding", machine(ip_forward=False), "warning", "forwards nothing",
         "sysctl -w net.ipv4.ip_forward=1"),
        ("forwarding", machine(bridge_filter=None), "warning", "bridge", "modprobe br_netfilter"),
        ("forwarding", machine(bridge_filter=False), "warning", "bridge", "bridge-nf-call-iptables=1"),
        ("strangers", machine(kubelets=(7, 8)), "warning", "a kubelet runs here (pid 7, 8)",
         "systemctl disable --now kubelet"),
        ("strangers", engine(strangers=("a/b", "c/d", "e/f", "g/h")), "warning",
         "4 Pods on this engine are nobody's of ours (a/b, c/d, e/f, ...)", "systemctl status kubelet"),
        ("trial", replace(GOOD, trial=Trial((("sandbox", 0.3004), ("start", 1.0)))), "ok",
         "sandbox 0.300 s, start 1.000 s", ""),
        ("trial", replace(GOOD, trial=Trial((("sandbox", 0.3),), "start", "no runc")), "error",
         "start does not work: no runc (before: sandbox 0.300 s)", ""),
    ],
)  # fmt: skip
def test_what_facts_mean(check: str, facts: Facts, severity: str, text: str, mend: str) -> None:
    found = verdict(facts, check)
    assert found is not None
    assert (found[0], text in found[1], mend in found[2], bool(mend) == bool(found[2])) == (
        severity, True, True, True,
    ), found  # fmt: skip


@pytest.mark.parametrize(
    ("as_root", "sysctls", "mend"),
    [
        (True, {}, "run podward where namespaces may be made"),
        (False, {}, "run podward as root"),
        (False, {"kernel.unprivileged_userns_clone": "0"},
         "as root: sysctl -w kernel.unprivileged_userns_clone=1"),
        (False, {"kernel.unprivileged_userns_clone": "1"}, "run podward as root"),
        (False, {"user.max_user_namespaces": "0"}, "as root: sysctl -w user.max_user_namespaces=15000"),
        (False, {"user.max_user_namespaces": "9",
                 "kernel.apparmor_restrict_unprivileged_userns": "1"},
         "as root: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"),
    ],
)  # fmt: skip
def test_what_lets_bubblewrap_work(as_root: bool, sysctls: dict[str, str], mend: str) -> None:
    broken = Tool("/usr/bin/bwrap", "0.8.0", "No permissions to create new namespace")
    facts = machine(as_root=as_root, user_namespaces=sysctls, bubblewrap=broken)
    found = verdict(facts, "bubblewrap")
    assert found is not None
    assert found[0] == "warning"
    assert "No permissions" in found[1]
    assert found[2].startswith(mend)


@pytest.mark.parametrize(
    "check", ["CNI plugins", "sandbox image", "OOM scores", "cgroup driver", "snapshots"]
)
def test_an_engine_that_does_not_tell_its_configuration_is_not_judged_by_it(check: str) -> None:
    assert verdict(engine(config=None), check) is None


def test_without_an_engine_only_that_is_said() -> None:
    verdicts = judge(replace(GOOD, engine=NoEngine("none")), None)
    assert [one.check for one in verdicts if one.about is About.CRI] == ["engine"]
    assert works(verdicts, About.PROCESS)
    assert not works(verdicts, About.CRI)


def test_only_what_was_asked_for_is_judged() -> None:
    broken = replace(GOOD, engine=NoEngine("none"))
    about = {one.about for one in judge(broken, About.PROCESS)}
    assert about == {About.MACHINE, About.PROCESS}
    assert {one.about for one in judge(GOOD, About.CRI)} == {About.MACHINE, About.CRI}


def test_a_broken_machine_works_for_nobody_and_warnings_are_lived_with() -> None:
    verdicts = judge(machine(data_dir_failure="full"), None)
    assert not works(verdicts, About.PROCESS)
    assert not works(verdicts, About.CRI)
    assert works(judge(machine(bubblewrap=Tool(), listen_failure="x"), None), About.PROCESS)
