"""A part of a volume (`subPath`), found and held so that nobody in a container can lead it elsewhere.

Whoever writes into a volume may put a symbolic link anywhere in it, at any time. So a name is resolved once,
must lie in the volume then, and is walked again one component at a time, through no link; what is mounted is
what that walk holds open.
"""

import os
import shutil
import stat
from pathlib import Path

from podward.kubelet.volume_mounter import Mounter
from podward.kubelet.volume_plan import VolumeError

_STEP = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


def open_part(volume: Path, part: str, *, make: bool) -> tuple[int, Path]:
    """A descriptor that is good for mounting, and the place. Directories that are not there are made, if asked,
    with the volume's own mode; `VolumeError` for what lies outside, `OSError` for what is not there."""
    root = Path(os.path.realpath(volume))
    place = Path(os.path.realpath(root / part))
    if not place.is_relative_to(root):
        raise VolumeError(f"{part} leads out of its volume")
    held = os.open(root, _STEP)
    try:
        mode = stat.S_IMODE(os.fstat(held).st_mode)
        for name in place.relative_to(root).parts:
            step = _step(held, name, mode if make else None)
            os.close(held)
            held = step
            if stat.S_ISLNK(os.fstat(held).st_mode):
                raise VolumeError(f"{part} is changed while it is looked for")
    except BaseException:
        os.close(held)
        raise
    return held, place


def _step(folder: int, name: str, mode: int | None) -> int:
    try:
        return os.open(name, _STEP, dir_fd=folder)
    except FileNotFoundError:
        if mode is None:
            raise
    os.mkdir(name, mode & 0o777, dir_fd=folder)
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    made = os.open(name, flags, dir_fd=folder)
    os.fchmod(made, mode)  # what umask and mkdir(2) leave out: setgid, sticky
    return made


def mount_part(mounter: Mounter, descriptor: int, spot: Path) -> None:
    """At `spot`, in the place of what a former instance had there."""
    clear(mounter, spot)
    spot.parent.mkdir(parents=True, exist_ok=True)
    if stat.S_ISDIR(os.fstat(descriptor).st_mode):
        spot.mkdir()
    else:
        spot.touch()
    mounter.bind(descriptor, spot)


def clear(mounter: Mounter | None, spot: Path) -> None:
    if mounter is not None and mounter.is_mounted(spot):
        mounter.unmount_below(spot)
    if spot.is_dir():
        shutil.rmtree(spot)
    else:
        spot.unlink(missing_ok=True)


def copy_part(found: Path, spot: Path) -> None:
    """For whoever may not mount: the same files by other names, which no later swap reaches."""
    clear(None, spot)
    spot.parent.mkdir(parents=True, exist_ok=True)
    if found.is_dir():
        shutil.copytree(found, spot, copy_function=os.link)
    else:
        os.link(found, spot)
