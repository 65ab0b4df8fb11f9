"""An ASGI application called without a socket: whole answers, streams, and readers that leave early."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import cast

import pytest

from podward.client.base import ApiError, TransportError
from podward.client.transports.in_process import Application, InProcessTransport, Message
from podward.simulate.virtual_loop import run

Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

EXPIRED = json.dumps(
    {"kind": "Status", "apiVersion": "v1", "code": 410, "reason": "Expired", "message": "too old"}
).encode()


def transport(app: Application) -> InProcessTransport:
    return InProcessTransport(app, "somebody")


def opened(app: Application, **query: str) -> AsyncGenerator[bytes, None]:
    return cast(AsyncGenerator[bytes, None], transport(app).stream("/watch", query=query))


def answering(*chunks: bytes, status: int = 200) -> Application:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": status, "headers": []})
        for chunk in chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body"})

    return app


async def collected(lines: AsyncIterator[bytes]) -> list[bytes]:
    return [line async for line in lines]


def test_the_application_sees_the_request_as_it_was_made() -> None:
    seen: dict[str, object] = {}

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        message = await receive()
        seen.update(scope, body=message["body"], more=message["more_body"])
        await answering()(scope, receive, send)

    async def main() -> None:
        await transport(app).request(
            "PATCH",
            "/a/b",
            query={"labelSelector": "app=x,tier in (a b)"},
            headers={"Content-Type": "application/merge-patch+json"},
            body=b"{}",
        )

    run(main())
    assert (seen["type"], seen["method"], seen["path"]) == ("http", "PATCH", "/a/b")
    assert seen["query_string"] == b"labelSelector=app%3Dx%2Ctier+in+%28a+b%29"
    assert (seen["body"], seen["more"]) == (b"{}", False)
    headers = dict(cast(list[tuple[bytes, bytes]], seen["headers"]))
    assert headers[b"content-type"] == b"application/merge-patch+json"  # ASGI: lower-case names
    assert seen["extensions"] == {"podward.identity": "somebody"}


def test_an_answer_is_put_together_from_its_pieces() -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        start = {"type": "http.response.start", "status": 201, "headers": [(b"X-Kind", b"Pod")]}
        await send(start)
        for body in (b"one ", b"", b"two"):
            await send({"type": "http.response.body", "body": body, "more_body": True})
        await send({"type": "http.response.body"})

    answer = run(transport(app).request("POST", "/x"))
    assert (answer.status, answer.body) == (201, b"one two")
    assert answer.headers["x-kind"] == "Pod"


def test_a_refusal_is_an_answer_like_any_other() -> None:
    answer = run(transport(answering(EXPIRED, status=410)).request("GET", "/x"))
    assert (answer.status, answer.body) == (410, EXPIRED)


def test_an_application_that_fails_could_not_be_reached() -> None:
    async def broken(scope: Message, receive: Receive, send: Send) -> None:
        raise KeyError("oops")

    with pytest.raises(TransportError, match="oops"):
        run(transport(broken).request("GET", "/x"))


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
    assert run(collected(opened(answering(*chunks)))) == lines


def test_a_stream_refused_raises_what_the_server_said() -> None:
    half = len(EXPIRED) // 2
    with pytest.raises(ApiError, match="too old") as refused:
        run(collected(opened(answering(EXPIRED[:half], EXPIRED[half:], status=410))))
    assert (refused.value.code, refused.value.reason) == (410, "Expired")


def test_a_stream_that_breaks_hands_over_what_came_before() -> None:
    seen: list[bytes] = []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"one\n", "more_body": True})
        raise ConnectionError("lost")

    async def main() -> None:
        async for line in opened(app):
            seen.append(line)

    with pytest.raises(TransportError, match="lost"):
        run(main())
    assert seen == [b"one"]


def test_a_line_arrives_when_it_is_sent_not_when_the_stream_ends() -> None:
    async def ticking(scope: Message, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for i in range(3):
            await asyncio.sleep(10)
            await send({"type": "http.response.body", "body": b"%d\n" % i, "more_body": True})

    async def main() -> list[tuple[bytes, float]]:
        loop = asyncio.get_running_loop()
        return [(line, loop.time()) async for line in opened(ticking)]

    assert run(main()) == [(b"0", 10.0), (b"1", 20.0), (b"2", 30.0)]


class Endless:
    """Says a line a second (at once if `hurried`) until the reader is gone."""

    def __init__(self, *, hurried: bool = False) -> None:
        self.hurried = hurried
        self.sent = 0
        self.ended = asyncio.Event()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        try:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            while True:
                await asyncio.sleep(0 if self.hurried else 1)
                await send({"type": "http.response.body", "body": b"x\n", "more_body": True})
                self.sent += 1
        finally:
            self.ended.set()


def test_a_reader_that_leaves_ends_the_application() -> None:
    async def main() -> None:
        app = Endless()
        async with aclosing(opened(app)) as lines:
            assert [await anext(lines), await anext(lines)] == [b"x", b"x"]
            assert not app.ended.is_set()
        assert app.ended.is_set()
        assert len(asyncio.all_tasks()) == 1

    run(main())


def test_a_reader_that_is_cancelled_ends_the_application() -> None:
    async def main() -> None:
        app = Endless()
        reader = asyncio.create_task(collected(opened(app)))
        await asyncio.sleep(5)
        reader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reader
        await asyncio.wait_for(app.ended.wait(), 1)

    run(main())


def test_a_slow_reader_slows_the_application_down() -> None:
    async def main() -> None:
        app = Endless(hurried=True)
        async with aclosing(opened(app)) as lines:
            await anext(lines)
            for _ in range(10_000):
                await asyncio.sleep(0)
            held = app.sent
            assert held < 1000  # bounded: a watch nobody reads must not fill the memory
            for _ in range(10):
                await anext(lines)
            await asyncio.sleep(1)
            assert app.sent == held + 10
        assert app.ended.is_set()

    run(main())
