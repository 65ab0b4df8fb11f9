"""A wrapper around each edge of the cluster: the runtime, the way to the API server, the store."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

from podward.client.base import Response, Transport, TransportError
from podward.kubelet.runtime.base import (
    ContainerConfig,
    ContainerEvent,
    ContainerStatus,
    Credentials,
    ExecResult,
    ExecStream,
    ExecTimeout,
    Features,
    ImageStatus,
    LogOptions,
    PortStream,
    Runtime,
    RuntimeFailure,
    SandboxConfig,
    SandboxStatus,
)
from podward.simulate.faults.trouble import Edge, Incarnation
from podward.store.base import (
    Encode,
    Listing,
    Record,
    Store,
    StoreError,
    StoreUnavailable,
    Watch,
)

T = TypeVar("T")


class FaultyRuntime:
    """A `Runtime` that fails by dice; what it tells of itself (events, life) is true."""

    def __init__(self, inner: Runtime, edge: Edge, life: Incarnation) -> None:
        self.inner = inner
        self._edge = edge
        self._life = life

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def version(self) -> str:
        return self.inner.version

    @property
    def rotates_logs(self) -> bool:
        return self.inner.rotates_logs

    async def start(self) -> None:
        await self.inner.start()

    async def features(self) -> Features:
        return await self.inner.features()

    async def close(self) -> None:
        await self.inner.close()

    async def problem(self) -> str | None:
        return await self.inner.problem()

    def events(self) -> AsyncIterator[ContainerEvent]:
        return self.inner.events()

    async def _call(self, do: Callable[[], Awaitable[T]]) -> T:
        return await self._edge.call(self._life, do, RuntimeFailure)

    async def run_pod_sandbox(self, config: SandboxConfig) -> str:
        return await self._call(lambda: self.inner.run_pod_sandbox(config))

    async def stop_pod_sandbox(self, sandbox_id: str) -> None:
        await self._call(lambda: self.inner.stop_pod_sandbox(sandbox_id))

    async def remove_pod_sandbox(self, sandbox_id: str) -> None:
        await self._call(lambda: self.inner.remove_pod_sandbox(sandbox_id))

    async def list_pod_sandboxes(self, pod_uid: str | None = None) -> list[SandboxStatus]:
        return await self._call(lambda: self.inner.list_pod_sandboxes(pod_uid))

    async def read_only_recursively(self, sandbox_id: str) -> bool:
        return await self._call(lambda: self.inner.read_only_recursively(sandbox_id))

    async def image_status(self, image: str) -> ImageStatus | None:
        return await self._call(lambda: self.inner.image_status(image))

    async def pull_image(self, image: str, credentials: Credentials | None = None) -> ImageStatus:
        return await self._call(lambda: self.inner.pull_image(image, credentials))

    async def create_container(self, sandbox_id: str, config: ContainerConfig) -> str:
        return await self._call(lambda: self.inner.create_container(sandbox_id, config))

    async def start_container(self, container_id: str) -> None:
        await self._call(lambda: self.inner.start_container(container_id))

    async def stop_container(self, container_id: str, grace_seconds: float) -> None:
        await self._call(lambda: self.inner.stop_container(container_id, grace_seconds))

    async def remove_container(self, container_id: str) -> None:
        await self._call(lambda: self.inner.remove_container(container_id))

    async def list_containers(self, pod_uid: str | None = None) -> list[ContainerStatus]:
        return await self._call(lambda: self.inner.list_containers(pod_uid))

    async def exec_sync(
        self, container_id: str, command: Sequence[str], timeout: float | None
    ) -> ExecResult:
        try:
            async with asyncio.timeout(timeout):
                return await self._call(
                    lambda: self.inner.exec_sync(container_id, command, timeout)
                )
        except TimeoutError:
            raise ExecTimeout(f"command timed out after {timeout:g}s") from None

    async def exec(
        self, container_id: str, command: Sequence[str], *, stdin: bool, tty: bool
    ) -> ExecStream:
        return await self._call(
            lambda: self.inner.exec(container_id, command, stdin=stdin, tty=tty)
        )

    async def attach(self, container_id: str, *, stdin: bool, tty: bool) -> ExecStream:
        return await self._call(lambda: self.inner.attach(container_id, stdin=stdin, tty=tty))

    async def port_forward(self, sandbox_id: str, port: int) -> PortStream | None:
        return await self._call(lambda: self.inner.port_forward(sandbox_id, port))

    def read_log(
        self, log_path: str, options: LogOptions, container_id: str | None
    ) -> AsyncIterator[bytes]:
        return self.inner.read_log(log_path, options, container_id)

    async def reopen_log(self, container_id: str) -> None:
        await self._call(lambda: self.inner.reopen_log(container_id))


class FaultyTransport:
    """A way to the API server that fails by dice; watches break off."""

    def __init__(self, inner: Transport, edge: Edge, life: Incarnation) -> None:
        self.inner = inner
        self._edge = edge
        self._life = life

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Response:
        return await self._edge.call(
            self._life,
            lambda: self.inner.request(method, path, query=query, headers=headers, body=body),
            TransportError,
        )

    async def stream(
        self, path: str, *, query: Mapping[str, str] | None = None
    ) -> AsyncIterator[bytes]:
        lines: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()
        pump = asyncio.create_task(self._pump(path, query, lines))
        closed = self._edge.opened(
            lambda: lines.put_nowait(TransportError("simulated: the server went away"))
        )
        try:
            await self._edge.call(self._life, _nothing, TransportError)
            while (line := await lines.get()) is not None:
                if isinstance(line, Exception):
                    raise line
                await self._edge.call(self._life, _nothing, TransportError)
                yield line
        finally:
            closed()
            pump.cancel()
            await asyncio.gather(pump, return_exceptions=True)

    async def _pump(
        self,
        path: str,
        query: Mapping[str, str] | None,
        lines: "asyncio.Queue[bytes | Exception | None]",
    ) -> None:
        """A watch that says nothing can be broken off too: so its reader waits for a queue."""
        try:
            async for line in self.inner.stream(path, query=query):
                lines.put_nowait(line)
        except Exception as error:
            lines.put_nowait(error)
        else:
            lines.put_nowait(None)


class FaultyStore:
    """A `Store` whose writes fail by dice. Reads do not: every store of ours holds its documents in memory.

    A write that was not done is `StoreUnavailable`; one of which nobody knows is a plain `StoreError`.
    """

    def __init__(self, inner: Store, edge: Edge, life: Incarnation) -> None:
        self.inner = inner
        self._edge = edge
        self._life = life

    @property
    def revision(self) -> int:
        return self.inner.revision

    def last_change(self, prefix: str) -> int:
        return self.inner.last_change(prefix)

    async def get(self, key: str) -> Record | None:
        return await self.inner.get(key)

    async def range(
        self, prefix: str, *, revision: int | None = None, limit: int = 0, after: str = ""
    ) -> Listing:
        return await self.inner.range(prefix, revision=revision, limit=limit, after=after)

    async def put(self, key: str, encode: Encode, *, expected: int | None) -> Record:
        return await self._edge.call(
            self._life,
            lambda: self.inner.put(key, encode, expected=expected),
            StoreUnavailable,
            StoreError,
        )

    async def delete(self, key: str, encode: Encode, *, expected: int | None) -> Record:
        return await self._edge.call(
            self._life,
            lambda: self.inner.delete(key, encode, expected=expected),
            StoreUnavailable,
            StoreError,
        )

    def watch(self, prefix: str, *, after: int) -> Watch:
        return self.inner.watch(prefix, after=after)

    async def close(self) -> None:
        """The store is the machine's, and outlives us."""


async def _nothing() -> None:
    return None
