"""GET pods/{name}/log."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.apiserver.support import PODS, NoNode, pod, scope, started

from podward.client.node_access import LogQuery, NodeAccessError
from podward.simulate.virtual_loop import run


class FakeNode(NoNode):
    """Remembers what it was asked, and answers two lines."""

    def __init__(self) -> None:
        self.asked: list[LogQuery] = []

    async def logs(self, pod: Any, query: LogQuery) -> AsyncIterator[bytes]:
        self.asked.append(query)
        if query.previous:
            raise NodeAccessError(400, "previous terminated container not found")
        return self._lines()

    async def _lines(self) -> AsyncIterator[bytes]:
        yield b"one\n"
        yield b"two\n"


def test_logs_are_streamed_as_text() -> None:
    async def scenario() -> None:
        node = FakeNode()
        call = await started(node)
        await call("POST", PODS, pod(nodeName="n1"))
        answer = await call("GET", f"{PODS}/web/log", tailLines="5", timestamps="true")
        assert (answer.status, answer.body) == (200, b"one\ntwo\n")
        assert answer.headers["content-type"] == "text/plain"
        assert node.asked == [LogQuery("app", tail_lines=5, timestamps=True)]
        refused = await call("GET", f"{PODS}/web/log", previous="true")
        assert (refused.status, refused.json["reason"]) == (400, "BadRequest")

    run(scenario())


def test_among_several_containers_one_must_be_named() -> None:
    async def scenario() -> None:
        call = await started(FakeNode())
        two = [{"name": name, "image": "i"} for name in ("a", "b")]
        await call("POST", PODS, pod(containers=two, nodeName="n1"))
        answer = await call("GET", f"{PODS}/web/log")
        assert answer.status == 400
        assert answer.json["message"] == (
            "a container name must be specified for pod web, choose one of: [a b]"
        )
        assert (await call("GET", f"{PODS}/web/log", container="b")).status == 200
        assert (await call("GET", f"{PODS}/web/log", container="c")).status == 400
        first = [{"name": "first", "image": "i"}]
        await call("POST", PODS, pod(name="one", initContainers=first, nodeName="n1"))
        assert (await call("GET", f"{PODS}/one/log")).status == 200

    run(scenario())


def test_a_pod_without_a_node_has_no_logs() -> None:
    async def scenario() -> None:
        call = await started(FakeNode())
        await call("POST", PODS, pod())
        answer = await call("GET", f"{PODS}/web/log")
        assert answer.status == 400
        assert "does not have a host assigned" in answer.json["message"]

    run(scenario())


async def read_in_a_websocket(offered: list[str]) -> list[Any]:
    """Everything the server says to a client that only listens."""
    call = await started(FakeNode())
    await call("POST", PODS, pod(nodeName="n1"))
    request = scope("GET", f"{PODS}/web/log", {}, {})
    del request["method"]
    request.update(type="websocket", subprotocols=offered)
    request["extensions"] = {"websocket.http.response": {}}
    sent: list[Any] = []
    inbox: list[Any] = [{"type": "websocket.connect"}]

    async def receive() -> Any:
        if not inbox:
            await asyncio.Event().wait()
        return inbox.pop()

    async def send(message: Any) -> None:
        sent.append(message)

    await asyncio.wait_for(call.server(request, receive, send), 5)
    return sent


@pytest.mark.parametrize(
    ("offered", "chosen", "first", "second"),
    [
        (["binary.k8s.io"], "binary.k8s.io", {"bytes": b""}, {"bytes": b"one\n"}),
        ([], None, {"bytes": b""}, {"bytes": b"one\n"}),
        (["base64.binary.k8s.io"], "base64.binary.k8s.io", {"text": ""}, {"text": "b25lCg=="}),
    ],
)
def test_logs_are_read_in_a_websocket(
    offered: list[str], chosen: str | None, first: dict[str, Any], second: dict[str, Any]
) -> None:
    sent = run(read_in_a_websocket(offered))
    assert sent[0] == {"type": "websocket.accept", "subprotocol": chosen}
    assert sent[1] == {"type": "websocket.send", **first}
    assert sent[2] == {"type": "websocket.send", **second}
    assert sent[-1] == {"type": "websocket.close", "code": 1000}
    assert len(sent) == 5


def test_a_websocket_that_speaks_something_else_is_refused() -> None:
    sent = run(read_in_a_websocket(["v5.channel.k8s.io"]))
    assert (sent[0]["type"], sent[0]["status"]) == ("websocket.http.response.start", 400)
    assert b"no usable subprotocol" in sent[1]["body"]
