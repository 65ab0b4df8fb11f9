"""An HTTP request as the handlers see it: read wholly, decoded, with its author."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from typing import Any

import msgspec

from podward.apiserver.identity import Identity


class Request(msgspec.Struct, frozen=True):
    method: str
    path: str
    query: Mapping[str, str]
    """The first value of each parameter."""
    query_list: Mapping[str, list[str]]
    """Every value of each parameter (`command=..&command=..`)."""
    headers: Mapping[str, str]
    """Lower-case names."""
    identity: Identity
    body: bytes
    scope: Mapping[str, Any] = msgspec.field(default_factory=dict)
    """The ASGI scope it came from, if it came in one."""

    def flag(self, name: str) -> bool:
        """A boolean parameter as Kubernetes reads one: absent, `0` and `false` are false."""
        value = self.query.get(name)
        return value is not None and value.lower() not in ("0", "false")


class Response(msgspec.Struct, frozen=True):
    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    chunks: None = None


class StreamResponse(msgspec.Struct, frozen=True):
    """A body of unknown length. `chunks` is closed (`aclose`) when the client goes away."""

    status: int
    chunks: AsyncIterator[bytes]
    content_type: str = "application/json"
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    body: bytes = b""


class UpgradeResponse(msgspec.Struct, frozen=True):
    """The connection leaves HTTP: `run` answers the upgrade with ASGI's receive and send, and has the rest."""

    run: Callable[
        [
            Callable[[], Awaitable[MutableMapping[str, Any]]],
            Callable[[MutableMapping[str, Any]], Awaitable[None]],
        ],
        Awaitable[None],
    ]
    status: int = 101
    body: bytes = b""
    content_type: str = ""
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    chunks: None = None
