"""What goes wrong in a simulation, by dice: errors, slow and lost calls, an API that is away, deaths.

A wrapper lies around each edge of the cluster. A call may fail before anything happened, or afterwards, so
that the caller believes it failed though it worked: the harder of the two.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from podward.client.base import Response, Transport, TransportError
from podward.kubelet.runtime.base import (
    ContainerConfig,
    ContainerEvent,
    ContainerStatus,
    ExecResult,
    ExecStream,
    ExecTimeout,
    ImageStatus,
    LogOptions,
    Runtime,
    RuntimeFailure,
    SandboxConfig,
    SandboxStatus,
)
from podward.machinery.entropy import Entropy

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Rates:
    """Of a hundred calls, how many go wrong in which way; and how long a slow one takes (seconds, at most)."""

    error: float = 0.0
    lost: float = 0.0
    """Done, but the answer never comes."""
    slow: float = 0.0
    slow_seconds: float = 5.0


class Dice:
    """One source of trouble for a whole simulation; `calm` ends it."""

    def __init__(self, seed: int, rates: Rates) -> None:
        self._entropy = Entropy(seed)
        self._rates = rates
        self.calm = False

    def _roll(self, percent: float) -> bool:
        return not self.calm and self._entropy.uniform(0, 100) < percent

    async def call(self, do: Callable[[], Awaitable[T]], failure: Callable[[str], Exception]) -> T:
        rates = self._rates
        if self._roll(rates.slow):
            await asyncio.sleep(self._entropy.uniform(0, rates.slow_seconds))
        if self._roll(rates.error):
            raise failure("simulated: the call failed")
        result = await do()
        if self._roll(rates.lost):
            raise failure("simulated: the answer was lost")
        return result


class FaultyRuntime:
    """A `Runtime` that fails by dice; what it tells of itself (events, life) is true."""

    def __init__(self, inner: Runtime, dice: Dice) -> None:
        self._inner = inner
        self._dice = dice

    @property
    def name(self) -> str:
        return self._inner.name

    @property
    def version(self) -> str:
        return self._inner.version

    async def start(self) -> None:
        await self._inner.start()

    async def close(self) -> None:
        await self._inner.close()

    def events(self) -> AsyncIterator[ContainerEvent]:
        return self._inner.events()

    async def _call(self, do: Callable[[], Awaitable[T]]) -> T:
        return await self._dice.call(do, RuntimeFailure)

    async def run_pod_sandbox(self, config: SandboxConfig) -> str:
        return await self._call(lambda: self._inner.run_pod_sandbox(config))

    async def stop_pod_sandbox(self, sandbox_id: str) -> None:
        await self._call(lambda: self._inner.stop_pod_sandbox(sandbox_id))

    async def remove_pod_sandbox(self, sandbox_id: str) -> None:
        await self._call(lambda: self._inner.remove_pod_sandbox(sandbox_id))

    async def list_pod_sandboxes(self, pod_uid: str | None = None) -> list[SandboxStatus]:
        return await self._call(lambda: self._inner.list_pod_sandboxes(pod_uid))

    async def image_status(self, image: str) -> ImageStatus | None:
        return await self._call(lambda: self._inner.image_status(image))

    async def pull_image(self, image: str) -> ImageStatus:
        return await self._call(lambda: self._inner.pull_image(image))

    async def create_container(self, sandbox_id: str, config: ContainerConfig) -> str:
        return await self._call(lambda: self._inner.create_container(sandbox_id, config))

    async def start_container(self, container_id: str) -> None:
        await self._call(lambda: self._inner.start_container(container_id))

    async def stop_container(self, container_id: str, grace_seconds: float) -> None:
        await self._call(lambda: self._inner.stop_container(container_id, grace_seconds))

    async def remove_container(self, container_id: str) -> None:
        await self._call(lambda: self._inner.remove_container(container_id))

    async def list_containers(self, pod_uid: str | None = None) -> list[ContainerStatus]:
        return await self._call(lambda: self._inner.list_containers(pod_uid))

    async def exec_sync(
        self, container_id: str, command: Sequence[str], timeout: float | None
    ) -> ExecResult:
        try:
            async with asyncio.timeout(timeout):
                return await self._call(
                    lambda: self._inner.exec_sync(container_id, command, timeout)
                )
        except TimeoutError:
            raise ExecTimeout(f"command timed out after {timeout:g}s") from None

    async def exec(
        self, container_id: str, command: Sequence[str], *, stdin: bool, tty: bool
    ) -> ExecStream:
        return await self._call(
            lambda: self._inner.exec(container_id, command, stdin=stdin, tty=tty)
        )

    def read_log(
        self, log_path: str, options: LogOptions, container_id: str | None
    ) -> AsyncIterator[bytes]:
        return self._inner.read_log(log_path, options, container_id)


class FaultyTransport:
    """A way to the API server that fails by dice; watches break off."""

    def __init__(self, inner: Transport, dice: Dice) -> None:
        self._inner = inner
        self._dice = dice

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Response:
        return await self._dice.call(
            lambda: self._inner.request(method, path, query=query, headers=headers, body=body),
            TransportError,
        )

    async def stream(
        self, path: str, *, query: Mapping[str, str] | None = None
    ) -> AsyncIterator[bytes]:
        async def line() -> None:
            return None

        lines: Any = self._inner.stream(path, query=query)
        try:
            async for one in lines:
                await self._dice.call(line, TransportError)
                yield one
        finally:
            await lines.aclose()
