"""The real port: who is let in, who is not, and how quickly it closes."""

import asyncio
import base64
import re
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.apiserver.support import Caller, NoNode, pod

from podward.admission.chain import AdmissionChain
from podward.apiserver.app import ApiServer, Receive, Scope, Send
from podward.apiserver.authentication import Authenticator
from podward.apiserver.certificates import Credentials, ensure_authority
from podward.apiserver.serving import HttpsServer
from podward.machinery import spdy
from podward.machinery.clock import SystemClock
from podward.machinery.entropy import Entropy
from podward.store.memory import MemoryStore

PODS = "/api/v1/namespaces/default/pods"


@dataclass
class Served:
    app: ApiServer
    server: HttpsServer
    credentials: Credentials
    port: int

    def tls(self, *, with_certificate: bool = False) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.credentials.ca_certificate))
        if with_certificate:
            context.load_cert_chain(self.credentials.admin_certificate, self.credentials.admin_key)
        return context

    async def ask(
        self, method: str, path: str, *headers: str, with_certificate: bool = False
    ) -> tuple[int, str]:
        tls = self.tls(with_certificate=with_certificate)
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=tls)
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost", "Connection: close", *headers]
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        answer = (await reader.read()).decode()
        writer.close()
        return int(answer.split(" ")[1]), answer.partition("\r\n\r\n")[2]

    @property
    def bearer(self) -> str:
        return f"Authorization: Bearer {self.credentials.token}"


@asynccontextmanager
async def served(folder: Path, node_access: Any = None) -> AsyncIterator[Served]:
    credentials = ensure_authority(folder, SystemClock(), ["localhost"])
    app = ApiServer(
        MemoryStore(), SystemClock(), Entropy(), admission=AdmissionChain([]),
        node_access=node_access, authenticate=Authenticator.from_credentials(credentials),
    )  # fmt: skip
    await app.bootstrap()
    server = HttpsServer(app, host="127.0.0.1", port=0, credentials=credentials)
    port = await server.start()
    try:
        yield Served(app, server, credentials, port)
    finally:
        await app.close()
        await server.stop()


def test_who_is_let_in(tmp_path: Path) -> None:
    async def main() -> None:
        async with served(tmp_path) as s:
            assert (await s.ask("GET", PODS, s.bearer))[0] == 200
            assert (await s.ask("GET", PODS, with_certificate=True))[0] == 200
            for headers in ((), ("Authorization: Bearer wrong",), ("Authorization: Basic eA==",)):
                code, body = await s.ask("GET", PODS, *headers)
                assert code == 401
                assert '"reason":"Unauthorized"' in body
            assert (await s.ask("GET", "/version"))[0] == 401
            for path in ("/healthz", "/livez", "/readyz", "/readyz/ping"):
                assert await s.ask("GET", path) == (200, "ok")

    asyncio.run(main())


def test_a_certificate_of_another_authority_is_turned_away(tmp_path: Path) -> None:
    async def main() -> None:
        (tmp_path / "theirs").mkdir()
        theirs = ensure_authority(tmp_path / "theirs", SystemClock(), ["localhost"])
        async with served(tmp_path) as s:
            tls = s.tls()
            tls.load_cert_chain(theirs.admin_certificate, theirs.admin_key)
            # TLS 1.3 tells the client of the refusal only when it reads.
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", s.port, ssl=tls)
                writer.write(f"GET {PODS} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
                answer = await reader.read(1)
            except (ssl.SSLError, ConnectionError):
                answer = b""
            assert answer == b""

    asyncio.run(main())


SPDY = (
    "Connection: Upgrade", "Upgrade: SPDY/3.1", "Content-Length: 0",
    "X-Stream-Protocol-Version: v4.channel.k8s.io", "X-Stream-Protocol-Version: v3.channel.k8s.io",
)  # fmt: skip


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_upgrade_to_spdy_that_is_refused_gets_a_status(method: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with served(tmp_path) as s:
            path = f"{PODS}/web/exec?command=true"
            assert (await s.ask(method, path, *SPDY))[0] == 401
            code, body = await s.ask(method, path, s.bearer, *SPDY)
            assert (code, re.search(r'pods \\"web\\" not found', body) is not None) == (404, True)
            code, body = await s.ask(method, path, s.bearer)
            assert (code, "Upgrade request required" in body) == (400, True)
            assert (await s.ask(method, PODS + "/web", *SPDY))[0] == 401

    asyncio.run(main())


class Echo(NoNode):
    """A node whose only command says again what it is told."""

    def __init__(self) -> None:
        self._said: asyncio.Queue[bytes] = asyncio.Queue()
        self.closed = asyncio.Event()

    async def exec(self, pod: Any, container: str, command: Any, *, stdin: bool, tty: bool) -> Any:
        return self

    async def output(self) -> AsyncIterator[tuple[int, bytes]]:
        while data := await self._said.get():
            yield 1, data

    async def write(self, data: bytes) -> None:
        self._said.put_nowait(data)

    async def close_stdin(self) -> None:
        self._said.put_nowait(b"")

    async def resize(self, width: int, height: int) -> None:
        raise AssertionError

    async def wait(self) -> int:
        return 0

    async def close(self) -> None:
        self.closed.set()


@asynccontextmanager
async def entered(
    s: Served, *, early: bool = False
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter, spdy.Connection]]:
    """A connection of which the upgrade to SPDY was agreed on, and its streams are on the way."""
    known = {"authorization": s.bearer.removeprefix("Authorization: ")}
    assert (await Caller(s.app)("POST", PODS, pod(nodeName="n1"), headers=known)).status == 201
    tls = s.tls()
    reader, writer = await asyncio.open_connection("127.0.0.1", s.port, ssl=tls)
    path = f"{PODS}/web/exec?command=cat&stdin=true&stdout=true"
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", s.bearer, *SPDY]
    talk = spdy.Connection(server=False)
    for name in ("error", "stdin", "stdout"):
        talk.open_stream({"streamtype": name})
    request = ("\r\n".join(lines) + "\r\n\r\n").encode()
    writer.write(request + (talk.take() if early else b""))
    answer = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    assert answer.startswith("http/1.1 101 ")
    assert "upgrade: spdy/3.1\r\n" in answer
    assert "x-stream-protocol-version: v4.channel.k8s.io\r\n" in answer
    try:
        yield reader, writer, talk
    finally:
        writer.close()


@pytest.mark.parametrize("early", [False, True])
def test_spdy_carries_a_command_over_the_real_port(early: bool, tmp_path: Path) -> None:
    """Also for a client that does not wait for the answer before it speaks."""

    async def main() -> None:
        node = Echo()
        async with served(tmp_path, node) as s, entered(s, early=early) as (reader, writer, talk):
            data = b"x" * 1_000_000
            talk.send(3, data, fin=True)
            writer.write(talk.take())
            heard, told = b"", b""
            while not told:
                for event in talk.receive(await asyncio.wait_for(reader.read(1 << 16), 10)):
                    if isinstance(event, spdy.DataReceived) and event.stream == 5:
                        heard += event.data
                    elif isinstance(event, spdy.DataReceived) and event.stream == 1:
                        told += event.data
            assert heard == data
            assert b'"Success"' in told
            writer.close()
            await asyncio.wait_for(node.closed.wait(), 5)

    asyncio.run(main())


def test_a_server_that_ends_takes_its_connections_along(tmp_path: Path) -> None:
    async def main() -> None:
        node = Echo()
        async with served(tmp_path, node) as s, entered(s) as (reader, writer, talk):
            writer.write(talk.take())
            await s.app.close()
            await asyncio.wait_for(node.closed.wait(), 5)
            await asyncio.wait_for(reader.read(), 5)

    asyncio.run(main())


def test_a_websocket_that_is_refused_gets_a_status(tmp_path: Path) -> None:
    async def main() -> None:
        async with served(tmp_path) as s:
            key = base64.b64encode(b"0123456789abcdef").decode()
            upgrade = (
                "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
                f"Sec-WebSocket-Key: {key}",
            )  # fmt: skip
            path = f"{PODS}/web/exec?command=true"
            assert (await s.ask("GET", path, *upgrade))[0] == 401
            code, body = await s.ask("GET", path, s.bearer, *upgrade)
            assert (code, "no usable subprotocol" in body) == (400, True)
            spoken = "Sec-WebSocket-Protocol: v5.channel.k8s.io"
            code, body = await s.ask("GET", path, s.bearer, spoken, *upgrade)
            assert code == 404
            assert re.search(r'pods \\"web\\" not found', body)

    asyncio.run(main())


def test_a_port_in_use_is_an_error(tmp_path: Path) -> None:
    async def main() -> None:
        async with served(tmp_path) as s:
            second = HttpsServer(s.app, host="127.0.0.1", port=s.port, credentials=s.credentials)
            with pytest.raises(OSError):
                await second.start()

    asyncio.run(main())


def test_it_stops_within_seconds_though_a_watch_is_open(tmp_path: Path) -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        async with served(tmp_path) as s:
            reader, writer = await asyncio.open_connection("127.0.0.1", s.port, ssl=s.tls())
            request = f"GET {PODS}?watch=true HTTP/1.1\r\nHost: localhost\r\n{s.bearer}\r\n\r\n"
            writer.write(request.encode())
            assert b"200" in await reader.readline()
            began = loop.time()
        writer.close()
        return loop.time() - began

    assert asyncio.run(main()) < 5


def test_what_is_under_way_is_answered_and_who_rests_holds_nothing_up(tmp_path: Path) -> None:
    """With a context of its own, as the webhook serves, and a client that never reads what it is told."""
    credentials = ensure_authority(tmp_path, SystemClock(), ["localhost"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(credentials.server_certificate, credentials.server_key)
    client = ssl.create_default_context(cafile=str(credentials.ca_certificate))

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        began.set()
        await asyncio.sleep(1.5)
        await send({"type": "http.response.start", "status": 200,
                    "headers": [(b"content-length", b"2")]})  # fmt: skip
        await send({"type": "http.response.body", "body": b"ok", "more_body": False})

    def connected(port: int) -> ssl.SSLSocket:
        plain = socket.create_connection(("127.0.0.1", port), 5)
        return client.wrap_socket(plain, server_hostname="localhost")

    async def main() -> None:
        server = HttpsServer(slow, host="127.0.0.1", port=0, credentials=context, grace_seconds=30)
        port = await server.start()
        resting = await asyncio.to_thread(connected, port)
        asking = await asyncio.to_thread(connected, port)
        asking.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await began.wait()
        loop = asyncio.get_running_loop()
        before = loop.time()
        await server.stop()
        assert 1.2 < loop.time() - before < 6
        answer = await asyncio.to_thread(asking.recv, 1000)
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        for end in (resting, asking):
            end.close()

    began = asyncio.Event()
    asyncio.run(main())


def test_one_more_socket_is_served_like_the_own_one_until_it_is_closed(tmp_path: Path) -> None:
    async def main() -> None:
        async with served(tmp_path) as s:
            listener = socket.create_server(("127.0.0.1", 0))
            listener.setblocking(False)
            own, s.port = s.port, int(listener.getsockname()[1])
            close = await s.server.serve(listener)
            assert (await s.ask("GET", PODS, s.bearer))[0] == 200
            assert (await s.ask("GET", PODS, with_certificate=True))[0] == 200
            assert (await s.ask("GET", PODS))[0] == 401
            close()
            close()
            with pytest.raises(OSError):
                await s.ask("GET", "/healthz")
            s.port = own
            assert await s.ask("GET", "/healthz") == (200, "ok")

    asyncio.run(main())


def test_what_is_still_open_is_closed_with_the_server(tmp_path: Path) -> None:
    async def main() -> int:
        async with served(tmp_path) as s:
            listener = socket.create_server(("127.0.0.1", 0))
            listener.setblocking(False)
            await s.server.serve(listener)
            return int(listener.getsockname()[1])

    port = asyncio.run(main())
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", port), 2)
