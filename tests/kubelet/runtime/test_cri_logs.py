"""Reading and following what an engine writes, while it is rotated."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import uvloop

from podward.kubelet.runtime.base import LogOptions
from podward.kubelet.runtime.cri import logs
from podward.kubelet.runtime.linux.inotify import Inotify

T = "2026-01-02T03:04:05Z"


def record(text: str, tag: str = "F") -> str:
    return f"{T} stdout {tag} {text}\n"


class Engine:
    """Writes a log, and opens it anew when it is told to."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.ended = asyncio.Event()
        self.reopen()

    def reopen(self) -> None:
        self.file = self.log.open("a", buffering=1)

    def write(self, *lines: str) -> None:
        self.file.write("".join(map(record, lines)))

    def rotate(self, time: str) -> Path:
        renamed = self.log.with_name(f"{self.log.name}.{time}")
        self.log.rename(renamed)
        return renamed

    async def until_exit(self) -> None:
        await self.ended.wait()


class Follower:
    """What was shown so far."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self.seen = b""
        self._more = asyncio.Event()
        self.task = asyncio.ensure_future(self._follow())

    async def _follow(self) -> None:
        async for chunk in self._chunks:
            self.seen += chunk
            self._more.set()

    async def waits(self) -> None:
        """It has seen all that there is to see."""
        for _ in range(200):
            await asyncio.sleep(0)

    async def until(self, lines: str) -> None:
        wanted = "".join(f"{line}\n" for line in lines.split()).encode()
        async with asyncio.timeout(5):
            while self.seen != wanted:
                self._more.clear()
                await self._more.wait()


Case = Callable[[Engine, Inotify], Awaitable[None]]


def follow(engine: Engine, inotify: Inotify, options: LogOptions | None = None) -> Follower:
    wanted = options or LogOptions(follow=True)
    return Follower(logs.read_log(engine.log, wanted, inotify, engine.until_exit))


async def shown(log: Path, options: LogOptions) -> str:
    chunks = logs.read_log(log, options, Inotify(), None)
    return b"".join([chunk async for chunk in chunks]).decode()


async def growth_is_followed(engine: Engine, inotify: Inotify) -> None:
    engine.write("one")
    follower = follow(engine, inotify)
    await follower.until("one")
    await follower.waits()
    engine.write("two")
    await follower.until("one two")
    engine.file.write(record("three")[:-3])  # a record that is not finished, and never will be
    engine.file.flush()
    engine.ended.set()
    await asyncio.wait_for(follower.task, 5)
    assert follower.seen == b"one\ntwo\nthr"


async def a_rotation_is_followed(engine: Engine, inotify: Inotify) -> None:
    engine.write("one")
    follower = follow(engine, inotify)
    await follower.until("one")
    engine.rotate("20260102-030405")
    engine.write("two")  # before it was told
    await follower.until("one two")
    old = engine.file
    engine.reopen()
    engine.write("four")
    await follower.waits()
    old.write(record("three"))  # what the engine had in hand
    await follower.until("one two three four")
    engine.write("five")
    await follower.until("one two three four five")
    engine.ended.set()
    await asyncio.wait_for(follower.task, 5)


async def many_rotations_at_once_lose_nothing(engine: Engine, inotify: Inotify) -> None:
    engine.rotate("20260102-000000").write_text(record("before"))
    engine.reopen()
    engine.write("one")
    follower = follow(engine, inotify)
    await follower.until("one")
    first = engine.rotate("20260102-030405")
    (first.with_name(f"{first.name}.gz")).write_bytes(gzip.compress(first.read_bytes()))
    first.unlink()
    for second, line in ((15, "two"), (25, "three")):
        engine.reopen()
        engine.write(line)
        renamed = engine.rotate(f"20260102-0304{second}")
        if line == "two":
            packed = gzip.compress(renamed.read_bytes())
            renamed.with_name(f"{renamed.name}.gz").write_bytes(packed)
            renamed.unlink()
    engine.reopen()
    engine.write("four")
    await follower.until("one two three four")
    engine.rotate("20260102-040000")
    engine.reopen()
    engine.write("five")
    engine.ended.set()
    await asyncio.wait_for(follower.task, 5)
    await follower.until("one two three four five")


async def a_rotation_taken_back_is_no_rotation(engine: Engine, inotify: Inotify) -> None:
    engine.write("one")
    follower = follow(engine, inotify)
    await follower.until("one")
    engine.rotate("20260102-030405").rename(engine.log)
    engine.write("two")
    await follower.until("one two")
    engine.ended.set()
    await asyncio.wait_for(follower.task, 5)


async def a_log_that_vanishes_ends_with_its_container(engine: Engine, inotify: Inotify) -> None:
    engine.write("one")
    follower = follow(engine, inotify)
    await follower.until("one")
    engine.log.unlink()
    engine.write("two")
    await follower.until("one two")
    engine.ended.set()
    await asyncio.wait_for(follower.task, 5)


async def a_log_that_is_emptied_begins_anew(engine: Engine, inotify: Inotify) -> None:
    engine.write("a-long-first-line")
    follower = follow(engine, inotify)
    await follower.until("a-long-first-line")
    engine.file.truncate(0)
    engine.write("two")
    await follower.until("a-long-first-line two")
    engine.ended.set()
    await asyncio.wait_for(follower.task, 5)


async def a_tail_is_followed(engine: Engine, inotify: Inotify) -> None:
    engine.write("one", "two", "three")
    follower = follow(engine, inotify, LogOptions(follow=True, tail_lines=1))
    await follower.until("three")
    engine.write("four")
    await follower.until("three four")
    engine.ended.set()
    await asyncio.wait_for(follower.task, 5)


async def enough_bytes_end_it(engine: Engine, inotify: Inotify) -> None:
    engine.write("one")
    follower = follow(engine, inotify, LogOptions(follow=True, limit_bytes=6))
    engine.write("two")
    await asyncio.wait_for(follower.task, 5)
    assert follower.seen == b"one\ntw"


@pytest.mark.parametrize(
    "case",
    [
        growth_is_followed,
        a_rotation_is_followed,
        many_rotations_at_once_lose_nothing,
        a_rotation_taken_back_is_no_rotation,
        a_log_that_vanishes_ends_with_its_container,
        a_log_that_is_emptied_begins_anew,
        a_tail_is_followed,
        enough_bytes_end_it,
    ],
    ids=lambda case: case.__name__,
)
def test_following(case: Case, tmp_path: Path) -> None:
    async def main() -> None:
        inotify = Inotify()
        await case(Engine(tmp_path / "3.log"), inotify)
        inotify.close()

    uvloop.run(main())


def test_without_inotify_it_is_looked_at_once_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("too many watches")

    monkeypatch.setattr(logs, "UNWATCHED_SECONDS", 0.02)

    async def main() -> None:
        inotify = Inotify()
        monkeypatch.setattr(inotify, "watch", refuse)
        await growth_is_followed(Engine(tmp_path / "3.log"), inotify)

    uvloop.run(main())


def test_a_log_that_is_not_there_shows_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        assert await shown(tmp_path / "none" / "0.log", LogOptions()) == ""
        assert await shown(tmp_path / "none" / "0.log", LogOptions(follow=True)) == ""
        assert await shown(tmp_path, LogOptions()) == ""

    uvloop.run(main())


def test_only_the_newest_file_is_read(tmp_path: Path) -> None:
    async def main() -> None:
        engine = Engine(tmp_path / "3.log")
        engine.write("old")
        engine.rotate("20260102-030405")
        # Between a rotation's two steps there is no file of this name.
        assert await shown(engine.log, LogOptions(tail_lines=5)) == "old\n"
        engine.reopen()
        engine.write("new", "newer")
        assert await shown(engine.log, LogOptions()) == "new\nnewer\n"
        assert await shown(engine.log, LogOptions(tail_lines=1)) == "newer\n"
        assert await shown(engine.log, LogOptions(tail_lines=0)) == ""

    uvloop.run(main())
