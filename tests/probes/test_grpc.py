"""grpc probes: each row of the table against a real gRPC server, then peers that misbehave, in virtual time."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import RequestReceived, StreamEnded, WindowUpdated
from h2.settings import SettingCodes
from hypothesis import given, settings
from hypothesis import strategies as st
from lightkube.models import core_v1

from podward.machinery.network import Network, SystemNetwork
from podward.probes import grpc as grpc_probe
from podward.probes.base import ExecOutput, Outcome, ProbeResult, ProbeTarget
from podward.probes.grpc_call import NotConnected, RpcFailure, UnaryCall, Unprocessed
from podward.probes.health_messages import (
    ServingStatus,
    decode_request,
    decode_response,
    encode_request,
    encode_response,
    frame,
)
from podward.simulate.ports import Ports, SimulatedNetwork, Stream
from podward.simulate.virtual_loop import run

SUCCESS = ProbeResult(Outcome.SUCCESS)


async def no_exec(command: Sequence[str], timeout: float) -> ExecOutput:
    raise AssertionError("not asked")


def target(network: Network, ip: str) -> ProbeTarget:
    return ProbeTarget(pod_ip=ip, named_ports={}, exec_sync=no_exec, network=network)


# ---- a real server

Check = Callable[[str, Any], Awaitable[int]]
"""(service, context) -> status."""


class Health(health_pb2_grpc.HealthServicer):  # type: ignore[misc]  # generated, and not typed
    def __init__(self, check: Check) -> None:
        self._check = check

    async def Check(self, request: Any, context: Any) -> Any:
        return health_pb2.HealthCheckResponse(status=await self._check(request.service, context))


def ask_real(check: Check | None, service: str | None = None, timeout: float = 5) -> ProbeResult:
    """None: a server without the health service."""

    async def main() -> ProbeResult:
        server = grpc.aio.server()
        if check is not None:
            health_pb2_grpc.add_HealthServicer_to_server(Health(check), server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        action = core_v1.GRPCAction(port=port, service=service)
        try:
            return await grpc_probe.attempt(action, target(SystemNetwork(), "127.0.0.1"), timeout)
        finally:
            await server.stop(0)

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("status", "result"),
    [
        (1, SUCCESS),
        (2, ProbeResult(Outcome.FAILURE, 'service unhealthy (responded with "NOT_SERVING")')),
        (0, ProbeResult(Outcome.FAILURE, 'service unhealthy (responded with "UNKNOWN")')),
        (3, ProbeResult(Outcome.FAILURE, 'service unhealthy (responded with "SERVICE_UNKNOWN")')),
        (77, ProbeResult(Outcome.FAILURE, 'service unhealthy (responded with "77")')),
        (-1, ProbeResult(Outcome.FAILURE, 'service unhealthy (responded with "-1")')),
    ],
)
def test_only_serving_is_a_success(status: int, result: ProbeResult) -> None:
    async def check(service: str, context: Any) -> int:
        return status

    assert ask_real(check) == result


@pytest.mark.parametrize(
    ("code", "said", "output"),
    [
        (
            grpc.StatusCode.NOT_FOUND,
            "unknown service",
            "error: health rpc probe failed: rpc error: code = NotFound desc = unknown service",
        ),
        (
            grpc.StatusCode.PERMISSION_DENIED,
            "kein Zutritt: 100 % für alle",
            "error: health rpc probe failed: rpc error: code = PermissionDenied "
            "desc = kein Zutritt: 100 % für alle",
        ),
        (
            grpc.StatusCode.CANCELLED,
            "",
            "error: health rpc probe failed: rpc error: code = Canceled desc = ",
        ),
        (
            grpc.StatusCode.UNIMPLEMENTED,
            "not me",
            "error: this server does not implement the grpc health protocol "
            "(grpc.health.v1.Health): not me",
        ),
        (
            grpc.StatusCode.DEADLINE_EXCEEDED,
            "whatever it says",
            "timeout: health rpc did not complete within 5s",
        ),
    ],
)
def test_what_a_status_other_than_ok_is_told_as(
    code: grpc.StatusCode, said: str, output: str
) -> None:
    async def check(service: str, context: Any) -> int:
        await context.abort(code, said)
        return 1

    assert ask_real(check) == ProbeResult(Outcome.FAILURE, output)


def test_a_server_without_the_health_service() -> None:
    assert ask_real(None).output == (
        "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): "
        "Method not found!"
    )


def test_a_server_that_is_too_slow() -> None:
    async def check(service: str, context: Any) -> int:
        await asyncio.Event().wait()
        return 1

    assert ask_real(check, timeout=0.25) == ProbeResult(
        Outcome.FAILURE, "timeout: health rpc did not complete within 250ms"
    )


@pytest.mark.parametrize("service", ["", "my.service", "größer", "x" * 70_000])
def test_the_call_is_a_kubelets(service: str) -> None:
    seen: dict[str, Any] = {}

    async def check(asked: str, context: Any) -> int:
        metadata = dict(context.invocation_metadata())
        seen.update(asked=asked, agent=metadata["user-agent"], left=context.time_remaining())
        return 1

    assert ask_real(check, service) == SUCCESS
    assert seen["asked"] == service
    assert seen["agent"].startswith("kube-probe/1.36 grpc-")
    assert 4 < seen["left"] <= 5


# ---- peers in virtual time

Peer = Callable[[Stream], Awaitable[None]]
PORT = 9000
DIAL_TIMEOUT = (
    'timeout: failed to connect service "10.0.0.1:9000" within 1s: context deadline exceeded'
)


def ask(*peers: Peer, timeout: float = 1, closed_until: float = 0) -> ProbeResult:
    """Each connection meets the next peer, the last one again and again."""
    left = list(peers)

    async def serve(stream: Stream) -> None:
        await (left.pop(0) if len(left) > 1 else left[0])(stream)

    async def main() -> ProbeResult:
        ports = Ports()
        asyncio.get_running_loop().call_later(closed_until, ports.listen, "10.0.0.1", PORT, serve)
        if not closed_until:
            await asyncio.sleep(1e-6)
        return await grpc_probe.attempt(
            core_v1.GRPCAction(port=PORT), target(SimulatedNetwork(ports), "10.0.0.1"), timeout
        )

    return run(main())


def failed(text: str) -> ProbeResult:
    return ProbeResult(Outcome.FAILURE, f"error: health rpc probe failed: rpc error: code = {text}")


Act = Callable[[H2Connection], None]
HEADERS = [(":status", "200"), ("content-type", "application/grpc")]
OK = [("grpc-status", "0")]


def http2(
    act: Act, *, settings_: dict[SettingCodes, int] | None = None, then_close: bool = False,
    early: bool = False, asked: Callable[[Any], bool] = lambda e: isinstance(e, StreamEnded),
) -> Peer:  # fmt: skip
    """A server that does `act` when the call is there, or `early`, without waiting for it."""

    async def serve(stream: Stream) -> None:
        connection = H2Connection(H2Configuration(client_side=False))
        for code, value in (settings_ or {}).items():
            connection.local_settings[code] = value
        connection.local_settings.acknowledge()
        connection.initiate_connection()
        if early:
            act(connection)
        stream.write(connection.data_to_send())
        while data := await stream.read():
            for event in connection.receive_data(data):
                if asked(event) and not early:
                    act(connection)
                    stream.write(connection.data_to_send())
                    if then_close:
                        return
            stream.write(connection.data_to_send())

    return serve


def answer(connection: H2Connection, message: bytes | None = None, size: int | None = None) -> None:
    body = frame(encode_response(ServingStatus.SERVING)) if message is None else message
    connection.send_headers(1, HEADERS)
    for at in range(0, len(body), size or len(body) or 1):
        connection.send_data(1, body[at : at + (size or len(body))])
    connection.send_headers(1, OK, end_stream=True)


def trailers_only(*fields: tuple[str, str]) -> Act:
    return lambda connection: connection.send_headers(1, [*HEADERS, *fields], end_stream=True)


def test_an_answer() -> None:
    assert ask(http2(answer)) == SUCCESS


def test_a_message_in_many_frames() -> None:
    assert ask(http2(lambda c: answer(c, size=1))) == SUCCESS


def test_padding_and_fields_that_nobody_knows() -> None:
    message = (
        encode_response(ServingStatus.SERVING) + b"\x12\x03new" + b"\x1d0000" + b"\x2100000000"
    )

    def act(connection: H2Connection) -> None:
        connection.send_headers(1, HEADERS)
        connection.send_data(1, frame(message), pad_length=100)
        connection.send_headers(1, OK, end_stream=True)

    assert ask(http2(act)) == SUCCESS


def test_bytes_that_come_one_at_a_time() -> None:
    async def dripping(stream: Stream) -> None:
        class Dripping(Stream):
            def write(self, data: bytes) -> None:
                drops.extend(data[i : i + 1] for i in range(len(data)))

        drops: list[bytes] = []

        async def drip() -> None:
            while True:
                await asyncio.sleep(0.0001)
                if drops:
                    stream.write(drops.pop(0))

        task = asyncio.ensure_future(drip())
        try:
            await http2(answer)(Dripping(stream.incoming, stream.outgoing))
        finally:
            task.cancel()

    assert ask(dripping) == SUCCESS


def test_a_large_message_within_the_limit_is_read_through_the_window() -> None:
    unknown = b"\x12\xc0\x84\x3d" + b"x" * 1_000_000
    body = frame(encode_response(ServingStatus.SERVING) + unknown)
    left = [body]

    def more(connection: H2Connection) -> None:
        if left[0] is body:
            connection.send_headers(1, HEADERS)
        while left[0] and (window := connection.local_flow_control_window(1)):
            piece = left[0][: min(window, connection.max_outbound_frame_size)]
            connection.send_data(1, piece)
            left[0] = left[0][len(piece) :]
        if not left[0]:
            connection.send_headers(1, OK, end_stream=True)
            left[0] = b"sent"

    def asked(event: object) -> bool:
        return left[0] != b"sent" and isinstance(event, StreamEnded | WindowUpdated)

    assert ask(http2(more, asked=asked)) == SUCCESS


def test_a_window_that_is_closed_at_first() -> None:
    def grant(connection: H2Connection) -> None:
        if 1 in connection.streams and not granted:
            granted.append(True)
            connection.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 2})
            connection.increment_flow_control_window(1, 1)
            connection.increment_flow_control_window(1000, 1)
        else:
            answer(connection)

    granted: list[bool] = []
    asked = lambda e: isinstance(e, RequestReceived | StreamEnded)  # noqa: E731
    peer = http2(grant, settings_={SettingCodes.INITIAL_WINDOW_SIZE: 0}, asked=asked)
    assert ask(peer) == SUCCESS
    assert granted


def test_a_server_that_allows_no_stream() -> None:
    peer = http2(answer, settings_={SettingCodes.MAX_CONCURRENT_STREAMS: 0})
    assert ask(peer).output == "timeout: health rpc did not complete within 1s"


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ([("grpc-status", "5"), ("grpc-message", "unknown%20service")], "NotFound desc = unknown service"),
        ([("grpc-status", "13"), ("grpc-message", "100% %zz %C3%BC")], "Internal desc = 100% %zz ü"),
        ([("grpc-status", "99")], "Code(99) desc = "),
        ([("grpc-status", "x")], 'Unknown desc = transport: malformed grpc-status: "x"'),
        ([], "Unknown desc = "),
        (
            [("grpc-status", "0")],
            "Internal desc = cardinality violation: received no response message from "
            "non-server-streaming RPC",
        ),
    ],
)  # fmt: skip
def test_headers_that_are_trailers_at_once(fields: list[tuple[str, str]], text: str) -> None:
    assert ask(http2(trailers_only(*fields))) == failed(text)


def test_unimplemented_in_headers_alone() -> None:
    fields = [("grpc-status", "12"), ("grpc-message", "unknown service grpc.health.v1.Health")]
    assert ask(http2(trailers_only(*fields))).output == (
        "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): "
        "unknown service grpc.health.v1.Health"
    )


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (frame(b"\x08"), "Internal desc = grpc: failed to unmarshal the received message: proto: "
         "a number without an end"),
        (frame(b"\x08\x01") * 2, "Internal desc = cardinality violation: expected <EOF> for non "
         "server-streaming RPCs, but received another message"),
        (frame(b"\x08\x01")[:-1], "Internal desc = unexpected EOF"),
        (b"\1" + frame(b"\x08\x01")[1:], "Internal desc = grpc: compressed flag set with identity "
         "or empty encoding"),
        (b"\0\xff\xff\xff\xff", "ResourceExhausted desc = grpc: received message larger than max "
         "(4294967295 vs. 4194304)"),
    ],
    ids=["not protobuf", "two", "cut off", "compressed", "too large"],
)  # fmt: skip
def test_a_message_that_is_none(body: bytes, text: str) -> None:
    assert ask(http2(lambda c: answer(c, body))) == failed(text)


def test_no_trailers() -> None:
    def act(connection: H2Connection) -> None:
        connection.send_headers(1, HEADERS)
        connection.send_data(1, frame(b"\x08\x01"), end_stream=True)

    assert ask(http2(act)) == failed(
        "Internal desc = server closed the stream without sending trailers"
    )


def test_a_web_server_that_speaks_http2() -> None:
    def act(connection: H2Connection) -> None:
        headers = [(":status", "404"), ("content-type", "text/html")]
        connection.send_headers(1, headers, end_stream=True)

    assert ask(http2(act)).output == (
        "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): "
        "unexpected HTTP status code received from server: 404 (Not Found); "
        'transport: received unexpected content-type "text/html"'
    )
    busy = http2(lambda c: c.send_headers(1, [(":status", "503")], end_stream=True))
    assert ask(busy) == failed(
        "Unavailable desc = unexpected HTTP status code received from server: 503 "
        "(Service Unavailable); malformed header: missing HTTP content-type"
    )


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (ErrorCodes.INTERNAL_ERROR, "Internal"),
        (ErrorCodes.CANCEL, "Canceled"),
        (ErrorCodes.ENHANCE_YOUR_CALM, "ResourceExhausted"),
        (ErrorCodes.INADEQUATE_SECURITY, "PermissionDenied"),
    ],
)
def test_a_stream_that_is_reset(code: ErrorCodes, text: str) -> None:
    result = ask(http2(lambda c: c.reset_stream(1, code)))
    assert result == failed(
        f"{text} desc = stream terminated by RST_STREAM with error code: {code.name}"
    )


def refuse(connection: H2Connection) -> None:
    connection.reset_stream(1, ErrorCodes.REFUSED_STREAM)


def drain(connection: H2Connection) -> None:
    connection.close_connection(ErrorCodes.NO_ERROR, last_stream_id=0)


@pytest.mark.parametrize("no", [http2(refuse), http2(drain), http2(drain, early=True)])
def test_a_call_that_was_not_looked_at_is_made_once_more(no: Peer) -> None:
    assert ask(no, http2(answer)) == SUCCESS


def test_but_not_twice() -> None:
    assert ask(http2(drain), http2(drain), http2(answer)) == failed(
        "Unavailable desc = the connection is draining"
    )
    assert ask(http2(refuse), http2(refuse), http2(answer)) == failed(
        "Unavailable desc = stream terminated by RST_STREAM with error code: REFUSED_STREAM"
    )


def goaway(last: int = 2**31 - 1, code: int = 0, said: bytes = b"graceful_stop") -> bytes:
    payload = last.to_bytes(4, "big") + code.to_bytes(4, "big") + said
    return len(payload).to_bytes(3, "big") + b"\x07\0\0\0\0\0" + payload


def going_away(then: Peer, said: bytes = goaway()) -> Peer:
    """GOAWAY after the SETTINGS; what has been accepted is answered all the same."""

    async def serve(stream: Stream) -> None:
        class Announcing(Stream):
            def write(self, data: bytes) -> None:
                # The first write is the SETTINGS.
                stream.write(data if told else data + said)
                told.append(True)

        told: list[bool] = []
        await then(Announcing(stream.incoming, stream.outgoing))

    return serve


def test_a_server_that_goes_away_politely_still_answers() -> None:
    assert ask(going_away(http2(answer))) == SUCCESS


def test_a_server_that_goes_away_and_then_is_gone() -> None:
    leaving = going_away(http2(lambda connection: None, then_close=True))
    assert ask(leaving) == failed(
        'Unavailable desc = closing transport due to: connection error: desc = "error reading from '
        'server: EOF", received prior goaway: code: NO_ERROR, debug data: "graceful_stop"'
    )


def test_a_connection_that_is_lost_during_the_call() -> None:
    lost = http2(lambda connection: None, then_close=True)
    assert ask(lost) == failed("Unavailable desc = error reading from server: EOF")


def test_a_peer_that_breaks_the_protocol_during_the_call() -> None:
    async def serve(stream: Stream) -> None:
        stream.write(b"\0\0\0\x04\0\0\0\0\0" + b"HTTP/1.1 200 OK\r\n\r\n")
        await stream.read()

    assert ask(serve).output.startswith(
        "error: health rpc probe failed: rpc error: code = Unavailable desc = error reading from server: "
    )


# ---- the dial


async def closes_at_once(stream: Stream) -> None:
    return


async def never_answers(stream: Stream) -> None:
    while await stream.read():
        pass


async def http1(stream: Stream) -> None:
    await stream.read()
    stream.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")


async def goaway_first(stream: Stream) -> None:
    stream.write(goaway())
    await stream.read()


@pytest.mark.parametrize("peer", [closes_at_once, never_answers, http1, goaway_first])
def test_a_peer_without_settings_is_no_connection(peer: Peer) -> None:
    assert ask(peer).output == DIAL_TIMEOUT


@pytest.mark.parametrize("peer", [closes_at_once, http1, goaway_first])
def test_the_dial_is_repeated_after_a_second_then_after_longer(peer: Peer) -> None:
    assert ask(peer, http2(answer), timeout=1.5) == SUCCESS
    assert ask(peer, peer, http2(answer), timeout=2.5).outcome is Outcome.FAILURE
    assert ask(peer, peer, http2(answer), timeout=2.7) == SUCCESS


def test_a_refused_connection_is_tried_again_until_the_deadline() -> None:
    assert ask(http2(answer), closed_until=0.9).output == DIAL_TIMEOUT
    assert ask(http2(answer), timeout=3, closed_until=0.9) == SUCCESS
    assert ask(http2(answer), timeout=3, closed_until=2).outcome is Outcome.SUCCESS
    assert ask(http2(answer), timeout=3, closed_until=2.7).outcome is Outcome.FAILURE


def test_dial_and_call_have_one_deadline() -> None:
    async def slowly(stream: Stream) -> None:
        await asyncio.sleep(0.6)
        await http2(lambda connection: None)(stream)

    assert ask(slowly).output == "timeout: health rpc did not complete within 1s"


def test_when_the_second_connection_of_a_call_fails() -> None:
    assert ask(http2(drain), closes_at_once) == failed(
        'Unavailable desc = connection error: desc = "error reading server preface: EOF"'
    )


FRAMES = st.builds(
    lambda kind, flags, number, payload: (
        len(payload).to_bytes(3, "big") + bytes([kind, flags, 0, 0, 0, number]) + payload
    ),
    st.integers(0, 11), st.integers(0, 255), st.integers(0, 3), st.binary(max_size=40),
)  # fmt: skip


@given(st.booleans(), st.lists(st.binary(max_size=60) | FRAMES, max_size=5))
@settings(max_examples=1000, deadline=None)
def test_whatever_a_peer_says_the_end_is_an_answer(begins_well: bool, said: list[bytes]) -> None:
    class Wire(asyncio.Transport):
        def write(self, data: Any) -> None:
            pass

    async def main() -> None:
        call = UnaryCall("/a/b", "10.0.0.1:9000", "me", b"", 1, lambda: None)
        call.connection_made(Wire())
        for data in [b"\0\0\0\x04\0\0\0\0\0"] * begins_well + said:
            call.data_received(data)
        call.connection_lost(None)
        assert isinstance(call.reply.exception(), NotConnected | Unprocessed | RpcFailure)

    run(main())


# ---- the messages


@given(st.text())
def test_requests_are_protobufs(service: str) -> None:
    data = health_pb2.HealthCheckRequest(service=service).SerializeToString()
    assert encode_request(service) == data
    assert decode_request(data) == service


@pytest.mark.parametrize("status", ServingStatus)
def test_responses_are_protobufs(status: ServingStatus) -> None:
    data = health_pb2.HealthCheckResponse(status=status.value).SerializeToString()
    assert encode_response(status) == data
    assert decode_response(data) == status
    assert health_pb2.HealthCheckResponse.ServingStatus.Name(status.value) == status.name


@given(st.binary(max_size=30))
def test_any_bytes_are_a_response_or_a_value_error(data: bytes) -> None:
    try:
        number = decode_response(data)
    except ValueError:
        return
    assert -(2**31) <= number < 2**31
