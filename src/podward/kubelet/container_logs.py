"""Bounding the logs that an engine writes, as a kubelet does, and removing those that nobody asks for.

    3.log  3.log.20260102-150405  3.log.20260102-145900.gz  3.log.20260102-145300.gz  ...

What is written to has the plain name. Grown too large it is renamed, and the engine begins a new one;
what had been renamed before is packed then, for the engine may still have held the newest.
"""

import asyncio
import contextlib
import logging
import os
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from podward.kubelet.runtime.base import ContainerState, ContainerStatus, Runtime, RuntimeFailure
from podward.kubelet.runtime.log_names import PACKED, rotated
from podward.machinery.clock import Clock

CHECK_SECONDS = 10.0
_CHUNK = 64 * 1024
_TIME = "%Y%m%d-%H%M%S"
_GZIP = zlib.MAX_WBITS | 16

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LogLimits:
    """Of one instance of a container: `containerLogMaxSize` and `containerLogMaxFiles` of a kubelet."""

    max_bytes: int = 10 * 1024 * 1024
    max_files: int = 5
    """Two at least: the one that is written to, and what was written before."""


class LogRotation:
    """Looks at the logs below one folder, `{ns}_{pod}_{uid}/{container}/{count}.log`."""

    def __init__(self, runtime: Runtime, clock: Clock, folder: Path, limits: LogLimits) -> None:
        self._runtime = runtime
        self._clock = clock
        self._folder = folder
        self._limits = limits

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            await self.check()

    async def check(self) -> None:
        """The engine is only asked about those that are not as they should be."""
        for folder in list(self._in_need()):
            try:
                await self._mend(folder)
            except (RuntimeFailure, OSError) as error:
                log.warning("cannot rotate the log in %s: %s", folder, error)

    def _in_need(self) -> Iterator[Path]:
        """Folders of containers whose newest log is too large, or is not there to be written to."""
        for pod in _folders(self._folder):
            for container in _folders(pod):
                names = _names(container)
                newest = f"{max(names.values(), default=0)}.log"
                if newest not in names or _size(container / newest) >= self._limits.max_bytes:
                    yield container

    async def _mend(self, folder: Path) -> None:
        uid = folder.parent.name.rpartition("_")[2]
        for status in await self._runtime.list_containers(uid):
            path = Path(status.config.log_path)
            if path.parent != folder or status.state is not ContainerState.RUNNING:
                continue
            if not path.exists():
                # Lost on the way: somebody removed it, or we died between renaming it and saying so.
                await self._runtime.reopen_log(status.id)
            elif _size(path) >= self._limits.max_bytes:
                await self._rotate(status, path)

    async def _rotate(self, status: ContainerStatus, path: Path) -> None:
        older = self._without_excess(path)
        for one in older:
            if one.suffix != PACKED:
                await _pack(one)
        renamed = path.with_name(f"{path.name}.{self._time(older)}")
        path.rename(renamed)
        try:
            await self._runtime.reopen_log(status.id)
        except BaseException:
            # It writes on in what was renamed: so that gets its name again, unless the engine has begun it.
            if not path.exists():
                renamed.rename(path)
            raise

    def _without_excess(self, path: Path) -> list[Path]:
        """What was rotated before and may stay, oldest first: with two more files, all that are allowed."""
        older = rotated(path)
        chosen = {one.name for one in older}
        for name in _names(path.parent):
            half_done = name.endswith(".tmp") or name + PACKED in chosen
            if name.startswith(f"{path.name}.") and half_done:
                _remove(path.with_name(name))
        allowed = max(self._limits.max_files - 2, 0)
        excess, kept = older[: max(len(older) - allowed, 0)], older[max(len(older) - allowed, 0) :]
        for one in excess:
            _remove(one)
        return kept

    def _time(self, older: list[Path]) -> str:
        """Now, but later than all before: names tell the order, whatever becomes of the clock."""
        now = self._clock.now()
        if older:
            text = older[-1].name.removesuffix(PACKED).rpartition(".")[2]
            with contextlib.suppress(ValueError):
                last = datetime.strptime(text, _TIME).replace(tzinfo=UTC)
                now = max(now, last + timedelta(seconds=1))
        return now.strftime(_TIME)


async def _pack(path: Path) -> None:
    """In small steps: others have their turns between them. The whole takes its place at once."""
    unfinished, packed = path.with_name(f"{path.name}.tmp"), path.with_name(path.name + PACKED)
    press = zlib.compressobj(wbits=_GZIP)
    with open(path, "rb") as source, open(unfinished, "wb") as target:
        while data := source.read(_CHUNK):
            target.write(press.compress(data))
            await asyncio.sleep(0)
        target.write(press.flush())
    os.replace(unfinished, packed)
    _remove(path)


def remove_logs(path: Path) -> None:
    """Of an instance that is no longer kept, and of those before it.

    The log of the highest number stays: it tells how many instances there were (spec/health.md 4.5).
    """
    names = _names(path.parent)
    number, newest = _number(path.name), max(names.values(), default=0)
    for name, count in names.items():
        if number is not None and count <= number and count != newest:
            _remove(path.with_name(name))


def _names(folder: Path) -> dict[str, int]:
    """Of files that belong to logs -> which instance's they are."""
    try:
        found = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    return {name: number for name in found if (number := _number(name)) is not None}


def _number(name: str) -> int | None:
    found = re.match(r"(\d+)\.log(?:\.|$)", name)
    return None if found is None else int(found[1])


def _folders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return sorted(Path(one) for one in entries if one.is_dir(follow_symlinks=False))
    except FileNotFoundError:
        return []


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _remove(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
