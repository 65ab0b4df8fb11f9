"""What every way into a Pod has in common, on both roads: who may, what admission sees, what is counted."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any

import pytest
from tests.apiserver.streaming_support import Command, Pipe
from tests.apiserver.support import PODS, NoNode, pod, scope, started

from podward.admission.base import AdmissionPlugin, AdmissionRequest
from podward.api.errors import status_error, unauthorized
from podward.apiserver.app import Scope
from podward.apiserver.identity import SYSTEM, Identity
from podward.apiserver.streaming.duplex import UPGRADE
from podward.simulate.virtual_loop import run

WAYS = {
    "exec": ("v5.channel.k8s.io", "v4.channel.k8s.io"),
    "attach": ("v5.channel.k8s.io", "v4.channel.k8s.io"),
    "portforward": ("SPDY/3.1+portforward.k8s.io", "portforward.k8s.io"),
}
EVERY = pytest.mark.parametrize("way", WAYS)
ROADS = pytest.mark.parametrize("road", ["websocket", "spdy"])
QUERY = {"command": "true", "stdout": "true", "ports": "80"}


class Node(NoNode):
    def __init__(self) -> None:
        self.asked: list[Any] = []

    async def exec(self, pod: Any, container: str, command: Any, *, stdin: bool, tty: bool) -> Any:
        self.asked.append((container, command))
        return Command([])

    async def attach(self, pod: Any, container: str, *, stdin: bool) -> Any:
        self.asked.append(container)
        return Command([])


class Gate(AdmissionPlugin):
    """Writes down what it is shown; refuses if told to."""

    def __init__(self, *, closed: bool = False) -> None:
        self.closed = closed
        self.shown: list[tuple[str, str, Any]] = []

    async def validate(self, request: AdmissionRequest) -> None:
        if request.operation == "CONNECT":
            self.shown.append((request.subresource, request.name, request.object))
            if self.closed:
                raise status_error(403, "Forbidden", "not today")


@dataclass
class Entered:
    status: int
    body: Any
    node: Node
    counted: dict[str, str]
    """Verb -> code, of this subresource."""


async def enter(
    way: str, road: str, *, gate: Gate | None = None, known: bool = True, method: str = "POST"
) -> Entered:
    """A client that asks to enter and, if it may, goes away again."""
    node = Node()

    def identify(scope: Scope) -> Identity:
        if not known and scope["path"].endswith(way):
            raise unauthorized()
        return SYSTEM

    call = await started(node, admission=[gate] if gate else [], authenticate=identify)
    await call("POST", PODS, pod(nodeName="n1"))
    request = scope(method, f"{PODS}/web/{way}", {}, QUERY)
    websocket, spdy = WAYS[way]
    if road == "websocket":
        del request["method"]
        request.update(type="websocket", subprotocols=[websocket])
        request["extensions"] = {"websocket.http.response": {}}
    elif road == "spdy":
        request["headers"] = [(b"x-stream-protocol-version", spdy.encode())]
    pipe = Pipe()
    pipe.to_server.put_nowait(b"")
    taken: list[Any] = []

    async def take_over(headers: list[tuple[bytes, bytes]]) -> Pipe:
        taken.append(headers)
        return pipe

    if road == "spdy":
        request["extensions"] = {UPGRADE: take_over}
    inbox = [{"type": "websocket.connect" if road == "websocket" else "http.request"}]
    sent: list[Any] = []

    async def receive() -> Any:
        return inbox.pop() if inbox else {"type": "websocket.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await asyncio.wait_for(call.server(request, receive, send), 5)
    values = (await call.server.families())[0].values
    counted = {labels[0]: labels[-1] for labels in values if labels[4] == way}
    if taken or sent[0]["type"] == "websocket.accept":
        return Entered(101, None, node, counted)
    return Entered(sent[0]["status"], json.loads(sent[1]["body"]), node, counted)


@EVERY
@ROADS
def test_admission_is_shown_what_is_asked_for(way: str, road: str) -> None:
    gate = Gate()
    assert run(enter(way, road, gate=gate)).status == 101
    ((subresource, name, options),) = gate.shown
    assert (subresource, name) == (way, "web")
    wanted: dict[str, dict[str, Any]] = {
        "exec": {"kind": "PodExecOptions", "command": ["true"], "stdout": True},
        "attach": {"kind": "PodAttachOptions", "stdout": True},
        "portforward": {"kind": "PodPortForwardOptions", "ports": [80]},
    }
    assert options == {"apiVersion": "v1"} | wanted[way]


@EVERY
@ROADS
def test_what_admission_refuses_is_not_begun(way: str, road: str) -> None:
    got = run(enter(way, road, gate=Gate(closed=True)))
    assert (got.status, got.body["message"]) == (403, "not today")
    assert got.node.asked == []


@EVERY
@ROADS
def test_a_connection_is_counted_by_how_it_began(way: str, road: str) -> None:
    assert run(enter(way, road)).counted == {"CONNECT": "101"}
    assert run(enter(way, road, known=False)).counted == {"CONNECT": "401"}


@EVERY
@ROADS
def test_who_is_not_known_is_turned_away(way: str, road: str) -> None:
    got = run(enter(way, road, known=False))
    assert (got.status, got.body["reason"], got.node.asked) == (401, "Unauthorized", [])


@EVERY
def test_a_plain_request_is_told_what_it_lacks(way: str) -> None:
    got = run(enter(way, "plain"))
    assert (got.status, got.body["message"]) == (400, "Upgrade request required")
    assert got.node.asked == []


@EVERY
def test_another_method_is_not_allowed(way: str) -> None:
    assert run(enter(way, "spdy", method="DELETE")).status == 405


def test_attaching_asks_the_node_for_the_only_container() -> None:
    assert run(enter("attach", "spdy")).node.asked == ["app"]
