"""Hearing of changes to files."""

import asyncio
from pathlib import Path

import pytest
import uvloop

from podward.kubelet.runtime.linux.inotify import IN_CREATE, IN_MODIFY, Inotify


async def heard(event: asyncio.Event) -> None:
    await asyncio.wait_for(event.wait(), 5)
    event.clear()


def test_a_file_and_its_folder_are_heard_of(tmp_path: Path) -> None:
    async def main() -> None:
        inotify = Inotify()
        file, folder = asyncio.Event(), asyncio.Event()
        (tmp_path / "a").touch()
        inotify.watch(tmp_path / "a", IN_MODIFY, file.set)
        inotify.watch(tmp_path, IN_MODIFY | IN_CREATE, folder.set)
        (tmp_path / "a").write_text("x")
        await heard(file)
        await heard(folder)
        (tmp_path / "b").touch()
        await heard(folder)
        assert not file.is_set()
        inotify.close()

    uvloop.run(main())


def test_one_of_two_listeners_leaves_the_other_alone(tmp_path: Path) -> None:
    async def main() -> None:
        inotify = Inotify()
        first, second = asyncio.Event(), asyncio.Event()
        stop = inotify.watch(tmp_path, IN_CREATE, first.set)
        stop_second = inotify.watch(tmp_path, IN_CREATE, second.set)
        stop()
        stop()
        (tmp_path / "a").touch()
        await heard(second)
        assert not first.is_set()
        stop_second()
        again = inotify.watch(tmp_path, IN_CREATE, first.set)  # after it had been closed
        (tmp_path / "b").touch()
        await heard(first)
        stop_second()  # of a watch that is long gone
        (tmp_path / "c").touch()
        await heard(first)
        again()

    uvloop.run(main())


def test_what_is_not_there_cannot_be_watched(tmp_path: Path) -> None:
    async def main() -> None:
        with pytest.raises(OSError, match="No such file"):
            Inotify().watch(tmp_path / "none", IN_MODIFY, lambda: None)

    uvloop.run(main())
