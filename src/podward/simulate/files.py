"""What a virtual process sees as its file system: a tree in memory, with the kubelet's volumes mounted on it.

Volumes are real folders, written by the real kubelet below a temporary directory; everything else is memory.
Errors are the `OSError`s that the kernel would give. Times of change are virtual everywhere: a real folder's
own times would differ from run to run.
"""

import errno
import os
import posixpath
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import msgspec

Kind = Literal["file", "directory", "link", "device"]
Now = Callable[[], float]
"""Seconds since 1970, on the virtual clock."""

_MOST_LINKS = 40
"""How many symbolic links one path may lead through, as in the kernel."""


class CannotSimulate(RuntimeError):
    """The manifest does what nobody has described, or what takes no time; the text says what to do."""


class Stat(msgspec.Struct, frozen=True):
    kind: Kind
    size: int
    mode: int
    """The permission bits."""
    changed: float
    identity: object
    """The same object for two names of one file."""


class Files(Protocol):
    """A tree of files; paths are relative to its root, `""` is the root itself."""

    def stat(self, path: str) -> Stat | None:
        """Of the last name itself, even if it is a link."""

    def target(self, path: str) -> tuple[str, str] | None:
        """(the first link on the way to `path`, what it says); None if none is on the way."""

    def read(self, path: str) -> bytes: ...

    def open(self, path: str, *, append: bool) -> "Handle": ...

    def make_directory(self, path: str) -> None: ...

    def make_link(self, path: str, target: str) -> None: ...

    def remove(self, path: str) -> None:
        """A file, or a directory with all that is in it."""

    def names(self, path: str) -> list[str]: ...

    def set_changed(self, path: str, moment: float) -> None: ...

    def set_mode(self, path: str, mode: int) -> None: ...


class Handle(Protocol):
    """An open file: written to at its end, whatever becomes of its name."""

    def write(self, data: bytes) -> None: ...


class _File:
    __slots__ = ("changed", "data", "mode", "now", "owner")

    def __init__(self, owner: object, now: Now, data: bytes = b"", mode: int = 0o644) -> None:
        self.owner = owner
        self.now = now
        self.data = bytearray(data)
        self.mode = mode
        self.changed = now()

    def write(self, data: bytes) -> None:
        self.data += data
        self.changed = self.now()


class _Link:
    __slots__ = ("changed", "target")
    mode = 0o777

    def __init__(self, target: str, changed: float) -> None:
        self.target = target
        self.changed = changed


class _Folder:
    __slots__ = ("changed", "entries", "mode", "owner")

    def __init__(self, owner: object, changed: float) -> None:
        self.owner = owner
        """The mark of the tree that may change it; any other makes a copy first."""
        self.entries: dict[str, _Node] = {}
        self.mode = 0o755
        self.changed = changed

    def copy(self, owner: object) -> "_Folder":
        other = _Folder(owner, self.changed)
        other.entries, other.mode = dict(self.entries), self.mode
        return other


_Node = _File | _Link | _Folder


class MemoryFiles:
    """A tree in memory. Copies share what they have not changed; the original is not changed any more."""

    def __init__(self, now: Now, directories: Sequence[str] = ()) -> None:
        self._now = now
        self._mark = object()
        """What is ours to change bears it."""
        self._root = _Folder(self._mark, now())
        for path in directories:
            self.make_directory(path)

    def copy(self, now: Now) -> "MemoryFiles":
        other = MemoryFiles.__new__(MemoryFiles)
        other._now, other._mark = now, object()
        other._root = self._root.copy(other._mark)
        return other

    def _find(self, path: str) -> _Node | None:
        node: _Node | None = self._root
        if path:
            for name in path.split("/"):
                if type(node) is not _Folder:
                    return None
                node = node.entries.get(name)
        return node

    def _own(self, path: str) -> _Folder:
        """The folder at `path`, ours to change."""
        folder = self._root
        if path:
            for name in path.split("/"):
                node = folder.entries.get(name)
                if node is None:
                    raise _error(errno.ENOENT, path)
                if type(node) is not _Folder:
                    raise _error(errno.ENOTDIR, path)
                if node.owner is not self._mark:
                    node = folder.entries[name] = node.copy(self._mark)
                folder = node
        return folder

    def _parent(self, path: str) -> tuple[_Folder, str]:
        folder, _, name = path.rpartition("/")
        return self._own(folder), name

    def stat(self, path: str) -> Stat | None:
        node = self._find(path)
        match node:
            case _File():
                return Stat("file", len(node.data), node.mode, node.changed, node)
            case _Folder():
                return Stat("directory", 4096, node.mode, node.changed, node)
            case _Link():
                return Stat("link", len(node.target), node.mode, node.changed, node)
        return None

    def target(self, path: str) -> tuple[str, str] | None:
        node: _Node | None = self._root
        names = path.split("/") if path else []
        for index, name in enumerate(names):
            if type(node) is not _Folder:
                return None
            node = node.entries.get(name)
            if type(node) is _Link:
                return "/".join(names[: index + 1]), node.target
        return None

    def read(self, path: str) -> bytes:
        node = self._find(path)
        if type(node) is _File:
            return bytes(node.data)
        raise _error(errno.EISDIR if node is not None else self._missing(path), path)

    def _missing(self, path: str) -> int:
        """ENOTDIR if a file stands where a folder ought to."""
        folder = posixpath.dirname(path)
        while folder:
            if type(self._find(folder)) is _File:
                return errno.ENOTDIR
            folder = posixpath.dirname(folder)
        return errno.ENOENT

    def open(self, path: str, *, append: bool) -> Handle:
        folder, name = self._parent(path)
        node = folder.entries.get(name)
        if node is None:
            node = folder.entries[name] = _File(self._mark, self._now)
            folder.changed = node.changed
            return node
        node = self._own_file(folder, name)
        if node is None:
            raise _error(errno.EISDIR, path)
        if not append:
            node.data.clear()
            node.changed = self._now()
        return node

    def _own_file(self, folder: _Folder, name: str) -> _File | None:
        """The file of that name, ours to change; None if it is no file."""
        node = folder.entries.get(name)
        if type(node) is not _File:
            return None
        if node.owner is not self._mark:
            mine = _File(self._mark, self._now, bytes(node.data), node.mode)
            mine.changed = node.changed
            node = folder.entries[name] = mine
        return node

    def make_directory(self, path: str) -> None:
        folder, name = self._parent(path)
        if name in folder.entries or not path:
            raise _error(errno.EEXIST, path)
        folder.changed = self._now()
        folder.entries[name] = _Folder(self._mark, folder.changed)

    def make_link(self, path: str, target: str) -> None:
        folder, name = self._parent(path)
        if name in folder.entries:
            raise _error(errno.EEXIST, path)
        folder.entries[name] = _Link(target, self._now())

    def hard_link(self, existing: str, path: str) -> None:
        node = self._find(existing)
        folder, name = self._parent(path)
        if name in folder.entries:
            raise _error(errno.EEXIST, path)
        if type(node) is not _File:
            raise _error(errno.EPERM if node else errno.ENOENT, existing)
        folder.entries[name] = node

    def rename(self, existing: str, path: str) -> None:
        source, old = self._parent(existing)
        if old not in source.entries:
            raise _error(errno.ENOENT, existing)
        folder, name = self._parent(path)
        source, old = self._parent(existing)  # making the other's folder ours may have copied it
        folder.entries[name] = source.entries.pop(old)
        folder.changed = source.changed = self._now()

    def remove(self, path: str) -> None:
        folder, name = self._parent(path)
        if name not in folder.entries:
            raise _error(errno.ENOENT, path)
        del folder.entries[name]
        folder.changed = self._now()

    def names(self, path: str) -> list[str]:
        node = self._find(path)
        if type(node) is not _Folder:
            raise _error(errno.ENOENT if node is None else errno.ENOTDIR, path)
        return sorted(node.entries)

    def set_changed(self, path: str, moment: float) -> None:
        self._changeable(path).changed = moment

    def set_mode(self, path: str, mode: int) -> None:
        node = self._changeable(path)
        if type(node) is not _Link:
            node.mode = mode

    def _changeable(self, path: str) -> _Node:
        node = self._find(path)
        if node is None:
            raise _error(errno.ENOENT, path)
        if type(node) is _Folder:
            return self._own(path)
        folder, name = self._parent(path)
        return self._own_file(folder, name) or node


class HostFiles:
    """A folder (or one file) of this machine: a volume. Times of change are kept here.

    What the kubelet puts in a file's place changed when that is first seen.
    """

    def __init__(self, base: str, now: Now) -> None:
        self._base = base
        self._now = now
        self._made = now()
        self._changed: dict[str, float] = {}
        self._known: dict[str, int] = {}
        """The inode that a file had when it was last looked at."""

    def _at(self, path: str) -> str:
        return f"{self._base}/{path}" if path else self._base

    def stat(self, path: str) -> Stat | None:
        try:
            found = os.stat(self._at(path))
        except (FileNotFoundError, NotADirectoryError):
            return None
        kind: Kind = "directory" if found.st_mode & 0o170000 == 0o040000 else "file"
        size = 4096 if kind == "directory" else found.st_size
        if kind == "file" and self._known.setdefault(path, found.st_ino) != found.st_ino:
            self._known[path] = found.st_ino
            self._changed[path] = self._now()
        changed = self._changed.get(path, self._made)
        return Stat(kind, size, found.st_mode & 0o7777, changed, (found.st_dev, found.st_ino))

    def target(self, path: str) -> tuple[str, str] | None:
        """The kubelet's own links stay within the volume: the machine follows them."""
        return None

    def read(self, path: str) -> bytes:
        with open(self._at(path), "rb") as file:
            return file.read()

    def open(self, path: str, *, append: bool) -> Handle:
        with open(self._at(path), "ab" if append else "wb"):
            self._changed[path] = self._now()
        return _HostHandle(self, path)

    def append(self, path: str, data: bytes) -> None:
        with open(self._at(path), "ab") as file:
            file.write(data)
        self._changed[path] = self._now()

    def make_directory(self, path: str) -> None:
        os.mkdir(self._at(path))
        self._changed[path] = self._now()

    def make_link(self, path: str, target: str) -> None:
        raise CannotSimulate(
            f"the simulator makes no symbolic links in volumes ({path!r}): put a file there instead"
        )

    def remove(self, path: str) -> None:
        at = self._at(path)
        if os.path.isdir(at) and not os.path.islink(at):
            shutil.rmtree(at)
        else:
            os.unlink(at)
        self._changed.pop(path, None)
        self._known.pop(path, None)

    def names(self, path: str) -> list[str]:
        return sorted(os.listdir(self._at(path)))

    def set_changed(self, path: str, moment: float) -> None:
        self._changed[path] = moment

    def set_mode(self, path: str, mode: int) -> None:
        os.chmod(self._at(path), mode)


@dataclass(frozen=True, slots=True)
class _HostHandle:
    files: HostFiles
    path: str

    def write(self, data: bytes) -> None:
        self.files.append(self.path, data)


class MountPoint(msgspec.Struct, frozen=True):
    path: str
    """Absolute, where a container sees it."""
    files: Files
    read_only: bool = False


class View:
    """The file system of one container: absolute paths, the deepest mount wins, links are followed."""

    def __init__(self, root: MemoryFiles, mounts: Sequence[MountPoint] = ()) -> None:
        self._mounts = sorted(mounts, key=lambda m: len(m.path), reverse=True)
        self._root = MountPoint("", root)

    def with_mount(self, mount: MountPoint) -> "View":
        other = View.__new__(View)
        other._mounts, other._root = [*self._mounts, mount], self._root
        return other

    def kind(self, path: str) -> Kind | None:
        """Of what a path leads to; None if it leads nowhere."""
        found = self.stat(path)
        return None if found is None else found.kind

    def stat(self, path: str, *, follow: bool = True) -> Stat | None:
        if path in _DEVICES:
            return Stat("device", 0, 0o666, 0.0, path)
        mount, inside = self._resolve(path, follow=follow)
        found = mount.files.stat(inside)
        if found is None and self._mounted_below(path):
            return Stat("directory", 4096, 0o755, 0.0, path)
        return found

    def read(self, path: str) -> bytes:
        if path in _DEVICES:
            return b""
        mount, inside = self._resolve(path)
        return mount.files.read(inside)

    def open(self, path: str, *, append: bool = False) -> Handle:
        if path in _DEVICES:
            return _NOWHERE
        mount, inside = self._writable(path)
        return mount.files.open(inside, append=append)

    def write(self, path: str, data: bytes, *, append: bool = False) -> None:
        handle = self.open(path, append=append)
        if data:
            handle.write(data)

    def make_directory(self, path: str, *, parents: bool = False) -> None:
        if parents:
            parent = posixpath.dirname(path)
            if parent != path and self.kind(parent) is None:
                self.make_directory(parent, parents=True)
            if self.kind(path) == "directory":
                return
        mount, inside = self._writable(path)
        mount.files.make_directory(inside)

    def make_link(self, path: str, target: str) -> None:
        mount, inside = self._writable(path, follow=False)
        mount.files.make_link(inside, target)

    def read_link(self, path: str) -> str | None:
        mount, inside = self._resolve(path, follow=False)
        found = mount.files.target(inside)
        return found[1] if found is not None and found[0] == inside else None

    def hard_link(self, existing: str, path: str) -> None:
        there, old = self._resolve(existing)
        mount, inside = self._writable(path, follow=False)
        if there is not mount:
            raise _error(errno.EXDEV, existing)
        if not isinstance(mount.files, MemoryFiles):
            raise CannotSimulate(f"the simulator makes no hard links in volumes ({path!r})")
        mount.files.hard_link(old, inside)

    def rename(self, existing: str, path: str) -> None:
        there, old = self._writable(existing, follow=False)
        mount, inside = self._writable(path, follow=False)
        if there is mount and isinstance(mount.files, MemoryFiles):
            mount.files.rename(old, inside)
            return
        self._copy(existing, path)
        self.remove(existing)

    def _copy(self, start: str, end: str) -> None:
        found = self.stat(start)
        if found is None:
            raise _error(errno.ENOENT, start)
        if found.kind == "directory":
            self.make_directory(end, parents=True)
            for name in self.names(start):
                self._copy(f"{start}/{name}", f"{end}/{name}")
            return
        self.write(end, self.read(start))
        self.set_mode(end, found.mode)
        self.set_changed(end, found.changed)

    def remove(self, path: str) -> None:
        if self._mounted_below(path) or any(m.path == path for m in self._mounts):
            raise _error(errno.EBUSY, path)
        mount, inside = self._writable(path, follow=False)
        mount.files.remove(inside)

    def names(self, path: str) -> list[str]:
        mount, inside = self._resolve(path)
        base = path.rstrip("/")
        mounted = {
            m.path[len(base) + 1 :].split("/")[0]
            for m in self._mounts
            if m.path.startswith(base + "/")
        }
        listed = mount.files.names(inside) if mount.files.stat(inside) or not mounted else []
        return sorted({*listed, *mounted})

    def set_changed(self, path: str, moment: float) -> None:
        mount, inside = self._writable(path)
        mount.files.set_changed(inside, moment)

    def set_mode(self, path: str, mode: int) -> None:
        mount, inside = self._writable(path)
        mount.files.set_mode(inside, mode)

    def real(self, path: str) -> str:
        """Where a path leads, without links."""
        mount, inside = self._resolve(path)
        return f"{mount.path}/{inside}".rstrip("/") or "/"

    def _mounted_below(self, path: str) -> bool:
        return any(m.path.startswith(path.rstrip("/") + "/") for m in self._mounts)

    def _resolve(self, path: str, *, follow: bool = True) -> tuple[MountPoint, str]:
        for _ in range(_MOST_LINKS):
            mount, inside = self._mount(path)
            link = mount.files.target(inside)
            if link is None or (link[0] == inside and not follow):
                return mount, inside
            at, target = link
            folder = posixpath.dirname(f"{mount.path}/{at}")
            path = absolute(posixpath.join(target, inside[len(at) + 1 :]), folder)
        raise _error(errno.ELOOP, path)

    def _mount(self, path: str) -> tuple[MountPoint, str]:
        for mount in self._mounts:
            if path.startswith(mount.path):
                length = len(mount.path)
                if path[length : length + 1] in ("", "/"):
                    return mount, path[length + 1 :]
        return self._root, path[1:]

    def _writable(self, path: str, *, follow: bool = True) -> tuple[MountPoint, str]:
        mount, inside = self._resolve(path, follow=follow)
        if mount.read_only:
            raise _error(errno.EROFS, path)
        return mount, inside


class _Nowhere:
    def write(self, data: bytes) -> None:
        pass


_NOWHERE = _Nowhere()
_DEVICES = frozenset(("/dev/null", "/dev/stdout", "/dev/stderr", "/dev/stdin", "/dev/zero", "/dev/urandom",
                      "/dev/random", "/dev/full", "/dev/tty"))  # fmt: skip


def absolute(path: str, cwd: str) -> str:
    """Without `.`, `..` and doubled slashes."""
    if path[:1] == "/" and "//" not in path and "/." not in path and path[-1] != "/":
        return path
    joined = posixpath.normpath(posixpath.join(cwd, path))
    return "/" + joined.lstrip("/")


def _error(number: int, path: str) -> OSError:
    return OSError(number, os.strerror(number), path if path.startswith("/") else "/" + path)
