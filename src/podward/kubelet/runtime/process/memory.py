"""Memory limits of containers, and who was killed for reaching one: a cgroup each, version 1 or 2.

Only root can, and not everywhere; where it cannot be done, `enter` says None and nothing is limited.
"""

import contextlib
import re
from pathlib import Path

_V1 = Path("/sys/fs/cgroup/memory/podward")
_V2 = Path("/sys/fs/cgroup/podward")

# The shell that joins the group becomes the command: nothing of the container ever runs outside.
_JOIN = 'echo $$ > "$1" || exit 125; shift; exec "$@"'


class MemoryGroups:
    def __init__(self, roots: tuple[Path, ...] = (_V1, _V2)) -> None:
        self._roots = roots

    def enter(self, container_id: str, limit_bytes: int) -> list[str] | None:
        """The words to put before a command line so that it runs in a group of its own; None if impossible."""
        for root in self._roots:
            try:
                return ["/bin/sh", "-c", _JOIN, "sh", str(_make(root, container_id, limit_bytes))]
            except OSError:
                continue
        return None

    def oom_killed(self, container_id: str) -> bool:
        """Whether the kernel killed one of its processes at the limit."""
        for root in self._roots:
            for name in ("memory.oom_control", "memory.events"):
                with contextlib.suppress(OSError):
                    text = (root / container_id / name).read_text()
                    match = re.search(r"^oom_kill (\d+)$", text, re.M)
                    if match is not None:
                        return int(match[1]) > 0
        return False

    def remove(self, container_id: str) -> None:
        """Once it has no process left; idempotent."""
        for root in self._roots:
            with contextlib.suppress(OSError):
                (root / container_id).rmdir()


def _make(root: Path, container_id: str, limit_bytes: int) -> Path:
    """The file that takes the group's processes."""
    if not (root.parent / "cgroup.procs").exists():
        raise FileNotFoundError(root.parent)
    root.mkdir(exist_ok=True)
    if root == _V2:
        for parent in (root.parent, root):
            (parent / "cgroup.subtree_control").write_text("+memory")
    group = root / container_id
    group.mkdir()
    try:
        if root == _V2:
            (group / "memory.max").write_text(str(limit_bytes))
            _if_there(group / "memory.swap.max", "0")
            # One container lives and dies as a whole, as a kubelet of today has it.
            _if_there(group / "memory.oom.group", "1")
        else:
            (group / "memory.limit_in_bytes").write_text(str(limit_bytes))
            _if_there(group / "memory.memsw.limit_in_bytes", str(limit_bytes))
    except OSError:
        group.rmdir()
        raise
    return group / "cgroup.procs"


def _if_there(file: Path, text: str) -> None:
    with contextlib.suppress(OSError):
        file.write_text(text)
