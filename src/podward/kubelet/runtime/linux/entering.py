"""Starting a command inside a running container without a program in between.

`nsenter` and `setpriv` are two more programs to load, and three quarters of what an exec probe costs. Instead a
thread of ours enters the container: its file system attributes become its own (`unshare`), it joins the
namespaces, gives up the capabilities that the container does not have, spawns the command, and ends. Namespaces
and capabilities belong to threads in Linux, so the rest of the process never notices.

Only root can: joining a user namespace is forbidden to a process with threads (setns(2)).
"""

import ctypes
import os
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache

from podward.kubelet.runtime.linux.capabilities import NUMBERS, last_capability
from podward.kubelet.runtime.linux.children import Streams
from podward.machinery.threads import in_a_thread_of_its_own

_CLONE_FS = 0x00000200
_NAMESPACES = {"mnt": 0x00020000, "pid": 0x20000000, "uts": 0x04000000, "ipc": 0x08000000}
_PR_SET_DUMPABLE, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 4, 24, 38
_CAPABILITY_VERSION_3 = 0x20080522


class CannotEnter(OSError):
    """The kernel, or what confines us, does not let us into containers this way."""


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    """One half (32 capabilities) of a thread's three sets."""

    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


def harden() -> None:
    """Nothing in a container may look into our memory while a command of ours starts there.

    Between the spawn and the exec the child shares our memory and is seen in the container's /proc; what is not
    dumpable may be traced only with a capability that containers do not get (prctl(2), ptrace(2)).
    """
    _prctl(_PR_SET_DUMPABLE, 0)


async def spawn(
    pid: int,
    argv: Sequence[str],
    env: Mapping[str, str],
    cwd: str,
    streams: Streams,
    capabilities: Sequence[str],
) -> "subprocess.Popen[bytes]":
    """`argv` in the namespaces of `pid`, with `capabilities` (`CAP_KILL`) at most.

    Raises `CannotEnter` where this machine forbids it, any other `OSError` if the command does not start.
    """

    def enter() -> "subprocess.Popen[bytes]":
        try:
            _join(pid)
            _limit(capabilities)
            return streams.popen(argv, env, cwd)
        finally:
            streams.close()

    return await in_a_thread_of_its_own(enter, name=f"enter {pid}", unwanted=_end)


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait()


def _join(pid: int) -> None:
    descriptors: list[int] = []
    try:
        # All are opened before the first is joined: then /proc is another one.
        for name in _NAMESPACES:
            descriptors.append(os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY | os.O_CLOEXEC))
        _call("unshare", _CLONE_FS)
        for descriptor, kind in zip(descriptors, _NAMESPACES.values(), strict=True):
            _call("setns", descriptor, kind)
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _limit(capabilities: Sequence[str]) -> None:
    """Bounding and inheritable set; what root's exec then permits is no more (capabilities(7))."""
    kept = {NUMBERS[name] for name in capabilities}
    for number in range(last_capability() + 1):
        if number not in kept:
            _prctl(_PR_CAPBSET_DROP, number)
    header, sets = _Header(_CAPABILITY_VERSION_3, 0), (_Sets * 2)()
    _call("capget", ctypes.byref(header), sets)
    for half in range(2):
        mask = sum(1 << (number - 32 * half) for number in kept if number // 32 == half)
        sets[half].inheritable = mask
    _call("capset", ctypes.byref(header), sets)
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _call(name: str, *arguments: object) -> None:
    if getattr(_libc(), name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise CannotEnter(number, f"{name}: {os.strerror(number)}")


def _prctl(option: int, value: int) -> None:
    _call("prctl", option, *map(ctypes.c_ulong, (value, 0, 0, 0)))
