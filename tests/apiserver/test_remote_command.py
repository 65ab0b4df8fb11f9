"""exec over a WebSocket, with a command that does as the test says."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from podward.api.errors import bad_request, unauthorized
from podward.apiserver.identity import SYSTEM
from podward.apiserver.remote_command import serve_exec
from podward.apiserver.request import Request
from podward.simulate.virtual_loop import run


class Command:
    """An `ExecSession`."""

    def __init__(self, output: list[tuple[int, bytes]], code: int = 0, *, until_eof: bool = False):
        self._output = output
        self._code = code
        self._eof = asyncio.Event()
        if not until_eof:
            self._eof.set()
        self.told: list[Any] = []
        self.fails: Exception | None = None

    async def output(self) -> AsyncIterator[tuple[int, bytes]]:
        for piece in self._output:
            yield piece
        await self._eof.wait()
        if self.fails:
            raise self.fails

    async def write(self, data: bytes) -> None:
        self.told.append(data)

    async def close_stdin(self) -> None:
        self.told.append("eof")
        self._eof.set()

    async def resize(self, width: int, height: int) -> None:
        self.told.append((width, height))

    async def wait(self) -> int:
        return self._code

    async def close(self) -> None:
        self.told.append("closed")


REQUEST = Request("GET", "/x", {}, {}, {}, SYSTEM, b"", {})


async def serve(
    command: Command, *messages: dict[str, Any], offered: tuple[str, ...] = ("v5.channel.k8s.io",)
) -> list[dict[str, Any]]:
    """What was sent to a client that says `messages` and then waits."""
    sent: list[dict[str, Any]] = []
    inbox: list[dict[str, Any]] = [{"type": "websocket.connect"}, *messages]

    async def receive() -> dict[str, Any]:
        if inbox:
            return inbox.pop(0)
        await asyncio.sleep(3600)
        return {"type": "websocket.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    async def opened(request: Request) -> Command:
        return command

    scope = {"subprotocols": offered, "extensions": {"websocket.http.response": {}}}
    await serve_exec(scope, receive, send, lambda: REQUEST, opened)
    return sent


def received(*data: bytes) -> list[dict[str, Any]]:
    return [{"type": "websocket.receive", "bytes": piece} for piece in data]


def channels(sent: list[dict[str, Any]]) -> list[tuple[int, bytes]]:
    return [(m["bytes"][0], m["bytes"][1:]) for m in sent if m["type"] == "websocket.send"]


def test_output_comes_on_its_channels_and_success_at_the_end() -> None:
    command = Command([(1, b"out"), (2, b"err")])
    sent = run(serve(command))
    assert sent[0] == {"type": "websocket.accept", "subprotocol": "v5.channel.k8s.io"}
    *output, (channel, outcome) = channels(sent)
    assert output == [(1, b"out"), (2, b"err")]
    assert (channel, json.loads(outcome)["status"]) == (3, "Success")
    assert sent[-1]["type"] == "websocket.close"
    assert command.told == ["closed"]


def test_an_exit_code_is_a_failure_with_its_cause() -> None:
    _, outcome = channels(run(serve(Command([], code=7))))[-1]
    status = json.loads(outcome)
    assert (status["status"], status["reason"]) == ("Failure", "NonZeroExitCode")
    assert status["details"]["causes"] == [{"reason": "ExitCode", "message": "7"}]


def test_a_command_that_breaks_off_is_an_internal_error_on_the_outcome_channel() -> None:
    command = Command([(1, b"out")])
    command.fails = RuntimeError("the container is gone")
    channel, outcome = channels(run(serve(command)))[-1]
    status = json.loads(outcome)
    assert (channel, status["reason"], status["code"]) == (3, "InternalError", 500)
    assert "the container is gone" in status["message"]


def test_stdin_its_end_and_the_terminals_size_arrive() -> None:
    command = Command([], until_eof=True)
    size = b'\x04{"Width":80,"Height":24}'
    run(serve(command, *received(b"\x00hello", size, b"\xff\x00")))
    assert command.told == [b"hello", (80, 24), "eof", "closed"]


@pytest.mark.parametrize("size", [b"x", b'{"Width":-1,"Height":2}', b'{"Width":70000,"Height":2}'])
def test_a_size_that_makes_no_sense_is_ignored(size: bytes) -> None:
    command = Command([], until_eof=True)
    run(serve(command, *received(b"\x04" + size, b"\xff\x00")))
    assert command.told == ["eof", "closed"]


def test_a_client_that_goes_takes_the_command_along() -> None:
    command = Command([], until_eof=True)
    sent = run(serve(command, {"type": "websocket.disconnect"}))
    assert command.told == ["closed"]
    assert channels(sent) == []


def test_version_four_is_spoken_with_older_clients() -> None:
    sent = run(serve(Command([]), offered=("v4.channel.k8s.io",)))
    assert sent[0]["subprotocol"] == "v4.channel.k8s.io"


@pytest.mark.parametrize(("error", "code"), [(unauthorized(), 401), (bad_request("no"), 400)])
def test_a_refusal_is_a_status_before_the_upgrade(error: Exception, code: int) -> None:
    async def main() -> list[dict[str, Any]]:
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "websocket.connect"}

        async def send(message: Any) -> None:
            sent.append(message)

        def refuse() -> Request:
            raise error

        async def never(request: Request) -> Command:
            raise AssertionError("a command was started for nobody")

        scope = {"subprotocols": (), "extensions": {"websocket.http.response": {}}}
        await serve_exec(scope, receive, send, refuse, never)
        return sent

    start, body = run(main())
    assert start["status"] == code
    assert json.loads(body["body"])["code"] == code
