"""A client that drives the ASGI application as a server would, in virtual time."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from podward.admission.base import AdmissionPlugin
from podward.admission.chain import AdmissionChain
from podward.apiserver.app import ApiServer, Scope
from podward.apiserver.identity import SYSTEM, Identity
from podward.client.node_access import NodeAccess
from podward.machinery.clock import LoopClock
from podward.machinery.entropy import Entropy
from podward.store.memory import MemoryStore

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
PODS = "/api/v1/namespaces/default/pods"


Authenticate = Callable[[Scope], Identity]


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Watcher:
    """A streaming GET: lines as they come."""

    def __init__(self) -> None:
        self.lines: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self.gone = asyncio.Event()
        self.started: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._rest = b""

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.started.set_result(message["status"])
            return
        *lines, self._rest = (self._rest + message.get("body", b"")).split(b"\n")
        for line in lines:
            self.lines.put_nowait(json.loads(line))
        if not message.get("more_body"):
            self.lines.put_nowait(None)

    async def next(self, timeout: float = 5.0) -> dict[str, Any] | None:
        """The next event; None when the body has ended."""
        return await asyncio.wait_for(self.lines.get(), timeout)


class Caller:
    def __init__(self, server: ApiServer) -> None:
        self.server = server

    async def __call__(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        **more: str,
    ) -> Answer:
        """`query` is for parameters whose names Python cannot spell."""
        raw = (
            body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        )
        given = {"content-type": "application/json"} | dict(headers or {})
        sent: list[Any] = []
        inbox: list[Any] = [{"type": "http.request", "body": raw, "more_body": False}]

        async def receive() -> Any:
            return inbox.pop(0) if inbox else await asyncio.Event().wait()

        async def send(message: Any) -> None:
            sent.append(message)

        await self.server(scope(method, path, given, {**(query or {}), **more}), receive, send)
        start = sent[0]
        return Answer(
            start["status"],
            {k.decode(): v.decode() for k, v in start["headers"]},
            b"".join(message.get("body", b"") for message in sent[1:]),
        )

    @asynccontextmanager
    async def watch(
        self, path: str, headers: Mapping[str, str] | None = None, **query: str
    ) -> AsyncIterator[Watcher]:
        watcher = Watcher()
        inbox: list[Any] = [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive() -> Any:
            if inbox:
                return inbox.pop()
            await watcher.gone.wait()
            return {"type": "http.disconnect"}

        query = {"watch": "true"} | query
        request = scope("GET", path, dict(headers or {}), query)
        task = asyncio.create_task(self.server(request, receive, watcher.send))
        try:
            await watcher.started
            yield watcher
        finally:
            watcher.gone.set()
            await asyncio.wait_for(task, 5)


class NoNode:
    """A `NodeAccess` of which a test makes what it needs."""

    async def logs(self, pod: Any, query: Any) -> Any:
        raise AssertionError("logs of nothing")

    async def exec(self, pod: Any, container: str, command: Any, *, stdin: bool, tty: bool) -> Any:
        raise AssertionError("a command in nothing")

    async def attach(self, pod: Any, container: str, *, stdin: bool) -> Any:
        raise AssertionError("attached to nothing")

    async def port_forward(self, pod: Any, port: int) -> Any:
        raise AssertionError("forwarded to nothing")


def scope(method: str, path: str, headers: Mapping[str, str], query: Mapping[str, str]) -> Scope:
    return {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": urlencode(query).encode(),
        "headers": [(k.encode(), v.encode()) for k, v in headers.items()],
    }


async def started(
    node_access: NodeAccess | None = None,
    store: MemoryStore | None = None,
    admission: Sequence[AdmissionPlugin] = (),
    authenticate: Authenticate = lambda scope: SYSTEM,
) -> Caller:
    server = ApiServer(
        store or MemoryStore(),
        LoopClock(EPOCH),
        Entropy(1),
        admission=AdmissionChain(list(admission)),
        node_access=node_access,
        authenticate=authenticate,
    )
    await server.bootstrap()
    return Caller(server)


def pod(name: str = "web", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"containers": [{"name": "app", "image": "busybox"}]} | spec,
    }
