"""Leaving HTTP for another protocol, on the real loopback."""

import asyncio
from collections.abc import Sequence

import pytest

from podward.machinery.network import SystemNetwork
from podward.machinery.upgrade import UpgradeRefused, upgrade

SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: SPDY/3.1\r\nX-Spoken: v4\r\n\r\n"


async def asked(answer: Sequence[bytes], path: str = "/exec/token") -> tuple[bytes, str, bytes]:
    """(the request, a header of the answer, what came after HTTP) from a server that answers so."""
    requests: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await reader.readuntil(b"\r\n\r\n"))
        for piece in answer:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.01)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        stream, headers = await upgrade(
            SystemNetwork(), f"http://127.0.0.1:{port}{path}", "SPDY/3.1", {"X-Wanted": "v4"}
        )
        got = bytearray()
        while piece := await stream.read():
            got += piece
        stream.abort()
        return requests[0].replace(b"%d" % port, b"PORT"), headers["x-spoken"], bytes(got)
    finally:
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize(
    "answer",
    [
        [SWITCHED + b"first words"],
        [SWITCHED, b"first words"],
        [SWITCHED[:20], SWITCHED[20:-1], SWITCHED[-1:] + b"first", b" words"],
    ],
)
def test_what_comes_right_behind_the_answer_is_not_lost(answer: list[bytes]) -> None:
    request, spoken, words = asyncio.run(asked(answer, "/exec/token?a=b"))
    assert (spoken, words) == ("v4", b"first words")
    assert request.splitlines() == [
        b"POST /exec/token?a=b HTTP/1.1", b"Host: 127.0.0.1:PORT", b"Connection: Upgrade",
        b"Upgrade: SPDY/3.1", b"X-Wanted: v4", b"Content-Length: 0", b"",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "status", "text"),
    [
        ([b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\nno ", b"token\n"], 404, "no token"),
        ([b"HTTP/1.1 403 Forbidden\r\n\r\n"], 403, ""),
        ([b"SSH-2.0-OpenSSH\r\n\r\n"], 0, "it did not answer in HTTP"),
        ([b"HTTP/1.1 101"], 0, "it did not answer in HTTP"),
        ([b"x" * 200_000], 0, "it did not answer in HTTP"),
        ([], 0, "it did not answer in HTTP"),
    ],
)
def test_any_other_answer_is_a_refusal_in_the_servers_words(
    answer: list[bytes], status: int, text: str
) -> None:
    with pytest.raises(UpgradeRefused) as refused:
        asyncio.run(asked(answer))
    assert (refused.value.status, str(refused.value)) == (status, text)


def test_nobody_there_is_an_os_error() -> None:
    with pytest.raises(ConnectionRefusedError):
        asyncio.run(upgrade(SystemNetwork(), "http://127.0.0.1:1/x", "SPDY/3.1", {}))
