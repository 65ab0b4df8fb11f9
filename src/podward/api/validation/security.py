"""Security contexts of Pods and containers. Pure; the order of the rules is the order of a server's errors."""

import re
from collections.abc import Sequence
from typing import Any

from lightkube.models import core_v1

from podward.api.errors import (
    FieldError,
    field_duplicate,
    field_forbidden,
    field_invalid,
    field_not_supported,
    field_required,
)

_PROFILES = ("Localhost", "RuntimeDefault", "Unconfined")
_SYSCTL_SEGMENT = "[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
_SYSCTL = rf"^({_SYSCTL_SEGMENT}[\./])*{_SYSCTL_SEGMENT}$"
_SYSCTL_LETTERS = 253
_IPC_SYSCTLS = ("kernel.shm", "kernel.msg", "fs.mqueue.")
_APPARMOR_LETTERS = 4095


def pod_security_errors(spec: core_v1.PodSpec, path: str) -> list[FieldError]:
    context = spec.securityContext
    if context is None:
        return []
    found = _id_errors(context.fsGroup, f"{path}.fsGroup")
    found += _id_errors(context.runAsUser, f"{path}.runAsUser")
    found += _id_errors(context.runAsGroup, f"{path}.runAsGroup")
    for index, group in enumerate(context.supplementalGroups or ()):
        found += _id_errors(group, f"{path}.supplementalGroups[{index}]")
    if spec.shareProcessNamespace and spec.hostPID:
        detail = "ShareProcessNamespace and HostPID cannot both be enabled"
        found.append(field_invalid(f"{path}.shareProcessNamespace", True, detail))
    found += _sysctls_errors(context.sysctls or (), spec, f"{path}.sysctls")
    for name, supported in (
        ("fsGroupChangePolicy", ("Always", "OnRootMismatch")),
        ("supplementalGroupsPolicy", ("Merge", "Strict")),
    ):
        policy = getattr(context, name)
        if policy is not None and policy not in supported:
            found.append(field_not_supported(f"{path}.{name}", policy, supported))
    found += _seccomp_errors(context.seccompProfile, f"{path}.seccompProfile")
    return found + _apparmor_errors(context.appArmorProfile, f"{path}.appArmorProfile")


def container_security_errors(
    context: core_v1.SecurityContext | None, path: str, *, host_users: bool
) -> list[FieldError]:
    if context is None:
        return []
    found = _id_errors(context.runAsUser, f"{path}.runAsUser")
    found += _id_errors(context.runAsGroup, f"{path}.runAsGroup")
    mount = context.procMount
    if mount is not None and mount not in ("Default", "Unmasked"):
        found.append(field_not_supported(f"{path}.procMount", mount, ("Default", "Unmasked")))
    if mount == "Unmasked" and host_users:
        detail = "`hostUsers` must be false to use `Unmasked`"
        found.append(field_invalid(f"{path}.procMount", mount, detail))
    if context.allowPrivilegeEscalation is False:
        text = "cannot set `allowPrivilegeEscalation` to false and"
        if context.privileged:
            found.append(field_invalid(path, _shown(context), f"{text} `privileged` to true"))
        added = (context.capabilities and context.capabilities.add) or ()
        if "CAP_SYS_ADMIN" in added:
            detail = f"{text} `capabilities.Add` CAP_SYS_ADMIN"
            found.append(field_invalid(path, _shown(context), detail))
    found += _seccomp_errors(context.seccompProfile, f"{path}.seccompProfile")
    return found + _apparmor_errors(context.appArmorProfile, f"{path}.appArmorProfile")


def _id_errors(number: int | None, path: str) -> list[FieldError]:
    if number is None or 0 <= number <= 2**31 - 1:
        return []
    return [field_invalid(path, number, "must be between 0 and 2147483647, inclusive")]


# ---- sysctls


def _sysctls_errors(
    sysctls: Sequence[core_v1.Sysctl], spec: core_v1.PodSpec, path: str
) -> list[FieldError]:
    found: list[FieldError] = []
    names: set[str] = set()
    for index, sysctl in enumerate(sysctls):
        where, name = f"{path}[{index}].name", sysctl.name
        if not name:
            found.append(field_required(where))
        elif len(name) > _SYSCTL_LETTERS or re.match(_SYSCTL, name) is None:
            detail = f"must have at most {_SYSCTL_LETTERS} characters and match regex {_SYSCTL}"
            found.append(field_invalid(where, name, detail))
        elif name in names:
            found.append(field_duplicate(where, name))
        names.add(name)
        shared = _shared_namespace(name.replace("/", "."), spec)
        if shared:
            detail = f"may not be specified when '{shared}' is true"
            found.append(field_invalid(where, name, detail))
    return found


def _shared_namespace(name: str, spec: core_v1.PodSpec) -> str:
    """The field by which the Pod shares the node's namespace that the sysctl belongs to."""
    if spec.hostNetwork and name.startswith("net."):
        return "hostNetwork"
    if spec.hostIPC and (name == "kernel.sem" or name.startswith(_IPC_SYSCTLS)):
        return "hostIPC"
    return ""


# ---- profiles


def _seccomp_errors(profile: core_v1.SeccompProfile | None, path: str) -> list[FieldError]:
    if profile is None:
        return []
    found = _type_errors(profile.type, f"{path}.type", "seccompProfile")
    where, place = f"{path}.localhostProfile", profile.localhostProfile
    if profile.type == "Localhost":
        if place is None:
            found.append(field_required(where, "must be set when seccomp type is Localhost"))
        else:
            found += _descending_errors(place, where)
    elif place is not None:
        detail = "can only be set when seccomp type is Localhost"
        shown = {"Type": profile.type, "LocalhostProfile": place}
        found.append(field_invalid(where, shown, detail))
    return found


def _descending_errors(place: str, path: str) -> list[FieldError]:
    found = []
    if place.startswith("/"):
        found.append(field_invalid(path, place, "must be a relative path"))
    if ".." in place.split("/"):
        found.append(field_invalid(path, place, "must not contain '..'"))
    return found


def _apparmor_errors(profile: core_v1.AppArmorProfile | None, path: str) -> list[FieldError]:
    if profile is None:
        return []
    found = _type_errors(profile.type, f"{path}.type", "appArmorProfile")
    where, name = f"{path}.localhostProfile", profile.localhostProfile
    if profile.type == "Localhost":
        if name is not None and name != name.strip():
            found.append(field_invalid(where, name, "must not be padded with whitespace"))
        elif not name:
            found.append(field_required(where, "must be set when AppArmor type is Localhost"))
        elif len(name) > _APPARMOR_LETTERS:
            detail = f"may not be more than {_APPARMOR_LETTERS} bytes"
            found.append(FieldError("FieldValueTooLong", where, detail=detail))
    elif name is not None:
        detail = "can only be set when AppArmor type is Localhost"
        found.append(field_invalid(where, name, detail))
    return found


def _type_errors(given: str, path: str, what: str) -> list[FieldError]:
    if not given:
        return [field_required(path, f"type is required when {what} is set")]
    return [] if given in _PROFILES else [field_not_supported(path, given, _PROFILES)]


# ---- how a server shows a whole context: its own fields, by their names in Go


def _shown(context: core_v1.SecurityContext) -> dict[str, Any]:
    capabilities, selinux = context.capabilities, context.seLinuxOptions
    return {
        "Capabilities": capabilities and {"Add": capabilities.add, "Drop": capabilities.drop},
        "Privileged": context.privileged,
        "SELinuxOptions": selinux
        and {
            "User": selinux.user or "",
            "Role": selinux.role or "",
            "Type": selinux.type or "",
            "Level": selinux.level or "",
        },
        "WindowsOptions": None,
        "RunAsUser": context.runAsUser,
        "RunAsGroup": context.runAsGroup,
        "RunAsNonRoot": context.runAsNonRoot,
        "ReadOnlyRootFilesystem": context.readOnlyRootFilesystem,
        "AllowPrivilegeEscalation": context.allowPrivilegeEscalation,
        "ProcMount": context.procMount,
        "SeccompProfile": _shown_profile(context.seccompProfile),
        "AppArmorProfile": _shown_profile(context.appArmorProfile),
    }


def _shown_profile(
    profile: core_v1.SeccompProfile | core_v1.AppArmorProfile | None,
) -> dict[str, Any] | None:
    if profile is None:
        return None
    return {"Type": profile.type, "LocalhostProfile": profile.localhostProfile}


# ---- stop signals

SIGNALS = tuple(sorted((
    *(f"SIG{name}" for name in (
        "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT",
        "KILL", "PIPE", "POLL", "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM",
        "TRAP", "TSTP", "TTIN", "TTOU", "URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ",
        "RTMIN", "RTMAX",
    )),
    *(f"SIGRTMIN+{number}" for number in range(1, 16)),
    *(f"SIGRTMAX-{number}" for number in range(1, 15)),
)))  # fmt: skip
_WINDOWS_SIGNALS = ("SIGKILL", "SIGTERM")


def stop_signal_errors(signal: str, os: core_v1.PodOS | None, path: str) -> list[FieldError]:
    """Which signals there are depends on the system, so the Pod must say it."""
    if os is None:
        detail = "may not be set for containers with empty `spec.os.name`"
        return [field_forbidden(path, detail)]
    supported = _WINDOWS_SIGNALS if os.name == "windows" else SIGNALS
    return [] if signal in supported else [field_not_supported(path, signal, supported)]
