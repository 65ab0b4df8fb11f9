"""A SPDY connection, at either end: `machinery.spdy` on a `Duplex`, and a stream as something to await.

The peer keeps no windows, so what holds it back is that the connection is not read: while more than
`_HELD_BYTES` of all streams wait for their readers, nothing is.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from podward.machinery import spdy

_HELD_BYTES: Final = 1 << 20
_UNSAID_BYTES: Final = 64 * 1024
"""Of answers to a peer that asks and does not read: beyond it, it is not heard either."""
_GOODBYE_SECONDS: Final = 1.0
_log = logging.getLogger(__name__)


class Duplex(Protocol):
    """Bytes in both directions, whatever carries them."""

    async def read(self) -> bytes:
        """What has come; empty once the peer has ended or is gone."""

    async def write(self, data: bytes) -> None:
        """Waits while the peer is slow; nothing happens once it is gone."""

    async def close(self) -> None: ...


class SpdyStream:
    """One stream, whoever has opened it."""

    def __init__(self, session: "SpdySession", number: int, headers: Mapping[str, str]) -> None:
        self.number = number
        self.headers = headers
        self.accepted = asyncio.Event()
        """The peer has answered that it knows the stream; or it never will (`dropped`)."""
        self.dropped = asyncio.Event()
        """The peer wants no more of it, in either direction, or is gone."""
        self._session = session
        self._pieces: list[bytes] = []
        self._ended = False
        self._wanted = True
        self._news = asyncio.Event()

    async def read(self) -> bytes:
        """All that has come; empty once the peer has ended or reset it, or is gone."""
        while not self._pieces:
            if self._ended:
                return b""
            self._news.clear()
            await self._news.wait()
        # Engines send a frame for each write of a command: one by one they would cost a turn each.
        data = b"".join(self._pieces) if len(self._pieces) > 1 else self._pieces[0]
        self._pieces.clear()
        self._session.taken(len(data))
        return data

    async def write(self, data: bytes) -> None:
        await self._session.send(self.number, data)

    async def end(self) -> None:
        """No more will be written; what the peer writes is still read."""
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

    def finish(self) -> None:
        """No more will come."""
        self._ended = True
        self._news.set()

    def drop(self) -> None:
        """No more will come or go."""
        self.dropped.set()
        self.accepted.set()
        self.finish()


class SpdySession:
    def __init__(self, duplex: Duplex, *, server: bool = True) -> None:
        """`server`: the peer opens the streams. What a client that is gone had said is of no interest; a
        server resets its streams when all is said, and what it said is still read."""
        self.over = False
        """The peer is gone: what ends now has not been ended by it."""
        self._server = server
        self._duplex = duplex
        self._spdy = spdy.Connection(server=server)
        self._streams: dict[int, SpdyStream] = {}
        self._writing = asyncio.Lock()
        self._held = 0
        self._room = asyncio.Event()
        self._answering: asyncio.Task[None] | None = None

    async def run(self, opened: Callable[[SpdyStream], str | None]) -> None:
        """Until the peer is gone. `opened` is shown each new stream; what it says is why it is refused."""
        try:
            while data := await self._duplex.read():
                for event in self._spdy.receive(data):
                    self._heard(event, opened)
                await self._answer()
                while self._held > _HELD_BYTES:
                    self._room.clear()
                    await self._room.wait()
        except spdy.SpdyError as error:
            _log.info("a peer is cut off: %s", error)
            await self._flush()
        finally:
            self.over = True
            if self._answering is not None:
                self._answering.cancel()
            for stream in list(self._streams.values()):
                self._drop(stream)
            self._streams.clear()

    def _heard(self, event: spdy.Event, opened: Callable[[SpdyStream], str | None]) -> None:
        if isinstance(event, spdy.StreamOpened):
            self._opened(event, opened)
        elif isinstance(event, spdy.DataReceived | spdy.StreamReplied):
            stream = self._streams.get(event.stream)
            if stream is None:
                return
            if isinstance(event, spdy.StreamReplied):
                stream.accepted.set()
            elif event.data:
                self._held += stream.push(event.data)
            if event.fin:
                stream.finish()
        elif isinstance(event, spdy.StreamReset):
            reset = self._streams.pop(event.stream, None)
            if reset is not None:
                self._drop(reset)

    def _drop(self, stream: SpdyStream) -> None:
        stream.drop()
        if self._server:
            stream.discard()

    def _opened(self, event: spdy.StreamOpened, opened: Callable[[SpdyStream], str | None]) -> None:
        stream = SpdyStream(self, event.stream, event.headers)
        refusal = opened(stream)
        if refusal is not None:
            _log.info("a stream is refused: %s", refusal)
            self._spdy.reset(event.stream, spdy.REFUSED_STREAM)
            return
        self._spdy.reply(event.stream)
        stream.accepted.set()
        self._streams[event.stream] = stream
        if event.fin:
            stream.finish()

    async def open(self, headers: Mapping[str, str], *, fin: bool = False) -> SpdyStream:
        """A stream of ours. Go's peer throws away what comes before it has answered: wait for `accepted`."""
        number = self._spdy.open_stream(headers, fin=fin)
        stream = self._streams[number] = SpdyStream(self, number, headers)
        if self.over:
            self._drop(stream)
        await self._flush()
        return stream

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
            while data := self._spdy.take():
                await self._duplex.write(data)

    async def _answer(self) -> None:
        """What the peer is due (a ping), beside the reading: one who writes to us before it reads what we
        wrote, as a `cat` does, would else wait for ever."""
        if self._spdy.waiting > _UNSAID_BYTES:
            await self._flush()
        elif self._spdy.waiting and (self._answering is None or self._answering.done()):
            self._answering = asyncio.create_task(self._flush())

    async def close(self) -> None:
        """Says goodbye, if the peer listens at all."""
        self._spdy.go_away()
        try:
            async with asyncio.timeout(_GOODBYE_SECONDS):
                await self._flush()
        except TimeoutError:
            pass
        await self._duplex.close()
