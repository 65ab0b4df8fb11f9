"""Port forwarding over SPDY: for each connection the client opens two streams, for its data and for errors.

`requestID` says which two belong together, `port` where they lead. A client ends its half of the error stream
at once, and reads the other to its end when its connection is over: what stands there is shown to the user.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from podward.client.node_access import NodeAccessError, PortConnection
from podward.machinery.spdy_session import SpdySession, SpdyStream

Connect = Callable[[int], Awaitable[PortConnection]]
"""To a port of the Pod; `NodeAccessError` if there is no way."""

_PAIR_SECONDS: Final = 30.0
"""How long one stream waits for the other (as the kubelet has it)."""
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Pair:
    request: str
    port: int
    data: SpdyStream | None = None
    error: SpdyStream | None = None
    timer: asyncio.TimerHandle | None = None


class PortForwarder:
    def __init__(self, session: SpdySession, connect: Connect, pod: str) -> None:
        self._session = session
        self._connect = connect
        self._pod = pod
        self._waiting: dict[str, _Pair] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Until the client is gone, and every connection with it."""
        try:
            await self._session.run(self._opened)
        finally:
            for pair in self._waiting.values():
                if pair.timer is not None:
                    pair.timer.cancel()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _opened(self, stream: SpdyStream) -> str | None:
        kind = stream.headers.get("streamtype", "")
        port = stream.headers.get("port", "")
        if kind not in ("data", "error"):
            return f"invalid stream type {kind!r}"
        if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
            return f"unable to parse {port!r} as a port"
        # Clients that number no requests open the error stream first, and its data stream next.
        number = stream.number if kind == "error" else stream.number - 2
        request = stream.headers.get("requestid") or str(number)
        pair = self._waiting.setdefault(request, _Pair(request, int(port)))
        if getattr(pair, kind) is not None:
            return f"{kind} stream of request {request} already assigned"
        if kind == "data":
            pair.data = stream
        else:
            pair.error = stream
            stream.discard()
        if pair.data is not None and pair.error is not None:
            del self._waiting[request]
            if pair.timer is not None:
                pair.timer.cancel()
            self._begin(self._forward(pair.port, pair.data, pair.error))
        else:
            loop = asyncio.get_running_loop()
            pair.timer = loop.call_later(_PAIR_SECONDS, self._expire, pair)
        return None

    def _begin(self, work: "asyncio._CoroutineLike[None]") -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _expire(self, pair: _Pair) -> None:
        del self._waiting[pair.request]
        self._begin(self._give_up(pair))

    async def _give_up(self, pair: _Pair) -> None:
        if pair.error is not None:
            text = f"request {pair.request}: timed out waiting for streams"
            await pair.error.write(text.encode())
            await pair.error.end()
        if pair.data is not None:
            await pair.data.cancel()

    async def _forward(self, port: int, data: SpdyStream, error: SpdyStream) -> None:
        try:
            problem = await self._joined(port, data)
        except NodeAccessError as failure:
            problem = self._failure(port, failure)
        except Exception as failure:
            _log.exception("a forwarded connection broke off")
            problem = self._failure(port, failure)
        data.discard()
        await data.end()
        if problem:
            await error.write(problem.encode())
        await error.end()
        for stream in (data, error):
            self._session.forget(stream)

    def _failure(self, port: int, failure: Exception) -> str:
        return f"error forwarding port {port} to pod {self._pod}: {failure}"

    async def _joined(self, port: int, data: SpdyStream) -> str:
        """Until the Pod has ended its side, or the client has dropped it. What went wrong; empty if nothing."""
        connection = await self._connect(port)
        tasks = [
            asyncio.ensure_future(_from_pod(connection, data)),
            asyncio.ensure_future(data.dropped.wait()),
            asyncio.ensure_future(_to_pod(connection, data)),
        ]
        try:
            await asyncio.wait(tasks[:2], return_when=asyncio.FIRST_COMPLETED)
            if data.dropped.is_set():
                return ""
            await data.end()
            return await connection.problem()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if data.dropped.is_set():
                connection.abort()
            else:
                await connection.close()


async def _from_pod(connection: PortConnection, data: SpdyStream) -> None:
    while piece := await connection.read():
        await data.write(piece)


async def _to_pod(connection: PortConnection, data: SpdyStream) -> None:
    while piece := await data.read():
        await connection.write(piece)
    if not data.dropped.is_set():
        await connection.end()
