"""A stream that a client only reads (a log), in a WebSocket: an empty message first, then what there is.

Its data is binary, or base64 as text for a client that asks for that.
"""

import asyncio
import base64
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

from podward.api.errors import bad_request
from podward.apiserver.streaming.duplex import Receive, Send

BINARY: Final = "binary.k8s.io"
BASE64: Final = "base64.binary.k8s.io"


def choose(scope: Mapping[str, Any]) -> str | None:
    """The subprotocol; None for a client that names none, which gets binary messages."""
    offered = list(scope.get("subprotocols") or ())
    if not offered:
        return None
    for name in (BINARY, BASE64):
        if name in offered:
            return name
    raise bad_request(f"no usable subprotocol among {offered}; served: {[BINARY, BASE64]}")


async def run_reading(
    protocol: str | None, chunks: AsyncIterator[bytes], receive: Receive, send: Send
) -> None:
    """Until the stream ends or the client leaves; what the client says is not heard."""
    talking = asyncio.ensure_future(_talk(protocol, chunks, send))
    listening = asyncio.ensure_future(_until_gone(receive))
    try:
        await asyncio.wait((talking, listening), return_when=asyncio.FIRST_COMPLETED)
        if talking.done():
            await talking
    finally:
        for task in (talking, listening):
            task.cancel()
        await asyncio.gather(talking, listening, return_exceptions=True)
        close = getattr(chunks, "aclose", None)
        if close is not None:
            await close()


async def _talk(protocol: str | None, chunks: AsyncIterator[bytes], send: Send) -> None:
    await send({"type": "websocket.accept", "subprotocol": protocol})
    await send(_message(protocol, b""))
    async for chunk in chunks:
        if chunk:
            await send(_message(protocol, chunk))
    await send({"type": "websocket.close", "code": 1000})


def _message(protocol: str | None, data: bytes) -> dict[str, Any]:
    if protocol == BASE64:
        return {"type": "websocket.send", "text": base64.b64encode(data).decode()}
    return {"type": "websocket.send", "bytes": data}


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "websocket.disconnect":
        pass
