"""The mechanisms against real small servers on the loopback."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from lightkube.models import core_v1

from podward.machinery.network import SystemNetwork
from podward.probes import exec as exec_probe
from podward.probes import grpc as grpc_probe
from podward.probes import http_get, tcp_socket
from podward.probes.base import (
    ExecOutput,
    ExecTimedOut,
    Outcome,
    ProbeError,
    ProbeResult,
    ProbeTarget,
)

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Output:
    exit_code: int = 0
    stdout: bytes = b""
    stderr: bytes = b""


async def no_exec(command: Sequence[str], timeout: float) -> ExecOutput:
    raise AssertionError("not asked")


def target(exec_sync: Any = no_exec, **fields: Any) -> ProbeTarget:
    fields = {"pod_ip": "127.0.0.1", "named_ports": {}, **fields}
    return ProbeTarget(exec_sync=exec_sync, network=SystemNetwork(), **fields)


@asynccontextmanager
async def serving(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    async def closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(closing, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def answering(*responses: str, seen: list[str] | None = None) -> Handler:
    left = list(responses)

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = (await reader.readuntil(b"\r\n\r\n")).decode()
        if seen is not None:
            seen.append(request)
        text = left.pop(0) if len(left) > 1 else left[0]
        port = writer.get_extra_info("sockname")[1]
        writer.write(text.replace("PORT", str(port)).encode())
        await writer.drain()

    return handler


def ok(body: str = "fine") -> str:
    return f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}"


def redirect(location: str, code: int = 302) -> str:
    return f"HTTP/1.1 {code} Found\r\nLocation: {location}\r\nContent-Length: 2\r\n\r\ngo"


def get(handler: Handler, timeout: float = 1.0, **fields: Any) -> tuple[ProbeResult, int]:
    async def run() -> tuple[ProbeResult, int]:
        async with serving(handler) as port:
            action = core_v1.HTTPGetAction(port=port, **{"path": "/healthz", **fields})
            return await http_get.attempt(action, target(), timeout), port

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("response", "outcome", "output"),
    [
        (ok(), Outcome.SUCCESS, "fine"),
        ("HTTP/1.1 204 No Content\r\n\r\n", Outcome.SUCCESS, ""),
        ("HTTP/1.1 100 Continue\r\n\r\n" + ok(), Outcome.SUCCESS, "fine"),
        ("HTTP/1.1 200 OK\r\n\r\nuntil the end", Outcome.SUCCESS, "until the end"),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
            Outcome.SUCCESS,
            "ab",
        ),
        # Go asks for no carriage returns: what CGI scripts answer is often half without.
        ("HTTP/1.1 200 OK\nContent-Length: 2\n\nab", Outcome.SUCCESS, "ab"),
        ("HTTP/1.1 200 OK\r\n\n", Outcome.SUCCESS, ""),
        (ok("x" * 20_000), Outcome.SUCCESS, "x" * 10_240),
        (
            "HTTP/1.1 304 Not Modified\r\n\r\n",
            Outcome.WARNING,
            "Probe terminated redirects, Response body: ",
        ),
        (
            redirect("http://elsewhere.example/"),
            Outcome.WARNING,
            "Probe terminated redirects, Response body: go",
        ),
        (
            "HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n",
            Outcome.WARNING,
            "Probe terminated redirects, Response body: ",
        ),
        ("HTTP/1.1 399 X\r\nContent-Length: 0\r\n\r\n", Outcome.WARNING, None),
        (
            "HTTP/1.1 400 X\r\nContent-Length: 3\r\n\r\nwhy",
            Outcome.FAILURE,
            "HTTP probe failed with statuscode: 400",
        ),
        (
            "HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n",
            Outcome.FAILURE,
            "HTTP probe failed with statuscode: 500",
        ),
    ],
)
def test_what_a_status_code_means(response: str, outcome: Outcome, output: str | None) -> None:
    result, _ = get(answering(response))
    assert result.outcome is outcome
    assert output is None or result.output == output


def test_a_redirect_within_the_host_is_followed() -> None:
    result, _ = get(answering(redirect("/other"), redirect("http://127.0.0.1:PORT/third"), ok()))
    assert result == ProbeResult(Outcome.SUCCESS, "fine")


def test_ten_redirects_are_followed_and_the_eleventh_is_a_failure() -> None:
    result, _ = get(answering(*[redirect("/again")] * 10, ok()))
    assert result.outcome is Outcome.SUCCESS
    result, _ = get(answering(*[redirect("/again")] * 11, ok()))
    assert result == ProbeResult(Outcome.FAILURE, 'Get "/again": stopped after 10 redirects')


def test_the_request_is_a_kubelets() -> None:
    seen: list[str] = []
    _, port = get(answering(ok(), seen=seen), path="/a b?x=1")
    lines = seen[0].split("\r\n")
    assert lines[0] == "GET /a%20b?x=1 HTTP/1.1"
    assert {f"Host: 127.0.0.1:{port}", "User-Agent: kube-probe/1.36", "Accept: */*"} <= set(lines)


def test_the_users_headers_win() -> None:
    seen: list[str] = []
    pairs = [("Host", "example.org"), ("Accept", ""), ("User-Agent", "me"), ("X-A", "1")]
    headers = [core_v1.HTTPHeader(name=name, value=value) for name, value in pairs]
    get(answering(ok(), seen=seen), httpHeaders=[*headers, headers[-1]])
    lines = seen[0].split("\r\n")
    assert "Host: example.org" in lines
    assert "User-Agent: me" in lines
    assert lines.count("X-A: 1") == 2
    assert not any(line.startswith("Accept:") for line in lines)


async def _hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def _hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")


async def _answer_anything(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")


async def _stall(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab")
    await reader.read()


async def _break_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab")


def test_transport_errors_are_failures_in_gos_words() -> None:
    result, port = get(_hang, timeout=0.1)
    assert result.output == (
        f'Get "http://127.0.0.1:{port}/healthz": '
        "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
    )
    result, port = get(_hang_up)
    assert result.output == f'Get "http://127.0.0.1:{port}/healthz": EOF'
    result, port = get(_answer_anything, scheme="HTTPS")
    assert result.output == (
        f'Get "https://127.0.0.1:{port}/healthz": http: server gave HTTP response to HTTPS client'
    )


def test_a_body_that_breaks_off_is_an_error_not_a_failure() -> None:
    with pytest.raises(ProbeError, match="while reading body") as raised:
        get(_stall, timeout=0.1)
    assert raised.value.state is Outcome.FAILURE
    with pytest.raises(ProbeError, match="unexpected EOF"):
        get(_break_off)


def _self_signed(directory: Path) -> ssl.SSLContext:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "nobody.example")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1)
    day = datetime(2000, 1, 1, tzinfo=UTC)
    expired = builder.not_valid_before(day).not_valid_after(day.replace(year=2001))
    file = directory / "both.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + expired.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


def test_https_takes_any_certificate(tmp_path: Path) -> None:
    context = _self_signed(tmp_path)

    async def run() -> ProbeResult:
        async with serving(answering(ok()), context) as port:
            action = core_v1.HTTPGetAction(port=port, scheme="HTTPS")
            return await http_get.attempt(action, target(), 1)

    assert asyncio.run(run()).outcome is Outcome.SUCCESS


async def _closed_port() -> int:
    async with serving(_hang) as port:
        return port


def test_a_closed_port_is_connection_refused() -> None:
    async def run() -> tuple[int, ProbeResult, ProbeResult]:
        port = await _closed_port()
        http = await http_get.attempt(core_v1.HTTPGetAction(port=port), target(), 1)
        tcp = await tcp_socket.attempt(core_v1.TCPSocketAction(port=port), target(), 1)
        return port, http, tcp

    port, http, tcp = asyncio.run(run())
    refused = f"dial tcp 127.0.0.1:{port}: connect: connection refused"
    assert http == ProbeResult(Outcome.FAILURE, f'Get "http://127.0.0.1:{port}/": {refused}')
    assert tcp == ProbeResult(Outcome.FAILURE, refused)


def test_a_tcp_probe_connects_to_the_named_port() -> None:
    async def run() -> ProbeResult:
        async with serving(_hang) as port:
            named = target(named_ports={"web": port})
            return await tcp_socket.attempt(core_v1.TCPSocketAction(port="web"), named, 1)

    assert asyncio.run(run()) == ProbeResult(Outcome.SUCCESS)


@pytest.mark.parametrize(
    ("port", "text"),
    [
        ("web", 'strconv.Atoi: parsing "web": invalid syntax'),
        (70000, "invalid port number: 70000"),
        ("0", "invalid port number: 0"),
    ],
)
def test_a_port_that_does_not_exist_is_an_error(port: int | str, text: str) -> None:
    for attempt in (
        http_get.attempt(core_v1.HTTPGetAction(port=port), target(), 1),
        tcp_socket.attempt(core_v1.TCPSocketAction(port=port), target(), 1),
    ):
        with pytest.raises(ProbeError) as raised:
            asyncio.run(attempt)
        assert str(raised.value) == text


def run_exec(output: Output | None, *command: str) -> tuple[ProbeResult, list[str]]:
    asked: list[str] = []

    async def exec_sync(argv: Sequence[str], timeout: float) -> ExecOutput:
        asked.extend(argv)
        if output is None:
            raise ExecTimedOut
        return output

    where = target(exec_sync, literal_env={"DIR": "/tmp"})
    return asyncio.run(
        exec_probe.attempt(core_v1.ExecAction(command=list(command)), where, 3)
    ), asked


def test_exec_success_is_the_exit_code_alone() -> None:
    assert run_exec(Output(0, b"", b"noise"), "x")[0] == ProbeResult(Outcome.SUCCESS, "noise")
    assert run_exec(Output(127, b"a", b"b"), "x")[0] == ProbeResult(Outcome.FAILURE, "ab")
    assert run_exec(Output(1), "x")[0] == ProbeResult(Outcome.FAILURE, "")
    assert len(run_exec(Output(0, b"x" * 20_000), "x")[0].output) == 10_240


def test_exec_timeout_is_a_failure_that_names_the_command() -> None:
    result, _ = run_exec(None, "sh", "-c", 'echo "a"')
    text = 'command timed out: "sh -c echo \\"a\\"" timed out after 3s'
    assert result == ProbeResult(Outcome.FAILURE, text)


def test_exec_expands_literal_variables_only() -> None:
    _, asked = run_exec(Output(), "cat", "$(DIR)/ok", "$(OTHER)", "$$(DIR)", "$DIR")
    assert asked == ["cat", "/tmp/ok", "$(OTHER)", "$(DIR)", "$DIR"]


def test_grpc_answers_are_the_health_services() -> None:
    async def run() -> list[ProbeResult]:
        import grpc.aio
        from grpc_health.v1 import health, health_pb2, health_pb2_grpc

        server, bare = grpc.aio.server(), grpc.aio.server()
        servicer = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
        await servicer.set("down", health_pb2.HealthCheckResponse.NOT_SERVING)
        port, other = (one.add_insecure_port("127.0.0.1:0") for one in (server, bare))
        await server.start()
        await bare.start()
        asked = [(port, None), (port, "down"), (port, "none"), (other, None)]
        closed = await _closed_port()
        results = [
            await grpc_probe.attempt(core_v1.GRPCAction(port=p, service=s), target(), 2)
            for p, s in asked
        ]
        refused = await grpc_probe.attempt(core_v1.GRPCAction(port=closed), target(), 0.25)
        results.append(ProbeResult(refused.outcome, refused.output.replace(str(closed), "PORT")))
        await server.stop(0)
        await bare.stop(0)
        return results

    serving_, down, unknown, without, refused = asyncio.run(run())
    assert serving_.outcome is Outcome.SUCCESS
    assert down.output == 'service unhealthy (responded with "NOT_SERVING")'
    assert unknown.output == (
        "error: health rpc probe failed: rpc error: code = NotFound desc = "
        + unknown.output.partition("desc = ")[2]
    )
    assert without.output.startswith(
        "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): "
    )
    assert refused.output == (
        'timeout: failed to connect service "127.0.0.1:PORT" within 250ms: '
        "context deadline exceeded"
    )


def cpu_per_attempt(one: Callable[[int], Coroutine[Any, Any, ProbeResult]]) -> float:
    """Seconds of this thread's CPU, the little server's share included."""

    async def run() -> float:
        async with serving(answering(ok())) as port:
            for _ in range(20):
                await one(port)
            before = time.thread_time()
            for _ in range(100):
                await one(port)
            return (time.thread_time() - before) / 100

    return asyncio.run(run())


def test_an_http_or_tcp_attempt_is_cheap() -> None:
    http = cpu_per_attempt(
        lambda port: http_get.attempt(core_v1.HTTPGetAction(port=port), target(), 1)
    )
    tcp = cpu_per_attempt(
        lambda port: tcp_socket.attempt(core_v1.TCPSocketAction(port=port), target(), 1)
    )
    print(f"http {http * 1e6:.0f} us, tcp {tcp * 1e6:.0f} us")
    # The promise is half a millisecond for the probe alone; the server here costs as much again.
    assert http < 0.002
    assert tcp < 0.002
