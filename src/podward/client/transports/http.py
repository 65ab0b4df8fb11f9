"""An API server on the network, reached by HTTP: of Podward or of any other cluster."""

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from typing import Final, cast
from urllib.parse import quote, urlencode

import msgspec
from lightkube.models.meta_v1 import Status

from podward.client.access import Access, AccessError
from podward.client.base import ApiError, Response, TransportError
from podward.machinery.http_client import (
    HttpClient,
    HttpFailure,
    HttpStatusFailure,
    TlsOptions,
)

REQUEST_SECONDS: Final = 30.0
SILENCE_SECONDS: Final = 300.0
"""A stream is ended after so long without a line. Servers send bookmarks once a minute, and a connection
whose other end has vanished says nothing for ever."""


class HttpTransport:
    """Implements `client.base.Transport`. `http` is closed by who made it, and used by no other identity at the
    same server: it keeps connections by the place of a client's key, and the key is in memory."""

    def __init__(
        self,
        access: Access,
        http: HttpClient,
        *,
        request_seconds: float = REQUEST_SECONDS,
        silence_seconds: float = SILENCE_SECONDS,
    ) -> None:
        self._access = access
        self._http = http
        self._request_seconds = request_seconds
        self._silence_seconds = silence_seconds
        self._secret = _memory_file(access.client_pem)
        certificate = f"/proc/self/fd/{self._secret}" if self._secret is not None else ""
        self._tls = TlsOptions(
            ca_pem=access.ca_pem,
            server_name=access.server_name,
            client_certificate=certificate or str(access.client_certificate or ""),
            client_key=certificate or str(access.client_key or ""),
        )

    @property
    def url(self) -> str:
        return self._access.url

    def close(self) -> None:
        """Forget the client's key. Requests that are under way go on."""
        if self._secret is not None:
            os.close(self._secret)
            self._secret = None

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Response:
        try:
            answer = await self._http.request(
                method,
                self._address(path, query),
                headers=self._headers(headers),
                body=body,
                timeout=self._request_seconds,
                tls=self._tls,
            )
        except HttpFailure as error:
            raise self._unreached(error) from error
        return Response(answer.status, answer.headers, answer.body)

    async def stream(
        self, path: str, *, query: Mapping[str, str] | None = None
    ) -> AsyncIterator[bytes]:
        opened = self._http.lines(
            self._address(path, query), headers=self._headers(None), tls=self._tls
        )
        try:
            async with aclosing(cast(AsyncGenerator[bytes, None], opened)) as lines:
                while (line := await self._next(lines)) is not None:
                    yield line
        except HttpStatusFailure as error:
            raise _refusal(error) from error
        except HttpFailure as error:
            raise self._unreached(error) from error

    async def _next(self, lines: AsyncGenerator[bytes, None]) -> bytes | None:
        """None at the end, or when it has been silent for so long that it counts as one."""
        try:
            async with asyncio.timeout(self._silence_seconds):
                return await anext(lines, None)
        except TimeoutError:
            return None

    def _address(self, path: str, query: Mapping[str, str] | None) -> str:
        address = f"{self._access.url}{quote(path)}"
        return f"{address}?{urlencode(query)}" if query else address

    def _headers(self, more: Mapping[str, str] | None) -> dict[str, str]:
        headers = {"Accept": "application/json"}
        try:
            token = self._access.token()
        except AccessError as error:
            raise TransportError(str(error)) from error
        if token:
            headers["Authorization"] = f"Bearer {token}"
        for name, value in (more or {}).items():
            headers[name.title()] = value
        return headers

    def _unreached(self, error: HttpFailure) -> TransportError:
        return TransportError(f"{self._access.url}: {error}")


def _memory_file(data: bytes) -> int | None:
    """A file without a name, for OpenSSL reads keys from files only: no disk sees it, and it ends with us."""
    if not data:
        return None
    descriptor = os.memfd_create("podward-client", os.MFD_CLOEXEC)
    os.write(descriptor, data)
    return descriptor


def _refusal(failure: HttpStatusFailure) -> ApiError | TransportError:
    try:
        return ApiError(msgspec.json.decode(failure.answer.body, type=Status))
    except msgspec.DecodeError:
        code = failure.answer.status
        return TransportError(f"the server answered {code} without a status")
