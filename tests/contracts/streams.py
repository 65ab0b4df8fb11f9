"""What every runtime's commands with streams, and attaching, must do: as `tests.contracts.runtime`.

`CHECKS` hold everywhere; `REAL` where there are real shells and terminals; `INPUT` where a container's own
command has an input.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.contracts.runtime import Check, Make, exited

from podward.kubelet.runtime.base import (
    ContainerConfig,
    ExecStream,
    Runtime,
    RuntimeFailure,
    SandboxConfig,
)

LARGE = 20_000_000
"""More than all buffers on the way hold together."""


@asynccontextmanager
async def running(
    make: Make, folder: Path, *command: str, stdin: bool = False, once: bool = False
) -> AsyncIterator[tuple[Runtime, str]]:
    """A Pod for one check, whatever others have left; it is cleaned away by a runtime of its own."""
    runtime = make()
    await runtime.start()
    name = folder.parent.name
    sandbox = await runtime.run_pod_sandbox(SandboxConfig("streams", name, name))
    config = ContainerConfig(
        "main", 0, "busybox", command=command, env={"COLOUR": "blue"},
        log_path=str(folder / "0.log"), stdin=stdin, stdin_once=once,
    )  # fmt: skip
    try:
        container = await runtime.create_container(sandbox, config)
        await runtime.start_container(container)
        yield runtime, container
    finally:
        await runtime.close()
        cleaner = make()
        await cleaner.start()
        await cleaner.remove_pod_sandbox(sandbox)
        await cleaner.close()


async def said(stream: ExecStream) -> dict[int, bytes]:
    heard: dict[int, bytes] = {}
    async with asyncio.timeout(20):
        async for channel, data in stream.output():
            heard[channel] = heard.get(channel, b"") + data
    return heard


async def outcome(runtime: Runtime, container: str, *command: str) -> int:
    """Of a command that says nothing."""
    stream = await runtime.exec(container, command, stdin=False, tty=False)
    try:
        assert await said(stream) == {}
        return await stream.wait()
    finally:
        await stream.close()


async def hears(stream: ExecStream, words: bytes, *, within: float = 10) -> bytes:
    """What has been said once `words` have."""
    heard = b""
    async with asyncio.timeout(within):
        async for _, data in stream.output():
            heard += data
            if words in heard:
                return heard
    pytest.fail(f"it ended and said only {heard!r}")


async def check_outputs_and_the_exit_code(make: Make, folder: Path) -> None:
    async with running(make, folder, "sleep", "60") as (runtime, container):
        script = "echo $COLOUR; echo told >&2; exit 3"
        stream = await runtime.exec(container, ["sh", "-c", script], stdin=False, tty=False)
        assert await said(stream) == {1: b"blue\n", 2: b"told\n"}
        assert await stream.wait() == 3
        await stream.close()
        await stream.close()
        quiet = await runtime.exec(container, ["true"], stdin=False, tty=False)
        assert (await said(quiet), await quiet.wait()) == ({}, 0)
        await quiet.close()


async def check_stdin_and_its_end_arrive(make: Make, folder: Path) -> None:
    async with running(make, folder, "sleep", "60") as (runtime, container):
        stream = await runtime.exec(container, ["cat"], stdin=True, tty=False)
        for _ in range(100):
            await stream.write(b"typed\n" * 100)
        await stream.close_stdin()
        await stream.write(b"too late")
        assert await said(stream) == {1: b"typed\n" * 10_000}
        assert await stream.wait() == 0
        await stream.close()
        none = await runtime.exec(container, ["cat"], stdin=False, tty=False)
        await none.write(b"to nobody")
        assert await said(none) == {}
        await none.close()


async def check_a_command_that_is_not_there_is_a_failure(make: Make, folder: Path) -> None:
    async with running(make, folder, "sleep", "60") as (runtime, container):
        with pytest.raises(RuntimeFailure, match="executable file not found"):
            await outcome(runtime, container, "no-such-command")
        await runtime.stop_container(container, 0)
        await exited(runtime, container)
        with pytest.raises(RuntimeFailure):
            await runtime.exec(container, ["true"], stdin=False, tty=False)
        with pytest.raises(RuntimeFailure):
            await runtime.attach("none-such", stdin=False, tty=False)


async def check_attaching_hears_what_comes_and_the_end(make: Make, folder: Path) -> None:
    script = "echo before; sleep 1; echo one; sleep 0.3; echo two; exit 7"
    async with running(make, folder, "sh", "-c", script) as (runtime, container):
        await asyncio.sleep(0.4)
        first, second = [await runtime.attach(container, stdin=False, tty=False) for _ in range(2)]
        heard = await asyncio.gather(said(first), said(second))
        assert list(heard) == [{1: b"one\ntwo\n"}] * 2
        assert [await first.wait(), await second.wait()] == [0, 0]
        await first.close()
        await second.close()
        assert (await exited(runtime, container))[0] == 7


async def check_letting_go_of_a_container_leaves_it_running(make: Make, folder: Path) -> None:
    ticks = ["sh", "-c", "while :; do echo tick; sleep 0.1; done"]
    async with running(make, folder, *ticks) as (
        runtime,
        container,
    ):
        stream = await runtime.attach(container, stdin=False, tty=False)
        await hears(stream, b"tick")
        await stream.close()
        await asyncio.sleep(0.3)
        again = await runtime.attach(container, stdin=False, tty=False)
        await hears(again, b"tick")
        await again.close()


async def check_a_terminal_has_a_size(make: Make, folder: Path) -> None:
    async with running(make, folder, "sleep", "60") as (runtime, container):
        script = "echo begun; read x; stty size; tty; echo told >&2; exit 9"
        stream = await runtime.exec(container, ["sh", "-c", script], stdin=True, tty=True)
        output = stream.output()
        assert await anext(output) == (1, b"begun\r\n")
        await stream.resize(77, 22)
        await asyncio.sleep(0.1)
        await stream.write(b"go\n")
        rest = b"".join([data async for channel, data in output if channel == 1])
        assert rest.startswith(b"go\r\n22 77\r\n/dev/pts/")
        assert rest.endswith(b"\r\ntold\r\n")
        assert await stream.wait() == 9
        await stream.close()


async def check_who_is_slow_holds_back_the_other(make: Make, folder: Path) -> None:
    """A command whose output nobody takes waits; so does who writes what no command takes."""
    async with running(make, folder, "sleep", "60") as (runtime, container):
        script = f"head -c {LARGE} /dev/zero; echo done > /tmp/done-{folder.parent.name}"
        done = ["test", "-e", f"/tmp/done-{folder.parent.name}"]
        flood = await runtime.exec(container, ["sh", "-c", script], stdin=False, tty=False)
        output = flood.output()
        await anext(output)
        await asyncio.sleep(0.5)
        assert (await runtime.exec_sync(container, done, 5)).exit_code == 1
        async for _, _data in output:
            pass
        assert await flood.wait() == 0
        assert (await runtime.exec_sync(container, done, 5)).exit_code == 0
        await runtime.exec_sync(container, ["rm", *done[2:]], 5)
        await flood.close()

        deaf = await runtime.exec(container, ["sleep", "30"], stdin=True, tty=False)
        sent = 0

        async def feed() -> None:
            nonlocal sent
            while sent < LARGE:
                await deaf.write(b"x" * 65536)
                sent += 65536

        feeding = asyncio.create_task(feed())
        await asyncio.sleep(0.5)
        assert sent < LARGE
        feeding.cancel()
        await asyncio.gather(feeding, return_exceptions=True)
        await asyncio.wait_for(deaf.close(), 5)


async def check_what_goes_in_may_be_as_much_as_what_comes_out(make: Make, folder: Path) -> None:
    """Both ways at once, more than any buffer holds: neither may wait for the other for ever."""
    async with running(make, folder, "sleep", "60") as (runtime, container):
        stream = await runtime.exec(container, ["cat"], stdin=True, tty=False)

        async def feed() -> None:
            for _ in range(LARGE // 1_000_000):
                await stream.write(b"x" * 1_000_000)
            await stream.close_stdin()

        async with asyncio.timeout(30):
            feeding = asyncio.create_task(feed())
            await asyncio.sleep(0.3)
            size = 0
            async for _, data in stream.output():
                size += len(data)
            await feeding
        assert (size, await stream.wait()) == (LARGE, 0)
        await stream.close()


async def check_a_container_with_an_input_hears_who_attaches(make: Make, folder: Path) -> None:
    """One after the other, and it lives on in between."""
    listens = ["sh", "-c", "while read x; do echo got $x; done; exit 4"]
    async with running(make, folder, *listens, stdin=True) as (runtime, container):
        for word in (b"one", b"two"):
            stream = await runtime.attach(container, stdin=True, tty=False)
            await stream.write(word + b"\n")
            await hears(stream, b"got " + word)
            await stream.close()


async def check_an_input_for_one_ends_with_him(make: Make, folder: Path) -> None:
    """`stdinOnce`: the container's input ends when the first to attach ends his."""
    says = ["sh", "-c", "cat; echo over; exit 4"]
    async with running(make, folder, *says, stdin=True, once=True) as (runtime, container):
        stream = await runtime.attach(container, stdin=True, tty=False)
        await stream.write(b"words\n")
        await stream.close_stdin()
        assert await said(stream) == {1: b"words\nover\n"}
        await stream.close()
        assert (await exited(runtime, container))[0] == 4


async def check_an_input_outlives_the_runtime(make: Make, folder: Path) -> None:
    listens = ["sh", "-c", "while read x; do echo got $x; done; exit 4"]
    async with running(make, folder, *listens, stdin=True) as (first, container):
        await first.close()
        await asyncio.sleep(0.2)
        second = make()
        await second.start()
        stream = await second.attach(container, stdin=True, tty=False)
        await stream.write(b"one\n")
        await hears(stream, b"got one")
        await stream.close()
        await second.close()


CHECKS: tuple[Check, ...] = (
    check_outputs_and_the_exit_code,
    check_stdin_and_its_end_arrive,
    check_a_command_that_is_not_there_is_a_failure,
    check_attaching_hears_what_comes_and_the_end,
    check_letting_go_of_a_container_leaves_it_running,
)
REAL: tuple[Check, ...] = (
    check_a_terminal_has_a_size,
    check_who_is_slow_holds_back_the_other,
    check_what_goes_in_may_be_as_much_as_what_comes_out,
)
INPUT: tuple[Check, ...] = (
    check_a_container_with_an_input_hears_who_attaches,
    check_an_input_for_one_ends_with_him,
    check_an_input_outlives_the_runtime,
)
