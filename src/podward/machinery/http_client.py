"""Asking HTTP servers: webhooks, and API servers of other machines. The only door for it.

`HttpClient` is what callers know; `SystemHttpClient` is aiohttp behind it, imported when it is first used.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Protocol


class HttpFailure(Exception):
    """No answer: refused, not resolved, TLS did not agree, or it took too long. The text says which."""


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
