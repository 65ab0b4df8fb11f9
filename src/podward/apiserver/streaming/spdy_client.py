"""The channels of a command in SPDY: one stream each, which the client opens and names by `streamtype`."""

import asyncio
from collections.abc import AsyncIterator, Collection
from typing import Any, Final

import msgspec

from podward.apiserver.streaming.exchange import CHANNELS, OUTCOME, RESIZE, STDIN
from podward.machinery.spdy_session import SpdySession, SpdyStream

PROTOCOLS: Final = ("v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io")
"""v4 tells the outcome as a `Status`, those before it as text; v3 brought the terminal's size."""

_STREAMS_SECONDS: Final = 30.0
"""How long a client may take to open its streams (as the kubelet has it)."""
_LEAVING_SECONDS: Final = 10.0
"""How long a client may take to read the outcome and go: who closes at once may cut off what is under way."""


class SpdyClient:
    """Implements `exchange.Client`."""

    def __init__(self, session: SpdySession, protocol: str, channels: Collection[str]) -> None:
        """`channels`: those that the request speaks of; the outcome's is always there."""
        self._session = session
        self._protocol = protocol
        self._expected = {*channels, "error"}
        if protocol == "v2.channel.k8s.io":
            self._expected.discard("resize")
        self._streams: dict[int, SpdyStream] = {}
        self._complete = asyncio.Event()
        self._gone = asyncio.Event()
        self._said: asyncio.Queue[tuple[int, bytes | None]] = asyncio.Queue(maxsize=1)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> bool:
        """Wait for the streams; False if they do not come."""
        self._tasks = [asyncio.create_task(self._run())]
        waiting = [asyncio.ensure_future(e.wait()) for e in (self._complete, self._gone)]
        await asyncio.wait(waiting, timeout=_STREAMS_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
        return self._complete.is_set()

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self) -> None:
        try:
            await self._session.run(self._opened)
        finally:
            self._gone.set()

    def _opened(self, stream: SpdyStream) -> str | None:
        name = stream.headers.get("streamtype", "")
        if name not in self._expected:
            return f"no stream {name!r} is expected"
        self._expected.discard(name)
        channel = CHANNELS[name]
        self._streams[channel] = stream
        if channel == STDIN:
            self._tasks.append(asyncio.create_task(self._read_stdin(stream)))
        elif channel == RESIZE:
            self._tasks.append(asyncio.create_task(self._read_sizes(stream)))
        else:
            stream.discard()
        if not self._expected:
            self._complete.set()
        return None

    async def _read_stdin(self, stream: SpdyStream) -> None:
        while data := await stream.read():
            await self._said.put((STDIN, data))
        if not self._session.over:
            await self._said.put((STDIN, None))

    async def _read_sizes(self, stream: SpdyStream) -> None:
        """One a line."""
        rest = b""
        while data := await stream.read():
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                await self._said.put((RESIZE, line))

    async def input(self) -> AsyncIterator[tuple[int, bytes | None]]:
        gone = asyncio.ensure_future(self._gone.wait())
        try:
            while not gone.done():
                said = asyncio.ensure_future(self._said.get())
                await asyncio.wait((said, gone), return_when=asyncio.FIRST_COMPLETED)
                if not said.done():
                    said.cancel()
                    return
                yield said.result()
        finally:
            gone.cancel()

    async def send(self, channel: int, data: bytes) -> None:
        stream = self._streams.get(channel)
        if stream is not None:
            await stream.write(data)

    async def finish(self, ending: dict[str, Any]) -> None:
        for channel in sorted(self._streams.keys() - {OUTCOME}):
            await self._streams[channel].end()
        error = self._streams[OUTCOME]
        await error.write(self._told(ending))
        await error.end()
        try:
            async with asyncio.timeout(_LEAVING_SECONDS):
                await self._gone.wait()
        except TimeoutError:
            pass

    def _told(self, ending: dict[str, Any]) -> bytes:
        if self._protocol == "v4.channel.k8s.io":
            return msgspec.json.encode(ending)
        return str(ending.get("message", "")).encode()
