"""Whether this node takes a Pod that was given to it: some it can only refuse (the Pod fails). Pure."""

from collections.abc import Sequence

import msgspec
from lightkube.models import core_v1

from podward.kubelet.runtime.base import Features
from podward.kubelet.sandbox_config import dotted
from podward.kubelet.security_context import apparmor_wanted
from podward.machinery.gotext import quote

SAFE_SYSCTLS = frozenset((
    "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range", "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ip_local_reserved_ports", "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
))  # fmt: skip
"""They reach no further than the Pod's own namespaces, and hurt nobody else on the node."""
_IPC_PREFIXES = ("kernel.shm", "kernel.msg", "fs.mqueue.")


class Refusal(msgspec.Struct, frozen=True):
    """The event's reason and the Pod's, and what both say."""

    reason: str
    message: str


def refusal(
    pod: core_v1.Pod, features: Features, allowed_sysctls: Sequence[str], *, apparmor: bool
) -> Refusal | None:
    """`allowed_sysctls`: unsafe ones that this node allows, `kernel.msg*` for all that begin so.
    `apparmor`: whether the kernel has it."""
    spec = pod.spec
    assert spec is not None
    if spec.os is not None and spec.os.name != "linux":
        text = "Failed to admit pod as the OS field doesn't match node OS"
        return Refusal("PodOSNotSupported", text)
    security = spec.securityContext or core_v1.PodSecurityContext()
    for sysctl in security.sysctls or ():
        why = _sysctl_refused(dotted(sysctl.name), spec, allowed_sysctls)
        if why:
            return Refusal("SysctlForbidden", f"forbidden sysctl: {quote(sysctl.name)} {why}")
    if not features.security_contexts:
        return None
    if security.supplementalGroupsPolicy == "Strict" and not features.supplemental_groups_policy:
        text = "SupplementalGroupsPolicy=Strict is not supported in this node"
        return Refusal("SupplementalGroupsPolicyNotSupported", text)
    if apparmor_wanted(pod) and not apparmor:
        text = "Cannot enforce AppArmor: AppArmor is not enabled on the host"
        return Refusal("AppArmor", text)
    return None


def _sysctl_refused(name: str, spec: core_v1.PodSpec, allowed: Sequence[str]) -> str:
    if name not in SAFE_SYSCTLS and not any(_covers(one, name) for one in allowed):
        return "not allowlisted"
    if spec.hostNetwork and name.startswith("net."):
        return "not allowed with host net enabled"
    if spec.hostIPC and (name == "kernel.sem" or name.startswith(_IPC_PREFIXES)):
        return "not allowed with host ipc enabled"
    return ""


def unknown_sysctl(pattern: str) -> bool:
    """Of one that a node is to allow: whether it is none of those that a Pod can have of its own."""
    name = dotted(pattern).removesuffix("*")
    return name != "kernel.sem" and not name.startswith(("net.", *_IPC_PREFIXES))


def _covers(pattern: str, name: str) -> bool:
    pattern = dotted(pattern)
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern
