"""Looking at this machine. Whatever cannot be read is not there: nothing here fails."""

import ctypes
import importlib.metadata
import os
import platform
import shutil
import socket
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path

from podward.doctor.facts import LIBRARIES, Cgroups, Machine, Tool
from podward.machinery.clock import Clock

CAP_SYS_RESOURCE = 24
_SANDBOX = (
    "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--ro-bind", "/", "/", "--proc", "/proc",
    "--tmpfs", "/tmp", "--", "true",
)  # fmt: skip
_USER_NAMESPACES = (
    "user.max_user_namespaces",
    "kernel.unprivileged_userns_clone",
    "kernel.apparmor_restrict_unprivileged_userns",
)
_TIME_ERROR = 5
"""What adjtimex(2) returns where nobody keeps the clock."""
_TRY_SECONDS = 10


def look(clock: Clock, data_dir: Path, host: str, port: int) -> Machine:
    failure, size, free = _data_dir(data_dir)
    filters = _text("/proc/sys/net/bridge/bridge-nf-call-iptables")
    forward = _text("/proc/sys/net/ipv4/ip_forward")
    return Machine(
        python=platform.python_version(),
        libraries={name: _library(name) for name in LIBRARIES},
        as_root=os.geteuid() == 0,
        init=_text("/proc/1/comm"),
        data_dir=str(data_dir),
        data_dir_failure=failure,
        disk_bytes=size,
        disk_free_bytes=free,
        listen=f"{host}:{port}",
        listen_failure=_listen_failure(host, port),
        year=clock.now().year,
        clock_in_step=_clock_in_step(),
        bubblewrap=_bubblewrap(),
        nsenter=_tool("nsenter"),
        setpriv=_tool("setpriv"),
        user_namespaces=_sysctls(_USER_NAMESPACES),
        cgroups=_cgroups(Path("/sys/fs/cgroup")),
        ip_forward=forward == "1" if forward else None,
        bridge_filter=filters == "1" if filters else None,
        seccomp=Path("/proc/sys/kernel/seccomp").exists()
        or "Seccomp:" in _text("/proc/self/status"),
        apparmor=_text("/sys/module/apparmor/parameters/enabled") == "Y",
        overlay="\toverlay" in _text("/proc/filesystems"),
        kubelets=_processes("kubelet"),
    )


def _text(path: str | Path) -> str:
    try:
        return Path(path).read_text(errors="replace").strip()
    except OSError:
        return ""


def _library(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def disk(folder: str | Path) -> tuple[int, int]:
    """(bytes, free bytes) of the filesystem that it lies on; zeros if it cannot be seen."""
    try:
        facts = os.statvfs(folder)
    except OSError:
        return 0, 0
    return facts.f_blocks * facts.f_frsize, facts.f_bavail * facts.f_frsize


def _data_dir(folder: Path) -> tuple[str, int, int]:
    """(why it cannot be written, bytes, free bytes); what is not there yet is made below what is."""
    try:
        there = next(path for path in (folder, *folder.parents) if path.exists())
    except OSError as error:
        return (error.strerror or str(error)).lower(), 0, 0
    size, free = disk(there)
    if not there.is_dir():
        return f"{there} is no directory", size, free
    if not os.access(there, os.W_OK | os.X_OK, effective_ids=True):
        return f"{there} may not be written", size, free
    return "", size, free


def _listen_failure(host: str, port: int) -> str:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.create_server((host, port), family=family):
            return ""
    except OSError as error:
        return (error.strerror or str(error)).lower().partition(" (while")[0]


def _clock_in_step() -> bool | None:
    """As the kernel's own bookkeeping has it (`struct timex`, all zero: only asked, nothing set)."""
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(512))
    except (OSError, AttributeError):
        return None
    return None if state < 0 else state != _TIME_ERROR


def _tool(name: str) -> Tool:
    return Tool(shutil.which(name) or "")


def _bubblewrap() -> Tool:
    path = shutil.which("bwrap")
    if path is None:
        return Tool()
    version = _run([path, "--version"])[1].removeprefix("bubblewrap ")
    code, text = _run([path, *_SANDBOX])
    if code:  # it walks all mounts, and those of engines come and go meanwhile
        code, text = _run([path, *_SANDBOX])
    return Tool(
        path, version, "" if code == 0 else text.splitlines()[0] if text else f"exit {code}"
    )


def _run(command: Sequence[str]) -> tuple[int, str]:
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_TRY_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return -1, str(error)
    return done.returncode, done.stdout.decode(errors="replace").strip()


def _sysctls(names: Sequence[str]) -> dict[str, str]:
    found = {name: _text(f"/proc/sys/{name.replace('.', '/')}") for name in names}
    return {name: value for name, value in found.items() if value}


def _cgroups(root: Path) -> Cgroups:
    """Version 2 alone has its list in the root; hybrid has it in `unified`, beside version 1's folders."""
    if (root / "cgroup.controllers").exists():
        controllers = frozenset(_text(root / "cgroup.controllers").split())
        writable = os.access(root / "cgroup.subtree_control", os.W_OK, effective_ids=True)
        return Cgroups("v2", controllers, controllers if writable else frozenset())
    folders = {path for path in _folders(root) if (path / "cgroup.procs").exists()}
    if not folders:
        return Cgroups()
    named = {path for path in folders if path.name not in ("systemd", "unified")}
    return Cgroups(
        "hybrid" if (root / "unified").exists() else "v1",
        frozenset(part for path in named for part in path.name.split(",")),
        frozenset(
            part
            for path in named
            if os.access(path, os.W_OK, effective_ids=True)
            for part in path.name.split(",")
        ),
    )


def _folders(path: Path) -> list[Path]:
    try:
        return [one for one in path.iterdir() if one.is_dir()]
    except OSError:
        return []


def _processes(name: str) -> tuple[int, ...]:
    pids = [int(path.name) for path in _folders(Path("/proc")) if path.name.isdigit()]
    return tuple(sorted(pid for pid in pids if _text(f"/proc/{pid}/comm") == name))


def listener(socket_path: str) -> int | None:
    """The process that listens at a Unix socket; None if that cannot be seen from here."""
    try:
        with socket.socket(socket.AF_UNIX) as asked:
            asked.settimeout(1)
            asked.connect(socket_path)
            held = asked.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    except OSError:
        return None
    pid = int(struct.unpack("3i", held)[0])
    return pid or None


def has_capability(pid: int, number: int) -> bool | None:
    """Effectively; None if there is no such process for us."""
    for line in _text(f"/proc/{pid}/status").splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> number & 1)
    return None
