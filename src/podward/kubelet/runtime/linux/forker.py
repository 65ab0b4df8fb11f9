"""The process from which commands are forked into containers: a program of its own.

A command's cgroup, limits and OOM score belong to a whole process, so the child must set them itself before it
executes the command. To fork Podward for that is dear (13 ms at 77 MB, measured) and shows a container's
process a copy of Podward's memory; a thread inside a container's CPU limit would be stopped holding the
interpreter's lock. This process is small, has one thread, and knows nothing worth stealing.

It speaks datagrams on the descriptor that its first argument names. Request: JSON `[enters the pid namespace,
[argv ...]]` with five descriptors (plan, pidfd, stdout, stderr, report). Answer: the child's pid, or minus an
errno. The child is made with CLONE_PARENT, so Podward itself waits for it. On `report` the child writes "."
before it executes the command, and JSON `[step, errno, text]` if it cannot; a command that runs closes it.

The order of the child's steps is runc's (its `finalizeNamespace` and `linuxSetnsInit`): what a step needs is
given up only after it.
"""

import array
import base64
import ctypes
import gc
import json
import os
import platform
import resource
import signal
import socket
import stat
import sys
from typing import Any, NoReturn

REQUEST_LIMIT = 64 * 1024
_PASSWD_LIMIT = 1024 * 1024

_CLONE_PARENT = 0x00008000
_CLONE_NEWNS, _CLONE_NEWPID = 0x00020000, 0x20000000
_MS_RDONLY, _MS_REMOUNT, _MS_BIND, _MS_REC, _MS_SLAVE = 1, 32, 4096, 16384, 1 << 19
_PR_SET_DUMPABLE, _PR_SET_KEEPCAPS, _PR_SET_SECCOMP, _PR_CAPBSET_DROP = 4, 8, 22, 24
_PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE = 38, 47, 2
_SECCOMP_SET_MODE_FILTER = 1
_KEYCTL_JOIN_SESSION_KEYRING = 1
_CAPABILITY_VERSION_3 = 0x20080522
_ENOSYS = 38

# clone, keyctl and seccomp have no wrapper in every C library, and their numbers differ (unistd.h).
CALLS = {
    "x86_64": {"clone": 56, "keyctl": 250, "seccomp": 317},
    "aarch64": {"clone": 220, "keyctl": 219, "seccomp": 277},
}

_libc = ctypes.PyDLL(None, use_errno=True)
_numbers = CALLS.get(platform.machine(), {})


class Refused(Exception):
    def __init__(self, step: str, number: int, text: str) -> None:
        super().__init__(step, number, text)


class _Program(ctypes.Structure):
    """struct sock_fprog"""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def _call(name: str, *arguments: object) -> int:
    result: int = getattr(_libc, name)(*arguments)
    if result == -1:
        number = ctypes.get_errno()
        raise Refused(name, number, os.strerror(number))
    return result


def _syscall(name: str, *arguments: int | bytes | None) -> int:
    words = (
        ctypes.c_char_p(a) if isinstance(a, bytes) else ctypes.c_long(a or 0) for a in arguments
    )
    return _call("syscall", ctypes.c_long(_numbers[name]), *words)


def _prctl(option: int, *values: int) -> None:
    padded = (*values, 0, 0, 0, 0)[:4]
    _call("prctl", option, *map(ctypes.c_ulong, padded))


# ---- the forking process


def main() -> None:
    number = int(sys.argv[1])
    if len(sys.argv) > 2:
        _on_a_read_only_program()
    _prctl(_PR_SET_DUMPABLE, 0)
    for ignored in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(ignored, signal.SIG_IGN)  # it ends when its socket does
    own_pids = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    inside = False
    os.set_inheritable(number, False)
    with socket.socket(fileno=number) as channel:
        gc.collect()
        gc.freeze()
        gc.disable()
        channel.send(b"ready")
        while True:
            data, descriptors = _receive(channel)
            if not data:
                return
            enters, argv = json.loads(data)
            try:
                # For children only; where they go back to is always said anew.
                if enters:
                    _call("setns", descriptors[1], _CLONE_NEWPID)
                elif inside:
                    _call("setns", own_pids, _CLONE_NEWPID)
                inside = enters
                pid = _syscall("clone", _CLONE_PARENT | signal.SIGCHLD, 0, 0, 0, 0)
            except Refused as error:
                pid = -error.args[1]
            else:
                if pid == 0:
                    _child(channel, descriptors, argv)
            for descriptor in descriptors:
                os.close(descriptor)
            channel.send(str(pid).encode())


def _receive(channel: socket.socket) -> tuple[bytes, list[int]]:
    room = socket.CMSG_LEN(5 * array.array("i").itemsize)
    data, ancillary, _, _ = channel.recvmsg(REQUEST_LIMIT, room, socket.MSG_CMSG_CLOEXEC)
    descriptors = array.array("i")
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors.frombytes(content)
    return data, list(descriptors)


def _on_a_read_only_program() -> NoReturn:
    """Start again from an interpreter that nobody can write to through /proc/PID/exe (CVE-2019-5736).

    A container whose command is a script for `/proc/self/exe` would run what we are, and might then open it.
    """
    _call("unshare", _CLONE_NEWNS)
    _call("mount", None, b"/", None, ctypes.c_ulong(_MS_REC | _MS_SLAVE), None)
    program = os.fsencode(os.path.realpath("/proc/self/exe"))
    _call("mount", program, program, None, ctypes.c_ulong(_MS_BIND), None)
    flags = _MS_REMOUNT | _MS_BIND | _MS_RDONLY
    _call("mount", None, program, None, ctypes.c_ulong(flags), None)
    os.execv(sys.executable, [sys.executable, "-I", "-S", __file__, sys.argv[1]])


# ---- the child, until it is the command


def _child(channel: socket.socket, descriptors: list[int], argv: list[str]) -> NoReturn:
    plan, pidfd, stdout, stderr, report = descriptors
    try:
        os.close(channel.fileno())
        os.setsid()
        text = os.pread(plan, os.fstat(plan).st_size, 0)
        _enter(json.loads(text), argv, pidfd, (stdout, stderr), report)
    except Refused as error:
        said = list(error.args)
    except OSError as error:
        said = ["", error.errno or 0, str(error)]
    except BaseException as error:
        said = [type(error).__name__, 0, str(error)]
    try:
        os.write(report, json.dumps(said).encode()[:4096])
    finally:
        os._exit(127)


def _enter(
    plan: dict[str, Any], argv: list[str], pidfd: int, outputs: tuple[int, int], report: int
) -> NoReturn:
    for number in range(1, signal.NSIG):
        # Python ignores SIGPIPE, and whoever started us may have ignored more.
        if number not in (signal.SIGKILL, signal.SIGSTOP, 32, 33):
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    # What the machine's own /proc and /sys are needed for.
    _write("/proc/self/oom_score_adj", str(plan["oom_score_adj"]))
    for path, label in plan["labels"]:
        _write(path, label)
    for path in plan["cgroups"]:
        _write(path, "0")
    for kind, soft, hard in plan["rlimits"]:
        if resource.getrlimit(kind) != (soft, hard):
            resource.setrlimit(kind, (soft, hard))
    _call("setns", pidfd, plan["namespaces"])
    if plan["keyring"]:
        _join_keyring(plan["keyring"])
    if plan["no_new_privileges"]:
        _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    elif plan["seccomp"]:
        _filter(plan["seccomp"])  # takes CAP_SYS_ADMIN, which is about to go
    home = _home(plan["uid"])
    os.umask(plan["umask"])
    there = _change_directory(plan["cwd"], forgiving=True)
    _streams(outputs, plan["uid"])
    _become(plan)
    if not there:
        _change_directory(plan["cwd"], forgiving=False)
    _capabilities(plan)
    if plan["seccomp"] and plan["no_new_privileges"]:
        _filter(plan["seccomp"])
    env = dict(plan["env"])
    env["HOME"] = env.get("HOME") or home
    program = _find(argv[0], env.get("PATH", ""))
    os.write(report, b".")
    os.execve(program, argv, env)


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, os.fsencode(text))
    finally:
        os.close(descriptor)


def _join_keyring(name: str) -> None:
    """The container's own: else the command would hold the keys of whoever started us."""
    try:
        _syscall("keyctl", _KEYCTL_JOIN_SESSION_KEYRING, name.encode(), 0, 0, 0)
    except Refused as error:
        if error.args[1] != _ENOSYS:
            raise


def _filter(seccomp: dict[str, Any]) -> None:
    code = base64.b64decode(seccomp["program"])
    program = _Program(len(code) // 8, code)
    address = ctypes.addressof(program)
    if seccomp["flags"]:
        _syscall("seccomp", _SECCOMP_SET_MODE_FILTER, seccomp["flags"], address)
    else:
        _prctl(_PR_SET_SECCOMP, 2, address)


def _change_directory(path: str, *, forgiving: bool) -> bool:
    """First as root, then as whom the command runs as: either may be the one who may (spec's `cwd`)."""
    try:
        os.chdir(path)
    except PermissionError as error:
        if not forgiving:
            raise Refused("chdir", error.errno or 0, str(error)) from None
        return False
    except OSError as error:
        raise Refused("chdir", error.errno or 0, str(error)) from None
    return True


def _streams(outputs: tuple[int, int], uid: int) -> None:
    null = os.open(os.devnull, os.O_RDONLY)
    for target, descriptor in enumerate((null, *outputs)):
        os.dup2(descriptor, target)
    for descriptor in (1, 2):
        os.fchown(descriptor, uid, -1)  # so that it may open /dev/stdout
    os.close(null)


def _become(plan: dict[str, Any]) -> None:
    last = plan["last_capability"]
    for number in range(last + 1):
        if not plan["bounding"] >> number & 1:
            _prctl(_PR_CAPBSET_DROP, number)
    _prctl(_PR_SET_KEEPCAPS, 1)
    os.setgroups(plan["groups"])
    os.setresgid(plan["gid"], plan["gid"], plan["gid"])
    os.setresuid(plan["uid"], plan["uid"], plan["uid"])


def _capabilities(plan: dict[str, Any]) -> None:
    _prctl(_PR_SET_KEEPCAPS, 0)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    words = [
        plan[which] >> shift & 0xFFFFFFFF
        for shift in (0, 32)
        for which in ("effective", "permitted", "inheritable")
    ]
    _call("capset", header, (ctypes.c_uint32 * 6)(*words))
    for number in range(plan["last_capability"] + 1):
        if plan["ambient"] >> number & 1:
            _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, number)


def _home(uid: int) -> str:
    """Of the container's own accounts; `/` for whom they do not name, as runc has it."""
    try:
        # Not blocking: whatever lies there was put there by the container.
        descriptor = os.open("/etc/passwd", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return "/"
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return "/"
        text = os.read(descriptor, _PASSWD_LIMIT)
    finally:
        os.close(descriptor)
    for line in text.split(b"\n"):
        fields = line.strip().split(b":")
        if len(fields) > 5 and fields[2] == str(uid).encode():
            return os.fsdecode(fields[5])
    return "/"


def _find(name: str, path: str) -> str:
    """As Go's LookPath, which is what an engine's own child looks with."""
    if "/" in name:
        return name
    for folder in path.split(":"):
        candidate = os.path.join(folder or ".", name)
        try:
            mode = os.stat(candidate).st_mode
        except OSError:
            continue
        if not stat.S_ISDIR(mode) and mode & 0o111:
            if not candidate.startswith("/"):
                break
            return candidate
    raise Refused("look up", 2, f"{name}: executable file not found in $PATH")


if __name__ == "__main__":
    try:
        main()
    except Refused as error:
        sys.exit(f"{error.args[0]}: {error.args[2]}")
    except OSError as error:
        sys.exit(str(error))
