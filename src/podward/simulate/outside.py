"""What a simulated cluster would ask of servers outside it: there are none."""

from collections.abc import AsyncIterator, Mapping
from typing import Final

from podward.machinery.http_client import HttpAnswer, HttpFailure, TlsOptions

_ANY: Final = TlsOptions()
_NOBODY: Final = "webhooks cannot be reached in a simulation"


class NobodyOutside:
    """An `HttpClient` that nobody answers."""

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        timeout: float = 30.0,
        tls: TlsOptions = _ANY,
    ) -> HttpAnswer:
        raise HttpFailure(_NOBODY)

    async def lines(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        tls: TlsOptions = _ANY,
    ) -> AsyncIterator[bytes]:
        raise HttpFailure(_NOBODY)
        yield b""

    async def close(self) -> None:
        return None
