"""The only door to sockets for whoever calls out: probes ask a `Network` for a connection.

A simulated network answers the same call in virtual time.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Protocol, TypeVar

P = TypeVar("P", bound=asyncio.BaseProtocol)


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
