"""Clients of both roads into a Pod, and a command that does as the test says; all in virtual time."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Protocol

from podward.apiserver.streaming import roads
from podward.apiserver.streaming.exchange import CHANNELS
from podward.machinery import spdy

NAMES = {number: name for name, number in CHANNELS.items()}


class Command:
    """An `ExecSession`."""

    def __init__(
        self, output: list[tuple[int, bytes]], code: int = 0, *, until_eof: bool = False
    ) -> None:
        self._output = output
        self._code = code
        self._eof = asyncio.Event()
        if not until_eof:
            self._eof.set()
        self.told: list[Any] = []
        self.fails: Exception | None = None

    async def output(self) -> AsyncIterator[tuple[int, bytes]]:
        for piece in self._output:
            yield piece
        await self._eof.wait()
        if self.fails:
            raise self.fails

    async def write(self, data: bytes) -> None:
        self.told.append(data)

    async def close_stdin(self) -> None:
        self.told.append("eof")
        self._eof.set()

    async def resize(self, width: int, height: int) -> None:
        self.told.append((width, height))

    async def wait(self) -> int:
        return self._code

    async def close(self) -> None:
        self.told.append("closed")


class Pipe:
    """A `Duplex` whose other end the test holds."""

    def __init__(self) -> None:
        self.to_server: asyncio.Queue[bytes] = asyncio.Queue()
        self.to_client: asyncio.Queue[bytes] = asyncio.Queue()

    async def read(self) -> bytes:
        return await self.to_server.get()

    async def write(self, data: bytes) -> None:
        self.to_client.put_nowait(data)

    async def close(self) -> None:
        self.to_client.put_nowait(b"")


class Client(Protocol):
    """What both clients can do. `heard`: all that came on a channel; `over`: the server has ended it."""

    heard: dict[int, bytes]
    over: bool

    async def run(self, command: Command, script: "Script") -> None:
        """Have the command served, with a client that does as `script` and then stays to the end."""

    async def say(self, channel: int, data: bytes) -> None: ...

    async def end_stdin(self) -> None: ...

    async def leave(self) -> None: ...


Script = Callable[[Client], Coroutine[Any, Any, None]]


class WebSocketClient:
    def __init__(self, protocol: str = "v5.channel.k8s.io") -> None:
        self.protocol = protocol
        self.heard: dict[int, bytes] = {}
        self.over = False
        self._inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def run(self, command: Command, script: Script) -> None:
        await script(self)
        road = roads.Road(self.protocol, None)
        await roads.run_command(
            road, command, ["stdin", "stdout", "stderr"], self._inbox.get, self._send
        )

    async def _send(self, message: Any) -> None:
        if message["type"] == "websocket.send":
            channel, data = message["bytes"][0], message["bytes"][1:]
            self.heard[channel] = self.heard.get(channel, b"") + data
        elif message["type"] == "websocket.close":
            self.over = True
        else:
            assert message == {"type": "websocket.accept", "subprotocol": self.protocol}

    async def say(self, channel: int, data: bytes) -> None:
        self._inbox.put_nowait({"type": "websocket.receive", "bytes": bytes([channel]) + data})

    async def end_stdin(self) -> None:
        self._inbox.put_nowait({"type": "websocket.receive", "bytes": b"\xff\x00"})

    async def leave(self) -> None:
        self._inbox.put_nowait({"type": "websocket.disconnect"})


class SpdyClient:
    def __init__(self, protocol: str = "v4.channel.k8s.io") -> None:
        self.protocol = protocol
        self.heard: dict[int, bytes] = {}
        self.over = False
        self.names = ["error", "stdin", "stdout", "stderr", "resize"]
        self.opened: list[str] | None = None
        """Streams that it opens, if they are not those that its request spoke of."""
        self._pipe = Pipe()
        self._spdy = spdy.Connection(server=False)
        self._streams: dict[int, int] = {}
        self._open: set[int] = set()

    async def run(self, command: Command, script: Script) -> None:
        for name in self.names if self.opened is None else self.opened:
            stream = self._spdy.open_stream({"streamtype": name})
            self._streams[CHANNELS[name]] = stream
            self._open.add(stream)
        self._flush()
        await script(self)
        listening = asyncio.create_task(self._listen())
        road = roads.Road(self.protocol, self._take_over)
        await roads.run_command(road, command, self.names, _never, _never)
        await listening

    async def _take_over(self, headers: list[tuple[bytes, bytes]]) -> Pipe:
        assert (b"x-stream-protocol-version", self.protocol.encode()) in headers
        return self._pipe

    async def _listen(self) -> None:
        """As client-go: gone as soon as the server has ended what it writes to."""
        numbers = {stream: channel for channel, stream in self._streams.items()}
        while data := await self._pipe.to_client.get():
            for event in self._spdy.receive(data):
                if isinstance(event, spdy.DataReceived):
                    channel = numbers[event.stream]
                    self.heard[channel] = self.heard.get(channel, b"") + event.data
                    if event.fin:
                        self._open.discard(event.stream)
            if not self._open and not self.over:
                self.over = True
                await self.leave()

    def _flush(self) -> None:
        if data := self._spdy.take():
            self._pipe.to_server.put_nowait(data)

    async def say(self, channel: int, data: bytes) -> None:
        self._spdy.send(self._streams[channel], data + (b"\n" if channel == 4 else b""))
        self._flush()

    async def end_stdin(self) -> None:
        self._spdy.send(self._streams[0], b"", fin=True)
        self._flush()

    async def leave(self) -> None:
        self._pipe.to_server.put_nowait(b"")


async def _never(*_: Any) -> Any:
    raise AssertionError("an upgraded connection is no business of ASGI's")
