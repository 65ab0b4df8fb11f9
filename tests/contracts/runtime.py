"""What every runtime must do. An implementation's test file gives `make` (a fresh runtime object on the same
state, at each call) and calls `check_*` in its own kind of time."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from podward.kubelet.runtime.base import (
    ContainerConfig,
    ContainerState,
    CreateContainerError,
    ExecTimeout,
    LogOptions,
    Runtime,
    RuntimeFailure,
    SandboxConfig,
    SandboxState,
    StartError,
)

Make = Callable[[], Runtime]
Check = Callable[[Make, Path], Awaitable[None]]


async def start(runtime: Runtime, folder: Path, *command: str, attempt: int = 0) -> tuple[str, str]:
    """(sandbox id, container id) of a Pod that runs `command`."""
    config = SandboxConfig("web", "default", "uid-1", log_directory=str(folder))
    sandbox = await runtime.run_pod_sandbox(config)
    return sandbox, await start_in(runtime, sandbox, folder, *command, attempt=attempt)


async def start_in(
    runtime: Runtime, sandbox: str, folder: Path, *command: str, attempt: int = 0
) -> str:
    config = ContainerConfig(
        "main",
        attempt,
        "busybox",
        command=command,
        env={"COLOUR": "blue"},
        log_path=str(folder / f"{attempt}.log"),
        labels={"io.kubernetes.container.name": "main"},
        annotations={"kept": "as is"},
    )
    container = await runtime.create_container(sandbox, config)
    await runtime.start_container(container)
    return container


async def exited(runtime: Runtime, container: str) -> tuple[int | None, str]:
    """(exit code, reason) once it has ended."""
    for _ in range(500):
        status = next(c for c in await runtime.list_containers() if c.id == container)
        if status.state is ContainerState.EXITED:
            return status.exit_code, status.reason
        await asyncio.sleep(0.02)
    pytest.fail("the container did not end within 10 s")


async def text(chunks: AsyncIterator[bytes]) -> str:
    return b"".join([chunk async for chunk in chunks]).decode()


async def check_exit_codes_and_reasons(make: Make, folder: Path) -> None:
    runtime = make()
    await runtime.start()
    sandbox, good = await start(runtime, folder, "sh", "-c", "exit 0")
    bad = await start_in(runtime, sandbox, folder, "sh", "-c", "exit 7", attempt=1)
    assert await exited(runtime, good) == (0, "Completed")
    assert await exited(runtime, bad) == (7, "Error")
    await runtime.remove_pod_sandbox(sandbox)
    assert await runtime.list_containers() == []
    assert await runtime.list_pod_sandboxes() == []
    await runtime.close()


async def check_what_was_configured_comes_back(make: Make, folder: Path) -> None:
    runtime = make()
    await runtime.start()
    sandbox, container = await start(runtime, folder, "sleep", "60")
    [status] = await runtime.list_containers("uid-1")
    assert status.state is ContainerState.RUNNING
    assert status.config.labels == {"io.kubernetes.container.name": "main"}
    assert status.config.annotations == {"kept": "as is"}
    assert await runtime.list_containers("uid-2") == []
    [pod] = await runtime.list_pod_sandboxes("uid-1")
    assert (pod.id, pod.state) == (sandbox, SandboxState.READY)
    assert pod.ips
    await runtime.stop_pod_sandbox(sandbox)
    [pod] = await runtime.list_pod_sandboxes("uid-1")
    assert pod.state is SandboxState.NOT_READY
    assert await exited(runtime, container) == (137, "Error")
    await runtime.remove_pod_sandbox(sandbox)
    await runtime.close()


async def check_stop_gives_grace_then_kills(make: Make, folder: Path) -> None:
    runtime = make()
    await runtime.start()
    sandbox, polite = await start(
        runtime, folder, "sh", "-c", "trap 'exit 3' TERM; while true; do sleep 0.05; done"
    )
    await asyncio.sleep(0.2)
    await runtime.stop_container(polite, 30)
    assert await exited(runtime, polite) == (3, "Error")
    stubborn = await start_in(
        runtime, sandbox, folder, "sh", "-c", "trap '' TERM; sleep 60; sleep 60", attempt=1
    )
    await asyncio.sleep(0.2)
    stopping = asyncio.ensure_future(runtime.stop_container(stubborn, 60))
    await asyncio.sleep(0.1)
    assert not stopping.done()
    await runtime.stop_container(stubborn, 0.2)  # a shorter grace shortens the one under way
    await stopping
    assert await exited(runtime, stubborn) == (137, "Error")
    await runtime.stop_container(stubborn, 0)
    await runtime.remove_pod_sandbox(sandbox)
    await runtime.close()


async def check_exec_runs_inside(make: Make, folder: Path) -> None:
    runtime = make()
    await runtime.start()
    sandbox, container = await start(runtime, folder, "sleep", "60")
    result = await runtime.exec_sync(container, ["sh", "-c", "echo $COLOUR; exit 4"], 5)
    assert (result.exit_code, result.stdout) == (4, b"blue\n")
    with pytest.raises(ExecTimeout):
        await runtime.exec_sync(container, ["sleep", "30"], 0.2)
    with pytest.raises(RuntimeFailure, match="executable file not found") as missing:
        await runtime.exec_sync(container, ["no-such-command"], 5)
    assert not isinstance(missing.value, ExecTimeout)
    await runtime.stop_container(container, 0)
    with pytest.raises(RuntimeFailure):
        await runtime.exec_sync(container, ["true"], 5)
    await runtime.remove_pod_sandbox(sandbox)
    await runtime.close()


async def check_a_missing_command_is_an_error(make: Make, folder: Path) -> None:
    runtime = make()
    await runtime.start()
    sandbox = await runtime.run_pod_sandbox(SandboxConfig("web", "default", "uid-1"))
    with pytest.raises(StartError, match="executable file not found"):
        await start_in(runtime, sandbox, folder, "no-such-command")
    [status] = await runtime.list_containers()
    assert (status.exit_code, status.reason) == (128, "StartError")
    nothing = ContainerConfig("other", 0, "nginx", log_path=str(folder / "none.log"))
    with pytest.raises(CreateContainerError, match="podward image import"):
        await runtime.create_container(sandbox, nothing)
    await runtime.remove_pod_sandbox(sandbox)
    await runtime.close()


async def check_logs_are_read_and_followed(make: Make, folder: Path) -> None:
    runtime = make()
    await runtime.start()
    sandbox, container = await start(
        runtime, folder, "sh", "-c", "echo one; echo two >&2; sleep 0.3; echo three; printf four"
    )
    log = str(folder / "0.log")
    assert await text(runtime.read_log(log, LogOptions(follow=True), container)) == (
        "one\ntwo\nthree\nfour"
    )
    await exited(runtime, container)
    assert await text(runtime.read_log(log, LogOptions(tail_lines=2), None)) == "three\nfour"
    assert await text(runtime.read_log(log, LogOptions(limit_bytes=5), None)) == "one\nt"
    stamped = (await text(runtime.read_log(log, LogOptions(timestamps=True), None))).splitlines()
    times = [line.split(" ")[0] for line in stamped]
    assert times == sorted(times)
    assert [line.split(" ")[1] for line in stamped] == ["one", "two", "three", "four"]
    await runtime.remove_pod_sandbox(sandbox)
    await runtime.close()


async def check_a_new_runtime_adopts(make: Make, folder: Path) -> None:
    first = make()
    await first.start()
    sandbox, lasting = await start(first, folder, "sleep", "60")
    ending = await start_in(first, sandbox, folder, "sh", "-c", "sleep 0.3; exit 9", attempt=1)
    before = {c.id: c.started_at for c in await first.list_containers()}
    await first.close()
    await asyncio.sleep(0.6)  # `ending` ends while nobody watches
    second = make()
    await second.start()
    assert {c.id: c.started_at for c in await second.list_containers()} == before
    assert await exited(second, ending) == (9, "Error")
    assert (await second.exec_sync(lasting, ["true"], 5)).exit_code == 0
    await second.stop_container(lasting, 0)
    assert await exited(second, lasting) == (137, "Error")
    await second.remove_pod_sandbox(sandbox)
    await second.close()


async def check_events_tell_of_starts_and_ends(make: Make, folder: Path) -> None:
    runtime = make()
    await runtime.start()
    seen: list[tuple[str, str]] = []

    async def listen() -> None:
        async for event in runtime.events():
            seen.append((event.pod_uid, event.type.value))

    listening = asyncio.create_task(listen())
    sandbox, container = await start(runtime, folder, "sh", "-c", "sleep 0.05")
    await exited(runtime, container)
    await runtime.remove_pod_sandbox(sandbox)
    await runtime.close()
    await listening
    assert [kind for _, kind in seen] == [
        "ContainerStarted", "ContainerDied", "PodSandboxChanged", "ContainerRemoved",
    ]  # fmt: skip
    assert {uid for uid, _ in seen} == {"uid-1"}


CHECKS: tuple[Check, ...] = (
    check_exit_codes_and_reasons,
    check_what_was_configured_comes_back,
    check_stop_gives_grace_then_kills,
    check_exec_runs_inside,
    check_a_missing_command_is_an_error,
    check_logs_are_read_and_followed,
    check_a_new_runtime_adopts,
    check_events_tell_of_starts_and_ends,
)
