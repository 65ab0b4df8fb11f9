"""A SPDY connection with a client: `machinery.spdy` on a `Duplex`, and a stream as something to await.

The peer keeps no windows, so what holds it back is that the connection is not read: while more than
`_HELD_BYTES` of all streams wait for their readers, nothing is.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final

from podward.apiserver.streaming.duplex import Duplex
from podward.machinery import spdy

_HELD_BYTES: Final = 1 << 20
_GOODBYE_SECONDS: Final = 1.0
_log = logging.getLogger(__name__)


class SpdyStream:
    """One stream that the client has opened."""

    def __init__(self, session: "SpdySession", number: int, headers: Mapping[str, str]) -> None:
        self.number = number
        self.headers = headers
        self.dropped = asyncio.Event()
        """The client wants no more of it, in either direction, or is gone."""
        self._session = session
        self._pieces: deque[bytes] = deque()
        self._ended = False
        self._wanted = True
        self._news = asyncio.Event()

    async def read(self) -> bytes:
        """What has come; empty once the client has ended or reset it, or is gone."""
        while not self._pieces:
            if self._ended:
                return b""
            self._news.clear()
            await self._news.wait()
        piece = self._pieces.popleft()
        self._session.taken(len(piece))
        return piece

    async def write(self, data: bytes) -> None:
        await self._session.send(self.number, data)

    async def end(self) -> None:
        """No more will be written; what the client writes is still read."""
        await self._session.send(self.number, b"", fin=True)

    async def cancel(self) -> None:
        """Reset it: neither side says more."""
        self.discard()
        self._session.forget(self)
        await self._session.cancel(self.number)

    def discard(self) -> None:
        """Nobody reads it any more: what comes must not hold up the others."""
        self._wanted = False
        self._session.taken(sum(map(len, self._pieces)))
        self._pieces.clear()

    def push(self, data: bytes) -> int:
        """How many bytes are held for a reader."""
        if not self._wanted:
            return 0
        self._pieces.append(data)
        self._news.set()
        return len(data)

    def finish(self, *, reset: bool = False) -> None:
        """No more will come; with `reset`, what has come is of no interest either."""
        self._ended = True
        if reset:
            self.dropped.set()
            self.discard()
        self._news.set()


class SpdySession:
    def __init__(self, duplex: Duplex) -> None:
        self.over = False
        """The client is gone: what ends now has not been ended by it."""
        self._duplex = duplex
        self._spdy = spdy.Connection(server=True)
        self._streams: dict[int, SpdyStream] = {}
        self._writing = asyncio.Lock()
        self._held = 0
        self._room = asyncio.Event()

    async def run(self, opened: Callable[[SpdyStream], str | None]) -> None:
        """Until the client is gone. `opened` is shown each new stream; what it says is why it is refused."""
        try:
            while data := await self._duplex.read():
                for event in self._spdy.receive(data):
                    self._heard(event, opened)
                await self._flush()
                while self._held > _HELD_BYTES:
                    self._room.clear()
                    await self._room.wait()
        except spdy.SpdyError as error:
            _log.info("a client is cut off: %s", error)
            await self._flush()
        finally:
            self.over = True
            for stream in list(self._streams.values()):
                stream.finish(reset=True)
            self._streams.clear()

    def _heard(self, event: spdy.Event, opened: Callable[[SpdyStream], str | None]) -> None:
        if isinstance(event, spdy.StreamOpened):
            self._opened(event, opened)
            return
        if isinstance(event, spdy.DataReceived):
            stream = self._streams.get(event.stream)
            if stream is not None and event.data:
                self._held += stream.push(event.data)
            if stream is not None and event.fin:
                stream.finish()
        elif isinstance(event, spdy.StreamReset):
            reset = self._streams.pop(event.stream, None)
            if reset is not None:
                reset.finish(reset=True)

    def _opened(self, event: spdy.StreamOpened, opened: Callable[[SpdyStream], str | None]) -> None:
        stream = SpdyStream(self, event.stream, event.headers)
        refusal = opened(stream)
        if refusal is not None:
            _log.info("a stream is refused: %s", refusal)
            self._spdy.reset(event.stream, spdy.REFUSED_STREAM)
            return
        self._spdy.reply(event.stream)
        self._streams[event.stream] = stream
        if event.fin:
            stream.finish()

    def taken(self, count: int) -> None:
        self._held -= count
        self._room.set()

    async def send(self, number: int, data: bytes, *, fin: bool = False) -> None:
        self._spdy.send(number, data, fin=fin)
        await self._flush()

    async def cancel(self, number: int) -> None:
        self._spdy.reset(number)
        await self._flush()

    def forget(self, stream: SpdyStream) -> None:
        """It is over, and its number never comes again."""
        self._streams.pop(stream.number, None)

    async def _flush(self) -> None:
        async with self._writing:
            if data := self._spdy.take():
                await self._duplex.write(data)

    async def close(self) -> None:
        """Says goodbye, if the client listens at all."""
        self._spdy.go_away()
        try:
            async with asyncio.timeout(_GOODBYE_SECONDS):
                await self._flush()
        except TimeoutError:
            pass
        await self._duplex.close()
