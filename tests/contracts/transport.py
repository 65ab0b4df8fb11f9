"""What every way to an API server must do. `Line` is a transport to a fresh API server, and its far end."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, cast

import pytest

from podward.apiserver.app import ApiServer
from podward.client.base import ApiError, Transport
from podward.store.memory import MemoryStore

MAPS = "/api/v1/namespaces/default/configmaps"
JSON = {"content-type": "application/json"}


@dataclass
class Line:
    transport: Transport
    server: ApiServer

    async def create(self, name: str) -> dict[str, Any]:
        body = json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}})
        answer = await self.transport.request("POST", MAPS, headers=JSON, body=body.encode())
        assert answer.status == 201, answer
        return cast(dict[str, Any], json.loads(answer.body))

    async def names(self, **query: str) -> list[str]:
        answer = await self.transport.request("GET", MAPS, query=query)
        return [item["metadata"]["name"] for item in json.loads(answer.body)["items"]]

    def watch(self, **query: str) -> aclosing[AsyncGenerator[bytes, None]]:
        lines: AsyncIterator[bytes] = self.transport.stream(MAPS, query={"watch": "true", **query})
        return aclosing(cast(AsyncGenerator[bytes, None], lines))

    @property
    def streams(self) -> int:
        """Watches that the server holds open."""
        store = cast(MemoryStore, self.server.registry.store)
        return len(store._index._watchers)


Check = Callable[[Line], Awaitable[None]]


async def check_what_is_sent_arrives_and_the_answer_comes_back(line: Line) -> None:
    made = await line.create("a")
    answer = await line.transport.request("GET", f"{MAPS}/a")
    assert (answer.status, json.loads(answer.body)) == (200, made)
    assert answer.headers["content-type"] == "application/json"


async def check_the_query_arrives_whatever_is_in_it(line: Line) -> None:
    for name in ("a", "b"):
        await line.create(name)
    assert await line.names(fieldSelector="metadata.name=b") == ["b"]
    assert await line.names(fieldSelector="metadata.name!=b,metadata.namespace=default") == ["a"]
    assert await line.names(labelSelector="x in (y, z)") == []


async def check_a_refusal_is_an_answer(line: Line) -> None:
    for method, path, code in (("GET", f"{MAPS}/none", 404), ("PUT", MAPS, 405)):
        answer = await line.transport.request(method, path)
        assert (answer.status, json.loads(answer.body)["code"]) == (code, code)


async def check_a_body_of_a_megabyte_goes_through(line: Line) -> None:
    document = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "big"},
                "data": {"k": "x" * 1_000_000}}  # fmt: skip
    await line.transport.request("POST", MAPS, headers=JSON, body=json.dumps(document).encode())
    answer = await line.transport.request("GET", f"{MAPS}/big")
    assert len(json.loads(answer.body)["data"]["k"]) == 1_000_000


async def check_a_line_comes_when_it_is_sent(line: Line) -> None:
    version = (await line.create("a"))["metadata"]["resourceVersion"]
    async with line.watch(resourceVersion=version) as lines:
        for name in ("b", "c"):
            waiting = asyncio.ensure_future(anext(lines))
            await line.create(name)
            event = json.loads(await asyncio.wait_for(waiting, 10))
            assert (event["type"], event["object"]["metadata"]["name"]) == ("ADDED", name)


async def check_a_stream_that_the_server_ends_ends(line: Line) -> None:
    async with line.watch(timeoutSeconds="1") as lines:
        assert [line async for line in lines] == []


async def check_a_server_that_closes_ends_its_streams(line: Line) -> None:
    async with line.watch() as lines:
        waiting = asyncio.ensure_future(anext(lines, None))
        while not line.streams:
            await asyncio.sleep(0.01)
        await line.server.close()
        assert await asyncio.wait_for(waiting, 10) is None


async def check_a_stream_that_is_refused_raises_what_the_server_said(line: Line) -> None:
    nowhere = line.transport.stream("/apis/none/v1/things", query={"watch": "true"})
    with pytest.raises(ApiError) as refused:
        await anext(nowhere)
    assert (refused.value.code, refused.value.reason) == (404, "NotFound")


async def check_a_reader_that_leaves_ends_the_stream_at_the_server(line: Line) -> None:
    version = (await line.create("a"))["metadata"]["resourceVersion"]
    async with line.watch(resourceVersion=version) as lines:
        waiting = asyncio.ensure_future(anext(lines))
        await line.create("b")
        await asyncio.wait_for(waiting, 10)
        assert line.streams == 1
    for _ in range(200):
        if not line.streams:
            break
        await asyncio.sleep(0.01)
    assert line.streams == 0


CHECKS: tuple[Check, ...] = (
    check_what_is_sent_arrives_and_the_answer_comes_back,
    check_the_query_arrives_whatever_is_in_it,
    check_a_refusal_is_an_answer,
    check_a_body_of_a_megabyte_goes_through,
    check_a_line_comes_when_it_is_sent,
    check_a_stream_that_the_server_ends_ends,
    check_a_stream_that_is_refused_raises_what_the_server_said,
    check_a_reader_that_leaves_ends_the_stream_at_the_server,
)
OVER_A_NETWORK: tuple[Check, ...] = (*CHECKS, check_a_server_that_closes_ends_its_streams)
"""In one process the readers are the server's own, and end with it."""
