"""The only door to sockets for whoever calls out: probes ask a `Network` for a connection.

A simulated network answers the same call in virtual time.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Any, Final, Protocol, TypeVar

P = TypeVar("P", bound=asyncio.BaseProtocol)

_HELD_BYTES: Final = 256 * 1024


class NameNotFound(OSError):
    """The host's name could not be resolved."""


class Network(Protocol):
    async def connect(
        self,
        host: str,
        port: int,
        protocol_factory: Callable[[], P],
        *,
        tls_name: str | None = None,
    ) -> tuple[asyncio.Transport, P]:
        """A stream to `host:port`; with `tls_name`, TLS to that server name and no certificate checked.

        Raises `NameNotFound`, `ssl.SSLError`, any other `OSError` as the kernel gave it. It waits for as
        long as the kernel does: the caller's timeout ends it.
        """


class SystemNetwork:
    """The machine's own network.

    A stock kubelet sets SO_LINGER to one second here. We do not: with it `close` blocks until the peer has
    acknowledged, 44 ms were seen for one delayed ACK, and here that would stop every other probe.
    """

    def __init__(self) -> None:
        self._tls: ssl.SSLContext | None = None

    async def connect(
        self,
        host: str,
        port: int,
        protocol_factory: Callable[[], P],
        *,
        tls_name: str | None = None,
    ) -> tuple[asyncio.Transport, P]:
        loop = asyncio.get_running_loop()
        try:
            transport, protocol = await loop.create_connection(
                protocol_factory,
                host,
                port,
                ssl=self._unverified() if tls_name is not None else None,
                server_hostname=tls_name,
            )
        except socket.gaierror as error:
            raise NameNotFound(f"lookup {host}: no such host") from error
        return transport, protocol

    def _unverified(self) -> ssl.SSLContext:
        if self._tls is None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            self._tls = context
        return self._tls


class ByteStream(asyncio.Protocol):
    """A connection as something to read and to write; each side can end before the other."""

    def __init__(self) -> None:
        self._transport: Any = None
        self._held = bytearray()
        self._ended = False
        self._lost = False
        self._readable = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()

    async def read(self) -> bytes:
        """What has come; empty once the peer has ended or is gone."""
        while not self._held:
            if self._ended:
                return b""
            self._readable.clear()
            await self._readable.wait()
        data = bytes(self._held)
        self._held.clear()
        if not self._lost:
            self._transport.resume_reading()
        return data

    def unread(self, data: bytes) -> None:
        """Give back what was read too far."""
        if data:
            self._held[:0] = data
            self._readable.set()

    async def write(self, data: bytes) -> None:
        """Waits while the peer is slow; nothing happens once it is gone."""
        if not self._lost:
            self._transport.write(data)
            await self._writable.wait()

    async def end(self) -> None:
        """No more will be written; what the peer writes is still read."""
        if not self._lost and self._transport.can_write_eof():
            self._transport.write_eof()

    async def problem(self) -> str:
        """A connection that breaks off is an end like any other."""
        return ""

    async def close(self) -> None:
        """What was written is still sent."""
        self._transport.close()

    def abort(self) -> None:
        """Close, and let go of what is not sent yet."""
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._held += data
        self._readable.set()
        if len(self._held) > _HELD_BYTES:
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        """TLS has no ends that are apart."""
        self._finish()
        return self._transport.get_extra_info("sslcontext") is None

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self._writable.set()
        self._finish()

    def _finish(self) -> None:
        self._ended = True
        self._readable.set()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()
