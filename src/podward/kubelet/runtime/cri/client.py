"""One connection to an engine's socket: requests out, answers or `RuntimeFailure` back.

gRPC keeps the connection and makes it anew when the engine was restarted; who calls meanwhile is told that
nobody is there.
"""

import re
from collections.abc import AsyncIterator
from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message

from podward.kubelet.runtime.base import NotFound, RuntimeFailure, RuntimeUnavailable

T = TypeVar("T", bound=Message)

CALL_SECONDS = 120.0
"""A call that may take long says so itself."""
_OPTIONS = (
    ("grpc.max_receive_message_length", 16 * 1024 * 1024),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),  # another's failure to connect does not count
)


class EngineFailure(RuntimeFailure):
    """As a kubelet tells what an engine refused: with gRPC's words before the engine's own.

    The events of making and starting a container have the engine's `message` alone. `code` is gRPC's name of
    what kind of failure it is (`Unknown`, `NotFound`).
    """

    def __init__(self, message: str, code: str) -> None:
        super().__init__(f"rpc error: code = {code} desc = {message}")
        self.message = message
        self.code = code


class EngineNotFound(EngineFailure, NotFound):
    pass


class EngineUnavailable(EngineFailure, RuntimeUnavailable):
    """Nobody answers at the socket, or not yet; or whoever did has gone before the answer was there."""

    @property
    def cause(self) -> str:
        """`connection refused`, or all that was said."""
        dialled = _DIALLED.search(self.message)
        return dialled[1] if dialled else self.message


class EngineTimeout(EngineFailure):
    """It was given a time, which is over."""


class Unimplemented(EngineFailure):
    """The engine is too old for it."""


_DIALLED = re.compile(r"dial unix \S+: connect: ([^\"]+)")
_FAILURES: dict[grpc.StatusCode, type[EngineFailure]] = {
    grpc.StatusCode.NOT_FOUND: EngineNotFound,
    grpc.StatusCode.UNAVAILABLE: EngineUnavailable,
    # Not by us, who would be told otherwise: an engine that ends gives up what it is at.
    grpc.StatusCode.CANCELLED: EngineUnavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: EngineTimeout,
    grpc.StatusCode.UNIMPLEMENTED: Unimplemented,
}


class CriClient:
    def __init__(self, socket_path: str, api: str = "runtime.v1") -> None:
        self.socket_path = socket_path
        self._api = api
        # Engines check the name that a client calls them by; a socket has none.
        options = (*_OPTIONS, ("grpc.default_authority", "localhost"))
        self._channel = grpc.aio.insecure_channel(f"unix:{socket_path}", options=options)
        self._methods: dict[str, Any] = {}

    async def close(self) -> None:
        await self._channel.close()

    async def runtime(
        self, method: str, request: Message, answer: type[T], timeout: float = CALL_SECONDS
    ) -> T:
        """A call of the RuntimeService. `timeout` in seconds."""
        return await self._call("RuntimeService", method, request, answer, timeout)

    async def images(
        self, method: str, request: Message, answer: type[T], timeout: float = CALL_SECONDS
    ) -> T:
        """A call of the ImageService."""
        return await self._call("ImageService", method, request, answer, timeout)

    async def _call(
        self, service: str, method: str, request: Message, answer: type[T], timeout: float
    ) -> T:
        path = f"/{self._api}.{service}/{method}"
        call = self._methods.get(path)
        if call is None:
            call = self._methods[path] = self._channel.unary_unary(
                path,
                request_serializer=type(request).SerializeToString,
                response_deserializer=answer.FromString,
            )
        try:
            found: T = await call(request, timeout=timeout)
        except grpc.aio.AioRpcError as error:
            raise _failure(error) from None
        return found

    async def stream(self, method: str, request: Message, answer: type[T]) -> AsyncIterator[T]:
        """Whatever comes, until the engine ends it or goes away."""
        call = self._channel.unary_stream(
            f"/runtime.v1.RuntimeService/{method}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=answer.FromString,
        )(request)
        try:
            async for one in call:
                yield one
        except grpc.aio.AioRpcError as error:
            raise _failure(error) from None
        finally:
            call.cancel()


def _failure(error: grpc.aio.AioRpcError) -> EngineFailure:
    kind = _FAILURES.get(error.code(), EngineFailure)
    return kind(_words(error.details() or ""), _code(error.code()))


def _code(code: grpc.StatusCode) -> str:
    """As engines and kubelets spell it: they are written in Go."""
    if code is grpc.StatusCode.CANCELLED:
        return "Canceled"
    return "".join(word.capitalize() for word in code.name.lower().split("_"))


_REFUSED = re.compile(r"connect failed: addr: unix:(\S+) error: (.+)$")


def _words(details: str) -> str:
    """What our own side of the connection says, as a kubelet says it; the engine's words as they are."""
    if refused := _REFUSED.search(details):
        where = f"dial unix {refused[1]}: connect: {refused[2].lower()}"
        return f'connection error: desc = "transport: Error while dialing: {where}"'
    return "context deadline exceeded" if details == "Deadline Exceeded" else details
