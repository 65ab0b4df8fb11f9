"""The channels of a command in a WebSocket: one byte of channel, then its data.

In v5 a message on channel 255 says which channel the client has closed, which is how the end of stdin is told.
"""

from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec

from podward.apiserver.streaming.duplex import Receive, Send
from podward.apiserver.streaming.exchange import OUTCOME, RESIZE, STDIN

PROTOCOLS: Final = ("v5.channel.k8s.io", "v4.channel.k8s.io")
_CLOSE: Final = 255


class WebSocketClient:
    """Implements `exchange.Client`."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send

    async def input(self) -> AsyncIterator[tuple[int, bytes | None]]:
        while (message := await self._receive())["type"] != "websocket.disconnect":
            data = message.get("bytes") or (message.get("text") or "").encode()
            if data[:1] in (bytes([STDIN]), bytes([RESIZE])):
                yield data[0], data[1:]
            elif data[:2] == bytes([_CLOSE, STDIN]):
                yield STDIN, None

    async def send(self, channel: int, data: bytes) -> None:
        await self._send({"type": "websocket.send", "bytes": bytes([channel]) + data})

    async def finish(self, ending: dict[str, Any]) -> None:
        await self.send(OUTCOME, msgspec.json.encode(ending))
        await self._send({"type": "websocket.close", "code": 1000})
