"""One unary gRPC call on an HTTP/2 connection of its own, without TLS.

The texts of its failures are those of grpc-go, which a stock kubelet's events show.
"""

import asyncio
import math
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import cast
from urllib.parse import unquote

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    DataReceived,
    Event,
    RemoteSettingsChanged,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
    WindowUpdated,
)
from h2.exceptions import ProtocolError

from podward.probes.health_messages import frame
from podward.probes.ports import errno_text

MAX_MESSAGE_BYTES = 4 * 1024 * 1024
CODES = (
    "OK", "Canceled", "Unknown", "InvalidArgument", "DeadlineExceeded", "NotFound", "AlreadyExists",
    "PermissionDenied", "ResourceExhausted", "FailedPrecondition", "Aborted", "OutOfRange",
    "Unimplemented", "Internal", "Unavailable", "DataLoss", "Unauthenticated",
)  # fmt: skip
"""By number, as Go spells them."""
_OF_HTTP = {
    400: "Internal", 401: "Unauthenticated", 403: "PermissionDenied", 404: "Unimplemented",
    429: "Unavailable", 502: "Unavailable", 503: "Unavailable", 504: "Unavailable",
}  # fmt: skip
"""What an HTTP status means that came instead of a gRPC answer; any other is Unknown."""
_OF_RESET: dict[int | None, str] = {
    ErrorCodes.FLOW_CONTROL_ERROR: "ResourceExhausted",
    ErrorCodes.CANCEL: "Canceled",
    ErrorCodes.ENHANCE_YOUR_CALM: "ResourceExhausted",
    ErrorCodes.INADEQUATE_SECURITY: "PermissionDenied",
}
"""What a reset stream means; any other code is Internal."""
_STREAM = 1
_FRAME_HEAD_BYTES, _SETTINGS, _GOAWAY = 9, 4, 7
_CONFIG = H2Configuration(
    client_side=True,
    header_encoding=None,
    # What we send is what we wrote a few lines below.
    validate_outbound_headers=False,
    normalize_outbound_headers=False,
)

Headers = list[tuple[bytes, bytes]]


class NotConnected(ConnectionError):
    """The peer was lost, or proved to be no HTTP/2 server, before its SETTINGS came."""


class Unprocessed(Exception):
    """The server says that it has not looked at the call: it may be made again."""


class RpcFailure(Exception):
    def __init__(self, code: str, description: str) -> None:
        super().__init__(f"rpc error: code = {code} desc = {description}")
        self.code = code
        self.description = description


class UnaryCall(asyncio.Protocol):
    """Settles `reply`: the message that came back, `NotConnected`, `Unprocessed` or `RpcFailure`."""

    def __init__(
        self,
        path: str,
        authority: str,
        user_agent: str,
        message: bytes,
        deadline: float,
        connected: Callable[[], None],
    ) -> None:
        """`deadline` is the loop's time; `connected` is called when the server's SETTINGS have come."""
        loop = asyncio.get_running_loop()
        self.reply: asyncio.Future[bytes] = loop.create_future()
        self._headers = [
            (b":method", b"POST"),
            (b":scheme", b"http"),
            (b":path", path.encode()),
            (b":authority", authority.encode()),
            (b"content-type", b"application/grpc"),
            (b"user-agent", user_agent.encode()),
            (b"te", b"trailers"),
        ]
        self._deadline = deadline
        self._time = loop.time
        self._connected = connected
        self._http2 = H2Connection(_CONFIG)
        self._unsent = frame(message)
        self._settled = False
        """Whether the server's SETTINGS have come."""
        self._asked = False
        self._received = bytearray()
        """Not yet a whole frame."""
        self._body = bytearray()
        self._final: Headers | None = None
        """Where the status stands: the trailers, or the only headers there are."""
        self._going_away = ""

    # ---- of the connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast, no isinstance: uvloop's transports do not inherit from asyncio's.
        self._transport = cast(asyncio.WriteTransport, transport)
        self._http2.initiate_connection()
        self._flush()

    def data_received(self, data: bytes) -> None:
        if self.reply.done():
            return
        try:
            for whole in self._frames(data):
                for event in self._http2.receive_data(whole):
                    self._heard(event)
        except ProtocolError as error:
            self._lost(str(error))
        except (RpcFailure, Unprocessed) as error:
            self._fail(error)
        if not self.reply.done():
            self._flush()

    def connection_lost(self, error: Exception | None) -> None:
        reset = isinstance(error, OSError) and error.errno is not None
        self._lost(f"read: {errno_text(error)}" if reset and isinstance(error, OSError) else "EOF")

    def _lost(self, why: str) -> None:
        if not self._settled:
            self._fail(NotConnected(f"error reading server preface: {why}"))
        elif self._going_away:
            text = f'closing transport due to: connection error: desc = "error reading from server: {why}"'
            self._fail(
                RpcFailure("Unavailable", f"{text}, received prior goaway: {self._going_away}")
            )
        else:
            self._fail(RpcFailure("Unavailable", f"error reading from server: {why}"))

    def _fail(self, error: Exception) -> None:
        if not self.reply.done():
            self.reply.set_exception(error)

    def _flush(self) -> None:
        data = self._http2.data_to_send()
        if data:
            self._transport.write(data)

    def _frames(self, data: bytes) -> Iterator[bytes]:
        """Whole frames for h2, but for GOAWAY: after that one h2 hears nothing more, and the answer to a call
        that the server had already accepted is still to come.
        """
        self._received += data
        while len(self._received) >= _FRAME_HEAD_BYTES and not self.reply.done():
            size = _FRAME_HEAD_BYTES + int.from_bytes(self._received[:3], "big")
            if size > _FRAME_HEAD_BYTES + self._http2.max_inbound_frame_size:
                # No frame: HTTP/1, or another language. h2 has the words for it.
                yield bytes(self._received)
                return
            if len(self._received) < size:
                return
            whole = bytes(self._received[:size])
            del self._received[:size]
            if not self._settled and whole[3] != _SETTINGS:
                raise ProtocolError("initial http2 frame from server is not a settings frame")
            if whole[3] == _GOAWAY and size >= _FRAME_HEAD_BYTES + 8:
                self._goaway(whole[_FRAME_HEAD_BYTES:])
            else:
                yield whole

    def _goaway(self, payload: bytes) -> None:
        last = int.from_bytes(payload[:4], "big") & 0x7FFFFFFF
        if last < _STREAM or not self._asked:
            raise Unprocessed("the connection is draining")
        code, said = int.from_bytes(payload[4:8], "big"), payload[8:].decode(errors="replace")
        self._going_away = f'code: {_error_name(code)}, debug data: "{said}"'

    # ---- of the call

    def _heard(self, event: Event) -> None:
        match event:
            case RemoteSettingsChanged():
                if not self._settled:
                    self._settled = True
                    self._connected()
                self._ask()
            case WindowUpdated():
                self._ask()
            case ResponseReceived():
                self._head(event.headers, ended=event.stream_ended is not None)
            case DataReceived():
                self._data(event)
            case TrailersReceived():
                self._final = event.headers
            case StreamEnded():
                self._ended()
            case StreamReset():
                name = _error_name(event.error_code)
                text = f"stream terminated by RST_STREAM with error code: {name}"
                if event.error_code == ErrorCodes.REFUSED_STREAM:
                    raise Unprocessed(text)
                raise RpcFailure(_OF_RESET.get(event.error_code, "Internal"), text)

    def _ask(self) -> None:
        """Headers and as much of the message as the server's windows take."""
        if not self._asked:
            if self._http2.remote_settings.max_concurrent_streams < 1:
                return
            left = (b"grpc-timeout", _timeout(self._deadline - self._time()))
            self._http2.send_headers(_STREAM, [*self._headers, left])
            self._asked = True
        while self._unsent:
            window = self._http2.local_flow_control_window(_STREAM)
            piece = self._unsent[: min(window, self._http2.max_outbound_frame_size)]
            if not piece:
                return
            self._unsent = self._unsent[len(piece) :]
            self._http2.send_data(_STREAM, piece, end_stream=not self._unsent)

    def _head(self, headers: Headers, *, ended: bool) -> None:
        fields = dict(headers)
        kind = fields.get(b"content-type")
        digits = fields.get(b":status", b"")
        status = int(digits) if digits.isdigit() else 0
        if kind is None or not _is_grpc(kind):
            shown = (
                "malformed header: missing HTTP content-type"
                if kind is None
                else f'transport: received unexpected content-type "{kind.decode(errors="replace")}"'
            )
            text = f"unexpected HTTP status code received from server: {status} ({_phrase(status)})"
            raise RpcFailure(_OF_HTTP.get(status, "Unknown"), f"{text}; {shown}")
        if ended:
            self._final = headers

    def _data(self, event: DataReceived) -> None:
        self._body += event.data
        if len(self._body) >= 5:
            size = int.from_bytes(self._body[1:5], "big")
            if size > MAX_MESSAGE_BYTES:
                text = f"grpc: received message larger than max ({size} vs. {MAX_MESSAGE_BYTES})"
                raise RpcFailure("ResourceExhausted", text)
            if len(self._body) > 5 + size:
                raise RpcFailure(
                    "Internal",
                    "cardinality violation: expected <EOF> for non server-streaming RPCs, "
                    "but received another message",
                )
        self._http2.acknowledge_received_data(event.flow_controlled_length, _STREAM)

    def _ended(self) -> None:
        if self._final is None:
            raise RpcFailure("Internal", "server closed the stream without sending trailers")
        _raise_for_status(self._final)
        if not self._body:
            raise RpcFailure(
                "Internal",
                "cardinality violation: received no response message from non-server-streaming RPC",
            )
        if self._body[0]:
            text = "grpc: compressed flag set with identity or empty encoding"
            raise RpcFailure("Internal", text)
        if len(self._body) < 5 or len(self._body) < 5 + int.from_bytes(self._body[1:5], "big"):
            raise RpcFailure("Internal", "unexpected EOF")
        if not self.reply.done():
            self.reply.set_result(bytes(self._body[5:]))


def _raise_for_status(headers: Headers) -> None:
    fields = dict(headers)
    status = fields.get(b"grpc-status", b"2").decode(errors="replace")
    if not status.isascii() or not status.isdigit():
        raise RpcFailure("Unknown", f'transport: malformed grpc-status: "{status}"')
    number = int(status)
    if number:
        text = unquote(fields.get(b"grpc-message", b"").decode(errors="replace"))
        raise RpcFailure(CODES[number] if number < len(CODES) else f"Code({number})", text)


def _is_grpc(kind: bytes) -> bool:
    kind = kind.lower()
    return kind == b"application/grpc" or kind.startswith(
        (b"application/grpc+", b"application/grpc;")
    )


def _timeout(seconds: float) -> bytes:
    """At most eight digits and a unit: microseconds, or milliseconds where those do not fit."""
    microseconds = max(math.ceil(seconds * 1e6), 1)
    if microseconds < 100_000_000:
        return b"%du" % microseconds
    return b"%dm" % min(math.ceil(seconds * 1e3), 99_999_999)


def _error_name(code: int) -> str:
    try:
        return ErrorCodes(code).name
    except ValueError:
        return f"unknown error code 0x{code:x}"


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
