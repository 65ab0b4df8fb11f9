"""Bytes in both directions, whatever carries them."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from podward.machinery.spdy_session import Duplex

UPGRADE: Final = "podward.upgrade"
"""Extension of an HTTP scope whose client asks for SPDY/3.1: a `TakeOver`."""

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


TakeOver = Callable[[list[tuple[bytes, bytes]]], Awaitable[Duplex]]
"""Answers 101 with these headers, and hands the connection over."""


class MessageDuplex:
    """The binary messages of a WebSocket as a stream."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._gone = False

    async def read(self) -> bytes:
        while not self._gone:
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                self._gone = True
            elif data := message.get("bytes") or b"":
                return bytes(data)
        return b""

    async def write(self, data: bytes) -> None:
        if not self._gone:
            await self._send({"type": "websocket.send", "bytes": data})

    async def close(self) -> None:
        if not self._gone:
            self._gone = True
            await self._send({"type": "websocket.close", "code": 1000})
