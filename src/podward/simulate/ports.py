"""A network in memory: who listens at which address and port, and streams between two ends."""

import asyncio
import errno
import os
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from podward.machinery.network import NameNotFound

P = TypeVar("P", bound=asyncio.BaseProtocol)


class Channel:
    """Bytes one way; unbounded."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._ended = False
        self._changed = asyncio.Event()

    def write(self, data: bytes) -> None:
        self._data += data
        self._changed.set()

    def end(self) -> None:
        self._ended = True
        self._changed.set()

    async def read(self) -> bytes:
        """What has come, at least one byte; empty at the end."""
        while not self._data and not self._ended:
            await self._more()
        data = bytes(self._data)
        self._data.clear()
        return data

    async def _more(self) -> None:
        self._changed.clear()
        await self._changed.wait()


@dataclass(frozen=True, slots=True)
class Stream:
    """One end of a connection."""

    incoming: Channel
    outgoing: Channel

    async def read(self) -> bytes:
        return await self.incoming.read()

    def write(self, data: bytes) -> None:
        self.outgoing.write(data)

    def close(self) -> None:
        self.outgoing.end()


Serve = Callable[[Stream], Awaitable[None]]


@dataclass(eq=False, slots=True)
class Listener:
    address: str
    port: int
    serve: Serve
    tls: bool = False
    tasks: set["asyncio.Task[None]"] = field(default_factory=set)


class Ports:
    """Everything that listens, and the way to it."""

    def __init__(self) -> None:
        self._listeners: dict[tuple[str, int], Listener] = {}

    def listen(self, address: str, port: int, serve: Serve, *, tls: bool = False) -> Listener:
        """With `tls`, who does not shake hands is told so; with who does, `serve` speaks in plain text."""
        if (address, port) in self._listeners:
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
        listener = self._listeners[address, port] = Listener(address, port, serve, tls)
        return listener

    def close(self, listener: Listener) -> None:
        """Connections that it serves break off."""
        self._listeners.pop((listener.address, listener.port), None)
        for task in listener.tasks:
            task.cancel()

    def listening(self, address: str, port: int) -> bool:
        return (address, port) in self._listeners

    def dial(self, address: str, port: int, *, tls: bool = False) -> Stream:
        """The client's end; refused at once where nobody listens.

        With `tls`, as if after the handshake: `ssl.SSLError` where the server does not know of any.
        """
        listener = self._listeners.get((address, port))
        if listener is None:
            raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
        if tls and not listener.tls:
            error = ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number")
            error.reason = "WRONG_VERSION_NUMBER"
            raise error
        serve = listener.serve if listener.tls == tls else _ask_for_tls
        there, back = Channel(), Channel()
        task = asyncio.get_running_loop().create_task(_served(serve, Stream(there, back)))
        listener.tasks.add(task)
        task.add_done_callback(listener.tasks.discard)
        return Stream(back, there)


async def _served(serve: Serve, stream: Stream) -> None:
    try:
        await serve(stream)
    finally:
        stream.close()


async def _ask_for_tls(stream: Stream) -> None:
    """What most servers do with plain text on their TLS port."""
    if await stream.read():
        stream.write(b"HTTP/1.0 400 Bad Request\r\n\r\nThis is an HTTPS port.\n")


class SimulatedNetwork:
    """`machinery.network.Network` over `Ports`."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    async def connect(
        self,
        host: str,
        port: int,
        protocol_factory: Callable[[], P],
        *,
        tls_name: str | None = None,
    ) -> tuple[asyncio.Transport, P]:
        if not host.replace(".", "").replace(":", "").isalnum() or host.isalpha():
            raise NameNotFound(f"lookup {host}: no such host")
        stream = self._ports.dial(host, port, tls=tls_name is not None)
        protocol = protocol_factory()
        return _Transport(stream, protocol), protocol


class _Transport(asyncio.Transport):
    def __init__(self, stream: Stream, protocol: Any) -> None:
        super().__init__()
        self._stream = stream
        self._protocol = protocol
        protocol.connection_made(self)
        self._task = asyncio.get_running_loop().create_task(self._pump())

    async def _pump(self) -> None:
        while data := await self._stream.read():
            self._protocol.data_received(data)
        self._protocol.connection_lost(None)

    def write(self, data: Any) -> None:
        self._stream.write(bytes(data))

    def close(self) -> None:
        self._stream.close()
        self._task.cancel()

    def abort(self) -> None:
        self.close()

    def is_closing(self) -> bool:
        return self._task.done()
