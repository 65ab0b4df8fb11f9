"""The CRI runtime against a containerd of the tests."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import uvloop
from tests.contracts import runtime as contract
from tests.engine.containerd import Containerd

from podward.kubelet.runtime.base import (
    ContainerEventType,
    Runtime,
    RuntimeUnavailable,
    SandboxState,
)
from podward.kubelet.runtime.cri import CriRuntime, observer

STARTED, DIED = ContainerEventType.STARTED, ContainerEventType.DIED
REMOVED, CHANGED = ContainerEventType.REMOVED, ContainerEventType.SANDBOX_CHANGED


@pytest.fixture
def own_engine(containerd: Containerd) -> Iterator[Containerd]:
    """One that the test may kill. (That the machine can have one, the shared one shows.)"""
    engine = Containerd().start().load_usual()
    yield engine
    engine.tear_down()


def maker(engine: Containerd, instance: str) -> Callable[[], Runtime]:
    def make() -> Runtime:
        return CriRuntime(str(engine.socket), instance=instance)

    return make


@pytest.fixture(autouse=True)
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that looks meet everything else that happens."""
    monkeypatch.setattr(observer, "RELIST_SECONDS", 0.05)


@pytest.mark.parametrize("check", contract.CHECKS, ids=lambda check: check.__name__)
def test_the_contract(check: contract.Check, containerd: Containerd, tmp_path: Path) -> None:
    async def main() -> None:
        await check(maker(containerd, tmp_path.name), tmp_path / "logs")

    uvloop.run(main())


def test_ends_are_told_before_any_look_finds_them(
    containerd: Containerd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container that exits, one that is killed, and a sandbox that loses its first process."""
    monkeypatch.setattr(observer, "RELIST_SECONDS", 60.0)

    async def main() -> None:
        folder = tmp_path / "logs"
        first = maker(containerd, tmp_path.name)()
        await first.start()
        sandbox, exits = await contract.start(first, folder, "sh", "-c", "sleep 0.1; exit 3")
        lasts = await contract.start_in(first, sandbox, folder, "sleep", "60", attempt=1)
        heard = contract.Heard(first)
        await heard.until(lambda: (DIED, exits) in heard.told)
        assert await contract.exited(first, exits) == (3, "Error")
        await first.close()
        second = maker(containerd, tmp_path.name)()  # which has started none of them
        await second.start()
        heard = contract.Heard(second)
        containerd.ctr("tasks", "kill", "-s", "SIGKILL", lasts)
        await heard.until(lambda: (DIED, lasts) in heard.told)
        assert await contract.exited(second, lasts) == (137, "Error")
        containerd.ctr("tasks", "kill", "-s", "SIGKILL", sandbox)
        await heard.until(lambda: (CHANGED, sandbox) in heard.told)
        [pod] = await second.list_pod_sandboxes()
        assert pod.state is SandboxState.NOT_READY
        await second.remove_pod_sandbox(sandbox)
        await heard.all_of(second)
        assert heard.told[:2] == [(DIED, lasts), (CHANGED, sandbox)]
        assert sorted(heard.told[2:]) == sorted([(REMOVED, lasts), (REMOVED, exits)])

    uvloop.run(main())


def test_an_engine_that_is_killed_and_started_again(tmp_path: Path, own_engine: Containerd) -> None:
    """What ran runs on; what ended meanwhile is told with its code; nothing is told twice."""

    async def main() -> None:
        folder = tmp_path / "logs"
        runtime = maker(own_engine, tmp_path.name)()
        await runtime.start()
        heard = contract.Heard(runtime)
        sandbox, lasts = await contract.start(runtime, folder, "sleep", "60")
        ends = await contract.start_in(
            runtime, sandbox, folder, "sh", "-c", "sleep 0.3; exit 42", attempt=1
        )
        before = {c.id: c.started_at for c in await runtime.list_containers()}
        own_engine.stop(signal.SIGKILL)
        with pytest.raises(RuntimeUnavailable):
            await runtime.list_containers()
        await asyncio.sleep(0.5)
        await asyncio.to_thread(own_engine.start)
        await heard.until(lambda: (DIED, ends) in heard.told)
        assert await contract.exited(runtime, ends) == (42, "Error")
        assert {c.id: c.started_at for c in await runtime.list_containers()} == before
        assert (await runtime.exec_sync(lasts, ["true"], 5)).exit_code == 0
        own_engine.ctr("tasks", "kill", "-s", "SIGKILL", lasts)
        await heard.until(lambda: (DIED, lasts) in heard.told)
        await runtime.remove_pod_sandbox(sandbox)
        await heard.all_of(runtime)
        told = [one for one in heard.told if one[0] is not REMOVED]
        assert told == [
            (STARTED, lasts), (STARTED, ends), (DIED, ends), (DIED, lasts), (CHANGED, sandbox)
        ]  # fmt: skip

    uvloop.run(main())
