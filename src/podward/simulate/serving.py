"""What a described server says on a stream: HTTP/1 and the gRPC health service."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived, StreamEnded, StreamReset
from h2.exceptions import ProtocolError

from podward.probes.health_messages import decode_request, encode_response, frame
from podward.simulate.answers import Listens, RpcError
from podward.simulate.commands.network import http_answer, read_head
from podward.simulate.ports import Serve, Stream

_FRAME_HEAD_BYTES = 5
_HEADERS = [(":status", "200"), ("content-type", "application/grpc")]
Moment = Callable[[], float]
"""Seconds since the program has started."""


def server(listens: Listens, moment: Moment) -> Serve:
    """What it answers is decided when it is asked; `delay` is how long it keeps that to itself."""

    async def serve(stream: Stream) -> None:
        if listens.hangs:
            while await stream.read():
                pass
        elif listens.grpc is not None:
            await _Grpc(stream, listens, moment).serve()
        else:
            await _serve_http(stream, listens, moment)

    return serve


async def _serve_http(stream: Stream, listens: Listens, moment: Moment) -> None:
    """One answer to a connection."""
    head = await read_head(stream)
    words = head.split(b"\r\n")[0].decode(errors="replace").split(" ")
    if len(words) > 1 and listens.answers:
        status = listens.http_status(urlsplit(words[1]).path, moment())
        await asyncio.sleep(listens.delay)
        stream.write(http_answer(status, b""))


@dataclass(slots=True)
class _Request:
    method: str
    body: bytes = b""


class _Grpc:
    """One HTTP/2 connection."""

    def __init__(self, stream: Stream, listens: Listens, moment: Moment) -> None:
        self._stream = stream
        self._listens = listens
        self._moment = moment
        self._http2 = H2Connection(H2Configuration(client_side=False))
        self._requests: dict[int, _Request] = {}

    async def serve(self) -> None:
        self._http2.initiate_connection()
        self._flush()
        while data := await self._stream.read():
            try:
                events = self._http2.receive_data(data)
            except ProtocolError:
                self._flush()
                return
            for event in events:
                match event:
                    case RequestReceived():
                        method = dict(event.headers)[b":path"].decode(errors="replace")
                        self._requests[event.stream_id] = _Request(method)
                    case DataReceived():
                        self._requests[event.stream_id].body += event.data
                        taken = event.flow_controlled_length
                        self._http2.acknowledge_received_data(taken, event.stream_id)
                    case StreamReset():
                        self._requests.pop(event.stream_id, None)
                    case StreamEnded() if request := self._requests.pop(event.stream_id, None):
                        self._flush()
                        await self._answer(event.stream_id, request)
            self._flush()

    def _flush(self) -> None:
        self._stream.write(self._http2.data_to_send())

    async def _answer(self, stream_id: int, request: _Request) -> None:
        try:
            service = decode_request(request.body[_FRAME_HEAD_BYTES:])
            answer = self._listens.health(request.method, service, self._moment())
        except ValueError as error:
            answer = RpcError(13, f"failed to unmarshal the received message: {error}")
        await asyncio.sleep(self._listens.delay)
        if isinstance(answer, RpcError):
            status = [("grpc-status", str(answer.code)), ("grpc-message", answer.message)]
            self._http2.send_headers(stream_id, [*_HEADERS, *status], end_stream=True)
            return
        self._http2.send_headers(stream_id, _HEADERS)
        self._http2.send_data(stream_id, frame(encode_response(answer)))
        self._http2.send_headers(stream_id, [("grpc-status", "0")], end_stream=True)
