"""A container as a bubblewrap command line. Pure but for looking at which paths exist.

Its own pid, ipc and uts namespaces, the command as PID 1; the host's filesystem (or an imported root)
read-only; /tmp, /run and /dev of its own; volumes bound at their mountPath. The network is the host's.
"""

import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from podward.kubelet.runtime.base import Mount

# What Docker leaves to a container that is not told otherwise; enough for a server that binds port 80 and
# then becomes somebody else.
CAPABILITIES = (
    "CAP_AUDIT_WRITE", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL",
    "CAP_MKNOD", "CAP_NET_BIND_SERVICE", "CAP_NET_RAW", "CAP_SETFCAP", "CAP_SETGID", "CAP_SETPCAP",
    "CAP_SETUID", "CAP_SYS_CHROOT",
)  # fmt: skip

_OWN = ("dev", "proc", "tmp", "run")
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")


@dataclass(frozen=True, slots=True)
class Sandbox:
    """Everything that the command line says."""

    rootfs: Path
    """`/` for the host's own filesystem."""
    hostname: str
    mounts: Sequence[Mount]
    working_dir: str
    command: Sequence[str]


def lost_a_race(text: str) -> bool:
    """Whether bubblewrap failed because a mount of the machine went away while it walked over them all: engines
    and network plugins mount and unmount as they please. Another try meets others."""
    return "bwrap: " in text and "Unable to apply mount flags" in text


def command_line(sandbox: Sandbox, *, status_fd: int, info_fd: int, as_root: bool) -> list[str]:
    argv = ["bwrap", "--unshare-pid", "--as-pid-1", "--unshare-ipc", "--unshare-uts"]
    argv += ["--hostname", sandbox.hostname]
    if as_root:
        argv += ["--cap-drop", "ALL"]
        for capability in CAPABILITIES:
            argv += ["--cap-add", capability]
    targets = {
        m: _without_links(sandbox.rootfs, PurePosixPath(m.container_path)) for m in sandbox.mounts
    }
    argv += _root(sandbox.rootfs, targets.values())
    argv += _devices()
    argv += ["--proc", "/proc", "--perms", "1777", "--tmpfs", "/tmp", "--tmpfs", "/run"]
    # Parents before what lies in them, whatever order the manifest has.
    for mount, target in sorted(targets.items(), key=lambda pair: pair[1].parts):
        option = "--ro-bind" if mount.read_only else "--bind"
        argv += [option, mount.host_path, str(target)]
    argv += ["--chdir", sandbox.working_dir or "/"]
    argv += ["--json-status-fd", str(status_fd), "--info-fd", str(info_fd), "--"]
    return [*argv, *sandbox.command]


def _devices() -> list[str]:
    """A /dev made by hand: bubblewrap's own nests a second user namespace, which exec could not enter."""
    argv = ["--tmpfs", "/dev"]
    for name in _DEVICES:
        argv += ["--dev-bind", f"/dev/{name}", f"/dev/{name}"]
    for name, target in (("fd", "fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")):
        argv += ["--symlink", f"/proc/self/{target}", f"/dev/{name}"]
    argv += ["--dir", "/dev/pts", "--dev-bind", "/dev/pts", "/dev/pts"]
    return [*argv, "--symlink", "pts/ptmx", "/dev/ptmx", "--perms", "1777", "--tmpfs", "/dev/shm"]


def _root(rootfs: Path, targets: Iterable[PurePosixPath]) -> list[str]:
    """The root filesystem, read-only, with room for mount points that it does not have.

    A directory that must get a new entry is replaced by an empty one into which its entries are bound one by
    one; the root itself always is, for bubblewrap's root is an empty tmpfs.
    """
    widened = {PurePosixPath("/")}
    for target in targets:
        parent = _deepest_existing(rootfs, target.parent)
        inside = rootfs / str(target).lstrip("/")
        if parent.parts[1:2] and parent.parts[1] in _OWN:
            continue
        if not inside.exists():
            widened.update(p for p in (parent, *parent.parents) if _under(p, parent))
    argv: list[str] = []
    for directory in sorted(widened, key=lambda p: p.parts):
        if str(directory) != "/":
            argv += ["--tmpfs", str(directory)]
        argv += _entries(rootfs, directory, widened)
    return argv


def _under(candidate: PurePosixPath, deepest: PurePosixPath) -> bool:
    """Only the directory itself needs widening; those above merely must not hide it again."""
    return candidate == deepest or str(candidate) == "/"


def _without_links(rootfs: Path, target: PurePosixPath) -> PurePosixPath:
    """`/var/run/x` is `/run/x` where /var/run is a link: a mount must not go through one."""
    walked = PurePosixPath("/")
    for part in target.parts[1:]:
        step = rootfs / str(walked / part).lstrip("/")
        if step.is_symlink():
            link = PurePosixPath(os.readlink(step))
            walked = link if link.is_absolute() else PurePosixPath(os.path.normpath(walked / link))
        else:
            walked = walked / part
    return walked


def _deepest_existing(rootfs: Path, directory: PurePosixPath) -> PurePosixPath:
    while str(directory) != "/" and not (rootfs / str(directory).lstrip("/")).is_dir():
        directory = directory.parent
    return directory


def _entries(rootfs: Path, directory: PurePosixPath, widened: set[PurePosixPath]) -> list[str]:
    argv: list[str] = []
    host = rootfs / str(directory).lstrip("/")
    for entry in sorted(os.scandir(host), key=lambda e: e.name):
        inside = directory / entry.name
        if str(directory) == "/" and entry.name in _OWN:
            continue
        if inside in widened:
            continue
        mode = entry.stat(follow_symlinks=False).st_mode
        if stat.S_ISLNK(mode):
            argv += ["--symlink", os.readlink(entry.path), str(inside)]
        elif stat.S_ISDIR(mode) or stat.S_ISREG(mode):
            argv += ["--ro-bind-try", entry.path, str(inside)]
    return argv


def enter_command(
    pid: int, command: Sequence[str], working_dir: str, *, as_root: bool
) -> list[str]:
    """Run `command` in the namespaces of a running container, with its capabilities."""
    argv = ["nsenter", f"--target={pid}", "--mount", "--pid", "--uts", "--ipc"]
    if not as_root:
        argv += ["--user", "--preserve-credentials"]
    argv += [f"--wdns={working_dir or '/'}", "--"]
    if as_root:
        kept = "-all," + ",".join(f"+{name.removeprefix('CAP_').lower()}" for name in CAPABILITIES)
        argv += ["setpriv", f"--bounding-set={kept}", f"--inh-caps={kept}", "--no-new-privs", "--"]
    return [*argv, *command]


def host_path(rootfs: Path, mounts: Sequence[Mount], inside: PurePosixPath) -> Path | None:
    """Where a path of the container lies on this machine; None in what only the container has."""
    best: Mount | None = None
    for mount in mounts:
        point = PurePosixPath(mount.container_path)
        deeper = best is None or len(mount.container_path) > len(best.container_path)
        if deeper and (inside == point or point in inside.parents):
            best = mount
    if best is not None:
        return Path(best.host_path) / inside.relative_to(best.container_path)
    if inside.parts[1:2] and inside.parts[1] in _OWN:
        return None
    return rootfs / str(inside).lstrip("/")


def find_executable(
    rootfs: Path, mounts: Sequence[Mount], env: Mapping[str, str], working_dir: str, name: str
) -> str | None:
    """Why `name` cannot be executed in the container, in an engine's words; None if it can, or may."""
    if "/" in name:
        candidates = [PurePosixPath(working_dir or "/") / name]
    else:
        candidates = [PurePosixPath(part) / name for part in env.get("PATH", "").split(":") if part]
    for candidate in candidates:
        path = host_path(rootfs, mounts, candidate)
        if path is None or _executable(rootfs, path):
            return None
    if "/" in name:
        return f'exec: "{name}": stat {name}: no such file or directory: unknown'
    return f'exec: "{name}": executable file not found in $PATH: unknown'


def _executable(rootfs: Path, path: Path) -> bool:
    """Links are followed as the container would: an absolute one starts at its own root."""
    for _ in range(40):
        if not path.is_symlink():
            return path.is_file() and os.access(path, os.X_OK)
        target = os.readlink(path)
        path = rootfs / target.lstrip("/") if target.startswith("/") else path.parent / target
    return False
