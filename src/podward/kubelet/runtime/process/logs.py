"""Container logs: plain files that the container itself appends to, and an index of when their lines came.

The index is a second file of (offset, time) pairs: the log had grown to `offset` by `time`. Podward keeps it by
watching the file while it lives; what a container wrote while nobody watched gets the time of the next look. A
log never stops a container and loses nothing, whatever becomes of Podward.
"""

import asyncio
import bisect
import ctypes
import ctypes.util
import os
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from podward.kubelet.runtime.base import LogOptions
from podward.kubelet.runtime.linux.inotify import IN_MODIFY, Inotify
from podward.machinery.clock import Clock

_ENTRY = struct.Struct("<Qd")
_SETTLE_SECONDS = 0.01
"""After a write, how long until the next look: bounds both the index and what a chatty container costs."""

KEEP_BYTES = 50 * 1024 * 1024
_CHUNK = 64 * 1024
_FALLOC_FL_KEEP_SIZE, _FALLOC_FL_PUNCH_HOLE = 1, 2


def index_path(log: Path) -> Path:
    return log.with_name(log.name + ".idx")


class LogWatcher:
    """Watches the logs of running containers: keeps their index, bounds their size, wakes who follows."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._libc = ctypes.CDLL(ctypes.util.find_library("c"), use_errno=True)
        self._inotify = Inotify()
        self._watches: dict[Path, Callable[[], None]] = {}
        self._grown: dict[Path, asyncio.Event] = {}
        self._settling: set[Path] = set()
        self._punched: dict[Path, int] = {}

    def watch(self, log: Path) -> None:
        if log in self._watches:
            return
        self._watches[log] = self._inotify.watch(log, IN_MODIFY, partial(self._heard, log))
        self._look(log)

    def unwatch(self, log: Path) -> None:
        """The container has exited: index its last lines."""
        stop = self._watches.pop(log, None)
        if stop is not None:
            stop()
            self._look(log)
        self._punched.pop(log, None)

    def grown(self, log: Path) -> asyncio.Event:
        """Set whenever the log was looked at after growing; the follower clears it."""
        return self._grown.setdefault(log, asyncio.Event())

    def close(self) -> None:
        self._watches.clear()
        self._inotify.close()

    def _heard(self, log: Path) -> None:
        if log not in self._settling:
            self._settling.add(log)
            self._look(log)
            asyncio.get_running_loop().call_later(_SETTLE_SECONDS, self._settled, log)

    def _settled(self, log: Path) -> None:
        self._settling.discard(log)
        self._look(log)

    def _look(self, log: Path) -> None:
        try:
            size = log.stat().st_size
            index = index_path(log)
            with open(index, "ab") as file:
                if file.tell() >= _ENTRY.size:
                    with open(index, "rb") as reader:
                        reader.seek(-_ENTRY.size, os.SEEK_END)
                        if _ENTRY.unpack(reader.read())[0] == size:
                            return
                if size:
                    file.write(_ENTRY.pack(size, self._clock.now().timestamp()))
        except FileNotFoundError:
            return
        if log in self._grown:
            self._grown[log].set()
        self._bound(log, size)

    def _bound(self, log: Path, size: int) -> None:
        """Give the oldest blocks back to the filesystem; offsets, and so the index, stay true."""
        start = (size - KEEP_BYTES) // 4096 * 4096
        if start - self._punched.get(log, 0) < KEEP_BYTES // 10:
            return
        descriptor = os.open(log, os.O_WRONLY)
        try:
            mode = _FALLOC_FL_KEEP_SIZE | _FALLOC_FL_PUNCH_HOLE
            self._libc.fallocate(descriptor, mode, ctypes.c_long(0), ctypes.c_long(start))
            # A filesystem that cannot do it says so at every try; asking seldom is all that is left.
            self._punched[log] = start
        finally:
            os.close(descriptor)


class LogIndex:
    """When the line that ends at an offset was seen."""

    def __init__(self, log: Path) -> None:
        try:
            entries = list(_ENTRY.iter_unpack(index_path(log).read_bytes()))
        except (FileNotFoundError, struct.error):
            entries = []
        self._offsets = [offset for offset, _ in entries]
        self._times = [time for _, time in entries]

    def time_at(self, end: int) -> datetime | None:
        at = bisect.bisect_left(self._offsets, end)
        return datetime.fromtimestamp(self._times[at], UTC) if at < len(self._times) else None

    def offset_since(self, moment: datetime) -> int:
        """Where what came at `moment` or later begins."""
        at = bisect.bisect_left(self._times, moment.timestamp())
        return self._offsets[at - 1] if at else 0


async def read_log(
    log: Path,
    options: LogOptions,
    watcher: LogWatcher,
    exited: Callable[[], Awaitable[None]] | None,
    clock: Clock,
) -> AsyncIterator[bytes]:
    """Whole lines, in chunks; with `exited`, on until that returns and the last line is out."""
    if not log.exists():
        return
    position = _start(log, options)
    left = options.limit_bytes
    ending = asyncio.ensure_future(exited()) if options.follow and exited is not None else None
    grown = watcher.grown(log)
    try:
        while True:
            grown.clear()
            over = ending is None or ending.done()
            position, lines = _lines(log, position, final=over)
            if lines:
                data = (
                    _stamped(log, lines, clock) if options.timestamps else b"".join(lines_of(lines))
                )
                if left is not None:
                    data = data[:left]
                    left -= len(data)
                yield data
                if left == 0:
                    return
                continue
            if over:
                return
            assert ending is not None
            waiting = asyncio.ensure_future(grown.wait())
            await asyncio.wait((waiting, ending), return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
    finally:
        if ending is not None:
            ending.cancel()


Line = tuple[int, bytes]
"""(offset of its end, text with its newline)."""


def lines_of(lines: list[Line]) -> list[bytes]:
    return [text for _, text in lines]


def _lines(log: Path, position: int, *, final: bool) -> tuple[int, list[Line]]:
    """Lines from `position`; one without an end only if nothing will follow it."""
    with open(log, "rb") as file:
        file.seek(position)
        data = file.read(_CHUNK)
        while data and b"\n" not in data and (more := file.read(_CHUNK)):
            data += more
        complete = data.rfind(b"\n") + 1
        if complete == 0 and final:
            complete = len(data)
    found: list[Line] = []
    for text in (
        data[:complete].splitlines(keepends=True) if b"\r" not in data else _split(data[:complete])
    ):
        position += len(text)
        found.append((position, text))
    return position, found


def _split(data: bytes) -> list[bytes]:
    """`splitlines` would split at a carriage return as well."""
    *whole, rest = data.split(b"\n")
    return [text + b"\n" for text in whole] + ([rest] if rest else [])


def _stamped(log: Path, lines: list[Line], clock: Clock) -> bytes:
    index = LogIndex(log)
    out = []
    for end, text in lines:
        moment = index.time_at(end) or clock.now()
        stamp = moment.strftime("%Y-%m-%dT%H:%M:%S.%f") + "000Z "
        out.append(stamp.encode() + text)
    return b"".join(out)


def _start(log: Path, options: LogOptions) -> int:
    start = _first_data(log)
    if options.since is not None:
        start = max(start, LogIndex(log).offset_since(options.since))
    if options.tail_lines is not None:
        start = max(start, _tail(log, options.tail_lines, start))
    return start


def _first_data(log: Path) -> int:
    """Behind the hole that bounding the log left, at a line's beginning."""
    with open(log, "rb") as file:
        try:
            data = os.lseek(file.fileno(), 0, os.SEEK_DATA)
        except OSError:
            return 0  # empty, or a filesystem without holes
        if data == 0:
            return 0
        file.seek(data)
        file.readline()
        return file.tell()


def _tail(log: Path, count: int, floor: int) -> int:
    with open(log, "rb") as file:
        end = file.seek(0, os.SEEK_END)
        if count <= 0:
            return end
        if end and (file.seek(end - 1), file.read(1))[1] == b"\n":
            count += 1  # the newline at the very end belongs to the last line
        position = end
        while position > floor:
            size = min(_CHUNK, position - floor)
            file.seek(position - size)
            data = file.read(size)
            found = data.count(b"\n")
            if found >= count:
                at = len(data)
                for _ in range(count):
                    at = data.rfind(b"\n", 0, at)
                return position - size + at + 1
            count -= found
            position -= size
    return floor
