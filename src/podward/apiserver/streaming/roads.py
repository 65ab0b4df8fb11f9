"""The two roads out of HTTP, and which protocol is spoken on them."""

import contextlib
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from podward.api.errors import bad_request, status_error
from podward.apiserver.streaming import spdy_client, websocket_client
from podward.apiserver.streaming.duplex import (
    UPGRADE,
    MessageDuplex,
    Receive,
    Send,
    TakeOver,
)
from podward.apiserver.streaming.exchange import exchange
from podward.apiserver.streaming.port_forward import Connect, PortForwarder
from podward.apiserver.streaming.spdy_client import SpdyClient
from podward.apiserver.streaming.websocket_client import WebSocketClient
from podward.client.node_access import ExecSession
from podward.machinery.spdy_session import Duplex, SpdySession

_VERSION_HEADER: Final = b"x-stream-protocol-version"


@dataclass(frozen=True, slots=True)
class Protocols:
    """What a subresource speaks, the best first."""

    websocket: Sequence[str]
    spdy: Sequence[str]


COMMAND: Final = Protocols(websocket_client.PROTOCOLS, spdy_client.PROTOCOLS)
FORWARDING: Final = Protocols(("SPDY/3.1+portforward.k8s.io",), ("portforward.k8s.io",))
"""On a WebSocket the very same SPDY, in its messages."""


@dataclass(frozen=True, slots=True)
class Road:
    protocol: str
    take_over: TakeOver | None
    """None on a WebSocket."""


def choose(scope: Mapping[str, Any], served: Protocols) -> Road:
    """The road that the request asks for; what cannot be agreed on is an `ApiStatusError`."""
    if scope.get("type") == "websocket":
        offered = list(scope.get("subprotocols") or ())
        for name in served.websocket:
            if name in offered:
                return Road(name, None)
        raise bad_request(
            f"no usable subprotocol among {offered}; served: {list(served.websocket)}"
        )
    take_over: TakeOver | None = (scope.get("extensions") or {}).get(UPGRADE)
    if take_over is None:
        raise bad_request("Upgrade request required")
    values = (
        value.decode("latin-1") for name, value in scope["headers"] if name == _VERSION_HEADER
    )
    wanted = [part.strip() for value in values for part in value.split(",")]
    if not wanted:
        raise bad_request("unable to upgrade: X-Stream-Protocol-Version header is required")
    for name in wanted:
        if name in served.spdy:
            return Road(name, take_over)
    raise status_error(
        403,
        "Forbidden",
        "unable to upgrade: unable to negotiate protocol: "
        f"client supports [{' '.join(wanted)}], server accepts [{' '.join(served.spdy)}]",
    )


async def run_command(
    road: Road, session: ExecSession, channels: Collection[str], receive: Receive, send: Send
) -> None:
    """All of exec or attach. `channels`: what of stdin, stdout, stderr and resize the client opens."""
    try:
        if road.take_over is None:
            await send({"type": "websocket.accept", "subprotocol": road.protocol})
            await exchange(session, WebSocketClient(receive, send))
            return
        async with _spdy_session(road, receive, send) as spdy:
            client = SpdyClient(spdy, road.protocol, channels)
            try:
                if await client.start():
                    await exchange(session, client)
            finally:
                await client.close()
    finally:
        await session.close()


async def run_forwarding(
    road: Road, connect: Connect, pod: str, receive: Receive, send: Send
) -> None:
    """All of port-forward. `pod`: what it is called in errors."""
    async with _spdy_session(road, receive, send) as session:
        await PortForwarder(session, connect, pod).run()


@contextlib.asynccontextmanager
async def _spdy_session(road: Road, receive: Receive, send: Send) -> AsyncIterator[SpdySession]:
    duplex: Duplex
    if road.take_over is None:
        await send({"type": "websocket.accept", "subprotocol": road.protocol})
        duplex = MessageDuplex(receive, send)
    else:
        duplex = await road.take_over(
            [
                (b"connection", b"Upgrade"),
                (b"upgrade", b"SPDY/3.1"),
                (_VERSION_HEADER, road.protocol.encode()),
            ]
        )
    session = SpdySession(duplex)
    try:
        yield session
    finally:
        await session.close()
