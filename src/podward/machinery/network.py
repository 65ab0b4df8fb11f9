"""The only door to sockets for whoever calls out: probes ask a `Network` for a connection.

A simulated network answers the same call in virtual time.
"""

import asyncio
import socket
import ssl
import struct
from collections.abc import Callable
from typing import Protocol, TypeVar

P = TypeVar("P", bound=asyncio.BaseProtocol)

# On, one second: a closed connection waits that long for its last words instead of a minute in TIME_WAIT.
_LINGER = struct.pack("ii", 1, 1)


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
    """The machine's own network."""

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
        connected = transport.get_extra_info("socket")
        if connected is not None:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
        return transport, protocol

    def _unverified(self) -> ssl.SSLContext:
        if self._tls is None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            self._tls = context
        return self._tls
