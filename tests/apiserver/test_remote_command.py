"""exec over a WebSocket and over SPDY: one behaviour, two roads."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.apiserver.streaming_support import Client, Command, Script, SpdyClient, WebSocketClient
from tests.apiserver.support import PODS, NoNode, pod, scope, started

from podward.apiserver.streaming.duplex import UPGRADE
from podward.simulate.virtual_loop import run

ROADS = pytest.mark.parametrize("road", [WebSocketClient, SpdyClient])
Road = Callable[[], Client]


async def quiet(client: Client) -> None:
    """Says nothing."""


def serve(
    road: Road, command: Callable[[], Command], script: Script = quiet
) -> tuple[Client, Command]:
    async def main() -> tuple[Client, Command]:
        client, served = road(), command()
        await client.run(served, script)
        return client, served

    return run(main())


@ROADS
def test_output_comes_on_its_channels_and_success_at_the_end(road: Road) -> None:
    client, command = serve(road, lambda: Command([(1, b"out"), (2, b"err")]))
    assert (client.heard[1], client.heard[2]) == (b"out", b"err")
    assert json.loads(client.heard[3])["status"] == "Success"
    assert client.over
    assert command.told[-1] == "closed"


@ROADS
def test_an_exit_code_is_a_failure_with_its_cause(road: Road) -> None:
    client, _ = serve(road, lambda: Command([], code=7))
    status = json.loads(client.heard[3])
    assert (status["status"], status["reason"]) == ("Failure", "NonZeroExitCode")
    assert status["details"]["causes"] == [{"reason": "ExitCode", "message": "7"}]


@ROADS
def test_a_command_that_breaks_off_is_an_internal_error_as_outcome(road: Road) -> None:
    def broken() -> Command:
        command = Command([(1, b"out")])
        command.fails = RuntimeError("the container is gone")
        return command

    client, _ = serve(road, broken)
    status = json.loads(client.heard[3])
    assert (status["reason"], status["code"]) == ("InternalError", 500)
    assert "the container is gone" in status["message"]


@ROADS
def test_stdin_and_its_end_arrive(road: Road) -> None:
    async def script(client: Client) -> None:
        await client.say(0, b"hello")
        await client.end_stdin()

    _, command = serve(road, lambda: Command([], until_eof=True), script)
    assert command.told == [b"hello", "eof", "closed"]


@ROADS
def test_the_terminals_size_arrives(road: Road) -> None:
    async def script(client: Client) -> None:
        await client.say(4, b'{"Width":80,"Height":24}')
        await asyncio.sleep(1)
        await client.end_stdin()

    _, command = serve(road, lambda: Command([], until_eof=True), script)
    assert sorted(command.told, key=str) == [(80, 24), "closed", "eof"]


@ROADS
@pytest.mark.parametrize("size", [b"x", b'{"Width":-1,"Height":2}', b'{"Width":70000,"Height":2}'])
def test_a_size_that_makes_no_sense_is_ignored(road: Road, size: bytes) -> None:
    async def script(client: Client) -> None:
        await client.say(4, size)
        await client.end_stdin()

    _, command = serve(road, lambda: Command([], until_eof=True), script)
    assert command.told == ["eof", "closed"]


@ROADS
def test_a_client_that_goes_takes_the_command_along(road: Road) -> None:
    async def script(client: Client) -> None:
        await client.leave()

    client, command = serve(road, lambda: Command([], until_eof=True), script)
    assert command.told == ["closed"]
    assert not client.heard.get(3)


def test_version_four_is_spoken_with_older_clients_of_the_websocket() -> None:
    client, _ = serve(lambda: WebSocketClient("v4.channel.k8s.io"), lambda: Command([(1, b"out")]))
    assert client.heard[1] == b"out"


@pytest.mark.parametrize(
    ("code", "told"), [(0, b""), (7, b"command terminated with non-zero exit code: exit status 7")]
)
def test_before_version_four_the_outcome_is_text(code: int, told: bytes) -> None:
    client, _ = serve(lambda: SpdyClient("v3.channel.k8s.io"), lambda: Command([], code))
    assert client.heard[3] == told


def test_version_two_of_spdy_has_no_size() -> None:
    def old() -> SpdyClient:
        client = SpdyClient("v2.channel.k8s.io")
        client.names.remove("resize")
        return client

    client, _ = serve(old, lambda: Command([(1, b"out")]))
    assert client.heard[1] == b"out"


def test_a_client_that_never_opens_its_streams_is_given_up_and_the_command_with_it() -> None:
    def lazy() -> SpdyClient:
        client = SpdyClient()
        client.opened = ["error", "stdout"]
        return client

    client, command = serve(lazy, lambda: Command([(1, b"never heard")]))
    assert command.told == ["closed"]
    assert client.heard == {}


def test_a_client_that_stays_when_all_is_said_is_left() -> None:
    class Staying(SpdyClient):
        async def leave(self) -> None:
            """It does not."""

    client, _ = serve(Staying, lambda: Command([(1, b"out")]))
    assert json.loads(client.heard[3])["status"] == "Success"


class Node(NoNode):
    """With one command."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    async def exec(self, pod: Any, container: str, command: Any, *, stdin: bool, tty: bool) -> Any:
        self.asked.append((container, command, stdin, tty))
        return Command([(1, b"out")])


async def ask(
    kind: str, query: dict[str, str], *, name: str = "web", offered: str = "", spdy: bool = True
) -> tuple[int, Any, Node]:
    """(code, body or headers of the answer, the node) of a request to enter a Pod."""
    node = Node()
    call = await started(node)
    await call("POST", PODS, pod(nodeName="n1"))
    request = scope("POST", f"{PODS}/{name}/exec", {}, query)
    sent: list[Any] = []

    inbox = [{"type": "websocket.connect"} if kind == "websocket" else {"type": "http.request"}]

    async def receive() -> Any:
        return inbox.pop() if inbox else {"type": "websocket.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    async def take_over(headers: list[tuple[bytes, bytes]]) -> Any:
        raise ConnectionError("taken over")

    if kind == "websocket":
        del request["method"]
        request.update(type="websocket", subprotocols=[offered] if offered else [])
        request["extensions"] = {"websocket.http.response": {}}
    else:
        if spdy:
            request["extensions"] = {UPGRADE: take_over}
        if offered:
            request["headers"] = [(b"x-stream-protocol-version", offered.encode())]
    await call.server(request, receive, send)
    if not sent:  # it went beyond HTTP
        return 101, None, node
    if "websocket.accept" in sent[0]["type"]:
        return 101, sent[0]["subprotocol"], node
    return sent[0]["status"], json.loads(sent[1]["body"]), node


BEST = {"websocket": "v5.channel.k8s.io", "spdy": "v4.channel.k8s.io"}
TRUE = {"command": "true", "stdout": "true"}


@pytest.mark.parametrize("kind", BEST)
def test_both_roads_lead_to_the_same_command(kind: str) -> None:
    code, _, node = run(ask(kind, {**TRUE, "stdin": "true"}, offered=BEST[kind]))
    assert code == 101
    assert node.asked == [("app", ["true"], True, False)]


@pytest.mark.parametrize("kind", BEST)
@pytest.mark.parametrize(
    ("query", "name", "code", "text"),
    [
        (TRUE, "other", 404, 'pods "other" not found'),
        ({"stdout": "true"}, "web", 400, "you must specify at least one command"),
        ({**TRUE, "container": "no"}, "web", 400, "container no is not valid for pod web"),
    ],
)
def test_a_refusal_is_a_status_before_the_upgrade(
    kind: str, query: dict[str, str], name: str, code: int, text: str
) -> None:
    got, status, node = run(ask(kind, query, name=name, offered=BEST[kind]))
    assert (got, status["kind"], status["message"]) == (code, "Status", text)
    assert node.asked == []


@pytest.mark.parametrize(
    ("kind", "offered", "spdy", "code", "text"),
    [
        ("websocket", "", True, 400, "no usable subprotocol"),
        ("websocket", "base64.channel.k8s.io", True, 400, "no usable subprotocol"),
        ("spdy", "", True, 400, "X-Stream-Protocol-Version header is required"),
        ("spdy", "v1.channel.k8s.io", True, 403, "unable to negotiate protocol"),
        ("spdy", "v4.channel.k8s.io", False, 400, "Upgrade request required"),
    ],
)
def test_what_cannot_be_agreed_on_starts_nothing(
    kind: str, offered: str, spdy: bool, code: int, text: str
) -> None:
    got, status, node = run(ask(kind, TRUE, offered=offered, spdy=spdy))
    assert got == code
    assert text in status["message"]
    assert node.asked == []


def test_the_client_says_which_version_it_likes_best() -> None:
    code, _, _ = run(ask("spdy", TRUE, offered="v9.channel.k8s.io, v2.channel.k8s.io"))
    assert code == 101
