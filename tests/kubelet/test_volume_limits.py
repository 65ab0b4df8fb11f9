"""emptyDirs with a limit: who is looked at, when, and what becomes of a Pod that has too much in one."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec
import pytest
from lightkube.models import core_v1, meta_v1
from tests.kubelet.support import events, pod, shell, states

from podward.kubelet.volume_limits import LOOK_SECONDS, VolumeLimits
from podward.simulate.simulation import simulate
from podward.simulate.virtual_loop import run

KI = 1024


class Stage:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.looks: list[float] = []
        self.evicted: list[tuple[float, str]] = []
        self.limits = VolumeLimits(self._aside)

    async def _aside(self, work: Callable[[], int]) -> int:
        self.looks.append(asyncio.get_running_loop().time())
        return work()

    def follow(self, uid: str, priority: int | None = None, **limits: str | None) -> None:
        volumes = [{"name": n, "emptyDir": {"sizeLimit": limit}} for n, limit in limits.items()]
        spec = {"containers": [], "volumes": volumes, "priority": priority}
        whole = core_v1.Pod(
            metadata=meta_v1.ObjectMeta(uid=uid), spec=msgspec.convert(spec, core_v1.PodSpec)
        )
        for name in limits:
            (self.folder / uid / name).mkdir(parents=True)
        now = asyncio.get_running_loop().time
        self.limits.follow(
            whole, self.folder / uid, lambda message: self.evicted.append((now(), message))
        )

    def fill(self, place: str, kibibytes: int) -> None:
        (self.folder / place).write_bytes(b"x" * KI * kibibytes)


def played(folder: Path, script: Callable[[Stage], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        stage = Stage(folder)
        task = asyncio.create_task(stage.limits.run())
        await script(stage)
        task.cancel()

    run(main())


def test_too_much_is_found_within_ten_seconds_and_told_once(tmp_path: Path) -> None:
    async def script(stage: Stage) -> None:
        stage.follow("p", small="64Ki", other="1Mi")
        stage.fill("p/small/x", 64)
        await asyncio.sleep(25)
        assert stage.evicted == []
        stage.fill("p/small/y", 4)
        await asyncio.sleep(100)
        message = 'Usage of EmptyDir volume "small" exceeds the limit "64Ki". '
        assert stage.evicted == [(3 * LOOK_SECONDS, message)]

    played(tmp_path, script)


def test_nobody_is_woken_while_there_is_nothing_to_look_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    sleep = asyncio.sleep

    async def counted(seconds: float) -> None:
        slept.append(seconds)
        await sleep(seconds)

    monkeypatch.setattr(asyncio, "sleep", counted)

    async def script(stage: Stage) -> None:
        stage.follow("none", plain=None, zero="0")
        stage.follow("critical", priority=2_000_000_000, small="1Ki")
        stage.fill("critical/small/x", 64)
        await asyncio.sleep(3600)
        assert stage.looks == []
        stage.follow("p", small="1Mi")
        await asyncio.sleep(15)
        stage.limits.forget("p")
        stage.limits.forget("p")
        await asyncio.sleep(3600)
        assert len(stage.looks) == 1
        assert slept.count(LOOK_SECONDS) == 2
        assert stage.evicted == []

    played(tmp_path, script)


def test_who_went_while_he_was_looked_at_is_left_alone(tmp_path: Path) -> None:
    async def script(stage: Stage) -> None:
        looking = asyncio.Event()

        async def slow(work: Callable[[], int]) -> int:
            looking.set()
            await asyncio.sleep(5)
            return work()

        stage.limits = VolumeLimits(slow)
        task = asyncio.create_task(stage.limits.run())
        stage.follow("p", small="1Ki")
        stage.fill("p/small/x", 64)
        await looking.wait()
        stage.limits.forget("p")
        await asyncio.sleep(60)
        assert stage.evicted == []
        task.cancel()

    played(tmp_path, script)


FILLING = "sleep 5; head -c 200000 /dev/zero > /v/x; sleep 600"
LARGE: dict[str, Any] = {"name": "v", "emptyDir": {"sizeLimit": "100Ki"}}
MOUNT = {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}


def test_nothing_more_is_started_of_a_pod_that_is_evicted() -> None:
    hook = {"postStart": {"exec": {"command": ["sleep", "20"]}}}
    manifest = pod(
        [{"command": shell(FILLING), **MOUNT, "lifecycle": hook}, {"command": shell("sleep 600")}],
        volumes=[LARGE],
    )
    recording = simulate([manifest], 60)
    assert events(recording, "Evicted") != []
    assert "running" not in [state for _, state, _ in states(recording, "b")]
    last = recording.changes[-1].pod.status
    assert last is not None
    assert last.reason == "Evicted"


@pytest.mark.parametrize("policy", ["Always", "Never"])
def test_a_pod_that_holds_too_much_is_evicted_for_good(policy: str) -> None:
    hook = {"preStop": {"exec": {"command": ["sleep", "600"]}}}
    manifest = pod(
        [{"command": shell(FILLING), **MOUNT, "lifecycle": hook}, {"command": shell("sleep 600")}],
        volumes=[LARGE], restartPolicy=policy,
    )  # fmt: skip
    recording = simulate([manifest], 120)
    text = 'Usage of EmptyDir volume "v" exceeds the limit "100Ki". '
    ((at, _, message),) = events(recording, "Evicted")
    assert message == text
    assert 5 < at <= 5 + LOOK_SECONDS + 1
    (event,) = [s.event for s in recording.said if s.event.reason == "Evicted"]
    assert event.type == "Warning"
    last = recording.changes[-1].pod.status
    assert last is not None
    assert (last.phase, last.reason, last.message) == ("Failed", "Evicted", text)
    # Its hook had a second, its containers the two that a kill takes at least; nothing came back.
    failed = next(c for c in recording.changes if c.pod.status and c.pod.status.phase == "Failed")
    assert failed.at - at < 4
    for name in ("a", "b"):
        assert states(recording, name)[-1][1:] == ("terminated:Error(137)", 0)
    for change in recording.changes:
        status = change.pod.status
        if status is not None and status.phase != "Failed":
            assert status.reason is None
