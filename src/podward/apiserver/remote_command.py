"""exec over a WebSocket (spec/api.md, Remote command channels): one byte of channel, then its data.

Channel 0 is stdin, 1 stdout, 2 stderr, 3 the outcome (one `Status`), 4 the terminal's size; in v5 a message on
channel 255 says which channel the client has closed, which is how the end of stdin is told.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Annotated, Any

import msgspec

from podward.api.errors import ApiStatusError, bad_request, status_error
from podward.apiserver.request import Request
from podward.client.node_access import ExecSession

STDIN, STDOUT, STDERR, OUTCOME, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255
SUBPROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


_Cells = Annotated[int, msgspec.Meta(ge=0, le=65535)]
_log = logging.getLogger(__name__)


class _Size(msgspec.Struct, rename="pascal"):
    width: _Cells
    height: _Cells


async def serve_exec(
    scope: Mapping[str, Any],
    receive: Receive,
    send: Send,
    admit: Callable[[], Request],
    open_session: Callable[[Request], Awaitable[ExecSession]],
) -> None:
    """The whole of one exec. What `admit` (who is it?) and `open_session` refuse is said before the upgrade."""
    await receive()  # websocket.connect
    try:
        request = admit()
        chosen = _subprotocol(scope.get("subprotocols") or ())
        session = await open_session(request)
    except ApiStatusError as error:
        await _refuse(scope, send, msgspec.to_builtins(error.status))
        return
    try:
        await send({"type": "websocket.accept", "subprotocol": chosen})
        await _Exchange(session, receive, send).run()
    finally:
        await session.close()


def _subprotocol(offered: Sequence[str]) -> str:
    for name in SUBPROTOCOLS:
        if name in offered:
            return name
    raise bad_request(f"no usable subprotocol among {list(offered)}; served: {list(SUBPROTOCOLS)}")


async def _refuse(scope: Mapping[str, Any], send: Send, status: dict[str, Any]) -> None:
    body = msgspec.json.encode({"kind": "Status", "apiVersion": "v1", "metadata": {}, **status})
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close", "code": 1008})
        return
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    code = status.get("code") or 500
    await send({"type": "websocket.http.response.start", "status": code, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})


class _Exchange:
    def __init__(self, session: ExecSession, receive: Receive, send: Send) -> None:
        self._session = session
        self._receive = receive
        self._send = send

    async def run(self) -> None:
        listening = asyncio.ensure_future(self._listen())
        talking = asyncio.ensure_future(self._talk())
        try:
            await asyncio.wait((listening, talking), return_when=asyncio.FIRST_COMPLETED)
            if not talking.done():
                return  # the client is gone, and the command with it
            await talking
            await self._send({"type": "websocket.close", "code": 1000})
        finally:
            for task in (listening, talking):
                task.cancel()
            await asyncio.gather(listening, talking, return_exceptions=True)

    async def _talk(self) -> None:
        try:
            async for channel, data in self._session.output():
                await self._bytes(channel, data)
            ending = outcome(await self._session.wait())
        except Exception as error:
            # The upgrade is done: the outcome channel is the only place left to say it.
            _log.exception("a command ended without an exit code")
            ending = interrupted(str(error))
        await self._bytes(OUTCOME, msgspec.json.encode(ending))

    async def _bytes(self, channel: int, data: bytes) -> None:
        await self._send({"type": "websocket.send", "bytes": bytes([channel]) + data})

    async def _listen(self) -> None:
        while True:
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                return
            data = message.get("bytes") or (message.get("text") or "").encode()
            if data:
                await self._take(data[0], data[1:])

    async def _take(self, channel: int, data: bytes) -> None:
        if channel == STDIN:
            await self._session.write(data)
        elif channel == RESIZE:
            try:
                size = msgspec.json.decode(data, type=_Size)
            except msgspec.DecodeError:
                return  # a size that cannot be read is no reason to end a command
            await self._session.resize(size.width, size.height)
        elif channel == CLOSE and data[:1] == bytes([STDIN]):
            await self._session.close_stdin()


def interrupted(reason: str) -> dict[str, Any]:
    """The `Status` of a command whose end nobody knows."""
    status = status_error(500, "InternalError", f"Internal error occurred: {reason}").status
    told: dict[str, Any] = msgspec.to_builtins(status)
    return told


def outcome(code: int) -> dict[str, Any]:
    """The `Status` that tells the client how the command ended."""
    if code == 0:
        return {"metadata": {}, "status": "Success"}
    return {
        "metadata": {},
        "status": "Failure",
        "reason": "NonZeroExitCode",
        "message": f"command terminated with non-zero exit code: exit status {code}",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }
