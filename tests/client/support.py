"""A real API server on a store in memory, and a line to it that can be cut."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import cast

from lightkube.models import core_v1

from podward.admission.base import AdmissionPlugin
from podward.admission.chain import AdmissionChain
from podward.apiserver.app import ApiServer
from podward.apiserver.identity import SYSTEM
from podward.client.api_client import ApiClient
from podward.client.base import Response, TransportError
from podward.client.recorder import EventRecorder
from podward.client.transports.in_process import InProcessTransport
from podward.machinery.clock import LoopClock
from podward.machinery.entropy import Entropy
from podward.store.memory import MemoryStore

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
EVENTS = "/api/v1/namespaces/default/events"


class Line:
    """A transport that can be cut (`down`) and that remembers what went through it."""

    def __init__(self, inner: InProcessTransport) -> None:
        self._inner = inner
        self.down = False
        self.asked: list[tuple[str, str]] = []
        """(method, path) of every request that was tried; WATCH for a stream."""

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Response:
        self.asked.append((method, path))
        if self.down:
            raise TransportError("the line is cut")
        return await self._inner.request(method, path, query=query, headers=headers, body=body)

    async def stream(
        self, path: str, *, query: Mapping[str, str] | None = None
    ) -> AsyncIterator[bytes]:
        self.asked.append(("WATCH", path))
        if self.down:
            raise TransportError("the line is cut")
        stream = cast(AsyncGenerator[bytes, None], self._inner.stream(path, query=query))
        async with contextlib.aclosing(stream) as lines:
            async for line in lines:
                yield line
                if self.down:
                    raise TransportError("the line is cut")


class Api:
    """To be made inside a loop; `started` makes one."""

    def __init__(self, plugins: Sequence[AdmissionPlugin] = ()) -> None:
        self.clock = LoopClock(EPOCH)
        self.server = ApiServer(
            MemoryStore(), self.clock, Entropy(1), admission=AdmissionChain(plugins),
            node_access=None, authenticate=lambda scope: SYSTEM,
        )  # fmt: skip
        self.line = Line(InProcessTransport(self.server, SYSTEM))
        self.client = ApiClient(self.line)


async def started(plugins: Sequence[AdmissionPlugin] = ()) -> Api:
    api = Api(plugins)
    await api.server.bootstrap()
    return api


class Recording:
    """A recorder that writes to the API server, and a Pod to talk about."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.recorder = EventRecorder(
            api.client, api.clock, Entropy(2), component="kubelet", host="node-1"
        )
        self.pod = core_v1.ObjectReference(
            apiVersion="v1", kind="Pod", namespace="default", name="web", uid="uid-1"
        )

    def say(self, message: str = "Started", *, about: str = "web", type: str = "Normal") -> None:
        involved = core_v1.ObjectReference(
            apiVersion="v1", kind="Pod", namespace="default", name=about, uid=f"uid-{about}"
        )
        self.recorder.event(involved, type, "Testing", message)

    async def written(self) -> list[core_v1.Event]:
        return (await self.api.client.list(core_v1.Event, "default")).items

    def tries(self) -> list[str]:
        """How the events were sent."""
        return [method for method, path in self.api.line.asked if path.startswith(EVENTS)]


@contextlib.asynccontextmanager
async def recording() -> AsyncIterator[Recording]:
    made = Recording(await started())
    task = asyncio.create_task(made.recorder.run())
    try:
        yield made
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
