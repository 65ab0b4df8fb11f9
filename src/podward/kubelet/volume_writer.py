"""A volume made of files, as the kubelet writes it: a new directory beside the old one, then one rename of the
`..data` link. A reader sees all of the old or all of the new, and what it has open stays as it was.

    config -> ..data/config        what containers name
    ..data -> ..files_3            the one that is renamed
    ..files_3/config               the content
"""

import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from podward.kubelet.volume_plan import File

_FOLDER = "..files_"
_GROUP_READS = 0o440


def write_files(place: Path, files: Mapping[str, File], group: int | None = None) -> bool:
    """Swap the volume's content for `files`, if it differs; whether it did. A write that was cut short leaves
    the old content, and the next one finishes or clears away what it left.

    `group`: gets it all, and may read it whatever the modes say.
    """
    place.mkdir(parents=True, exist_ok=True)
    if group is not None:
        files = {name: replace(file, mode=file.mode | _GROUP_READS) for name, file in files.items()}
    link = place / "..data"
    current = place / os.readlink(link) if link.is_symlink() else None
    differs = current is None or not _holds(current, files, group)
    if differs:
        number = int(current.name.removeprefix(_FOLDER)) + 1 if current is not None else 0
        current = place / f"{_FOLDER}{number}"
        _fill(current, files, group)
        swapped = place / "..data_tmp"
        swapped.unlink(missing_ok=True)
        swapped.symlink_to(current.name)
        swapped.rename(link)
    tops = {name.split("/")[0] for name in files}
    for top in sorted(tops):
        if not (place / top).is_symlink():
            (place / top).symlink_to(f"..data/{top}")
    for entry in list(place.iterdir()):
        if entry.name.startswith(_FOLDER):
            if current is None or entry.name != current.name:
                shutil.rmtree(entry, ignore_errors=True)
        elif entry.is_symlink() and entry.name != link.name and entry.name not in tops:
            entry.unlink()
    return differs


def _fill(folder: Path, files: Mapping[str, File], group: int | None) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o755)
    for name, file in files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.data)
        if file.user is not None or group is not None:
            os.chown(target, _or_same(file.user), _or_same(group))
        target.chmod(file.mode)
    for directory in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
        if group is not None:
            os.chown(directory, -1, group)
        directory.chmod(0o755 if group is None else 0o2755)  # whatever our umask is


def _or_same(number: int | None) -> int:
    return -1 if number is None else number


def _holds(folder: Path, files: Mapping[str, File], group: int | None) -> bool:
    held = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    return held.keys() == files.keys() and all(
        _is(held[name], file, group) for name, file in files.items()
    )


def _is(path: Path, file: File, group: int | None) -> bool:
    found = path.stat()
    return (
        found.st_mode & 0o777 == file.mode
        and file.user in (None, found.st_uid)
        and group in (None, found.st_gid)
        and _read(path) == file.data
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except PermissionError:  # a mode that its owner, if it is not root, cannot read through
        mode = path.stat().st_mode & 0o777
        path.chmod(mode | 0o400)
        try:
            return path.read_bytes()
        finally:
            path.chmod(mode)
