"""A container's seccomp profile (`linux.seccomp` of an OCI spec) as the program that the kernel runs.

libseccomp compiles it, the very library that the engine's runtime calls, used the way runc uses it
(libcontainer/seccomp): a system call that this machine does not know is passed over, a rule that says what the
default says too, two conditions on one argument are two rules. In front comes runc's own prologue: a call that
is newer than every call which the profile names answers ENOSYS, not the default's error, so that C libraries
try the older way.
"""

import ctypes
import os
import struct
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from podward.kubelet.runtime.linux.unfaithful import Unfaithful

_X32_BIT = 0x40000000
ARCHITECTURES = {
    "SCMP_ARCH_X86": 0x40000003,
    "SCMP_ARCH_X86_64": 0xC000003E,
    "SCMP_ARCH_X32": 0x4000003E,
    "SCMP_ARCH_ARM": 0x40000028,
    "SCMP_ARCH_AARCH64": 0xC00000B7,
}
_AUDIT = {"SCMP_ARCH_X32": ARCHITECTURES["SCMP_ARCH_X86_64"]}
"""x32 shows as x86_64, with a bit in the call's number."""
FLAGS = {"SECCOMP_FILTER_FLAG_LOG": 2, "SECCOMP_FILTER_FLAG_SPEC_ALLOW": 4}
_COMPARISONS = {
    "SCMP_CMP_NE": 1,
    "SCMP_CMP_LT": 2,
    "SCMP_CMP_LE": 3,
    "SCMP_CMP_EQ": 4,
    "SCMP_CMP_GE": 5,
    "SCMP_CMP_GT": 6,
    "SCMP_CMP_MASKED_EQ": 7,
}
_ALLOW, _LOG, _ERRNO = 0x7FFF0000, 0x7FFC0000, 0x00050000
_ACTIONS = {
    "SCMP_ACT_ALLOW": _ALLOW,
    "SCMP_ACT_LOG": _LOG,
    "SCMP_ACT_KILL": 0x00000000,
    "SCMP_ACT_KILL_THREAD": 0x00000000,
    "SCMP_ACT_KILL_PROCESS": 0x80000000,
    "SCMP_ACT_TRAP": 0x00030000,
}
"""ERRNO carries a number. TRACE and NOTIFY need somebody who listens."""
NEEDED = frozenset({
    # What our child calls between the filter and the command: it must live to say what went wrong.
    "brk", "capset", "chdir", "close", "dup2", "dup3", "execve", "exit", "exit_group", "fchown", "fcntl",
    "fstat", "futex",
    "getdents64", "lseek", "madvise", "mmap", "mprotect", "mremap", "munmap", "newfstatat", "open",
    "openat", "prctl", "read", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "seccomp", "setgroups",
    "setresgid", "setresuid", "stat", "umask", "write",
})  # fmt: skip

_EPERM, _ENOSYS = 1, 38
_UNKNOWN = -1
_NO_NEW_PRIVS_ATTRIBUTE = 3

_LOAD, _JUMP, _IF_EQUAL, _IF_GREATER, _IF_SET, _RETURN = 0x20, 0x05, 0x15, 0x25, 0x45, 0x06
Instruction = tuple[int, int, int, int]
"""Code, jump if true, jump if false, value: struct sock_filter."""


class _Argument(ctypes.Structure):
    """struct scmp_arg_cmp"""

    _fields_ = (
        ("index", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("a", ctypes.c_uint64),
        ("b", ctypes.c_uint64),
    )


def flags(profile: Mapping[str, Any]) -> int:
    """For seccomp(2). Raises `Unfaithful` for one that we do not know."""
    unknown = [name for name in profile.get("flags") or () if name not in FLAGS]
    if unknown:
        raise Unfaithful(f"seccomp flag {unknown[0]}")
    return sum({FLAGS[name] for name in profile.get("flags") or ()})


def check(profile: Mapping[str, Any]) -> None:
    """Raises `Unfaithful` for what cannot be compiled here, or could kill our child before it executes."""
    if profile.get("listenerPath"):
        raise Unfaithful("seccomp notifies a listener")
    if profile.get("defaultAction") not in ("SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_ERRNO"):
        raise Unfaithful(f"seccomp default {profile.get('defaultAction')}")
    for architecture in profile.get("architectures") or ():
        if architecture not in ARCHITECTURES:
            raise Unfaithful(f"seccomp architecture {architecture}")
    if not profile.get("architectures"):
        raise Unfaithful("seccomp profile without architectures")
    for rule in profile.get("syscalls") or ():
        action = rule.get("action")
        if action in ("SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_ERRNO"):
            continue
        if action not in _ACTIONS:
            raise Unfaithful(f"seccomp action {action}")
        reached = NEEDED.intersection(rule.get("names") or ())
        if reached:
            raise Unfaithful(f"seccomp {action} on {min(reached)}")


def compile_profile(profile: Mapping[str, Any]) -> bytes:
    """The program. Raises `Unfaithful` without libseccomp, or for a profile that it does not take."""
    check(profile)
    library = _library()
    default = _action(profile["defaultAction"], profile.get("defaultErrnoRet"))
    context = library.seccomp_init(ctypes.c_uint32(default))
    if not context:
        raise Unfaithful("libseccomp does not start")
    context = ctypes.c_void_p(context)
    try:
        for name in profile["architectures"]:
            _check(
                library.seccomp_arch_add(context, ctypes.c_uint32(ARCHITECTURES[name])), name, 17
            )
        _check(library.seccomp_attr_set(context, _NO_NEW_PRIVS_ATTRIBUTE, ctypes.c_uint32(0)), "")
        for rule in profile.get("syscalls") or ():
            action = _action(rule["action"], rule.get("errnoRet"))
            if action == default:
                continue
            for name in rule.get("names") or ():
                number = library.seccomp_syscall_resolve_name(name.encode())
                if number == _UNKNOWN:
                    continue
                for conditions in _conditions(rule.get("args") or ()):
                    array = (_Argument * len(conditions))(*conditions)
                    _check(
                        library.seccomp_rule_add_array(
                            context, ctypes.c_uint32(action), number, len(conditions), array
                        ),
                        name,
                    )
        compiled = _export(library, context)
    finally:
        library.seccomp_release(context)
    patched = default not in (_ALLOW, _LOG) and profile.get("defaultErrnoRet") != _ENOSYS
    return (prologue(_newest(library, profile)) if patched else b"") + compiled


def _export(library: ctypes.CDLL, context: ctypes.c_void_p) -> bytes:
    descriptor = os.memfd_create("seccomp")
    try:
        _check(library.seccomp_export_bpf(context, descriptor), "export")
        return os.pread(descriptor, os.fstat(descriptor).st_size, 0)
    finally:
        os.close(descriptor)


def _action(name: str, number: int | None) -> int:
    if name == "SCMP_ACT_ERRNO":
        return _ERRNO | ((_EPERM if number is None else number) & 0xFFFF)
    return _ACTIONS[name]


def _conditions(arguments: Sequence[Mapping[str, Any]]) -> list[list[_Argument]]:
    """The rules that one rule is: all conditions together, unless one argument has two of them."""
    made = []
    for one in arguments:
        if one.get("op") not in _COMPARISONS:
            raise Unfaithful(f"seccomp comparison {one.get('op')}")
        comparison = _COMPARISONS[one["op"]]
        made.append(
            _Argument(one.get("index", 0), comparison, one.get("value", 0), one.get("valueTwo", 0))
        )
    if len({one.index for one in made}) < len(made):
        return [[one] for one in made]
    return [made]


def _newest(library: ctypes.CDLL, profile: Mapping[str, Any]) -> dict[int, dict[bool, int]]:
    """Of each architecture as the kernel names it, and whether it is x32, the highest call in the profile."""
    newest: dict[int, dict[bool, int]] = {}
    names = [name for rule in profile.get("syscalls") or () for name in rule.get("names") or ()]
    for architecture in profile["architectures"]:
        token = ctypes.c_uint32(ARCHITECTURES[architecture])
        numbers = (
            library.seccomp_syscall_resolve_name_arch(token, name.encode()) for name in names
        )
        highest = max(numbers, default=0)
        if highest > 0:
            audit = _AUDIT.get(architecture, ARCHITECTURES[architecture])
            newest.setdefault(audit, {})[architecture in _AUDIT] = highest
    return newest


def prologue(newest: Mapping[int, Mapping[bool, int]]) -> bytes:
    """Pure. Falls through into what follows, unless the call is newer than the newest: then ENOSYS.

    Every block ends with a return to the filter or to the error, so its jumps can be told from its own length.
    """
    blocks: list[tuple[int, list[Instruction]]] = []
    for architecture, calls in newest.items():
        block: list[Instruction] = [(_LOAD, 0, 0, 0)]
        if True in calls and False in calls:
            block += [
                (_IF_SET, 0, 2, _X32_BIT),
                (_IF_GREATER, 3, 0, calls[True]),
                (_JUMP, 0, 0, 1),
                (_IF_GREATER, 1, 0, calls[False]),
            ]
        else:
            block += [(_IF_GREATER, 1, 0, next(iter(calls.values())))]
        blocks.append((architecture, block))
    if not blocks:
        return b""
    # Each block, then: to the filter, or the error. Jumps to the filter are reckoned from behind.
    code: list[Instruction] = []
    for architecture, block in reversed(blocks):
        rest = len(code)
        tail: list[Instruction] = [(_JUMP, 0, 0, rest + 1), (_RETURN, 0, 0, _ERRNO | _ENOSYS)]
        code = [(_IF_EQUAL, 0, len(block) + 2, architecture), *block, *tail, *code]
    return b"".join(struct.pack("<HBBI", *one) for one in [(_LOAD, 0, 0, 4), *code])


@cache
def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL("libseccomp.so.2")
    except OSError as error:
        raise Unfaithful("libseccomp is not installed") from error
    library.seccomp_init.restype = ctypes.c_void_p
    return library


def _check(result: int, what: str, *good: int) -> None:
    if result < 0 and -result not in good:
        raise Unfaithful(f"libseccomp refuses {what}: {os.strerror(-result)}")
