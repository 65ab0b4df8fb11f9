"""Calls the API server's ASGI application directly: the same code path as a socket's, without one.

httpx's transport for this collects a body before it hands it over and so cannot carry a watch; this one
hands over every line as it is sent.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
from lightkube.models.meta_v1 import Status

from podward.client.base import ApiError, Response, TransportError

Message = MutableMapping[str, Any]
Application = Callable[
    [
        MutableMapping[str, Any],
        Callable[[], Awaitable[Message]],
        Callable[[Message], Awaitable[None]],
    ],
    Awaitable[None],
]

_QUEUE_LIMIT = 64
"""Messages a stream may run ahead of its reader; then the server waits, as it would for a socket."""


class InProcessTransport:
    """`identity` is who the requests come from; the server trusts it, for it is this process's own code."""

    def __init__(self, app: Application, identity: object) -> None:
        self._app = app
        self._identity = identity

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Response:
        exchange = _Exchange(body)
        await exchange.run(self._app, self._scope(method, path, query, headers))
        return Response(exchange.status, exchange.headers, b"".join(exchange.chunks))

    async def stream(
        self, path: str, *, query: Mapping[str, str] | None = None
    ) -> AsyncIterator[bytes]:
        exchange = _Stream()
        task = asyncio.create_task(exchange.run(self._app, self._scope("GET", path, query, None)))
        try:
            pending = b""
            while (chunk := await exchange.sent.get()) is not None:
                pending += chunk
                if exchange.status != 200:
                    continue
                *lines, pending = pending.split(b"\n")
                for line in lines:
                    yield line
            if exchange.status != 200:
                raise _refusal(exchange.status, pending)
            await task
        finally:
            exchange.disconnected.set()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _scope(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        headers: Mapping[str, str] | None,
    ) -> MutableMapping[str, Any]:
        sent = {"host": "in-process", "accept": "application/json", **(headers or {})}
        return {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "https",
            "path": path,
            "raw_path": quote(path).encode(),
            "query_string": urlencode(query).encode() if query else b"",
            "headers": [(k.lower().encode(), v.encode()) for k, v in sent.items()],
            "extensions": {"podward.identity": self._identity},
        }


class _Exchange:
    """One request and its answer, put together."""

    def __init__(self, body: bytes) -> None:
        self._body: bytes | None = body
        self.status = 0
        self.headers: dict[str, str] = {}
        self.chunks: list[bytes] = []

    async def run(self, app: Application, scope: MutableMapping[str, Any]) -> None:
        try:
            await app(scope, self._receive, self._send)
        except Exception as error:
            raise TransportError(f"the API server failed: {error!r}") from error

    async def _receive(self) -> Message:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._left()
        return {"type": "http.disconnect"}

    async def _left(self) -> None:
        """Until the reader leaves: before it has the whole answer, never."""
        await asyncio.get_running_loop().create_future()

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {k.decode().lower(): v.decode() for k, v in message["headers"]}
        elif chunk := message.get("body", b""):
            await self._take(chunk)

    async def _take(self, chunk: bytes) -> None:
        self.chunks.append(chunk)


class _Stream(_Exchange):
    """One whose answer is read while it comes; `sent` holds its chunks and None at their end."""

    def __init__(self) -> None:
        super().__init__(b"")
        self.sent: asyncio.Queue[bytes | None] = asyncio.Queue(_QUEUE_LIMIT)
        self.disconnected = asyncio.Event()

    async def run(self, app: Application, scope: MutableMapping[str, Any]) -> None:
        try:
            await super().run(app, scope)
        finally:
            # A reader that left neither reads this mark nor makes room for it.
            if not self.disconnected.is_set():
                await self.sent.put(None)

    async def _left(self) -> None:
        await self.disconnected.wait()

    async def _take(self, chunk: bytes) -> None:
        await self.sent.put(chunk)


def _refusal(code: int, body: bytes) -> ApiError | TransportError:
    try:
        return ApiError(msgspec.json.decode(body, type=Status))
    except msgspec.DecodeError:
        return TransportError(f"the server answered {code} without a status")
