"""hostPath: a file or directory of this machine, looked at before anything is mounted."""

import stat
from pathlib import Path

from lightkube.models import core_v1

from podward.kubelet.volume_plan import VolumeError

_KINDS = {
    "Directory": (stat.S_ISDIR, "directory"),
    "DirectoryOrCreate": (stat.S_ISDIR, "directory"),
    "File": (stat.S_ISREG, "file"),
    "FileOrCreate": (stat.S_ISREG, "file"),
    "Socket": (stat.S_ISSOCK, "socket file"),
    "CharDevice": (stat.S_ISCHR, "character device"),
    "BlockDevice": (stat.S_ISBLK, "block device"),
}
"""Type -> whether a mode is of it, and what a kubelet calls it."""


def host_path(source: core_v1.HostPathVolumeSource) -> Path:
    path, kind = Path(source.path), source.type or ""
    if kind == "DirectoryOrCreate" and not path.exists():
        path.mkdir(mode=0o755, parents=True, exist_ok=True)
    elif kind == "FileOrCreate" and not path.exists():
        path.touch(mode=0o644)
    elif not kind and not path.exists():
        path.mkdir(mode=0o755, parents=True)  # as engines do for a path that is not checked
    if kind in _KINDS:
        is_one, called = _KINDS[kind]
        if not (path.exists() and is_one(path.stat().st_mode)):
            raise VolumeError(f"hostPath type check failed: {path} is not a {called}")
    return path
