"""What becomes of streams when the engine's streaming server does not do as it should: a server of the test."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from podward.kubelet.runtime.base import RuntimeFailure
from podward.kubelet.runtime.cri.client import CriClient, Unimplemented
from podward.kubelet.runtime.cri.streams import EngineStreams
from podward.machinery.network import ByteStream, SystemNetwork
from podward.machinery.spdy_session import SpdySession, SpdyStream

Streams = dict[str, SpdyStream]
Engine = Callable[[Streams, SpdySession], Coroutine[Any, Any, None]]


class Client(CriClient):
    """Of an engine that answers one URL; asked for a port, it is too old."""

    def __init__(self, url: str) -> None:
        self.url = url

    async def runtime(
        self, method: str, request: Any, answer: Any, timeout: float | None = None
    ) -> Any:
        if method == "PortForward":
            raise Unimplemented("unknown method PortForward", "Unimplemented")
        return answer(url=self.url)


class Server:
    """Upgrades, and does as the test says once it has `expected` streams."""

    def __init__(self, engine: Engine, expected: int, protocol: str = "v4.channel.k8s.io") -> None:
        self._engine, self._expected, self._protocol = engine, expected, protocol
        self.refuses = ""

    async def serve(self, stream: ByteStream) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += await stream.read()
        lines = ["HTTP/1.1 101 Switching Protocols", f"X-Stream-Protocol-Version: {self._protocol}"]
        await stream.write("\r\n".join([*lines, "", ""]).encode())
        session, opened = SpdySession(stream), Streams()

        def arrived(one: SpdyStream) -> str | None:
            name = one.headers["streamtype"]
            if name == self.refuses:
                return "not that one"
            opened[name] = one
            if len(opened) == self._expected:
                tasks.append(asyncio.create_task(self._engine(opened, session)))
            return None

        tasks: list[asyncio.Task[None]] = []
        await session.run(arrived)
        await asyncio.gather(*tasks, return_exceptions=True)
        await session.close()


async def told(server: Server) -> tuple[list[tuple[int, bytes]], int]:
    """(what a command said, its exit code)."""
    connections: list[asyncio.Task[None]] = []

    def accepted() -> ByteStream:
        stream = ByteStream()
        asyncio.get_running_loop().call_soon(
            lambda: connections.append(asyncio.ensure_future(server.serve(stream)))
        )
        return stream

    listening = await asyncio.get_running_loop().create_server(accepted, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/exec/token"
    try:
        async with asyncio.timeout(10):
            streams = EngineStreams(Client(url), SystemNetwork())
            command = await streams.exec("c1", ["true"], stdin=False, tty=False)
            try:
                return [piece async for piece in command.output()], await command.wait()
            finally:
                await command.close()
                await asyncio.gather(*connections)
    finally:
        listening.close()


async def ends(streams: Streams, session: SpdySession) -> None:
    """As engines do: the outcome, and a reset of all that is still open."""
    await streams["stdout"].write(b"words")
    await streams["error"].write(b'{"status":"Success"}')
    for stream in streams.values():
        await stream.cancel()


def test_a_reset_of_every_stream_is_a_proper_end() -> None:
    assert asyncio.run(told(Server(ends, 3))) == ([(1, b"words")], 0)


def test_an_engine_that_breaks_off_leaves_no_exit_code() -> None:
    async def breaks_off(streams: Streams, session: SpdySession) -> None:
        await streams["stdout"].write(b"words")
        await session.close()

    with pytest.raises(RuntimeFailure, match="broke off before it told how the command ended"):
        asyncio.run(told(Server(breaks_off, 3)))


def test_a_version_that_was_not_asked_for_is_a_failure() -> None:
    with pytest.raises(RuntimeFailure, match=r"speaks channel.k8s.io, not v4.channel.k8s.io"):
        asyncio.run(told(Server(ends, 3, protocol="channel.k8s.io")))


def test_a_stream_that_the_engine_refuses_is_an_empty_one() -> None:
    server = Server(ends, 2)
    server.refuses = "stderr"
    assert asyncio.run(told(server)) == ([(1, b"words")], 0)


def test_nobody_at_the_url_is_a_failure_with_the_reason() -> None:
    streams = EngineStreams(Client("http://127.0.0.1:1/exec/token"), SystemNetwork())
    with pytest.raises(RuntimeFailure, match=r"streaming server: .*Connect"):
        asyncio.run(streams.exec("c1", ["true"], stdin=False, tty=False))


def test_an_engine_without_port_forwarding_leaves_it_to_others() -> None:
    streams = EngineStreams(Client(""), SystemNetwork())
    assert asyncio.run(streams.port_forward("s1", 80)) is None
