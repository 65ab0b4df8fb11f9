"""Logs of an engine are bounded, and go with the instances they belong to."""

import asyncio
import gzip
import os
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from podward.kubelet.container_logs import LogLimits, LogRotation, remove_logs
from podward.kubelet.container_start import next_attempt
from podward.kubelet.runtime.base import (
    ContainerConfig,
    ContainerState,
    ContainerStatus,
    Runtime,
    RuntimeFailure,
)
from podward.machinery.clock import LoopClock
from podward.simulate.virtual_loop import run

EPOCH = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
POD = "default_web_uid-1"


class Engine:
    """The log of one container, as an engine holds it."""

    def __init__(self, log: Path, state: ContainerState = ContainerState.RUNNING) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        self.log = log
        self.state = state
        self.broken = False
        self.asked = 0
        self.open()

    def open(self) -> None:
        self.file = self.log.open("a")

    def write(self, text: str) -> None:
        self.file.write(text)
        self.file.flush()

    async def list_containers(self, pod_uid: str | None = None) -> list[ContainerStatus]:
        self.asked += 1
        assert pod_uid == "uid-1"
        config = ContainerConfig("main", 3, "busybox", log_path=str(self.log))
        return [ContainerStatus("id", "s", config, "uid-1", self.state, EPOCH)]

    async def reopen_log(self, container_id: str) -> None:
        assert container_id == "id"
        if self.broken:
            raise RuntimeFailure("the engine is away")
        self.open()


def rotating(
    folder: Path, script: Callable[[Engine], Coroutine[Any, Any, None]], **limits: int
) -> Engine:
    """What `script` does while rotation runs; a container writes to its log of the fourth instance."""
    engine: list[Engine] = []

    async def main() -> None:
        engine.append(Engine(folder / POD / "main" / "3.log"))
        wanted = LogLimits(**{"max_bytes": 10, **limits})
        runtime = cast("Runtime", engine[0])
        running = asyncio.create_task(LogRotation(runtime, LoopClock(EPOCH), folder, wanted).run())
        await script(engine[0])
        running.cancel()

    run(main())
    return engine[0]


def names(engine: Engine) -> list[str]:
    return sorted(os.listdir(engine.log.parent))


async def seconds(count: float) -> None:
    await asyncio.sleep(count)


def test_a_log_that_is_not_too_large_is_left_alone(tmp_path: Path) -> None:
    async def script(engine: Engine) -> None:
        engine.write("9 letters")
        await seconds(60)

    engine = rotating(tmp_path, script)
    assert names(engine) == ["3.log"]
    assert engine.asked == 0


def test_a_log_is_renamed_and_the_ones_before_are_packed(tmp_path: Path) -> None:
    async def script(engine: Engine) -> None:
        await seconds(1)
        for turn in range(3):
            engine.write(f"a long line {turn}\n")
            await seconds(10)
        engine.write("now")

    engine = rotating(tmp_path, script)
    assert names(engine) == [
        "3.log",
        "3.log.20260102-030415.gz",
        "3.log.20260102-030425.gz",
        "3.log.20260102-030435",
    ]
    folder = engine.log.parent
    assert engine.log.read_text() == "now"
    assert (folder / "3.log.20260102-030435").read_text() == "a long line 2\n"
    packed = (folder / "3.log.20260102-030415.gz").read_bytes()
    assert gzip.decompress(packed) == b"a long line 0\n"


@pytest.mark.parametrize("files", [2, 3, 5])
def test_no_more_files_are_kept_than_allowed(tmp_path: Path, files: int) -> None:
    async def script(engine: Engine) -> None:
        await seconds(1)
        for turn in range(8):
            engine.write(f"a long line {turn}\n")
            await seconds(10)

    engine = rotating(tmp_path, script, max_files=files)
    assert len(names(engine)) == files
    assert names(engine)[-1] == "3.log.20260102-030525"


def test_a_log_that_cannot_be_reopened_has_its_name_again(tmp_path: Path) -> None:
    async def script(engine: Engine) -> None:
        engine.broken = True
        engine.write("a long line\n")
        await seconds(15)
        assert names(engine) == ["3.log"]
        engine.write("and more\n")
        assert engine.log.read_text() == "a long line\nand more\n"
        engine.broken = False
        await seconds(10)

    engine = rotating(tmp_path, script)
    assert names(engine) == ["3.log", "3.log.20260102-030425"]


def test_a_log_that_was_lost_on_the_way_is_begun_anew(tmp_path: Path) -> None:
    async def script(engine: Engine) -> None:
        engine.log.rename(engine.log.with_name("3.log.20260102-030400"))  # and then Podward died
        await seconds(15)
        engine.write("here")
        assert engine.log.read_text() == "here"
        engine.log.unlink()
        engine.log.with_name("3.log.20260102-030400").unlink()
        await seconds(10)
        engine.write("again")

    assert rotating(tmp_path, script).log.read_text() == "again"


def test_an_ended_containers_log_is_not_rotated(tmp_path: Path) -> None:
    async def script(engine: Engine) -> None:
        engine.state = ContainerState.EXITED
        engine.write("a long line")
        await seconds(30)

    assert names(rotating(tmp_path, script)) == ["3.log"]


def test_only_the_newest_instances_log_is_looked_at(tmp_path: Path) -> None:
    async def script(engine: Engine) -> None:
        engine.log.with_name("2.log").write_text("a long line")
        await seconds(30)

    engine = rotating(tmp_path, script)
    assert engine.asked == 0


def test_what_was_left_half_done_is_cleared_away(tmp_path: Path) -> None:
    async def script(engine: Engine) -> None:
        for name in ("20260101-000000", "20260101-000000.gz", "20260101-000001.tmp"):
            engine.log.with_name(f"3.log.{name}").write_text("x")
        engine.log.with_name("3.log.mine").write_text("somebody else's")
        engine.write("a long line")
        await seconds(10.1)

    assert names(rotating(tmp_path, script)) == [
        "3.log", "3.log.20260101-000000.gz", "3.log.20260102-030415", "3.log.mine",
    ]  # fmt: skip


def test_a_clock_that_was_set_back_does_not_change_the_order(tmp_path: Path) -> None:
    async def script(engine: Engine) -> None:
        engine.log.with_name("3.log.20270101-000059").write_text("from the future")
        engine.write("a long line")
        await seconds(10.1)

    assert names(rotating(tmp_path, script)) == [
        "3.log", "3.log.20270101-000059.gz", "3.log.20270101-000100",
    ]  # fmt: skip


def test_logs_go_with_their_instance_but_the_count_is_remembered(tmp_path: Path) -> None:
    for name in ("1.log", "2.log", "2.log.idx", "2.log.20260101-000000.gz", "3.log", "notes"):
        (tmp_path / name).touch()
    remove_logs(tmp_path / "2.log")
    assert sorted(os.listdir(tmp_path)) == ["3.log", "notes"]
    remove_logs(tmp_path / "3.log")
    assert sorted(os.listdir(tmp_path)) == ["3.log", "notes"]
    assert next_attempt(tmp_path) == 4
    (tmp_path / "4.log.20260101-000000.gz").touch()
    assert next_attempt(tmp_path) == 5
    remove_logs(tmp_path / "none" / "3.log")
