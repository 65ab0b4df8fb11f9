"""Asking HTTP servers: webhooks, and API servers of other machines. The only door for it.

`HttpClient` is what callers know; `SystemHttpClient` is aiohttp behind it, imported when it is first used.
"""

import asyncio
import errno
import os
import ssl
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession

IDEMPOTENCY_HEADER: Final = "Idempotency-Key"
"""On a POST or PATCH it says that the server may be asked twice (as Go's client reads it)."""
_REPEATABLE: Final = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
_CHUNK: Final = 1 << 18
_SESSIONS: Final = 64
_CONNECTIONS: Final = 100
"""To one server: a handshake costs more than a turn. 500 requests at once took 0.8 s so, and 2.4 s over 500."""


class HttpFailure(Exception):
    """No answer: refused, not resolved, TLS did not agree, or it took too long. The text says which."""


class HttpTimeout(HttpFailure):
    """It took too long."""


@dataclass(frozen=True, slots=True)
class TlsOptions:
    """How to know the server, and how to be known."""

    ca_pem: bytes = b""
    """PEM; the machine's own authorities if empty."""
    server_name: str = ""
    """Name that the certificate must carry; the URL's host if empty."""
    client_certificate: str = ""
    """Path; empty for none."""
    client_key: str = ""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    status: int
    headers: Mapping[str, str]
    """Lower-case names."""
    body: bytes


class HttpClient(Protocol):
    """Connections are kept and shared between calls with the same server and `TlsOptions`."""

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        timeout: float = 30.0,
        tls: TlsOptions = TlsOptions(),
    ) -> HttpAnswer:
        """Any status is an answer. Raises `HttpFailure`. Redirects are not followed."""

    def lines(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        tls: TlsOptions = TlsOptions(),
    ) -> AsyncIterator[bytes]:
        """A GET whose body is handed over line by line, for as long as it takes. A status other than 200
        raises `HttpStatusFailure`."""

    async def close(self) -> None: ...


class HttpStatusFailure(HttpFailure):
    """`lines` got another answer than 200."""

    def __init__(self, answer: HttpAnswer) -> None:
        super().__init__(f"answered {answer.status}")
        self.answer = answer


@dataclass(slots=True)
class _Pool:
    """The connections of one `TlsOptions`."""

    session: "ClientSession"
    busy: int = 0


class SystemHttpClient:
    """The machine's own network, by aiohttp: HTTP/1.1, TLS 1.2 or newer, connections kept for 15 seconds.

    A server may close a kept connection in the very moment in which it is used again. Such a request is
    repeated once, on a connection of its own, if repeating is harmless: by its method, or because it
    carries `IDEMPOTENCY_HEADER`.
    """

    def __init__(self) -> None:
        self._pools: dict[TlsOptions, _Pool] = {}

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        timeout: float = 30.0,
        tls: TlsOptions = TlsOptions(),
    ) -> HttpAnswer:
        repeatable = method in _REPEATABLE or IDEMPOTENCY_HEADER in (headers or {})
        try:
            async with asyncio.timeout(timeout):
                pool = await self._pool(tls)
                pool.busy += 1
                try:
                    try:
                        return await _ask(pool.session, method, url, headers, body, tls)
                    except Exception as error:
                        if not (repeatable and _was_closed(error)):
                            raise
                    return await _ask(pool.session, method, url, headers, body, tls)
                finally:
                    pool.busy -= 1
        except TimeoutError:
            raise HttpTimeout(f"no answer within {timeout:g} s") from None
        except Exception as error:
            raise _failure(error) from error

    async def lines(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        tls: TlsOptions = TlsOptions(),
    ) -> AsyncIterator[bytes]:
        try:
            pool = await self._pool(tls)
            pool.busy += 1
            try:
                async with pool.session.get(
                    url,
                    headers=headers,
                    allow_redirects=False,
                    server_hostname=tls.server_name or None,
                    read_bufsize=_CHUNK,
                ) as response:
                    if response.status != 200:
                        raise HttpStatusFailure(await _answer(response))
                    async for line in _split(response):
                        yield line
            finally:
                pool.busy -= 1
        except Exception as error:
            raise _failure(error) from error

    async def close(self) -> None:
        pools, self._pools = self._pools, {}
        for pool in pools.values():
            await pool.session.close()

    async def _pool(self, tls: TlsOptions) -> _Pool:
        if (
            "aiohttp" not in sys.modules
        ):  # 0.16 s measured: not on the loop, which has probes to serve
            await asyncio.to_thread(__import__, "aiohttp")
        pool = self._pools.pop(tls, None)
        if pool is None:
            await self._forget_idle()
            pool = self._pools.pop(tls, None) or _Pool(_session(tls))
        self._pools[tls] = pool  # the last one used is the last
        return pool

    async def _forget_idle(self) -> None:
        """Certificates are rotated: what was trusted once is not kept for ever."""
        for tls in [t for t, pool in self._pools.items() if not pool.busy][: -_SESSIONS + 1]:
            await self._pools.pop(tls).session.close()


def _session(tls: TlsOptions) -> "ClientSession":
    import aiohttp

    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=_context(tls), limit=0, limit_per_host=_CONNECTIONS),
        timeout=aiohttp.ClientTimeout(total=None, connect=None, sock_connect=30),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": "podward"},
    )


def _context(tls: TlsOptions) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=tls.ca_pem.decode("ascii") or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls.client_certificate:
        context.load_cert_chain(tls.client_certificate, tls.client_key or None)
    return context


async def _ask(
    session: "ClientSession",
    method: str,
    url: str,
    headers: Mapping[str, str] | None,
    body: bytes,
    tls: TlsOptions,
) -> HttpAnswer:
    async with session.request(
        method,
        url,
        headers=headers,
        data=body or None,
        allow_redirects=False,
        server_hostname=tls.server_name or None,
    ) as response:
        return await _answer(response)


async def _answer(response: "ClientResponse") -> HttpAnswer:
    headers = {name.lower(): value for name, value in response.headers.items()}
    return HttpAnswer(response.status, headers, await response.read())


async def _split(response: "ClientResponse") -> AsyncIterator[bytes]:
    """Lines of any length; aiohttp's own reader gives up on long ones. The rest at the end is a line."""
    begun: list[bytes] = []
    async for chunk in response.content.iter_any():
        *ended, rest = chunk.split(b"\n")
        for line in ended:
            begun.append(line)
            yield b"".join(begun)
            begun.clear()
        if rest:
            begun.append(rest)
    if begun:
        yield b"".join(begun)


def _was_closed(error: Exception) -> bool:
    """The server hung up on a connection before it answered."""
    import aiohttp

    return isinstance(error, aiohttp.ServerDisconnectedError | ConnectionResetError) or (
        isinstance(error, aiohttp.ClientOSError)
        and not isinstance(error, aiohttp.ClientConnectorError)
    )


def _failure(error: Exception) -> Exception:
    """The same in plain words; what is a fault of the program stays what it is."""
    if isinstance(error, HttpFailure):
        return error
    import aiohttp

    match error:
        case TimeoutError():
            return HttpTimeout("no connection within 30 s")
        case aiohttp.ClientConnectorCertificateError():
            return HttpFailure(_tls_words(error.certificate_error))
        case aiohttp.ClientConnectorSSLError():
            return HttpFailure(_tls_words(error.os_error))
        case aiohttp.ClientConnectorDNSError():
            return HttpFailure(f"no such host: {error.host}")
        case aiohttp.ClientConnectorError():
            return HttpFailure(_system_words(error.os_error))
        case aiohttp.InvalidURL():
            return HttpFailure("not a URL that can be asked")
        case aiohttp.ServerDisconnectedError():
            return HttpFailure("the server closed the connection without an answer")
        case aiohttp.ClientPayloadError():
            return HttpFailure("the answer ended early")
        case ssl.SSLError():
            return HttpFailure(_tls_words(error))
        case OSError():
            return HttpFailure(_system_words(error))
        case aiohttp.ClientError():
            return HttpFailure(f"not an HTTP answer: {error}")
        case UnicodeDecodeError():
            return HttpFailure("the certificate authority is not PEM")
        case _:
            return error


def _tls_words(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate verify failed: {error.verify_message}"
    reason = getattr(error, "reason", None) or str(error)
    return f"TLS failed: {reason.replace('_', ' ').lower()}"


def _system_words(error: OSError) -> str:
    """`Connection refused` is what the system says of it; the C library's words begin with a capital."""
    known = errno.ECONNRESET if isinstance(error, ConnectionResetError) else error.errno
    text = os.strerror(known) if known else str(error) or "the connection failed"
    return text[:1].lower() + text[1:]
