"""What the CRI runtime learns of an engine: streamed, listed, from a process, and after the engine was away."""

import asyncio
import logging
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
import uvloop
from tests.contracts.runtime import Heard
from tests.engine.fake import ABSENT, FakeEngine, Refused

from podward.kubelet.runtime.base import (
    ContainerConfig,
    ContainerEventType,
    ContainerState,
    CreateContainerError,
    RuntimeFailure,
    RuntimeUnavailable,
    SandboxConfig,
    SandboxState,
    StartError,
)
from podward.kubelet.runtime.cri import CriRuntime, observer
from podward.kubelet.runtime.cri import runtime_v1_pb2 as pb

STARTED, DIED = ContainerEventType.STARTED, ContainerEventType.DIED
REMOVED, CHANGED = ContainerEventType.REMOVED, ContainerEventType.SANDBOX_CHANGED


@pytest.fixture
def socket() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="pw-fake-") as folder:  # a socket's path must be short
        yield Path(folder) / "s"


@pytest.fixture
def seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    """No look at everything happens by itself."""
    monkeypatch.setattr(observer, "RELIST_SECONDS", 60.0)


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observer, "RELIST_SECONDS", 0.03)


def runtime_on(engine: FakeEngine, instance: str = "ours") -> CriRuntime:
    return CriRuntime(str(engine.socket), instance=instance)


@asynccontextmanager
async def running(engine: FakeEngine) -> AsyncIterator[CriRuntime]:
    await engine.start()
    runtime = runtime_on(engine)
    try:
        await runtime.start()
        yield runtime
    finally:
        await runtime.close()
        await engine.stop()


async def start_one(
    runtime: CriRuntime, *command: str, name: str = "web", attempt: int = 0
) -> tuple[str, str]:
    sandbox = await runtime.run_pod_sandbox(SandboxConfig(name, "default", f"uid-{name}"))
    config = ContainerConfig("main", attempt, "busybox", command=command or ("sleep",))
    container = await runtime.create_container(sandbox, config)
    await runtime.start_container(container)
    return sandbox, container


async def until(true: Callable[[], object], seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.005)


def run(main: Callable[[], Awaitable[None]]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(20):
            await main()

    uvloop.run(limited())


@pytest.mark.usefixtures("seldom")
def test_what_is_streamed_is_told_at_once(socket: Path) -> None:
    async def main() -> None:
        engine = FakeEngine(socket, streams=True)
        async with running(engine) as runtime:
            heard = Heard(runtime)
            sandbox, container = await start_one(runtime)
            await until(lambda: engine.listeners)
            engine.exit(container, 3)
            await until(lambda: len(heard.events) == 2)
            engine.lose(sandbox)
            await until(lambda: len(heard.events) == 3)
            engine.forget(container)
            await until(lambda: len(heard.events) == 4)
        assert [event.type for event in heard.events] == [STARTED, DIED, CHANGED, REMOVED]

    run(main)


@pytest.mark.usefixtures("often")
def test_what_is_not_streamed_is_found_by_looking(socket: Path) -> None:
    async def main() -> None:
        engine = FakeEngine(socket)
        async with running(engine) as runtime:
            heard = Heard(runtime)
            sandbox, container = await start_one(runtime)
            engine.exit(container, 3)
            await until(lambda: len(heard.events) == 2)
            engine.lose(sandbox)
            await until(lambda: len(heard.events) == 3)
        assert [event.type for event in heard.events] == [STARTED, DIED, CHANGED]
        assert engine.calls["GetContainerEvents"] == 1  # not asked again and again

    run(main)


def test_where_events_are_streamed_looks_are_rare(
    socket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observer, "RELIST_SECONDS", 0.02)
    monkeypatch.setattr(observer, "_SETTLED_SECONDS", 0.05)

    async def main() -> None:
        engine = FakeEngine(socket, streams=True)
        async with running(engine):
            await asyncio.sleep(0.3)
            engine.calls.clear()
            await asyncio.sleep(0.3)
            assert engine.calls["ListContainers"] == 0
            await engine.stop()  # nobody tells any more: looking is all there is
            await engine.start()
            await until(lambda: engine.calls["ListContainers"] > 0)
            await until(lambda: engine.listeners)

    run(main)


@pytest.mark.usefixtures("often")
@pytest.mark.parametrize("streams", [True, False])
def test_what_happened_while_the_engine_was_away_is_told_once_when_it_is_back(
    streams: bool, socket: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        engine = FakeEngine(socket, streams=streams)
        async with running(engine) as runtime:
            heard = Heard(runtime)
            _, dies = await start_one(runtime, name="dies")
            _, lives = await start_one(runtime, name="lives")
            await engine.stop()
            await until(lambda: "does not answer" in caplog.text)
            with pytest.raises(RuntimeUnavailable):
                await runtime.list_containers()
            with pytest.raises(RuntimeFailure, match="rpc error: code = Unavailable"):
                await runtime.exec_sync(lives, ["true"], 1)
            engine.exit(dies, 42)
            await asyncio.sleep(0.3)  # ten looks
            await engine.start()
            await until(lambda: "answers again" in caplog.text)
            await until(lambda: len(heard.events) == 3)
            statuses = {c.id: c for c in await runtime.list_containers()}
            assert (statuses[dies].state, statuses[dies].exit_code) == (ContainerState.EXITED, 42)
            assert statuses[lives].state is ContainerState.RUNNING
            await asyncio.sleep(0.2)
        assert [(e.type, e.container_id) for e in heard.events] == [
            (STARTED, dies),
            (STARTED, lives),
            (DIED, dies),
        ]

    with caplog.at_level(logging.INFO, "podward"):
        run(main)
    said = [r for r in caplog.records if r.name.startswith("podward")]
    assert [record.exc_info for record in said] == [None, None]
    assert str(socket) in said[0].getMessage()


@pytest.mark.usefixtures("often")
def test_one_that_vanished_meanwhile_died_and_was_removed(socket: Path) -> None:
    async def main() -> None:
        engine = FakeEngine(socket)
        async with running(engine) as runtime:
            heard = Heard(runtime)
            sandbox, container = await start_one(runtime)
            await engine.stop()
            engine.forget(container)
            engine.sandboxes.clear()
            await engine.start()
            await until(lambda: len(heard.events) == 4)
            assert await runtime.list_containers() == []
            assert await runtime.list_pod_sandboxes() == []
        assert [(e.type, e.container_id) for e in heard.events[1:]] == [
            (DIED, container),
            (CHANGED, sandbox),
            (REMOVED, container),
        ]

    run(main)


@pytest.mark.usefixtures("seldom")
def test_a_status_is_asked_for_once_in_each_state(socket: Path) -> None:
    async def main() -> None:
        engine = FakeEngine(socket)
        async with running(engine) as runtime:
            # At the start, and once more when it is clear that nothing is streamed.
            await until(lambda: engine.calls["ListContainers"] == 2)
            sandbox, container = await start_one(runtime)
            await runtime.list_pod_sandboxes()
            engine.calls.clear()
            for _ in range(3):
                await runtime.list_pod_sandboxes("uid-web")
                await runtime.list_containers("uid-web")
            # A look at everything may come between, when the engine has said that it streams no events.
            assert engine.calls.keys() == {"ListPodSandbox", "ListContainers"}
            engine.exit(container, 7)
            engine.lose(sandbox)
            engine.calls.clear()
            for _ in range(3):
                [status] = await runtime.list_containers()
                assert (status.state, status.exit_code) == (ContainerState.EXITED, 7)
                [pod] = await runtime.list_pod_sandboxes()
                assert pod.state is SandboxState.NOT_READY
            assert engine.calls["ContainerStatus"] == engine.calls["PodSandboxStatus"] == 1

    run(main)


@pytest.mark.usefixtures("often")
def test_what_belongs_to_others_is_not_seen_and_not_touched(socket: Path) -> None:
    async def main() -> None:
        engine = FakeEngine(socket)
        async with running(engine) as ours:
            heard = Heard(ours)
            theirs = runtime_on(engine, "theirs")
            await theirs.start()
            _, container = await start_one(theirs)
            engine.exit(container)
            await asyncio.sleep(0.1)
            assert await ours.list_containers() == []
            assert await ours.list_pod_sandboxes() == []
            assert heard.events == []
            await theirs.close()

    run(main)


@pytest.mark.usefixtures("seldom")
def test_failures_have_a_kubelets_words(socket: Path) -> None:
    async def main() -> None:
        engine = FakeEngine(socket)
        async with running(engine) as runtime:
            sandbox, container = await start_one(runtime)
            with pytest.raises(StartError) as start:
                await start_one(runtime, ABSENT, name="other")
            assert str(start.value) == f'exec: "{ABSENT}": executable file not found'
            engine.refusals["CreateContainer"] = Refused(grpc.StatusCode.UNKNOWN, "no space left")
            with pytest.raises(CreateContainerError, match=r"^no space left$"):
                await runtime.create_container(sandbox, ContainerConfig("b", 0, "busybox"))
            engine.refusals["RunPodSandbox"] = Refused(grpc.StatusCode.UNKNOWN, "no network")
            with pytest.raises(
                RuntimeFailure, match=r"^rpc error: code = Unknown desc = no network$"
            ):
                await runtime.run_pod_sandbox(SandboxConfig("x", "default", "uid-x"))
            with pytest.raises(
                RuntimeFailure,
                match=r"^rpc error: code = Unknown desc = failed to exec in container: ",
            ):
                await runtime.exec_sync(container, [ABSENT], 1)
            engine.refusals["PullImage"] = Refused(grpc.StatusCode.NOT_FOUND, "failed to pull x")
            with pytest.raises(
                RuntimeFailure, match=r"^rpc error: code = NotFound desc = failed to pull x$"
            ):
                await runtime.pull_image("x")

    run(main)


@pytest.mark.usefixtures("often")
@pytest.mark.parametrize(
    ("code", "words"),
    [
        (grpc.StatusCode.CANCELLED, "context canceled"),
        (grpc.StatusCode.UNKNOWN, "server is not initialized yet"),
    ],
)
def test_an_engine_that_ends_or_only_begins_has_not_refused_anything(
    code: grpc.StatusCode, words: str, socket: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One that ends gives up what it is at: that may have been done, or not."""

    async def main() -> None:
        engine = FakeEngine(socket)
        given_up = Refused(code, words)
        async with running(engine) as runtime:
            heard = Heard(runtime)
            engine.refusals["StartContainer"] = given_up
            with pytest.raises(RuntimeUnavailable, match=f"desc = {words}$"):
                await start_one(runtime)
            [container] = engine.containers
            engine.containers[container].state = pb.CONTAINER_RUNNING
            await until(lambda: heard.told == [(STARTED, container)])
            engine.refusals["ListContainers"] = given_up
            await until(lambda: f"does not answer: {words}" in caplog.text)
            engine.refusals.clear()
            await until(lambda: "answers again" in caplog.text)

    run(main)


@pytest.mark.usefixtures("seldom")
def test_an_engine_that_is_not_there_is_named(socket: Path) -> None:
    async def main() -> None:
        with pytest.raises(RuntimeFailure) as absent:
            await runtime_on(FakeEngine(socket)).start()
        assert str(absent.value) == f"no engine answers at {socket}: no such file or directory"
        engine = await FakeEngine(socket).start()
        engine.refusals["Version"] = Refused(grpc.StatusCode.UNIMPLEMENTED, "unknown service")
        with pytest.raises(RuntimeFailure, match=r"does not speak CRI runtime\.v1"):
            await runtime_on(engine).start()
        await engine.stop()

    run(main)


@pytest.mark.usefixtures("seldom")
def test_the_problem_is_what_the_engine_says_of_itself(socket: Path) -> None:
    async def main() -> None:
        engine = FakeEngine(socket)
        async with running(engine) as runtime:
            assert await runtime.problem() is None
            network = (False, "NetworkPluginNotReady", "cni plugin not initialized")
            engine.conditions["NetworkReady"] = network
            text = (
                "container runtime network not ready: NetworkReady=false "
                "reason:NetworkPluginNotReady message:cni plugin not initialized"
            )
            assert await runtime.problem() == text
            engine.conditions["RuntimeReady"] = (False, "Why", "because")
            both = f"[container runtime not ready: RuntimeReady=false reason:Why message:because, {text}]"
            assert await runtime.problem() == both
            await engine.stop()
            words = ""
            while (
                f"dial unix {socket}" not in words
            ):  # the first may meet the end of the last connection
                with pytest.raises(RuntimeUnavailable) as absent:
                    await runtime.problem()
                words = str(absent.value)

    run(main)
