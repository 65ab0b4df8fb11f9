"""SPDY sessions with each other, in virtual time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from podward.machinery import spdy
from podward.machinery.spdy_session import SpdySession, SpdyStream
from podward.simulate.virtual_loop import run


class End:
    """A `Duplex`: one end of a pipe that holds so many pieces."""

    def __init__(self, inbox: "asyncio.Queue[bytes]", outbox: "asyncio.Queue[bytes]") -> None:
        self.inbox, self.outbox = inbox, outbox

    async def read(self) -> bytes:
        return await self.inbox.get()

    async def write(self, data: bytes) -> None:
        await self.outbox.put(data)

    async def close(self) -> None:
        self.outbox.put_nowait(b"")


def pipe(pieces: int = 0) -> tuple[End, End]:
    to_server: asyncio.Queue[bytes] = asyncio.Queue(pieces)
    to_client: asyncio.Queue[bytes] = asyncio.Queue(pieces)
    return End(to_client, to_server), End(to_server, to_client)


@asynccontextmanager
async def sessions() -> AsyncIterator[tuple[SpdySession, SpdySession, list[SpdyStream]]]:
    """A client, a server, and what the client has opened there. The server refuses what is called `no`."""
    ours, theirs = pipe()
    client, server = SpdySession(ours, server=False), SpdySession(theirs)
    opened: list[SpdyStream] = []

    def arrived(stream: SpdyStream) -> str | None:
        if stream.headers["name"] == "no":
            return "not wanted"
        opened.append(stream)
        return None

    tasks = [
        asyncio.create_task(client.run(lambda _: "nothing is expected")),
        asyncio.create_task(server.run(arrived)),
    ]
    yield client, server, opened
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def test_a_stream_that_the_client_opens_carries_both_ways() -> None:
    async def main() -> None:
        async with sessions() as (client, _, opened):
            ours = await client.open({"name": "data"})
            await ours.accepted.wait()
            [theirs] = opened
            await ours.write(b"there")
            await ours.end()
            assert [await theirs.read(), await theirs.read()] == [b"there", b""]
            await theirs.write(b"and back")
            await theirs.end()
            assert [await ours.read(), await ours.read()] == [b"and back", b""]
            assert not ours.dropped.is_set()

    run(main())


def test_what_a_server_said_before_it_reset_a_stream_is_still_read() -> None:
    async def main() -> None:
        async with sessions() as (client, _, opened):
            ours = await client.open({"name": "data"})
            await ours.accepted.wait()
            await opened[0].write(b"last words")
            await opened[0].cancel()
            await asyncio.sleep(1)
            assert ours.dropped.is_set()
            assert [await ours.read(), await ours.read()] == [b"last words", b""]

    run(main())


def test_a_stream_that_is_refused_and_a_server_that_goes_are_not_waited_for() -> None:
    async def main() -> None:
        async with sessions() as (client, server, _):
            refused = await client.open({"name": "no"})
            await asyncio.wait_for(refused.accepted.wait(), 5)
            assert refused.dropped.is_set()
            ours = await client.open({"name": "data"})
            await server.close()
            assert await asyncio.wait_for(ours.read(), 5) == b""
            assert client.over
            late = await client.open({"name": "data"})
            await asyncio.wait_for(late.accepted.wait(), 5)
            assert late.dropped.is_set()

    run(main())


def test_a_peer_that_takes_nothing_is_heard_all_the_same() -> None:
    """It pings, and writes on, before it reads what we have written."""

    async def main() -> None:
        ours, theirs = pipe(1)
        session = SpdySession(ours, server=False)
        running = asyncio.create_task(session.run(lambda _: "nothing is expected"))
        stream = await session.open({"name": "data"})
        writing = asyncio.create_task(stream.write(b"x"))
        peer = spdy.Connection(server=True)
        peer.receive(await theirs.read())
        peer.reply(1)
        peer.ping()
        await theirs.write(peer.take())
        await asyncio.sleep(1)
        for piece in (b"one", b"two", b"three"):
            peer.ping()
            peer.send(1, piece)
            await asyncio.wait_for(theirs.write(peer.take()), 5)
            assert await asyncio.wait_for(stream.read(), 5) == piece
        answered = 0
        while answered < 4:
            events = peer.receive(await asyncio.wait_for(theirs.read(), 5))
            answered += sum(isinstance(event, spdy.PingAnswered) for event in events)
        await writing
        running.cancel()

    run(main())
