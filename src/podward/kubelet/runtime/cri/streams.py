"""exec, attach and port-forward through the engine: it answers a URL, where its own server speaks SPDY.

SPDY, because an engine's WebSockets speak v4 at most, which cannot tell the end of stdin. Each conversation has
a connection of its own: SPDY's windows are not kept, so whoever is slow holds back the whole connection.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Final

import msgspec

from podward.kubelet.runtime.base import RuntimeFailure
from podward.kubelet.runtime.cri import runtime_v1_pb2 as pb
from podward.kubelet.runtime.cri.client import CriClient, Unimplemented
from podward.machinery.network import ByteStream, Network
from podward.machinery.spdy_session import SpdySession, SpdyStream
from podward.machinery.upgrade import UpgradeRefused, upgrade

COMMAND: Final = "v4.channel.k8s.io"
FORWARDING: Final = "portforward.k8s.io"
_OPENING_SECONDS: Final = 30.0
"""How long an engine may take to take a conversation up (as its clients have it)."""
_LEAVING_SECONDS: Final = 5.0
"""What was said last is still sent for as long; who does not read it by then is let go."""
_OUTCOME_BYTES: Final = 256 * 1024


class _Cause(msgspec.Struct):
    reason: str = ""
    message: str = ""


class _Details(msgspec.Struct):
    causes: list[_Cause] = []


class _Outcome(msgspec.Struct):
    """A `Status`, as far as it tells how a command ended."""

    status: str = ""
    reason: str = ""
    message: str = ""
    details: _Details | None = None


def exit_code(told: bytes) -> int:
    """What the error channel says in v4; `RuntimeFailure` where it is no exit code."""
    if not told:
        raise RuntimeFailure("the engine broke off before it told how the command ended")
    try:
        outcome = msgspec.json.decode(told, type=_Outcome)
    except msgspec.DecodeError:
        raise RuntimeFailure(told.decode(errors="replace")) from None
    if outcome.status == "Success":
        return 0
    causes = outcome.details.causes if outcome.details is not None else []
    if outcome.reason == "NonZeroExitCode":
        for cause in causes:
            if cause.reason == "ExitCode" and cause.message.isdecimal():
                return int(cause.message)
    # An InternalError's cause is the engine's own sentence; its message has a prefix that we add ourselves.
    words = [cause.message for cause in causes if cause.message and not cause.reason]
    raise RuntimeFailure(words[0] if words else outcome.message or "the engine gave no reason")


class Conversation:
    """A SPDY connection to the engine, and its end."""

    def __init__(self, connection: ByteStream) -> None:
        self._connection = connection
        self._session = SpdySession(connection, server=False)
        self._running = asyncio.create_task(self._session.run(lambda _: "nothing is expected"))
        self._closed = False

    async def open(self, streams: Sequence[Mapping[str, str]]) -> list[SpdyStream]:
        """Streams with these headers, which the engine has accepted."""
        try:
            async with asyncio.timeout(_OPENING_SECONDS):
                opened = [await self._session.open(headers) for headers in streams]
                for stream in opened:
                    await stream.accepted.wait()
        except TimeoutError:
            raise RuntimeFailure("the engine's streaming server takes no streams") from None
        return opened

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)
        await self._session.close()
        asyncio.get_running_loop().call_later(_LEAVING_SECONDS, self._connection.abort)

    def abort(self) -> None:
        """Without a word."""
        self._closed = True
        self._running.cancel()
        self._connection.abort()


async def converse(network: Network, url: str, protocol: str) -> Conversation:
    """Take up what the engine has prepared at `url`."""
    try:
        async with asyncio.timeout(_OPENING_SECONDS):
            connection, headers = await upgrade(
                network, url, "SPDY/3.1", {"X-Stream-Protocol-Version": protocol}
            )
    except (OSError, TimeoutError, UpgradeRefused) as error:
        reason = str(error) or type(error).__name__
        raise RuntimeFailure(f"the engine's streaming server: {reason}") from error
    spoken = headers.get("x-stream-protocol-version", protocol)
    if spoken != protocol:
        connection.abort()
        raise RuntimeFailure(f"the engine's streaming server speaks {spoken}, not {protocol}")
    return Conversation(connection)


class EngineStreams:
    """Asks the engine for the URLs."""

    def __init__(self, client: CriClient, network: Network) -> None:
        self._client = client
        self._network = network

    async def exec(
        self, container_id: str, argv: Sequence[str], *, stdin: bool, tty: bool
    ) -> "CriExecStream":
        request = pb.ExecRequest(
            container_id=container_id, cmd=argv, stdin=stdin, tty=tty, stdout=True, stderr=not tty
        )
        answer = await self._client.runtime("Exec", request, pb.ExecResponse)
        return await command(self._network, answer.url, stdin=stdin, tty=tty)

    async def attach(self, container_id: str, *, stdin: bool, tty: bool) -> "CriExecStream":
        request = pb.AttachRequest(
            container_id=container_id, stdin=stdin, tty=tty, stdout=True, stderr=not tty
        )
        answer = await self._client.runtime("Attach", request, pb.AttachResponse)
        return await command(self._network, answer.url, stdin=stdin, tty=tty)

    async def port_forward(self, sandbox_id: str, port: int) -> "CriPortConnection | None":
        request = pb.PortForwardRequest(pod_sandbox_id=sandbox_id, port=[port])
        try:
            answer = await self._client.runtime("PortForward", request, pb.PortForwardResponse)
        except Unimplemented:
            return None
        return await forwarding(self._network, answer.url, port)


async def command(network: Network, url: str, *, stdin: bool, tty: bool) -> "CriExecStream":
    """The conversation with a command, or with a container's first process."""
    names = ["error", *(["stdin"] if stdin else []), "stdout", "resize" if tty else "stderr"]
    conversation = await converse(network, url, COMMAND)
    try:
        opened = await conversation.open([{"streamtype": name} for name in names])
    except BaseException:
        conversation.abort()
        raise
    return CriExecStream(conversation, dict(zip(names, opened, strict=True)))


class CriExecStream:
    """Implements `runtime.base.ExecStream`."""

    def __init__(self, conversation: Conversation, streams: Mapping[str, SpdyStream]) -> None:
        self._conversation = conversation
        self._streams = streams
        self._outcome = asyncio.ensure_future(_all(streams["error"]))
        for name in ("stdin", "resize"):
            if name in streams:
                streams[name].discard()

    async def output(self) -> AsyncIterator[tuple[int, bytes]]:
        queue: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue(maxsize=1)
        pumps = [
            asyncio.create_task(_pump(channel, self._streams[name], queue))
            for channel, name in ((1, "stdout"), (2, "stderr"))
            if name in self._streams
        ]
        open_streams = len(pumps)
        try:
            while open_streams:
                channel, data = await queue.get()
                if data:
                    yield channel, data
                else:
                    open_streams -= 1
        finally:
            for pump in pumps:
                pump.cancel()

    async def write(self, data: bytes) -> None:
        if "stdin" in self._streams:
            await self._streams["stdin"].write(data)

    async def close_stdin(self) -> None:
        if "stdin" in self._streams:
            await self._streams["stdin"].end()

    async def resize(self, width: int, height: int) -> None:
        if "resize" in self._streams:
            size = msgspec.json.encode({"Width": width, "Height": height})
            await self._streams["resize"].write(size + b"\n")

    async def wait(self) -> int:
        return exit_code(await asyncio.shield(self._outcome))

    async def close(self) -> None:
        await self._conversation.close()
        self._outcome.cancel()
        await asyncio.gather(self._outcome, return_exceptions=True)


async def _pump(
    channel: int, stream: SpdyStream, queue: "asyncio.Queue[tuple[int, bytes]]"
) -> None:
    while data := await stream.read():
        await queue.put((channel, data))
    await queue.put((channel, b""))


async def _all(stream: SpdyStream) -> bytes:
    got = bytearray()
    while (piece := await stream.read()) and len(got) < _OUTCOME_BYTES:
        got += piece
    return bytes(got)


async def forwarding(network: Network, url: str, port: int) -> "CriPortConnection":
    """A connection to a port inside a sandbox. Whether anything listens there is seen when it ends."""
    numbers = {"port": str(port), "requestid": "0"}
    conversation = await converse(network, url, FORWARDING)
    try:
        # The engine begins when it has both; it is told of the error stream first.
        error, data = await conversation.open(
            [{"streamtype": name, **numbers} for name in ("error", "data")]
        )
        await error.end()
    except BaseException:
        conversation.abort()
        raise
    return CriPortConnection(conversation, data, error)


class CriPortConnection:
    """Implements `runtime.base.PortStream`."""

    def __init__(self, conversation: Conversation, data: SpdyStream, error: SpdyStream) -> None:
        self._conversation = conversation
        self._data = data
        self._error = asyncio.ensure_future(_all(error))

    async def read(self) -> bytes:
        return await self._data.read()

    async def write(self, data: bytes) -> None:
        await self._data.write(data)

    async def end(self) -> None:
        await self._data.end()

    async def problem(self) -> str:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LEAVING_SECONDS):
                return (await asyncio.shield(self._error)).decode(errors="replace")
        return ""

    async def close(self) -> None:
        await self._conversation.close()
        self._error.cancel()

    def abort(self) -> None:
        self._conversation.abort()
        self._error.cancel()
