"""One sandbox with one container, made, entered and removed for real on an engine, and how long each took."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable
from typing import TypeVar

from podward.doctor.facts import Trial
from podward.kubelet.runtime.base import ContainerConfig, RuntimeFailure, SandboxConfig
from podward.kubelet.runtime.cri import CriRuntime
from podward.machinery.clock import Clock
from podward.machinery.entropy import Entropy

T = TypeVar("T")

_STEP_SECONDS = 60.0
_NO_SUCH_COMMAND = ("executable file not found", "no such file or directory")


class _Stopped(Exception):
    """A step did not work."""


class _Steps:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.done: list[tuple[str, float]] = []
        self.failed = self.failure = ""

    async def __call__(self, name: str, work: Awaitable[T]) -> T:
        began = self._clock.monotonic()
        try:
            async with asyncio.timeout(_STEP_SECONDS):
                result = await work
        except (RuntimeFailure, TimeoutError) as error:
            self.failed = name
            self.failure = str(error) or f"it took longer than {_STEP_SECONDS:g} s"
            raise _Stopped from error
        self.done.append((name, self._clock.monotonic() - began))
        return result


async def run(socket: str, image: str, clock: Clock, entropy: Entropy) -> Trial:
    """`image`: what the container runs, with the command that it brings; empty for no container."""
    steps = _Steps(clock)
    name = f"doctor-{entropy.hex(8)}"
    with contextlib.suppress(_Stopped):
        async with _runtime(socket, name, clock) as runtime:
            await _live(runtime, name, image, steps)
    return Trial(tuple(steps.done), steps.failed, steps.failure)


@contextlib.asynccontextmanager
async def _runtime(socket: str, name: str, clock: Clock) -> AsyncIterator[CriRuntime]:
    """An instance of its own, so that no podward on the same engine takes its sandbox for one of theirs."""
    runtime = CriRuntime(socket, instance=name)
    try:
        yield runtime
    finally:
        with contextlib.suppress(RuntimeFailure, TimeoutError):
            async with asyncio.timeout(_STEP_SECONDS):
                for left in await runtime.list_pod_sandboxes():
                    await runtime.remove_pod_sandbox(left.id)
        await runtime.close()


async def _live(runtime: CriRuntime, name: str, image: str, steps: _Steps) -> None:
    sandbox = await steps(
        "sandbox",
        runtime.run_pod_sandbox(SandboxConfig(name, "podward-doctor", name, hostname="doctor")),
    )
    if image:
        await _container(runtime, sandbox, image, steps)
    await steps("removal", runtime.remove_pod_sandbox(sandbox))


async def _container(runtime: CriRuntime, sandbox: str, image: str, steps: _Steps) -> None:
    container = await steps(
        "container", runtime.create_container(sandbox, ContainerConfig("doctor", 0, image))
    )
    await steps("start", runtime.start_container(container))
    await steps("exec", _exec(runtime, container))


async def _exec(runtime: CriRuntime, container: str) -> None:
    """A sandbox's image may hold a single program: who says that it has no `true` has been asked inside."""
    try:
        await runtime.exec_sync(container, ["true"], 10)
    except RuntimeFailure as error:
        if not any(words in str(error) for words in _NO_SUCH_COMMAND):
            raise
