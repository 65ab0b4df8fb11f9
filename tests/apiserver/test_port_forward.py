"""Port forwarding: several connections at once in one, each ending as its ends do. Raw, and in a WebSocket."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.apiserver.streaming_support import Pipe
from tests.apiserver.support import PODS, NoNode, pod, scope, started

from podward.apiserver.streaming import roads
from podward.apiserver.streaming.duplex import UPGRADE
from podward.client.node_access import NodeAccessError, PortConnection
from podward.machinery import spdy
from podward.machinery.spdy_session import Duplex
from podward.simulate.virtual_loop import run

ENDED = "ended"


class Port:
    """A `PortConnection`; the test is the server in the Pod."""

    def __init__(self) -> None:
        self.to_client: asyncio.Queue[bytes] = asyncio.Queue()
        self.came: list[Any] = []
        self.reads = asyncio.Event()
        self.reads.set()
        self.fails = ""

    async def problem(self) -> str:
        return self.fails

    async def read(self) -> bytes:
        return await self.to_client.get()

    async def write(self, data: bytes) -> None:
        await self.reads.wait()
        self.came.append(data)

    async def end(self) -> None:
        self.came.append(ENDED)

    async def close(self) -> None:
        self.came.append("closed")

    def abort(self) -> None:
        self.came.append("aborted")

    def says(self, data: bytes) -> None:
        self.to_client.put_nowait(data)


class Forwarded:
    """A client of one forwarding, and the Pod behind it."""

    def __init__(self, pipe: Pipe) -> None:
        self.spdy = spdy.Connection(server=False)
        self.heard: dict[int, bytes] = {}
        self.ended: set[int] = set()
        self.reset: set[int] = set()
        self.ports: list[Port] = []
        self.asked: list[int] = []
        self._pipe = pipe

    async def connect(self, port: int) -> PortConnection:
        self.asked.append(port)
        if port == 9:
            raise NodeAccessError(500, "connection refused")
        self.ports.append(Port())
        return self.ports[-1]

    def open(self, kind: str, request: str = "0", port: str = "80") -> int:
        headers = {"streamtype": kind, "port": port}
        if request:
            headers["requestid"] = request
        return self.spdy.open_stream(headers)

    def dial(self, request: str = "0", port: str = "80") -> tuple[int, int]:
        """(error, data), as client-go opens them."""
        error = self.open("error", request, port)
        self.spdy.send(error, b"", fin=True)
        return error, self.open("data", request, port)

    async def settle(self, seconds: float = 0.01) -> None:
        """Send what is waiting, and hear what comes."""
        if data := self.spdy.take():
            self._pipe.to_server.put_nowait(data)
        await asyncio.sleep(seconds)
        while not self._pipe.to_client.empty():
            for event in self.spdy.receive(self._pipe.to_client.get_nowait()):
                if isinstance(event, spdy.DataReceived):
                    self.heard[event.stream] = self.heard.get(event.stream, b"") + event.data
                    if event.fin:
                        self.ended.add(event.stream)
                elif isinstance(event, spdy.StreamReset):
                    self.reset.add(event.stream)

    def leave(self) -> None:
        self._pipe.to_server.put_nowait(b"")


@asynccontextmanager
async def forwarding(websocket: bool = False) -> AsyncIterator[Forwarded]:
    pipe = Pipe()
    client = Forwarded(pipe)

    async def take_over(headers: list[tuple[bytes, bytes]]) -> Duplex:
        assert (b"x-stream-protocol-version", b"portforward.k8s.io") in headers
        return pipe

    async def receive() -> Any:
        data = await pipe.to_server.get()
        kind = "websocket.receive" if data else "websocket.disconnect"
        return {"type": kind, "bytes": data}

    async def send(message: Any) -> None:
        if message["type"] == "websocket.send":
            pipe.to_client.put_nowait(message["bytes"])
        else:
            assert message.get("subprotocol", tunnel) == tunnel

    tunnel = "SPDY/3.1+portforward.k8s.io"
    road = roads.Road(tunnel, None) if websocket else roads.Road("portforward.k8s.io", take_over)
    task = asyncio.create_task(
        roads.run_forwarding(road, client.connect, "web_default, uid 1", receive, send)
    )
    try:
        yield client
        assert not task.done()
    finally:
        client.leave()
        await asyncio.wait_for(task, 5)


Scenario = Callable[[], Coroutine[Any, Any, None]]


def scenario(test: Scenario) -> Callable[[], None]:
    def test_in_virtual_time() -> None:
        run(test())

    test_in_virtual_time.__name__ = test.__name__
    return test_in_virtual_time


@pytest.mark.parametrize("websocket", [False, True])
def test_bytes_go_both_ways_and_each_side_ends_for_itself(websocket: bool) -> None:
    async def main() -> None:
        async with forwarding(websocket) as client:
            error, data = client.dial(port="8080")
            client.spdy.send(data, b"question", fin=True)
            await client.settle()
            assert client.asked == [8080]
            (port,) = client.ports
            assert port.came == [b"question", ENDED]
            port.says(b"answer")
            await client.settle()
            assert client.heard[data] == b"answer"
            assert not client.ended
            port.says(b"")
            await client.settle()
            assert client.ended == {error, data}
            assert client.heard[error] == b""
            assert port.came[-1] == "closed"

    run(main())


@scenario
async def test_several_connections_at_once_do_not_meet() -> None:
    async with forwarding() as client:
        pairs = [client.dial(str(number)) for number in range(20)]
        await client.settle()
        for number, ((_, data), port) in enumerate(zip(pairs, client.ports, strict=True)):
            client.spdy.send(data, b"q%d" % number)
            port.says(b"a%d" % number)
        await client.settle()
        for number, ((_, data), port) in enumerate(zip(pairs, client.ports, strict=True)):
            assert port.came == [b"q%d" % number]
            assert client.heard[data] == b"a%d" % number


@scenario
async def test_a_port_that_refuses_is_said_on_the_error_stream_and_the_next_works() -> None:
    async with forwarding() as client:
        error, data = client.dial("0", "9")
        await client.settle()
        assert client.heard[error] == (
            b"error forwarding port 9 to pod web_default, uid 1: connection refused"
        )
        assert {error, data} <= client.ended
        _, second = client.dial("1", "80")
        client.spdy.send(second, b"hello")
        await client.settle()
        assert client.ports[0].came == [b"hello"]


@scenario
async def test_a_client_that_drops_a_connection_drops_it_in_the_pod() -> None:
    """Also one that does not read what it is sent."""
    async with forwarding() as client:
        error, data = client.dial()
        await client.settle()
        (port,) = client.ports
        port.reads.clear()
        client.spdy.send(data, b"never read")
        await client.settle()
        client.spdy.reset(data)
        await client.settle()
        assert port.came == ["aborted"]
        assert error in client.ended


@scenario
async def test_a_client_that_goes_takes_all_its_connections_along() -> None:
    async with forwarding() as client:
        client.dial("0")
        client.dial("1")
        await client.settle()
    assert [port.came for port in client.ports] == [["aborted"], ["aborted"]]


@scenario
async def test_a_pod_that_does_not_read_holds_up_no_more_than_it_must() -> None:
    """Others go on until a megabyte waits; then the client is held back, and nothing is lost."""
    async with forwarding() as client:
        _, stuck = client.dial("0")
        _, other = client.dial("1")
        await client.settle()
        first, second = client.ports
        first.reads.clear()
        client.spdy.send(stuck, b"x" * 500_000)
        client.spdy.send(other, b"goes through")
        await client.settle()
        assert second.came == [b"goes through"]
        client.spdy.send(stuck, b"y" * 1_100_000)
        await client.settle()
        client.spdy.send(other, b"must wait")
        await client.settle()
        assert second.came == [b"goes through"]
        first.reads.set()
        await client.settle()
        assert second.came == [b"goes through", b"must wait"]
        assert sum(map(len, first.came)) == 1_600_000


@scenario
async def test_a_client_that_reads_nothing_holds_up_no_end() -> None:
    """Neither its own nor the server's."""

    class Stuck(Pipe):
        async def write(self, data: bytes) -> None:
            if b"never read" in data:
                self.blocked = True
            if self.blocked:
                await asyncio.Event().wait()

        blocked = False

    async def take_over(headers: list[tuple[bytes, bytes]]) -> Duplex:
        return pipe

    for server_ends in (False, True):
        pipe = Stuck()
        client = Forwarded(pipe)
        road = roads.Road("portforward.k8s.io", take_over)
        running = roads.run_forwarding(road, client.connect, "web", pipe.read, take_over)  # type: ignore[arg-type]
        task = asyncio.create_task(running)
        client.dial()
        await client.settle()
        (port,) = client.ports
        port.says(b"never read")
        await asyncio.sleep(1)
        assert pipe.blocked
        if server_ends:
            task.cancel()
        else:
            client.leave()
        await asyncio.wait({task}, timeout=5)
        assert task.done()
        assert port.came in (["aborted"], ["closed"])


@scenario
async def test_what_waits_for_a_stream_that_is_given_up_holds_up_no_other() -> None:
    async with forwarding() as client:
        client.spdy.send(client.open("data", "7"), b"x" * 1_100_000)
        await client.settle(31)
        _, data = client.dial("1")
        client.spdy.send(data, b"x" * 200_000)
        await client.settle()
        client.spdy.send(data, b"x" * 200_000)
        await client.settle()
        assert sum(map(len, client.ports[0].came)) == 400_000


@scenario
async def test_what_a_pod_has_not_read_when_it_ends_holds_up_no_other() -> None:
    async with forwarding() as client:
        error, data = client.dial("0")
        await client.settle()
        client.ports[0].reads.clear()
        client.spdy.send(data, b"x" * 200_000)
        await client.settle()
        client.spdy.send(data, b"x" * 1_100_000)
        await client.settle()
        client.ports[0].says(b"")
        await client.settle()
        assert {error, data} <= client.ended
        _, second = client.dial("1")
        client.spdy.send(second, b"goes through")
        await client.settle()
        assert client.ports[1].came == [b"goes through"]


@scenario
async def test_clients_that_number_no_requests_pair_by_the_streams_order() -> None:
    async with forwarding() as client:
        _, data = client.dial("")
        client.spdy.send(data, b"hello")
        await client.settle()
        assert client.ports[0].came == [b"hello"]


@scenario
async def test_a_stream_without_its_other_is_given_up() -> None:
    async with forwarding() as client:
        error, data = client.open("error", "0"), client.open("data", "1")
        await client.settle(29)
        assert not client.ended | client.reset
        await client.settle(2)
        assert b"timed out waiting for streams" in client.heard[error]
        assert client.reset == {data}
        assert client.asked == []


@pytest.mark.parametrize(
    ("kind", "port"),
    [("data", ""), ("data", "0"), ("data", "65536"), ("data", "x"), ("stdin", "80")],
)
def test_a_stream_that_says_nothing_of_use_is_refused(kind: str, port: str) -> None:
    async def main() -> None:
        async with forwarding() as client:
            stream = client.open(kind, port=port)
            await client.settle()
            assert client.reset == {stream}
            error, twice = client.open("error"), client.open("error")
            await client.settle()
            assert client.reset == {stream, twice}
            assert error not in client.reset

    run(main())


def test_why_a_connection_ended_is_told_in_the_nodes_own_words() -> None:
    async def main() -> None:
        async with forwarding() as client:
            error, data = client.dial()
            await client.settle()
            client.ports[0].fails = "nobody listens at port 80"
            client.ports[0].says(b"")
            await client.settle()
            assert client.heard.get(error) == b"nobody listens at port 80"
            assert {error, data} <= client.ended

    run(main())


class Node(NoNode):
    """Tells of whom it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []

    async def port_forward(self, pod: Any, port: int) -> PortConnection:
        self.asked.append((pod.metadata.name, port))
        return Port()


async def ask(path: str, **query: str) -> tuple[int, str, Node]:
    """(code, message) of a request to forward over SPDY, whose client opens one connection and goes."""
    node, pipe, sent = Node(), Pipe(), []
    call = await started(node)
    await call("POST", PODS, pod(nodeName="n1"))
    await call("POST", PODS, pod("nowhere"))
    request = scope("POST", PODS + path, {"x-stream-protocol-version": "portforward.k8s.io"}, query)

    async def take_over(headers: list[tuple[bytes, bytes]]) -> Duplex:
        return pipe

    async def receive() -> Any:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        sent.append(message)

    request["extensions"] = {UPGRADE: take_over}
    client = Forwarded(pipe)
    client.dial(port="8080")
    task = asyncio.create_task(call.server(request, receive, send))
    await client.settle()
    client.leave()
    await asyncio.wait_for(task, 5)
    return (sent[0]["status"], sent[1]["body"].decode(), node) if sent else (101, "", node)


def test_the_pod_that_is_named_is_the_one_that_is_asked() -> None:
    code, _, node = run(ask("/web/portforward"))
    assert (code, node.asked) == (101, [("web", 8080)])


@pytest.mark.parametrize(
    ("path", "query", "code", "text"),
    [
        ("/gone/portforward", {}, 404, r"pods \"gone\" not found"),
        ("/nowhere/portforward", {}, 400, "pod nowhere does not have a host assigned"),
        ("/web/portforward", {"ports": "0"}, 400, "ports: Invalid value"),
        ("/web/portforward", {"ports": "80,x"}, 400, "ports: Invalid value"),
    ],
)
def test_what_cannot_be_forwarded_is_a_status(
    path: str, query: dict[str, str], code: int, text: str
) -> None:
    got, body, node = run(ask(path, **query))
    assert (got, text in body, node.asked) == (code, True, [])
