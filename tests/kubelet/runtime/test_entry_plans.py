"""What a command must be like, from an OCI spec and the texts of /proc. Pure."""

import base64
import json
import struct
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podward.kubelet.runtime.cri.direct_exec import _is_runc
from podward.kubelet.runtime.linux import capabilities, seccomp
from podward.kubelet.runtime.linux.cgroups import joined
from podward.kubelet.runtime.linux.plans import Facts, Plan, plan_of, read_limits
from podward.kubelet.runtime.linux.unfaithful import Unfaithful

CHOWN, KILL = 1 << 0, 1 << 5
SPEC: dict[str, Any] = {
    "process": {
        "user": {"uid": 1001, "gid": 2, "additionalGids": [3, 4]},
        "env": ["PATH=/bin", "A=1", "A=2", "B=x=y"],
        "cwd": "/work",
        "capabilities": {"bounding": ["CAP_CHOWN", "CAP_KILL"], "effective": ["CAP_KILL"]},
        "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 10, "hard": 2**64 - 1}],
        "oomScoreAdj": 900,
    },
    "linux": {},
}
FACTS = Facts(
    status={"CapBnd": "0000000000000021", "Seccomp": "0", "NSpid": "77\t1"},
    namespaces=frozenset({"mnt", "pid", "net"}),
    cgroups="1:cpu:/pod\n0::/\n",
    our_cgroups="1:cpu:/\n0::/\n",
    mounts="32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n",
    umask=0o22,
    limits={"Max open files": (5, 6), "Max processes": (7, 8)},
    oom_score_adj=3,
    last_capability=40,
    apparmor_folder=True,
)


def no_profile(profile: Mapping[str, Any]) -> bytes:
    raise AssertionError("there is no profile")


def changed(process: Mapping[str, Any] = {}, linux: Mapping[str, Any] = {}) -> dict[str, Any]:
    return {"process": {**SPEC["process"], **process}, "linux": {**SPEC["linux"], **linux}}


def plan(spec: Mapping[str, Any], facts: Facts = FACTS) -> Plan:
    return plan_of(spec, facts, "c0ffee", lambda profile: b"program")


def test_a_plan_says_what_the_spec_says() -> None:
    made = plan_of(SPEC, FACTS, "c0ffee", no_profile)
    assert made.env == {"PATH": "/bin", "A": "2", "B": "x=y"}
    assert list(made.env) == ["PATH", "A", "B"]
    assert (made.uid, made.gid, made.groups, made.cwd) == (1001, 2, [3, 4], "/work")
    assert (made.bounding, made.effective, made.permitted) == (CHOWN | KILL, KILL, 0)
    assert made.pid_namespace
    assert made.namespaces == 0x00020000 | 0x40000000
    assert made.cgroups == ["/sys/fs/cgroup/cpu/pod/tasks"]
    assert made.rlimits == [(6, 7, 8), (7, 10, -1)]
    assert (made.oom_score_adj, made.umask, made.keyring) == (900, 0o22, "_ses.c0ffee")
    assert (made.no_new_privileges, made.seccomp, made.labels) == (False, None, [])
    assert json.loads(made.encode())["env"]["B"] == "x=y"


def test_what_the_spec_leaves_out_is_as_the_first_process_has_it() -> None:
    spec = changed({"oomScoreAdj": None, "rlimits": None, "user": {}, "cwd": ""})
    made = plan(spec)
    assert (made.oom_score_adj, made.rlimits) == (3, [(6, 7, 8), (7, 5, 6)])
    assert (made.uid, made.gid, made.groups, made.cwd) == (0, 0, (), "/")
    assert plan(changed({"user": {"umask": 0o77}})).umask == 0o77


def test_labels_are_for_what_is_executed_next() -> None:
    spec = changed({"apparmorProfile": "cri-default", "selinuxLabel": "system_u:c1"})
    exec_, selinux = ("/proc/self/attr/apparmor/exec", "exec cri-default"), "/proc/self/attr/exec"
    assert plan(spec).labels == [exec_, (selinux, "system_u:c1")]
    assert plan(spec, replace(FACTS, apparmor_folder=False)).labels[0][0] == selinux


def test_a_profile_is_compiled() -> None:
    facts = replace(FACTS, status={**FACTS.status, "Seccomp": "2"})
    made = plan(changed(linux={"seccomp": {"flags": ["SECCOMP_FILTER_FLAG_LOG"]}}), facts)
    assert made.seccomp == {"program": base64.b64encode(b"program").decode(), "flags": 2}


REFUSED: dict[str, tuple[dict[str, Any], Facts]] = {
    "user namespace": (SPEC, replace(FACTS, namespaces=frozenset({"mnt", "user"}))),
    "time namespace": (SPEC, replace(FACTS, namespaces=frozenset({"mnt", "time"}))),
    "no mount namespace": (SPEC, replace(FACTS, namespaces=frozenset({"pid"}))),
    "other capabilities": (SPEC, replace(FACTS, status={**FACTS.status, "CapBnd": "1ff"})),
    "no seccomp filter": (changed(linux={"seccomp": {"defaultAction": "x"}}), FACTS),
    "pid namespace below": (SPEC, replace(FACTS, status={**FACTS.status, "NSpid": "77"})),
    "process.scheduler": (changed({"scheduler": {"policy": "SCHED_FIFO"}}), FACTS),
    "linux.personality": (changed(linux={"personality": {"domain": "LINUX32"}}), FACTS),
    "linux.intelRdt": (changed(linux={"intelRdt": {"closID": "x"}}), FACTS),
    "rlimit RLIMIT_X": (changed({"rlimits": [{"type": "RLIMIT_X"}]}), FACTS),
    "environment variable 'A'": (changed({"env": ["A=\ufffd"]}), FACTS),
    "environment variable 'B'": (changed({"env": ["B"]}), FACTS),
    "is not mounted": (SPEC, replace(FACTS, mounts="")),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_cannot_be_done_exactly_is_not_done(reason: str) -> None:
    spec, facts = REFUSED[reason]
    with pytest.raises(Unfaithful, match=reason):
        plan(spec, facts)


V1 = "40 31 0:37 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
NAMED = "41 31 0:38 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n"
V2 = "42 31 0:39 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate\n"
BELOW = "43 31 0:40 /outer /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"


@pytest.mark.parametrize(
    ("theirs", "ours", "mounts", "files"),
    [
        ("3:cpuacct,cpu:/a/b", "3:cpuacct,cpu:/", V1, ["/sys/fs/cgroup/cpu,cpuacct/a/b/tasks"]),
        ("1:name=systemd:/a", "1:name=systemd:/", NAMED + V2, ["/sys/fs/cgroup/systemd/a/tasks"]),
        ("0::/a", "0::/", NAMED + V2, ["/sys/fs/cgroup/unified/a/cgroup.procs"]),
        ("0::/", "0::/own", V2, ["/sys/fs/cgroup/unified/cgroup.procs"]),
        ("0::/same\n3:cpu:/x", "0::/same\n3:cpu:/x", "", []),
        ("0::/outer/a", "0::/outer", BELOW, ["/sys/fs/cgroup/a/cgroup.procs"]),
        ("0::/a:b", "0::/", V2, ["/sys/fs/cgroup/unified/a:b/cgroup.procs"]),
    ],
)
def test_cgroups_are_found_in_the_file_system(
    theirs: str, ours: str, mounts: str, files: list[str]
) -> None:
    assert joined(theirs, ours, mounts) == files


def test_a_cgroup_outside_of_what_is_mounted_is_not_joined() -> None:
    with pytest.raises(Unfaithful, match="/else is not below /outer"):
        joined("0::/else", "0::/", BELOW)
    with pytest.raises(Unfaithful, match="version 2 is not mounted"):
        joined("0::/else", "0::/", V1)


def test_limits_are_read_as_the_kernel_writes_them() -> None:
    text = (
        "Limit                     Soft Limit           Hard Limit           Units     \n"
        "Max cpu time              unlimited            unlimited            seconds   \n"
        "Max open files            1024                 524288               files     \n"
        "Max nice priority         0                    0                    \n"
    )
    assert read_limits(text) == {
        "Max cpu time": (-1, -1),
        "Max open files": (1024, 524288),
        "Max nice priority": (0, 0),
    }


def test_capabilities_have_the_kernels_numbers() -> None:
    assert capabilities.mask(["CAP_CHOWN", "CAP_SYS_ADMIN", "CAP_OF_TOMORROW"]) == 1 | 1 << 21
    assert capabilities.NUMBERS["CAP_CHECKPOINT_RESTORE"] == 40


@pytest.mark.parametrize(
    ("info", "refused"),
    [
        ({}, False),  # CRI-O does not tell
        ({"runtimeType": "io.containerd.runc.v2", "runtimeOptions": {}}, False),
        (
            {
                "runtimeType": "io.containerd.runc.v2",
                "runtimeOptions": {"BinaryName": "/usr/bin/crun"},
            },
            False,
        ),
        (
            {
                "runtimeType": "io.containerd.runc.v2",
                "runtimeOptions": {"BinaryName": "/opt/runsc"},
            },
            True,
        ),
        ({"runtimeType": "io.containerd.kata.v2"}, True),
        ({"runtimeType": "io.containerd.runsc.v1"}, True),
    ],
)
def test_only_containers_of_this_kernel_are_entered(info: dict[str, Any], refused: bool) -> None:
    if refused:
        with pytest.raises(Unfaithful):
            _is_runc(info)
    else:
        _is_runc(info)


# ---- seccomp: the programs are run, by an interpreter of the handful of instructions that they are made of

X86_64, X86 = seccomp.ARCHITECTURES["SCMP_ARCH_X86_64"], seccomp.ARCHITECTURES["SCMP_ARCH_X86"]
ALLOW, ENOSYS, EPERM = 0x7FFF0000, 0x50000 | 38, 0x50000 | 1
PROFILE: dict[str, Any] = {
    "defaultAction": "SCMP_ACT_ERRNO",
    "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
    "syscalls": [
        {"names": ["read", "write", "openat2", "of-tomorrow"], "action": "SCMP_ACT_ALLOW"},
        {
            "names": ["clone"],
            "action": "SCMP_ACT_ALLOW",
            "args": [{"index": 0, "value": 0x7E020000, "op": "SCMP_CMP_MASKED_EQ"}],
        },
        {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38},
        {"names": ["mount"], "action": "SCMP_ACT_ERRNO"},
    ],
}


def run(program: bytes, number: int, architecture: int = X86_64, *arguments: int) -> int:
    """What the kernel would answer to this call (seccomp(2): struct seccomp_data)."""
    data = struct.pack("<IIQ6Q", number, architecture, 0, *(*arguments, 0, 0, 0, 0, 0, 0)[:6])
    code = list(struct.iter_unpack("<HBBI", program))
    at = accumulator = 0
    while True:
        kind, true, false, value = code[at]
        at += 1
        if kind == 0x20:
            accumulator = struct.unpack_from("<I", data, value)[0]
        elif kind == 0x06:
            return int(value)
        elif kind == 0x05:
            at += value
        elif kind == 0x54:
            accumulator &= value
        else:
            tests = {
                0x15: accumulator == value, 0x25: accumulator > value,
                0x35: accumulator >= value, 0x45: bool(accumulator & value),
            }  # fmt: skip
            at += true if tests[kind] else false


@pytest.mark.parametrize(
    ("number", "architecture", "arguments", "answer"),
    [
        (0, X86_64, (), ALLOW),  # read
        (3, X86, (), ALLOW),  # read, there
        (165, X86_64, (), EPERM),  # mount
        (2, X86_64, (), EPERM),  # open, which is not named
        (56, X86_64, (0x11,), ALLOW),  # clone of a child
        (56, X86_64, (0x20000,), EPERM),  # clone with a mount namespace
        (435, X86_64, (), ENOSYS),  # clone3
        (437, X86_64, (), ALLOW),  # openat2, the newest
        (438, X86_64, (), ENOSYS),  # newer
        (999, X86, (), ENOSYS),
        (0x40000000, X86_64, (), ALLOW),  # read of x32
        (0x40000000 + 999, X86_64, (), ENOSYS),
        (0x40000000 + 2, X86_64, (), EPERM),
    ],
)
def test_a_compiled_profile_answers_as_runcs_would(
    number: int, architecture: int, arguments: tuple[int, ...], answer: int
) -> None:
    assert run(seccomp.compile_profile(PROFILE), number, architecture, *arguments) == answer


def test_a_permissive_default_needs_no_prologue() -> None:
    program = seccomp.compile_profile({**PROFILE, "defaultAction": "SCMP_ACT_ALLOW"})
    assert run(program, 999) == ALLOW
    assert run(program, 165) == EPERM


KILLING = {"names": ["execve", "reboot"], "action": "SCMP_ACT_KILL_PROCESS"}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"defaultAction": "SCMP_ACT_KILL"}, "default SCMP_ACT_KILL"),
        ({"defaultAction": "SCMP_ACT_NOTIFY"}, "default SCMP_ACT_NOTIFY"),
        ({"architectures": ["SCMP_ARCH_OTHER"]}, "architecture SCMP_ARCH_OTHER"),
        ({"architectures": []}, "without architectures"),
        ({"listenerPath": "/run/x"}, "listener"),
        ({"syscalls": [KILLING]}, "SCMP_ACT_KILL_PROCESS on execve"),
        ({"syscalls": [{**KILLING, "action": "SCMP_ACT_TRACE"}]}, "action SCMP_ACT_TRACE"),
    ],
)
def test_a_profile_that_could_kill_us_is_left_to_the_engine(
    change: dict[str, Any], reason: str
) -> None:
    with pytest.raises(Unfaithful, match=reason):
        seccomp.compile_profile({**PROFILE, **change})


def test_a_profile_that_kills_for_something_else_is_compiled() -> None:
    rules = [*PROFILE["syscalls"], {**KILLING, "names": ["reboot"]}]
    assert run(seccomp.compile_profile({**PROFILE, "syscalls": rules}), 169) == 0x80000000


def test_flags_are_known_or_refused() -> None:
    assert seccomp.flags({"flags": ["SECCOMP_FILTER_FLAG_SPEC_ALLOW"] * 2}) == 4
    with pytest.raises(Unfaithful, match="seccomp flag NEW"):
        seccomp.flags({"flags": ["NEW"]})


@given(
    st.dictionaries(
        st.sampled_from([X86_64, X86, seccomp.ARCHITECTURES["SCMP_ARCH_AARCH64"]]),
        st.dictionaries(st.booleans(), st.integers(1, 2000), min_size=1),
        max_size=3,
    ),
    st.sampled_from([X86_64, X86, 0x1234]),
    st.integers(0, 3000),
    st.booleans(),
)
def test_the_prologue_tells_new_calls_from_known_ones(
    newest: dict[int, dict[bool, int]], architecture: int, call: int, x32: bool
) -> None:
    bit = 0x40000000
    known = {a: {k: n + bit * k for k, n in calls.items()} for a, calls in newest.items()}
    number = call + bit * x32
    limits = known.get(architecture, {})
    limit = limits[x32] if len(limits) == 2 else max(limits.values(), default=2**32)
    program = seccomp.prologue(known) + struct.pack("<HBBI", 0x06, 0, 0, ALLOW)
    assert run(program, number, architecture) == (ENOSYS if number > limit else ALLOW)
