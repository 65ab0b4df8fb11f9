"""The HTTP client against real servers on this machine: what is kept, what is checked, what failures say."""

import asyncio
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from podward.apiserver.certificates import Credentials, ensure_authority
from podward.machinery.clock import SystemClock
from podward.machinery.http_client import (
    IDEMPOTENCY_HEADER,
    HttpFailure,
    HttpStatusFailure,
    HttpTimeout,
    SystemHttpClient,
    TlsOptions,
)

Handler = Callable[["Loopback", bytes, bytes, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Loopback:
    """Speaks just enough HTTP to be wrong in the ways that matter."""

    port: int = 0
    connections: int = 0
    requests: list[bytes] = field(default_factory=list)

    def url(self, path: str = "/", host: str = "127.0.0.1", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port}{path}"


@asynccontextmanager
async def serving(handle: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[Loopback]:
    server = Loopback()
    writers: list[asyncio.StreamWriter] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.connections += 1
        writers.append(writer)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = 0
                for line in head.lower().split(b"\r\n"):
                    if line.startswith(b"content-length:"):
                        length = int(line.partition(b":")[2])
                body = await reader.readexactly(length)
                server.requests.append(head)
                await handle(server, head, body, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        for writer in writers:
            writer.close()


def answer(body: bytes, status: str = "200 OK", *more: str) -> bytes:
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *more, "", ""]
    return "\r\n".join(head).encode() + body


async def echo(server: Loopback, head: bytes, body: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(answer(body or head.split(b" ")[1], "200 OK", "X-Seen: yes"))


async def silence(
    server: Loopback, head: bytes, body: bytes, writer: asyncio.StreamWriter
) -> None: ...


@asynccontextmanager
async def a_client() -> AsyncIterator[SystemHttpClient]:
    client = SystemHttpClient()
    try:
        yield client
    finally:
        await client.close()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Credentials:
    """Its server certificate is for `hooks.edge.svc` and 127.0.0.1, among others."""
    return ensure_authority(tmp_path_factory.mktemp("pki"), SystemClock(), ["hooks.edge.svc"])


def server_tls(authority: Credentials, *, asks_for_certificate: bool = False) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.server_certificate, authority.server_key)
    if asks_for_certificate:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(authority.ca_certificate)
    return context


def test_a_request_and_its_answer() -> None:
    async def main() -> None:
        async with serving(echo) as server, a_client() as client:
            got = await client.request(
                "POST", server.url("/mutate?timeout=5s"), headers={"X-A": "b"}, body=b"{}"
            )
            assert (got.status, got.body, got.headers["x-seen"]) == (200, b"{}", "yes")
            assert server.requests[0].startswith(b"POST /mutate?timeout=5s HTTP/1.1\r\n")
            assert b"X-A: b\r\n" in server.requests[0]

    asyncio.run(main())


def test_every_status_is_an_answer_and_no_redirect_is_followed() -> None:
    async def main() -> None:
        async def moved(
            server: Loopback, head: bytes, body: bytes, writer: asyncio.StreamWriter
        ) -> None:
            writer.write(answer(b"there", "302 Found", "Location: /there"))

        async with serving(moved) as server, a_client() as client:
            got = await client.request("GET", server.url())
            assert (got.status, got.headers["location"]) == (302, "/there")
            assert len(server.requests) == 1

    asyncio.run(main())


def test_connections_are_kept() -> None:
    async def main() -> None:
        async with serving(echo) as server, a_client() as client:
            for i in range(5):
                assert (await client.request("GET", server.url(f"/{i}"))).body == f"/{i}".encode()
            assert server.connections == 1

    asyncio.run(main())


def test_a_crowd_of_requests_shares_a_hundred_connections() -> None:
    async def main() -> None:
        async def slow(
            server: Loopback, head: bytes, body: bytes, writer: asyncio.StreamWriter
        ) -> None:
            await asyncio.sleep(0.02)
            writer.write(answer(b"ok"))

        async with serving(slow) as server, a_client() as client:
            asked = (client.request("GET", server.url(f"/{i}")) for i in range(250))
            answers = await asyncio.gather(*asked)
            assert [found.body for found in answers] == [b"ok"] * 250
            assert server.connections == 100

    asyncio.run(main())


@pytest.mark.parametrize(
    ("method", "headers", "requests"),
    [("GET", {}, 2), ("POST", {}, 1), ("POST", {IDEMPOTENCY_HEADER: "u-1"}, 2)],
)
def test_a_server_that_hangs_up_is_asked_again_where_that_is_harmless(
    method: str, headers: dict[str, str], requests: int
) -> None:
    async def main() -> None:
        async def first_hangs_up(
            server: Loopback, head: bytes, body: bytes, writer: asyncio.StreamWriter
        ) -> None:
            if len(server.requests) == 1:
                writer.transport.abort()
            else:
                writer.write(answer(b"ok"))

        async with serving(first_hangs_up) as server, a_client() as client:
            asked = client.request(method, server.url(), headers=headers, body=b"x")
            if requests == 1:
                with pytest.raises(HttpFailure):
                    await asked
            else:
                assert (await asked).body == b"ok"
            assert len(server.requests) == requests

    asyncio.run(main())


def test_a_server_that_never_answers_is_given_up() -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        async with serving(silence) as server, a_client() as client:
            began = loop.time()
            with pytest.raises(HttpTimeout, match=r"^no answer within 0\.2 s$"):
                await client.request("GET", server.url(), timeout=0.2)
            return loop.time() - began

    assert 0.15 < asyncio.run(main()) < 5


def test_an_answer_that_never_ends_is_given_up() -> None:
    async def main() -> None:
        async def begins(
            server: Loopback, head: bytes, body: bytes, writer: asyncio.StreamWriter
        ) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")

        async with serving(begins) as server, a_client() as client:
            with pytest.raises(HttpFailure, match="no answer within"):
                await client.request("GET", server.url(), timeout=0.2)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", "the answer ended early"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "not an HTTP answer: "),
        (b"", "the server closed the connection without an answer"),
    ],
)
def test_what_is_no_answer_says_so(raw: bytes, words: str) -> None:
    async def main() -> None:
        async def odd(
            server: Loopback, head: bytes, body: bytes, writer: asyncio.StreamWriter
        ) -> None:
            writer.write(raw)
            await writer.drain()
            writer.close()

        async with serving(odd) as server, a_client() as client:
            with pytest.raises(HttpFailure, match=f"^{words}"):
                await client.request("POST", server.url(), body=b"x", timeout=5)

    asyncio.run(main())


def test_nobody_listens() -> None:
    async def main() -> None:
        async with serving(echo) as server:
            pass
        async with a_client() as client:
            for host in ("127.0.0.1", "localhost"):
                with pytest.raises(HttpFailure, match=r"^connection refused$"):
                    await client.request("GET", server.url(host=host), timeout=5)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://no-such-host.invalid/", r"^no such host: no-such-host\.invalid$"),
        ("https://", "^not a URL that can be asked$"),
        ("hooks.edge.svc", "^not a URL that can be asked$"),
    ],
)
def test_there_is_nowhere_to_ask(url: str, words: str) -> None:
    async def main() -> None:
        async with a_client() as client:
            with pytest.raises(HttpFailure, match=words):
                await client.request("GET", url, timeout=20)

    asyncio.run(main())


def test_the_authority_that_is_given_is_the_one_that_counts(authority: Credentials) -> None:
    async def main() -> None:
        ca = authority.ca_certificate.read_bytes()
        async with serving(echo, server_tls(authority)) as server, a_client() as client:
            url = server.url("/x", scheme="https")
            assert (await client.request("GET", url, tls=TlsOptions(ca))).body == b"/x"
            with pytest.raises(HttpFailure, match=r"^certificate verify failed: .*certificate"):
                await client.request("GET", url)  # the machine's own authorities do not know it

    asyncio.run(main())


def test_another_name_can_be_asked_for(authority: Credentials) -> None:
    """As for a Service: dialled by address, known by `<service>.<namespace>.svc`."""

    async def main() -> None:
        ca = authority.ca_certificate.read_bytes()
        async with serving(echo, server_tls(authority)) as server, a_client() as client:
            url = server.url("/x", scheme="https")
            good, bad = TlsOptions(ca, "hooks.edge.svc"), TlsOptions(ca, "other.edge.svc")
            assert (await client.request("GET", url, tls=good)).body == b"/x"
            with pytest.raises(
                HttpFailure, match=r"^certificate verify failed: .*other\.edge\.svc"
            ):
                await client.request("GET", url, tls=bad)

    asyncio.run(main())


def test_a_client_can_be_known_by_its_certificate(authority: Credentials) -> None:
    async def main() -> None:
        ca = authority.ca_certificate.read_bytes()
        known = TlsOptions(
            ca,
            client_certificate=str(authority.admin_certificate),
            client_key=str(authority.admin_key),
        )
        tls = server_tls(authority, asks_for_certificate=True)
        async with serving(echo, tls) as server, a_client() as client:
            url = server.url("/x", scheme="https")
            assert (await client.request("GET", url, tls=known)).body == b"/x"
            with pytest.raises(HttpFailure):
                await client.request("GET", url, tls=TlsOptions(ca), timeout=5)

    asyncio.run(main())


@pytest.mark.parametrize(
    "tls",
    [
        TlsOptions(b"no PEM"),
        TlsOptions("é".encode()),
        TlsOptions(client_certificate="/no/such/file"),
    ],
)
def test_options_that_cannot_be_used_are_a_failure(tls: TlsOptions) -> None:
    async def main() -> None:
        async with a_client() as client:
            with pytest.raises(HttpFailure):
                await client.request("GET", "https://127.0.0.1:1/", tls=tls)

    asyncio.run(main())


def test_lines_come_as_they_are_written_however_long() -> None:
    long = b"x" * (5 << 20)

    async def main() -> None:
        go_on = asyncio.Event()

        async def stream(
            server: Loopback, head: bytes, body: bytes, writer: asyncio.StreamWriter
        ) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")

            def chunk(data: bytes) -> None:
                writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

            chunk(b'{"a":1}\n{"b"')
            await writer.drain()
            await go_on.wait()
            chunk(b":2}\n")
            chunk(long + b"\n\nrest")
            writer.write(b"0\r\n\r\n")

        async with serving(stream) as server, a_client() as client:
            got: list[bytes] = []
            async for line in client.lines(server.url("/watch")):
                got.append(line)
                go_on.set()  # the first line is here before the second is written
            assert got == [b'{"a":1}', b'{"b":2}', long, b"", b"rest"]

    asyncio.run(main())


def test_lines_of_an_answer_that_is_not_200_are_its_failure() -> None:
    async def main() -> None:
        async def gone(
            server: Loopback, head: bytes, body: bytes, writer: asyncio.StreamWriter
        ) -> None:
            writer.write(answer(b"too old", "410 Gone"))

        async with serving(gone) as server, a_client() as client:
            with pytest.raises(HttpStatusFailure) as caught:
                async for _ in client.lines(server.url("/watch")):
                    pass
            assert (caught.value.answer.status, caught.value.answer.body) == (410, b"too old")

    asyncio.run(main())


def test_lines_end_with_a_failure_when_the_server_dies() -> None:
    async def main() -> None:
        async def dies(
            server: Loopback, head: bytes, body: bytes, writer: asyncio.StreamWriter
        ) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\na\n\r\n")
            await writer.drain()
            writer.transport.abort()

        async with serving(dies) as server, a_client() as client:
            watching = client.lines(server.url("/watch"))
            assert await anext(watching) == b"a"
            with pytest.raises(HttpFailure):
                await anext(watching)

    asyncio.run(main())


def test_what_was_trusted_once_is_not_kept_for_ever(authority: Credentials) -> None:
    """200 rotations of a caBundle leave no 200 sessions."""

    async def main() -> None:
        ca = authority.ca_certificate.read_bytes()
        async with serving(echo, server_tls(authority)) as server, a_client() as client:
            url = server.url("/x", scheme="https")
            for i in range(200):
                options = TlsOptions(ca + b"# %d\n" % i)
                assert (await client.request("GET", url, tls=options)).body == b"/x"
            assert len(client._pools) <= 64

    asyncio.run(main())


def test_aiohttp_is_loaded_by_the_first_request_only() -> None:
    code = (
        "import sys; from podward.machinery.http_client import SystemHttpClient;"
        "SystemHttpClient(); assert 'aiohttp' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": "src"})
