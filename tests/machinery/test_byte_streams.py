"""A connection as something to read and write, on the real loopback."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from podward.machinery.network import ByteStream, SystemNetwork

Peer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def connected(peer: Peer) -> AsyncIterator[ByteStream]:
    server = await asyncio.start_server(peer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    _, stream = await SystemNetwork().connect("127.0.0.1", port, ByteStream)
    try:
        yield stream
    finally:
        stream.abort()
        server.close()
        await server.wait_closed()


async def everything(stream: ByteStream) -> bytes:
    got = bytearray()
    while piece := await stream.read():
        got += piece
    return bytes(got)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers only once the other side has ended."""
    writer.write(await reader.read())
    writer.close()


@pytest.mark.parametrize("size", [0, 10, 5_000_000])
def test_one_side_ends_and_the_other_still_speaks(size: int) -> None:
    async def main() -> None:
        async with connected(echo) as stream:
            await stream.write(b"x" * size)
            await stream.end()
            assert len(await everything(stream)) == size

    asyncio.run(main())


def test_who_is_not_read_is_held_back() -> None:
    async def main() -> None:
        sent = 0

        async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal sent
            try:
                while sent < 20_000_000:
                    writer.write(b"x" * 100_000)
                    await writer.drain()
                    sent += 100_000
            except ConnectionError:
                pass
            writer.close()

        async with connected(flood) as stream:
            await asyncio.sleep(0.3)
            assert 0 < sent < 15_000_000
            assert len(await everything(stream)) == 20_000_000

    asyncio.run(main())


def test_a_peer_that_is_gone_is_an_end_and_takes_no_more() -> None:
    async def main() -> None:
        async def gone(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.transport.abort()

        async with connected(gone) as stream:
            assert await asyncio.wait_for(everything(stream), 5) == b""
            for _ in range(3):
                await asyncio.wait_for(stream.write(b"x" * 1_000_000), 5)
            await stream.end()

    asyncio.run(main())
