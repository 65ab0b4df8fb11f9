"""httpGet: one GET; 2xx is success, a redirect elsewhere a warning, all else a failure (spec/health.md 3.2).

A protocol of our own over `httptools`: a probe costs a fraction of a millisecond, and the texts of its
failures are those that a stock kubelet's events show.
"""

import asyncio
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast
from urllib.parse import quote as percent_encode
from urllib.parse import urljoin, urlsplit

import httptools
from lightkube.models import core_v1

from podward.machinery.gotext import quote
from podward.probes.base import (
    MAX_OUTPUT_BYTES,
    USER_AGENT,
    Outcome,
    ProbeError,
    ProbeResult,
    ProbeTarget,
)
from podward.probes.ports import dial_error, errno_text, join_host_port, resolve_port

MAX_REDIRECTS = 10
_REDIRECTS = (301, 302, 303, 307, 308)
_TIMEOUT = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
_BODY_TIMEOUT = (
    "context deadline exceeded (Client.Timeout or context cancellation while reading body)"
)


PLAIN_ANSWER = "http: server gave HTTP response to HTTPS client"


class TransportFailure(Exception):
    """No response head came; the text is Go's."""


class BodyFailure(Exception):
    """The head came and the body broke off."""


@dataclass(slots=True)
class Response:
    status: int
    location: str
    body: bytes


async def attempt(
    action: core_v1.HTTPGetAction, target: ProbeTarget, timeout: float
) -> ProbeResult:
    """The timeout covers everything, redirects and body included.

    Raises `ProbeError` for a port that does not exist and for a body that cannot be read to its end.
    """
    exchange = _Exchange(target, action.httpHeaders or (), USER_AGENT)
    url = url_of(action, target)
    try:
        async with asyncio.timeout(timeout):
            response = await exchange.get(url)
    except TimeoutError:
        if exchange.in_body:
            raise ProbeError(_BODY_TIMEOUT, Outcome.FAILURE) from None
        return _failure(f'Get "{exchange.url}": {_TIMEOUT}')
    except TransportFailure as failure:
        return _failure(f'Get "{exchange.url}": {failure}')
    except BodyFailure as failure:
        raise ProbeError(str(failure), Outcome.FAILURE) from failure
    body = response.body.decode(errors="replace")
    if 200 <= response.status < 300:
        return ProbeResult(Outcome.SUCCESS, body)
    if 300 <= response.status < 400:
        text = f"Probe terminated redirects, Response body: {body}"
        return ProbeResult(Outcome.WARNING, text)
    return _failure(f"HTTP probe failed with statuscode: {response.status}")


def _failure(text: str) -> ProbeResult:
    return ProbeResult(Outcome.FAILURE, text)


async def get(
    action: core_v1.HTTPGetAction, target: ProbeTarget, user_agent: str, scheme: str = ""
) -> Response:
    """The answer to the same question, whatever it is, for as long as it takes: what a lifecycle hook asks.

    `scheme`, if given, replaces the action's. Raises `ProbeError`, `TransportFailure`, `BodyFailure`.
    """
    exchange = _Exchange(target, action.httpHeaders or (), user_agent)
    return await exchange.get(url_of(action, target, scheme))


def url_of(action: core_v1.HTTPGetAction, target: ProbeTarget, scheme: str = "") -> str:
    """Raises `ProbeError` for a port that does not exist."""
    port = resolve_port(action.port, target.named_ports)
    host = action.host or target.pod_ip
    parts = urlsplit(action.path or "/")
    path = percent_encode(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
    if not path.startswith("/"):
        path = "/" + path
    query = f"?{parts.query}" if parts.query else ""
    protocol = (scheme or action.scheme or "HTTP").lower()
    return f"{protocol}://{join_host_port(host, port)}{path}{query}"


class _Exchange:
    """One attempt: a request, and another for each redirect that stays on the host."""

    def __init__(
        self, target: ProbeTarget, headers: Sequence[core_v1.HTTPHeader], user_agent: str
    ) -> None:
        self._network = target.network
        self._headers = headers
        self._user_agent = user_agent
        self.url = ""
        """What is being fetched now."""
        self.in_body = False

    async def get(self, url: str) -> Response:
        first_host = urlsplit(url).hostname
        for followed in range(MAX_REDIRECTS + 1):
            self.url = url
            response = await self._fetch(url)
            if response.status not in _REDIRECTS or not response.location:
                return response
            onward = urljoin(url, response.location)
            if urlsplit(onward).hostname != first_host:
                return response
            if followed == MAX_REDIRECTS:
                self.url = response.location
                break
            url = onward
        raise TransportFailure(f"stopped after {MAX_REDIRECTS} redirects")

    async def _fetch(self, url: str) -> Response:
        parts = urlsplit(url)
        tls = parts.scheme == "https"
        host, port = parts.hostname or "", parts.port or (443 if tls else 80)
        self.in_body = False
        loop = asyncio.get_running_loop()
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        request = _request(parts.netloc, target, self._headers, self._user_agent)
        reader = _Reader(request, loop.create_future(), self)
        try:
            transport, _ = await self._network.connect(
                host, port, lambda: reader, tls_name=host if tls else None
            )
        except ssl.SSLError as error:
            plain = error.reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST")
            raise TransportFailure(PLAIN_ANSWER if plain else str(error)) from error
        except TimeoutError:
            raise
        except ConnectionResetError as error:
            raise TransportFailure("EOF") from error
        except OSError as error:
            raise TransportFailure(dial_error(host, port, error)) from error
        try:
            response = await reader.response
        except BaseException:
            # Nobody listens any more: no polite goodbye that could block on a dead peer.
            transport.abort()
            raise
        transport.close()
        return response


def _request(
    netloc: str, target: str, headers: Sequence[core_v1.HTTPHeader], user_agent: str
) -> bytes:
    """The user's headers as given, ours where the user has none; an empty Accept means none at all."""
    given = {header.name.lower() for header in headers}
    host = next((h.value for h in headers if h.name.lower() == "host" and h.value), netloc)
    lines = [f"GET {target} HTTP/1.1", f"Host: {host}"]
    if "user-agent" not in given:
        lines.append(f"User-Agent: {user_agent}")
    if "accept" not in given:
        lines.append("Accept: */*")
    for header in headers:
        name = header.name.lower()
        if name == "host" or (name in ("accept", "user-agent") and not header.value):
            continue
        lines.append(f"{header.name}: {header.value}")
    lines.append("Connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape")


class _Reader(asyncio.Protocol):
    """Sends the request, parses the answer, settles `response`."""

    def __init__(
        self, request: bytes, response: "asyncio.Future[Response]", exchange: _Exchange
    ) -> None:
        self.response = response
        self._request = request
        self._exchange = exchange
        self._parser = httptools.HttpResponseParser(self)
        # Go ends a line at its newline: what a script behind a web server says often has no carriage returns.
        self._parser.set_dangerous_leniencies(lenient_optional_cr_before_lf=True)
        self._status = 0
        self._location = ""
        self._body = bytearray()
        self._sized = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast, no isinstance: uvloop's transports do not inherit from asyncio's.
        cast(asyncio.WriteTransport, transport).write(self._request)

    def data_received(self, data: bytes) -> None:
        if self.response.done():
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._finish()
        except httptools.HttpParserError as error:
            if self._exchange.in_body:
                self._fail(BodyFailure(str(error)))
            else:
                line = quote(data.split(b"\n", 1)[0].rstrip(b"\r").decode("latin-1"))
                text = f"net/http: HTTP/1.x transport connection broken: malformed HTTP response {line}"
                self._fail(TransportFailure(text))

    def connection_lost(self, error: Exception | None) -> None:
        if self.response.done():
            return
        if not self._exchange.in_body:
            reset = isinstance(error, OSError) and error.errno is not None
            text = f"read: {errno_text(error)}" if reset and isinstance(error, OSError) else "EOF"
            self._fail(TransportFailure(text))
        elif error is None and not self._sized:
            self._finish()
        else:
            self._fail(BodyFailure("unexpected EOF"))

    # ------------------------------------------------------------------------- called by the parser

    def on_header(self, name: bytes, value: bytes) -> None:
        match name.lower():
            case b"location":
                self._location = value.decode("latin-1")
            case b"content-length":
                self._sized = True
            case b"transfer-encoding":
                self._sized = self._sized or b"chunked" in value.lower()

    def on_headers_complete(self) -> None:
        self._status = self._parser.get_status_code()
        # A 1xx head only announces the real one.
        self._exchange.in_body = self._status >= 200 or self._status == 101

    def on_body(self, body: bytes) -> None:
        self._body += body
        if len(self._body) >= MAX_OUTPUT_BYTES:
            self._finish()

    def on_message_complete(self) -> None:
        if self._exchange.in_body:
            self._finish()

    def _finish(self) -> None:
        if not self.response.done():
            body = bytes(self._body[:MAX_OUTPUT_BYTES])
            self.response.set_result(Response(self._status, self._location, body))

    def _fail(self, error: Exception) -> None:
        if not self.response.done():
            self.response.set_exception(error)
