"""Asks the API server of this very process: the handlers that kubectl's requests get to, without a socket and
without the envelope of HTTP.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any, Protocol

import msgspec
from lightkube.models.meta_v1 import Status

from podward.client.base import ApiError, Response, TransportError


class Answer(Protocol):
    @property
    def status(self) -> int: ...
    @property
    def content_type(self) -> str: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def body(self) -> bytes:
        """Empty if it comes in chunks."""

    @property
    def chunks(self) -> AsyncIterator[bytes] | None: ...


class Server(Protocol):
    async def call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes,
        identity: Any,
    ) -> Answer: ...


class InProcessTransport:
    """`identity` is who the requests come from; the server trusts it, for it is this process's own code."""

    def __init__(self, server: Server, identity: object) -> None:
        self._server = server
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
        answer = await self._call(method, path, query, headers, body)
        sent = {"content-type": answer.content_type, **answer.headers}
        return Response(answer.status, sent, await _whole(answer))

    async def stream(
        self, path: str, *, query: Mapping[str, str] | None = None
    ) -> AsyncIterator[bytes]:
        answer = await self._call("GET", path, query, None, b"")
        if answer.status != 200:
            raise _refusal(answer.status, await _whole(answer))
        pending = b""
        async with aclosing(_chunks(answer)) as chunks:
            async for chunk in chunks:
                *lines, pending = (pending + chunk).split(b"\n")
                for line in lines:
                    yield line

    async def _call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        headers: Mapping[str, str] | None,
        body: bytes,
    ) -> Answer:
        try:
            return await self._server.call(
                method, path, query or {}, headers or {}, body, self._identity
            )
        except Exception as error:
            raise TransportError(f"the API server failed: {error!r}") from error


async def _whole(answer: Answer) -> bytes:
    if answer.chunks is None:
        return answer.body
    return b"".join([chunk async for chunk in _chunks(answer)])


async def _chunks(answer: Answer) -> AsyncGenerator[bytes, None]:
    """The body as it comes; `TransportError` if it breaks off. It is closed when its reader leaves."""
    if answer.chunks is None:
        yield answer.body
        return
    try:
        async for chunk in answer.chunks:
            yield chunk
    except Exception as error:
        raise TransportError(f"the API server failed: {error!r}") from error
    finally:
        close = getattr(answer.chunks, "aclose", None)
        if close is not None:
            await close()


def _refusal(code: int, body: bytes) -> ApiError | TransportError:
    try:
        return ApiError(msgspec.json.decode(body, type=Status))
    except msgspec.DecodeError:
        return TransportError(f"the server answered {code} without a status")
