"""Hearing of changes to files from the kernel, in the event loop."""

import asyncio
import ctypes
import ctypes.util
import os
import struct
from collections.abc import Callable
from functools import partial
from pathlib import Path

IN_MODIFY, IN_MOVED_FROM, IN_MOVED_TO, IN_CREATE = 0x02, 0x40, 0x80, 0x100

Heard = Callable[[], None]


class Inotify:
    """Open while anything is watched. A folder's watch hears of the files in it too."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(ctypes.util.find_library("c"), use_errno=True)
        self._descriptor: int | None = None
        self._heard: dict[int, list[Heard]] = {}
        """By the kernel's number of a watch: it has one for a file, however many ask."""

    def watch(self, path: Path, mask: int, heard: Heard) -> Callable[[], None]:
        """`heard` is called after changes, once for those that come together; the answer ends it.

        Who watches the same path asks for the same `mask`. `OSError` where the kernel refuses: no such
        path, or too many watches.
        """
        if self._descriptor is None:
            self._descriptor = self._open()
        number = self._libc.inotify_add_watch(self._descriptor, os.fsencode(path), mask)
        if number < 0:
            code = ctypes.get_errno()
            self._close_if_idle()
            raise OSError(code, f"cannot watch {path}: {os.strerror(code)}")
        listener = partial(heard)  # equal to no other, whoever else is told in the same way
        self._heard.setdefault(number, []).append(listener)
        return partial(self._unwatch, number, listener)

    def close(self) -> None:
        self._heard.clear()
        self._close_if_idle()

    def _open(self) -> int:
        descriptor: int = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if descriptor < 0:
            raise OSError(ctypes.get_errno(), "cannot watch files: inotify_init1")
        asyncio.get_running_loop().add_reader(descriptor, self._readable)
        return descriptor

    def _unwatch(self, number: int, heard: Heard) -> None:
        listening = self._heard.get(number, [])
        if heard not in listening:
            return
        listening.remove(heard)
        if not listening:
            del self._heard[number]
            self._libc.inotify_rm_watch(self._descriptor, number)
        self._close_if_idle()

    def _close_if_idle(self) -> None:
        if self._descriptor is not None and not self._heard:
            asyncio.get_running_loop().remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = None

    def _readable(self) -> None:
        assert self._descriptor is not None
        try:
            data = os.read(self._descriptor, 65536)
        except BlockingIOError:
            return
        changed: dict[int, None] = {}
        position = 0
        while position < len(data):
            number, _, _, length = struct.unpack_from("iIII", data, position)
            position += 16 + length
            changed[number] = None
        for number in changed:
            for heard in list(self._heard.get(number, ())):
                heard()
