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

import pytest

from podward.admission.chain import AdmissionChain
from podward.apiserver.app import ApiServer, Receive, Scope, Send
from podward.apiserver.authentication import Authenticator
from podward.apiserver.certificates import Credentials, ensure_authority
from podward.apiserver.serving import HttpsServer
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
async def served(folder: Path) -> AsyncIterator[Served]:
    credentials = ensure_authority(folder, SystemClock(), ["localhost"])
    app = ApiServer(
        MemoryStore(), SystemClock(), Entropy(), admission=AdmissionChain([]), node_access=None,
        authenticate=Authenticator.from_credentials(credentials),
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


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_exec_without_a_websocket_is_refused_with_a_reason(method: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with served(tmp_path) as s:
            path = f"{PODS}/web/exec?command=true"
            upgrade = ("Connection: Upgrade", "Upgrade: SPDY/3.1", "Content-Length: 0")
            assert (await s.ask(method, path, *upgrade))[0] == 401
            code, body = await s.ask(method, path, s.bearer, *upgrade)
            assert code == 400
            assert "WebSocket" in body

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
