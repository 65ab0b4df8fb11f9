"""Reading and following a log that an engine writes, while the kubelet rotates it.

A rotation renames the file; the engine goes on in it until it is told to open a new one of the old name. Who
follows reads to the end of what was renamed, then whatever was rotated meanwhile, then the new file.
"""

import asyncio
import contextlib
import gzip
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import BinaryIO, cast

from podward.kubelet.runtime.base import LogOptions
from podward.kubelet.runtime.cri.log_format import LogDecoder, tail_start
from podward.kubelet.runtime.linux.inotify import (
    IN_CREATE,
    IN_MODIFY,
    IN_MOVED_FROM,
    IN_MOVED_TO,
    Inotify,
)
from podward.kubelet.runtime.log_names import PACKED, rotated

_CHUNK = 64 * 1024
_NEWS = IN_MODIFY | IN_CREATE | IN_MOVED_FROM | IN_MOVED_TO
TRAIL_SECONDS = 0.1
"""What the engine had in hand when it was told to open a new file, it still writes to the old one."""
UNWATCHED_SECONDS = 1.0
"""Between looks where the kernel tells nothing, as a kubelet looks."""


async def read_log(
    log: Path,
    options: LogOptions,
    inotify: Inotify,
    exited: Callable[[], Awaitable[None]] | None,
) -> AsyncIterator[bytes]:
    """What `options` ask for, in chunks; to be followed until `exited` returns and the last line is out."""
    decoder = LogDecoder(options)
    async with contextlib.AsyncExitStack() as cleanup:
        following = options.follow and exited is not None
        ending = asyncio.ensure_future(exited()) if following and exited is not None else None
        if ending is not None:
            cleanup.callback(ending.cancel)
        changes = _Changes(log.parent, inotify, cleanup) if following else None
        file = _LogFile(log)
        cleanup.callback(file.close)
        if not file.open():
            return
        file.seek_tail(options.tail_lines)
        while True:
            if changes is not None:
                changes.forget()
            over = ending is None or ending.done()
            replaced = following and file.is_replaced()
            if replaced:
                await asyncio.sleep(TRAIL_SECONDS)
            while data := file.read():
                if shown := decoder.feed(data):
                    yield shown
                if decoder.full:
                    return
                await asyncio.sleep(0)
            if replaced:
                shown = decoder.end_of_file()
                if shown:
                    yield shown
                file.next()
            elif over or changes is None or ending is None:
                break
            else:
                await changes.wait(ending)
        if shown := decoder.end_of_file():
            yield shown


class _Changes:
    """Of the files in a folder."""

    def __init__(self, folder: Path, inotify: Inotify, cleanup: contextlib.AsyncExitStack) -> None:
        self._changed = asyncio.Event()
        self._limit: float | None = None
        try:
            cleanup.callback(inotify.watch(folder, _NEWS, self._changed.set))
        except OSError:
            self._limit = UNWATCHED_SECONDS

    def forget(self) -> None:
        self._changed.clear()

    async def wait(self, ending: "asyncio.Future[None]") -> None:
        """For a change, or for `ending`."""
        waiting = asyncio.ensure_future(self._changed.wait())
        try:
            await asyncio.wait(
                (waiting, ending), return_when=asyncio.FIRST_COMPLETED, timeout=self._limit
            )
        finally:
            waiting.cancel()


class _LogFile:
    """A log, through all the files that it comes to be."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._file: BinaryIO | None = None
        self._inode: int | None = None
        self._before: set[str] = set()
        """When the rotated files were made that are older than what is read, and of that itself once it is."""

    def open(self) -> bool:
        """False if there is no such log. Between renaming and reopening the newest rotated one is it."""
        older = rotated(self._log)
        for path in (self._log, *older[:-2:-1]):
            if self._opened(path):
                self._before = {_time(one) for one in older if one != path}
                return True
        return False

    def _opened(self, path: Path) -> bool:
        try:
            file = open(path, "rb", buffering=0)  # noqa: SIM115 -- held until the next one
        except OSError:
            return False
        self.close()
        packed = path.suffix == PACKED
        self._inode = None if packed else os.fstat(file.fileno()).st_ino
        self._file = cast("BinaryIO", gzip.GzipFile(fileobj=file) if packed else file)
        return True

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def seek_tail(self, lines: int | None) -> None:
        if lines is None or self._file is None or self._inode is None:
            return
        descriptor = self._file.fileno()
        size = os.fstat(descriptor).st_size
        start = tail_start(lambda at, length: os.pread(descriptor, length, at), size, lines)
        self._file.seek(start)

    def read(self) -> bytes:
        """What comes next; nothing at the end of what is there."""
        assert self._file is not None
        if self._inode is not None and os.fstat(self._file.fileno()).st_size < self._file.tell():
            self._file.seek(0)  # somebody emptied it, and it fills anew
        try:
            return self._file.read(_CHUNK)
        except (OSError, EOFError):  # a packed file that is none
            return b""

    def is_replaced(self) -> bool:
        """Its name belongs to another file: nothing is added to this one any more."""
        try:
            return os.stat(self._log).st_ino != self._inode
        except OSError:
            return False

    def next(self) -> None:
        """The file that began when this one was rotated away."""
        later = [one for one in rotated(self._log) if _time(one) not in self._before]
        for index, path in enumerate((*later[1:], self._log)):  # the first of them was read
            if self._opened(path):
                self._before.update(map(_time, later[: index + 1]))
                return


def _time(path: Path) -> str:
    return path.name.removesuffix(PACKED)
