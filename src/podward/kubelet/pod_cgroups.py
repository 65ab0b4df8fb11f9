"""The cgroup of a Pod, around those of its containers: how it weighs among other Pods, and its removal.

Engines make it with the first container and leave it behind with the last. Version 1 has one in each
controller's hierarchy; version 2, and a hybrid of both, one more below `unified` or the root itself.
"""

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

from podward.kubelet.resources import MAXIMUM_SHARES, MINIMUM_SHARES

_ROOT = Path("/sys/fs/cgroup")
_TRIES = 6
"""The engine may still be leaving it."""
_FIRST_DELAY_SECONDS = 0.01


class PodCgroups:
    def __init__(self, root: Path = _ROOT) -> None:
        self._root = root

    def weigh(self, parent: str, shares: int) -> None:
        """Its part of the CPU where others want it too. Not everywhere may one write that."""
        for group in self._groups(parent):
            with contextlib.suppress(OSError):
                if (group / "cpu.shares").exists():
                    (group / "cpu.shares").write_text(str(shares))
                elif (group / "cpu.weight").exists():
                    (group / "cpu.weight").write_text(str(weight(shares)))

    async def remove(self, parent: str) -> None:
        """Once nothing of the Pod is left; idempotent."""
        delay = _FIRST_DELAY_SECONDS
        for _ in range(_TRIES):
            left = [group for group in self._groups(parent) if not _removed(group)]
            if not left:
                return
            await asyncio.sleep(delay)
            delay *= 2

    def _groups(self, parent: str) -> Iterator[Path]:
        below = _path(parent)
        if not below:
            return
        roots = [self._root]
        with contextlib.suppress(OSError):
            roots += [entry for entry in self._root.iterdir() if entry.is_dir()]
        for root in roots:
            group = root / below
            if group.is_dir():
                yield group


def weight(shares: int) -> int:
    """Version 2 counts from 1 to 10000 what version 1 counts from 2 to 262144."""
    span = MAXIMUM_SHARES - MINIMUM_SHARES
    return 1 + (max(shares, MINIMUM_SHARES) - MINIMUM_SHARES) * 9999 // span


def _path(parent: str) -> str:
    """Below a hierarchy's root. A slice lies in those that its name begins with: `a-b.slice` in `a.slice`.

    Empty for what is not a Pod's own.
    """
    if not parent.endswith(".slice"):
        path = parent.strip("/")
        return path if path.rpartition("/")[2].startswith("pod") else ""
    words = parent.removesuffix(".slice").split("-")
    if not words[-1].startswith("pod"):
        return ""
    names = ["-".join(words[: count + 1]) for count in range(len(words))]
    return "/".join(f"{name}.slice" for name in names)


def _removed(group: Path) -> bool:
    """Whether it is gone, with what an engine left in it; a group with processes cannot be removed."""
    try:
        for inside in group.iterdir():
            if inside.is_dir():
                _removed(inside)
        group.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
