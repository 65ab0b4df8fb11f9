"""What root mounts for a Pod's volumes, and how it is undone: mount(2), umount2(2), and what /proc tells.

Whoever may not mount has no `Mounter`: volumes are then plain directories, and nothing in them is given away.
"""

import ctypes
import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path

_MS_BIND, _MS_SHARED = 0x1000, 1 << 20
_MNT_DETACH, _UMOUNT_NOFOLLOW = 2, 8

_libc = ctypes.CDLL(None, use_errno=True)


class Mounter:
    """Raises `OSError`."""

    def __init__(self) -> None:
        self._noswap = True

    @classmethod
    def of_this_machine(cls, folder: Path) -> "Mounter | None":
        """None if we may not mount here; it is tried, for no list of capabilities tells it all."""
        made = cls()
        place = folder / "mounting-is-tried"
        try:
            place.mkdir(parents=True, exist_ok=True)
            made.tmpfs(place)
        except OSError:
            return None
        else:
            made.unmount_below(place)
            return made
        finally:
            if place.is_dir():
                place.rmdir()

    def tmpfs(self, place: Path, *, size: int = 0, swapped: bool = True) -> None:
        """`size` in bytes, 0 for what the kernel thinks fit; `swapped`: whether it may leave the memory."""
        options = "mode=1777" + (f",size={size}" if size else "")
        if not swapped and self._noswap:
            try:
                _mount("tmpfs", place, "tmpfs", 0, f"{options},noswap")
                return
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
                self._noswap = False  # a kernel before 6.4
        _mount("tmpfs", place, "tmpfs", 0, options)

    def huge_pages(self, place: Path, *, page: int, size: int) -> None:
        options = f"pagesize={page},mode=1777" + (f",size={size}" if size else "")
        _mount("nodev", place, "hugetlbfs", 0, options)

    def bind(self, descriptor: int, target: Path) -> None:
        """What is open, whatever its name leads to by now."""
        _mount(f"/proc/self/fd/{descriptor}", target, "", _MS_BIND, "")

    def share(self, place: Path) -> None:
        """What is mounted below it from now on, here or in a container, is seen on both sides."""
        if not self.is_mounted(place):
            _mount(str(place), place, "", _MS_BIND, "")
        _mount("", place, "", _MS_SHARED, "")

    def is_mounted(self, place: Path) -> bool:
        """Whether something is mounted right there."""
        try:
            return _mount_id(place) != _mount_id(place.parent)
        except FileNotFoundError:
            return False

    def unmount_below(self, folder: Path) -> None:
        """All that is mounted on `folder` or below it, whoever did it: what may be removed is there no more."""
        root = os.fsencode(os.path.realpath(folder))
        before: list[bytes] = []
        while points := list(_mount_points(root)):
            if points == before:
                raise _error(os.fsdecode(points[-1]))
            # One may take others with it, for what is shared goes everywhere: then they are looked for anew.
            done = [_unmount(point) for point in reversed(points)]
            if all(done):
                return
            before = points


def _mount(source: str, target: Path, kind: str, flags: int, options: str) -> None:
    done = _libc.mount(
        os.fsencode(source),
        os.fsencode(target),
        kind.encode(),
        ctypes.c_ulong(flags),
        options.encode(),
    )
    if done != 0:
        raise _error(str(target))


def _unmount(point: bytes) -> bool:
    if _libc.umount2(point, _UMOUNT_NOFOLLOW) == 0:
        return True
    # Somebody stands in it; it is out of the way at once, and gone when he has left.
    return bool(_libc.umount2(point, _UMOUNT_NOFOLLOW | _MNT_DETACH) == 0)


def _error(path: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number), path)


def _mount_id(path: Path) -> str:
    descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW)
    try:
        told = Path(f"/proc/self/fdinfo/{descriptor}").read_text()
    finally:
        os.close(descriptor)
    found = re.search(r"^mnt_id:\s*(\d+)", told, re.MULTILINE)
    return found[1] if found else ""


def _mount_points(root: bytes) -> Iterator[bytes]:
    """On `root` or below it, in the order in which they were mounted: each after what it stands on."""
    written = re.sub(rb"[ \t\n\\]", lambda m: b"\\%03o" % m[0][0], root)
    for line in Path("/proc/self/mountinfo").read_bytes().splitlines():
        if written not in line:
            continue
        point = line.split()[4]
        if point == written or point.startswith(written + b"/"):
            yield re.sub(rb"\\([0-7]{3})", lambda m: bytes([int(m[1], 8)]), point)
