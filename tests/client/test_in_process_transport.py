"""The server of this process, asked without a socket: whole answers, streams, and readers that leave early."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from podward.apiserver.request import Response, StreamResponse
from podward.client.base import ApiError, TransportError
from podward.client.transports.in_process import InProcessTransport
from podward.simulate.virtual_loop import run

EXPIRED = json.dumps(
    {"kind": "Status", "apiVersion": "v1", "code": 410, "reason": "Expired", "message": "too old"}
).encode()


@dataclass
class Scripted:
    """A server that answers what it was told to, and remembers what it was asked."""

    answer: Callable[[], Awaitable[Response | StreamResponse]]
    asked: list[Any] = field(default_factory=list)

    async def call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes,
        identity: Any,
    ) -> Response | StreamResponse:
        self.asked.append((method, path, query, headers, body, identity))
        return await self.answer()


def transport(server: Scripted) -> InProcessTransport:
    return InProcessTransport(server, "somebody")


def opened(server: Scripted, **query: str) -> AsyncGenerator[bytes, None]:
    return cast(AsyncGenerator[bytes, None], transport(server).stream("/watch", query=query))


def whole(body: bytes = b"", status: int = 200, **headers: str) -> Scripted:
    async def answer() -> Response:
        return Response(status, body, headers=headers)

    return Scripted(answer)


def streaming(chunks: AsyncIterator[bytes], status: int = 200) -> Scripted:
    async def answer() -> StreamResponse:
        return StreamResponse(status, chunks)

    return Scripted(answer)


async def each(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def collected(lines: AsyncIterator[bytes]) -> list[bytes]:
    return [line async for line in lines]


def test_the_server_sees_the_request_as_it_was_made() -> None:
    server = whole()
    query = {"labelSelector": "app=x,tier in (a b)"}
    headers = {"content-type": "application/merge-patch+json"}
    run(transport(server).request("PATCH", "/a/b", query=query, headers=headers, body=b"{}"))
    assert server.asked == [("PATCH", "/a/b", query, headers, b"{}", "somebody")]


def test_what_was_left_out_of_a_request_is_empty() -> None:
    server = whole()
    run(transport(server).request("GET", "/a"))
    assert server.asked == [("GET", "/a", {}, {}, b"", "somebody")]


def test_an_answer_comes_with_its_status_and_headers() -> None:
    answer = run(transport(whole(b"one", 201, warning="299 - no")).request("POST", "/x"))
    assert (answer.status, answer.body) == (201, b"one")
    assert answer.headers["warning"] == "299 - no"


def test_an_answer_in_pieces_is_put_together() -> None:
    answer = run(transport(streaming(each(b"one ", b"", b"two"))).request("GET", "/x"))
    assert (answer.status, answer.body) == (200, b"one two")


def test_a_refusal_is_an_answer_like_any_other() -> None:
    answer = run(transport(whole(EXPIRED, 410)).request("GET", "/x"))
    assert (answer.status, answer.body) == (410, EXPIRED)


def test_a_server_that_fails_could_not_be_reached() -> None:
    async def broken() -> Response:
        raise KeyError("oops")

    with pytest.raises(TransportError, match="oops"):
        run(transport(Scripted(broken)).request("GET", "/x"))


@pytest.mark.parametrize(
    ("chunks", "lines"),
    [
        ([b"one\n", b"two\n"], [b"one", b"two"]),
        ([b"one\ntwo\nthree\n"], [b"one", b"two", b"three"]),
        ([b"o", b"n", b"e\nt", b"wo\n"], [b"one", b"two"]),
        ([], []),
    ],
    ids=["a line a chunk", "many lines in a chunk", "lines in pieces", "nothing"],
)
def test_a_stream_is_cut_at_its_newlines(chunks: list[bytes], lines: list[bytes]) -> None:
    assert run(collected(opened(streaming(each(*chunks))))) == lines


def test_a_whole_answer_is_a_stream_of_its_lines() -> None:
    assert run(collected(opened(whole(b"one\ntwo\n")))) == [b"one", b"two"]


@pytest.mark.parametrize("pieces", [False, True], ids=["whole", "in pieces"])
def test_a_stream_refused_raises_what_the_server_said(pieces: bool) -> None:
    half = len(EXPIRED) // 2
    in_pieces = streaming(each(EXPIRED[:half], EXPIRED[half:]), 410)
    with pytest.raises(ApiError, match="too old") as refused:
        run(collected(opened(in_pieces if pieces else whole(EXPIRED, 410))))
    assert (refused.value.code, refused.value.reason) == (410, "Expired")


def test_a_stream_that_breaks_hands_over_what_came_before() -> None:
    seen: list[bytes] = []

    async def breaking() -> AsyncIterator[bytes]:
        yield b"one\n"
        raise ConnectionError("lost")

    async def main() -> None:
        async for line in opened(streaming(breaking())):
            seen.append(line)

    with pytest.raises(TransportError, match="lost"):
        run(main())
    assert seen == [b"one"]


def test_a_line_arrives_when_it_is_sent_not_when_the_stream_ends() -> None:
    async def ticking() -> AsyncIterator[bytes]:
        for i in range(3):
            await asyncio.sleep(10)
            yield b"%d\n" % i

    async def main() -> list[tuple[bytes, float]]:
        loop = asyncio.get_running_loop()
        return [(line, loop.time()) async for line in opened(streaming(ticking()))]

    assert run(main()) == [(b"0", 10.0), (b"1", 20.0), (b"2", 30.0)]


class Endless:
    """Says a line a second until the reader is gone."""

    def __init__(self) -> None:
        self.sent = 0
        self.ended = asyncio.Event()

    async def chunks(self) -> AsyncIterator[bytes]:
        try:
            while True:
                await asyncio.sleep(1)
                self.sent += 1
                yield b"x\n"
        finally:
            self.ended.set()


def test_a_reader_that_leaves_ends_the_stream() -> None:
    async def main() -> None:
        source = Endless()
        async with aclosing(opened(streaming(source.chunks()))) as lines:
            assert [await anext(lines), await anext(lines)] == [b"x", b"x"]
            assert not source.ended.is_set()
        assert source.ended.is_set()
        assert len(asyncio.all_tasks()) == 1

    run(main())


def test_a_reader_that_is_cancelled_ends_the_stream() -> None:
    async def main() -> None:
        source = Endless()
        reader = asyncio.create_task(collected(opened(streaming(source.chunks()))))
        await asyncio.sleep(5)
        reader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reader
        assert source.ended.is_set()

    run(main())


def test_nothing_is_made_that_nobody_reads() -> None:
    async def main() -> None:
        source = Endless()
        async with aclosing(opened(streaming(source.chunks()))) as lines:
            await anext(lines)
            await asyncio.sleep(100)
            assert source.sent == 1

    run(main())
