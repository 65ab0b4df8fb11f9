"""An HTTP request as the handlers see it: read wholly, decoded, with its author."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from podward.apiserver.identity import Identity


@dataclass(frozen=True, slots=True)
class Request:
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
    scope: Mapping[str, Any]
    """The ASGI scope it came from."""

    def flag(self, name: str) -> bool:
        """A boolean parameter as Kubernetes reads one: absent, `0` and `false` are false."""
        value = self.query.get(name)
        return value is not None and value.lower() not in ("0", "false")


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StreamResponse:
    """A body of unknown length. `chunks` is closed (`aclose`) when the client goes away."""

    status: int
    chunks: AsyncIterator[bytes]
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class UpgradeResponse:
    """The connection leaves HTTP: `run` answers the upgrade with ASGI's receive and send, and has the rest."""

    run: Callable[
        [
            Callable[[], Awaitable[MutableMapping[str, Any]]],
            Callable[[MutableMapping[str, Any]], Awaitable[None]],
        ],
        Awaitable[None],
    ]
    status: int = 101
