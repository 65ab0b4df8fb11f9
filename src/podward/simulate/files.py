"""What a virtual process sees as its file system: a tree in memory, with the kubelet's volumes mounted on it.

Volumes are real folders, written by the real kubelet below a temporary directory; everything else is memory.
Errors are the `OSError`s that the kernel would give.
"""

import errno
import os
import posixpath
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

Kind = Literal["file", "directory"]


class Files(Protocol):
    """A tree of files; paths are relative to its root, `""` is the root itself."""

    def kind(self, path: str) -> Kind | None: ...

    def read(self, path: str) -> bytes: ...

    def write(self, path: str, data: bytes, *, append: bool) -> None: ...

    def make_directory(self, path: str) -> None: ...

    def remove(self, path: str) -> None:
        """A file, or a directory with all that is in it."""

    def names(self, path: str) -> list[str]: ...


class MemoryFiles:
    def __init__(self, directories: Sequence[str] = ()) -> None:
        self._files: dict[str, bytes] = {}
        self._directories = {"", *directories}

    def kind(self, path: str) -> Kind | None:
        if path in self._directories:
            return "directory"
        return "file" if path in self._files else None

    def read(self, path: str) -> bytes:
        if path in self._directories:
            raise _error(errno.EISDIR, path)
        if path not in self._files:
            raise _error(errno.ENOENT, path)
        return self._files[path]

    def write(self, path: str, data: bytes, *, append: bool) -> None:
        if path in self._directories:
            raise _error(errno.EISDIR, path)
        if posixpath.dirname(path) not in self._directories:
            raise _error(errno.ENOENT, path)
        self._files[path] = (self._files.get(path, b"") if append else b"") + data

    def make_directory(self, path: str) -> None:
        if self.kind(path) is not None:
            raise _error(errno.EEXIST, path)
        if posixpath.dirname(path) not in self._directories:
            raise _error(errno.ENOENT, path)
        self._directories.add(path)

    def remove(self, path: str) -> None:
        if self.kind(path) is None:
            raise _error(errno.ENOENT, path)
        self._files.pop(path, None)
        below = path + "/"
        self._files = {p: d for p, d in self._files.items() if not p.startswith(below)}
        gone = {p for p in self._directories if p == path or p.startswith(below)}
        self._directories -= gone

    def names(self, path: str) -> list[str]:
        if path not in self._directories:
            raise _error(errno.ENOTDIR if path in self._files else errno.ENOENT, path)
        everything = (p for p in (*self._files, *self._directories) if p)
        return sorted({posixpath.basename(p) for p in everything if posixpath.dirname(p) == path})


class HostFiles:
    """A folder (or one file) of this machine."""

    def __init__(self, base: Path) -> None:
        self._base = base

    def _at(self, path: str) -> Path:
        return self._base / path if path else self._base

    def kind(self, path: str) -> Kind | None:
        at = self._at(path)
        if at.is_dir():
            return "directory"
        return "file" if at.exists() else None

    def read(self, path: str) -> bytes:
        return self._at(path).read_bytes()

    def write(self, path: str, data: bytes, *, append: bool) -> None:
        with open(self._at(path), "ab" if append else "wb") as file:
            file.write(data)

    def make_directory(self, path: str) -> None:
        self._at(path).mkdir()

    def remove(self, path: str) -> None:
        at = self._at(path)
        if at.is_dir() and not at.is_symlink():
            shutil.rmtree(at)
        else:
            at.unlink()

    def names(self, path: str) -> list[str]:
        return sorted(entry.name for entry in self._at(path).iterdir())


@dataclass(frozen=True, slots=True)
class MountPoint:
    path: str
    """Absolute, where a container sees it."""
    files: Files
    read_only: bool = False


class View:
    """The file system of one container: absolute paths, the deepest mount wins."""

    def __init__(self, root: Files, mounts: Sequence[MountPoint] = ()) -> None:
        self._mounts = sorted(mounts, key=lambda m: len(m.path), reverse=True)
        self._root = MountPoint("", root)

    def kind(self, path: str) -> Kind | None:
        if path in _DEVICES:
            return "file"
        if any(m.path.startswith(path.rstrip("/") + "/") for m in self._mounts):
            return "directory"
        mount, inside = self._resolve(path)
        return mount.files.kind(inside)

    def read(self, path: str) -> bytes:
        if path in _DEVICES:
            return b""
        mount, inside = self._resolve(path)
        return mount.files.read(inside)

    def write(self, path: str, data: bytes, *, append: bool = False) -> None:
        if path in _DEVICES:
            return
        mount, inside = self._writable(path)
        mount.files.write(inside, data, append=append)

    def make_directory(self, path: str, *, parents: bool = False) -> None:
        if parents:
            parent = posixpath.dirname(path)
            if parent != path and self.kind(parent) is None:
                self.make_directory(parent, parents=True)
            if self.kind(path) == "directory":
                return
        mount, inside = self._writable(path)
        mount.files.make_directory(inside)

    def remove(self, path: str) -> None:
        if any(m.path == path for m in self._mounts):
            raise _error(errno.EBUSY, path)
        mount, inside = self._writable(path)
        mount.files.remove(inside)

    def names(self, path: str) -> list[str]:
        mount, inside = self._resolve(path)
        base = path.rstrip("/")
        mounted = {
            m.path[len(base) + 1 :].split("/")[0]
            for m in self._mounts
            if m.path.startswith(base + "/")
        }
        listed = mount.files.names(inside) if mount.files.kind(inside) or not mounted else []
        return sorted({*listed, *mounted})

    def _resolve(self, path: str) -> tuple[MountPoint, str]:
        for mount in self._mounts:
            if path == mount.path or path.startswith(mount.path + "/"):
                return mount, path[len(mount.path) + 1 :]
        return self._root, path[1:]

    def _writable(self, path: str) -> tuple[MountPoint, str]:
        mount, inside = self._resolve(path)
        if mount.read_only:
            raise _error(errno.EROFS, path)
        return mount, inside


_DEVICES = ("/dev/null", "/dev/stdout", "/dev/stderr", "/dev/stdin", "/dev/zero", "/dev/urandom")


def absolute(path: str, cwd: str) -> str:
    """Without `.`, `..` and doubled slashes."""
    joined = posixpath.normpath(posixpath.join(cwd, path))
    return "/" + joined.lstrip("/")


def _error(number: int, path: str) -> OSError:
    return OSError(number, os.strerror(number), "/" + path)
