"""What a command needs to be as the container's own processes are: made from the OCI spec that its engine used.

Pure: the spec, and what /proc tells of the container's first process. Whatever we do not know how to do, or
could not do the very way runc does, raises `Unfaithful`: the engine does it then.
"""

import base64
import json
import re
import resource
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from podward.kubelet.runtime.linux import capabilities, seccomp
from podward.kubelet.runtime.linux.cgroups import joined
from podward.kubelet.runtime.linux.unfaithful import Unfaithful

NAMESPACES = {
    "mnt": 0x00020000,
    "cgroup": 0x02000000,
    "uts": 0x04000000,
    "ipc": 0x08000000,
    "net": 0x40000000,
}
"""Joined by the child, with one call. `pid` is not: a process is born into one."""
_NOT_DONE = ("scheduler", "ioPriority", "execCPUAffinity")
_APPARMOR = "/proc/self/attr/apparmor/exec"
_LSM = "/proc/self/attr/exec"
_SELINUX = "/proc/self/attr/exec"
_LOST = "\ufffd"
"""What an engine writes for bytes that are no text: what they were is not known any more."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Of a container's first process, of its parent (the engine's shim), and of us."""

    status: Mapping[str, str]
    """/proc/PID/status"""
    namespaces: frozenset[str]
    """The kinds in which it is not where we are: `mnt`, `pid`, ..."""
    cgroups: str
    our_cgroups: str
    mounts: str
    umask: int
    """Of the shim: what it starts in a container begins with it."""
    limits: Mapping[str, tuple[int, int]]
    """Of the shim too, by the kernel's name (`Max open files`)."""
    oom_score_adj: int
    last_capability: int
    apparmor_folder: bool
    """The kernel keeps AppArmor's attributes apart from other security modules'."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything but the command. Its JSON is what `forker` reads."""

    pid_namespace: bool
    namespaces: int
    cgroups: Sequence[str]
    labels: Sequence[tuple[str, str]]
    """(file, what is written there)"""
    keyring: str
    oom_score_adj: int
    rlimits: Sequence[tuple[int, int, int]]
    no_new_privileges: bool
    seccomp: Mapping[str, Any] | None
    umask: int
    cwd: str
    uid: int
    gid: int
    groups: Sequence[int]
    bounding: int
    effective: int
    permitted: int
    inheritable: int
    ambient: int
    last_capability: int
    env: Mapping[str, str]

    def encode(self) -> bytes:
        return json.dumps(asdict(self)).encode()


Compile = Callable[[Mapping[str, Any]], bytes]


def plan_of(
    spec: Mapping[str, Any], facts: Facts, container_id: str, compile_profile: Compile
) -> Plan:
    """`spec`: the whole OCI runtime spec (config.md, config-linux.md)."""
    process, linux = spec.get("process") or {}, spec.get("linux") or {}
    user = process.get("user") or {}
    for field in _NOT_DONE:
        if process.get(field):
            raise Unfaithful(f"process.{field}")
    for field in ("personality", "intelRdt", "timeOffsets"):
        if linux.get(field):
            raise Unfaithful(f"linux.{field}")
    for kind in ("user", "time"):
        if kind in facts.namespaces:
            raise Unfaithful(f"a {kind} namespace of its own")
    if "mnt" not in facts.namespaces:
        raise Unfaithful("no mount namespace of its own")
    known = (1 << facts.last_capability + 1) - 1
    sets = {
        which: capabilities.mask((process.get("capabilities") or {}).get(which) or ()) & known
        for which in ("bounding", "effective", "permitted", "inheritable", "ambient")
    }
    profile = linux.get("seccomp")
    _looks_like_it(facts, sets["bounding"], profiled=bool(profile))
    score = process.get("oomScoreAdj")
    return Plan(
        pid_namespace="pid" in facts.namespaces,
        namespaces=sum(flag for kind, flag in NAMESPACES.items() if kind in facts.namespaces),
        cgroups=joined(facts.cgroups, facts.our_cgroups, facts.mounts),
        labels=_labels(process, facts),
        keyring=f"_ses.{container_id}",
        oom_score_adj=facts.oom_score_adj if score is None else score,
        rlimits=_limits(process.get("rlimits") or (), facts.limits),
        no_new_privileges=bool(process.get("noNewPrivileges")),
        seccomp=_compiled(profile, compile_profile) if profile else None,
        umask=facts.umask if user.get("umask") is None else user["umask"],
        cwd=process.get("cwd") or "/",
        uid=user.get("uid", 0),
        gid=user.get("gid", 0),
        groups=user.get("additionalGids") or (),
        last_capability=facts.last_capability,
        env=_env(process.get("env") or ()),
        **sets,
    )


def _looks_like_it(facts: Facts, bounding: int, *, profiled: bool) -> None:
    """Is the process what the spec says? Of a virtual machine, or a kernel in user space, it is not."""
    if int(facts.status.get("CapBnd", "0"), 16) != bounding:
        raise Unfaithful("its first process has other capabilities than its spec")
    if profiled and facts.status.get("Seccomp") != "2":
        raise Unfaithful("its first process has no seccomp filter")
    if "pid" in facts.namespaces and len(facts.status.get("NSpid", "").split()) < 2:
        raise Unfaithful("its first process is in no pid namespace below ours")


def _labels(process: Mapping[str, Any], facts: Facts) -> list[tuple[str, str]]:
    """Of what is executed next: AppArmor's profile, SELinux's label."""
    labels = []
    if process.get("apparmorProfile"):
        path = _APPARMOR if facts.apparmor_folder else _LSM
        labels.append((path, f"exec {process['apparmorProfile']}"))
    if process.get("selinuxLabel"):
        labels.append((_SELINUX, process["selinuxLabel"]))
    return labels


def _compiled(profile: Mapping[str, Any], compile_profile: Compile) -> dict[str, Any]:
    program = compile_profile(profile)
    return {
        "program": base64.b64encode(program).decode(),
        "flags": seccomp.flags(profile),
    }


_LIMITS = {
    "Max cpu time": resource.RLIMIT_CPU,
    "Max file size": resource.RLIMIT_FSIZE,
    "Max data size": resource.RLIMIT_DATA,
    "Max stack size": resource.RLIMIT_STACK,
    "Max core file size": resource.RLIMIT_CORE,
    "Max resident set": resource.RLIMIT_RSS,
    "Max processes": resource.RLIMIT_NPROC,
    "Max open files": resource.RLIMIT_NOFILE,
    "Max locked memory": resource.RLIMIT_MEMLOCK,
    "Max address space": resource.RLIMIT_AS,
    "Max file locks": 10,
    "Max pending signals": resource.RLIMIT_SIGPENDING,
    "Max msgqueue size": resource.RLIMIT_MSGQUEUE,
    "Max nice priority": resource.RLIMIT_NICE,
    "Max realtime priority": resource.RLIMIT_RTPRIO,
    "Max realtime timeout": resource.RLIMIT_RTTIME,
}
_SPEC_LIMITS = {
    "RLIMIT_LOCKS": 10,
    **{name: getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")},
}
_MAX_U64 = 2**64 - 1


def _limits(
    wanted: Sequence[Mapping[str, Any]], inherited: Mapping[str, tuple[int, int]]
) -> list[tuple[int, int, int]]:
    limits = {_LIMITS[name]: pair for name, pair in inherited.items() if name in _LIMITS}
    for one in wanted:
        number = _SPEC_LIMITS.get(one.get("type", ""))
        if number is None:
            raise Unfaithful(f"rlimit {one.get('type')}")
        limits[number] = _limit(one.get("soft", 0)), _limit(one.get("hard", 0))
    return [(number, *pair) for number, pair in sorted(limits.items())]


def _limit(value: int) -> int:
    return resource.RLIM_INFINITY if value == _MAX_U64 else value


def read_limits(text: str) -> dict[str, tuple[int, int]]:
    """/proc/PID/limits; its unlimited is the infinity of `resource`."""
    limits = {}
    for line in text.splitlines()[1:]:
        match = re.match(r"(Max .+?)\s{2,}(\S+)\s+(\S+)", line)
        if match:
            soft, hard = (
                resource.RLIM_INFINITY if word == "unlimited" else int(word)
                for word in match.groups()[1:]
            )
            limits[match[1]] = soft, hard
    return limits


def _env(pairs: Sequence[str]) -> dict[str, str]:
    """The last one of a name wins, at the place of its first, as `os.Setenv` has it."""
    env = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not name or not equals or _LOST in pair:
            raise Unfaithful(f"environment variable {name!r}")
        env[name] = value
    return env
