"""SPDY/3.1 without input or output: bytes go in, events come out, and what is to be sent waits to be taken.

The framing is the public draft's (draft-mbelshe-httpbis-spdy-00). Kubernetes speaks it for exec, attach and
port-forward, with Go's `moby/spdystream` at the other end. That peer keeps no windows: it sends no
WINDOW_UPDATE and heeds none. So none is kept here either: whoever reads the transport holds back the peer.
"""

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

PROTOCOL_ERROR, INVALID_STREAM, REFUSED_STREAM, UNSUPPORTED_VERSION, CANCEL = 1, 2, 3, 4, 5
"""Why a stream is reset."""

MAX_FRAME: Final = 0xFFFFFF
_VERSION: Final = 3
_SYN_STREAM, _SYN_REPLY, _RST_STREAM, _SETTINGS, _PING = 1, 2, 3, 4, 6
_GOAWAY, _HEADERS, _WINDOW_UPDATE = 7, 8, 9
_FIN, _UNIDIRECTIONAL = 0x01, 0x02
_STREAM_ID: Final = 0x7FFFFFFF

_MAX_CONTROL: Final = 64 * 1024
_MAX_HEADERS: Final = 256 * 1024
"""Of a header block once it is inflated: a small frame must not become a large memory."""
_MAX_STREAMS: Final = 1000

_NAMES: Final = """
options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age allow
authorization cache-control connection content-base content-encoding content-language content-length
content-location content-md5 content-range content-type date etag expect expires from host if-match
if-modified-since if-none-match if-range if-unmodified-since last-modified location max-forwards pragma
proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade
user-agent vary via warning www-authenticate method get status 200_OK version HTTP/1.1 url public set-cookie
keep-alive origin
"""
_REST: Final = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request"
    "401 Unauthorized403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented"
    "503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 "
    "Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,"
    "application/xml,application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age="
    "gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)


def _dictionary() -> bytes:
    words = [name.replace("_", " ").encode() for name in _NAMES.split()]
    return b"".join(struct.pack(">I", len(word)) + word for word in words) + _REST.encode()


DICTIONARY: Final = _dictionary()
"""What both ends of version 3 have zlib know before the first header block."""


class SpdyError(Exception):
    """The peer does not speak SPDY/3; nothing more can be read from it."""


@dataclass(frozen=True, slots=True)
class StreamOpened:
    stream: int
    headers: Mapping[str, str]
    """Lower-case names; several values of one name are parted by NUL."""
    fin: bool = False


@dataclass(frozen=True, slots=True)
class StreamReplied:
    stream: int
    headers: Mapping[str, str]
    fin: bool = False


@dataclass(frozen=True, slots=True)
class DataReceived:
    """A piece of a stream, as large as what has come of it. With `fin` it is the last."""

    stream: int
    data: bytes
    fin: bool = False


@dataclass(frozen=True, slots=True)
class StreamReset:
    stream: int
    code: int


@dataclass(frozen=True, slots=True)
class PingAnswered:
    ping: int


@dataclass(frozen=True, slots=True)
class GoneAway:
    """The peer opens no more streams, and answers none beyond `last_stream`."""

    last_stream: int


Event = StreamOpened | StreamReplied | DataReceived | StreamReset | PingAnswered | GoneAway


@dataclass(slots=True)
class _Stream:
    sending: bool = True
    receiving: bool = True


@dataclass(slots=True)
class _Frame:
    """A DATA frame of which `left` bytes are still to come."""

    stream: int
    fin: bool
    left: int


@dataclass(slots=True)
class Connection:
    """One end. `server`: who opens streams with even numbers."""

    server: bool
    _inbox: bytearray = field(default_factory=bytearray)
    _outbox: bytearray = field(default_factory=bytearray)
    _streams: dict[int, _Stream] = field(default_factory=dict)
    _data: _Frame | None = None
    _theirs: int = 0
    """The highest stream that the peer has opened."""
    _ours: int = 0
    _pings: int = 0
    _leaving: bool = False
    _deflate: "zlib._Compress" = field(
        default_factory=lambda: zlib.compressobj(9, zlib.DEFLATED, 15, 9, 0, DICTIONARY)
    )
    _inflate: "zlib._Decompress" = field(
        default_factory=lambda: zlib.decompressobj(15, zdict=DICTIONARY)
    )

    # ---- what is said

    def take(self) -> bytes:
        """What is to be sent, once."""
        out = bytes(self._outbox)
        self._outbox.clear()
        return out

    @property
    def waiting(self) -> int:
        """How many bytes `take` would give."""
        return len(self._outbox)

    def open_stream(self, headers: Mapping[str, str], *, fin: bool = False) -> int:
        self._ours += 2 if self._ours else (2 if self.server else 1)
        stream = self._ours
        self._streams[stream] = _Stream(sending=not fin)
        block = struct.pack(">IIBB", stream, 0, 0, 0) + self._block(headers)
        self._control(_SYN_STREAM, _FIN if fin else 0, block)
        return stream

    def reply(
        self, stream: int, headers: Mapping[str, str] | None = None, *, fin: bool = False
    ) -> None:
        block = struct.pack(">I", stream) + self._block(headers or {})
        self._control(_SYN_REPLY, _FIN if fin else 0, block)
        if fin:
            self._end_sending(stream)

    def send(self, stream: int, data: bytes, *, fin: bool = False) -> None:
        """Nothing for a stream that has been ended or reset: the peer cannot hear it."""
        state = self._streams.get(stream)
        if state is None or not state.sending:
            return
        pieces = [data[at : at + MAX_FRAME] for at in range(0, len(data), MAX_FRAME)]
        if not pieces and fin:
            pieces = [b""]
        for number, piece in enumerate(pieces, 1):
            flags = _FIN if fin and number == len(pieces) else 0
            self._outbox += struct.pack(">II", stream, flags << 24 | len(piece)) + piece
        if fin:
            self._end_sending(stream)

    def reset(self, stream: int, code: int = CANCEL) -> None:
        if self._streams.pop(stream, None) is not None:
            self._reset(stream, code)

    def ping(self) -> int:
        self._pings += 2 if self._pings else (2 if self.server else 1)
        self._control(_PING, 0, struct.pack(">I", self._pings))
        return self._pings

    def go_away(self, status: int = 0) -> None:
        """Streams that come now are not looked at."""
        if not self._leaving:
            self._leaving = True
            self._control(_GOAWAY, 0, struct.pack(">II", self._theirs, status))

    def _end_sending(self, stream: int) -> None:
        state = self._streams.get(stream)
        if state is not None:
            state.sending = False
            self._forget(stream, state)

    def _forget(self, stream: int, state: _Stream) -> None:
        if not state.sending and not state.receiving:
            self._streams.pop(stream, None)

    def _reset(self, stream: int, code: int) -> None:
        self._control(_RST_STREAM, 0, struct.pack(">II", stream, code))

    def _control(self, kind: int, flags: int, body: bytes) -> None:
        head = struct.pack(">HHI", 0x8000 | _VERSION, kind, flags << 24 | len(body))
        self._outbox += head + body

    def _block(self, headers: Mapping[str, str]) -> bytes:
        plain = bytearray(struct.pack(">I", len(headers)))
        for name, value in headers.items():
            for text in (name.lower(), value):
                data = text.encode()
                plain += struct.pack(">I", len(data)) + data
        return self._deflate.compress(bytes(plain)) + self._deflate.flush(zlib.Z_SYNC_FLUSH)

    # ---- what is heard

    def receive(self, data: bytes) -> list[Event]:
        """What these bytes complete. `SpdyError`: nothing more can be read; a GOAWAY waits to be sent."""
        self._inbox += data
        events: list[Event] = []
        try:
            while self._next(events):
                pass
        except (struct.error, zlib.error, UnicodeDecodeError, SpdyError) as error:
            self.go_away(PROTOCOL_ERROR)
            raise SpdyError(f"not SPDY/3: {error}") from error
        return events

    def _next(self, events: list[Event]) -> bool:
        """One step forward, if there are bytes for it."""
        if self._data is not None:
            return self._some_data(self._data, events)
        if len(self._inbox) < 8:
            return False
        first, second = struct.unpack_from(">II", self._inbox)
        flags, length = second >> 24, second & MAX_FRAME
        if not first >> 31:
            del self._inbox[:8]
            self._data = _Frame(first, bool(flags & _FIN), length)
            if length == 0:
                self._some_data(self._data, events)
            return True
        if first >> 16 & 0x7FFF != _VERSION:
            raise SpdyError(f"a frame of version {first >> 16 & 0x7FFF}")
        if length > _MAX_CONTROL:
            raise SpdyError(f"a control frame of {length} bytes")
        if len(self._inbox) < 8 + length:
            return False
        body = bytes(self._inbox[8 : 8 + length])
        del self._inbox[: 8 + length]
        self._heard(first & 0xFFFF, flags, body, events)
        return True

    def _some_data(self, frame: _Frame, events: list[Event]) -> bool:
        with memoryview(self._inbox) as held:
            piece = bytes(held[: frame.left])
        if not piece and frame.left:
            return False
        del self._inbox[: len(piece)]
        frame.left -= len(piece)
        fin = frame.fin and frame.left == 0
        if frame.left == 0:
            self._data = None
        state = self._streams.get(frame.stream)
        if state is not None and state.receiving:
            if piece or fin:
                events.append(DataReceived(frame.stream, piece, fin))
            if fin:
                self._end_receiving(frame.stream)
        elif state is None and frame.stream > max(self._theirs, self._ours) and not frame.left:
            self._reset(frame.stream, INVALID_STREAM)
        return True

    def _end_receiving(self, stream: int) -> None:
        state = self._streams.get(stream)
        if state is not None:
            state.receiving = False
            self._forget(stream, state)

    def _heard(self, kind: int, flags: int, body: bytes, events: list[Event]) -> None:
        if kind == _SYN_STREAM:
            self._opened(flags, body, events)
        elif kind in (_SYN_REPLY, _HEADERS):
            stream = struct.unpack_from(">I", body)[0] & _STREAM_ID
            headers = self._headers(body[4:])  # read, or zlib loses its place
            if stream not in self._streams:
                return
            fin = bool(flags & _FIN)
            if kind == _SYN_REPLY:
                events.append(StreamReplied(stream, headers, fin))
            elif fin:
                events.append(DataReceived(stream, b"", True))
            if fin:
                self._end_receiving(stream)
        elif kind == _RST_STREAM:
            stream, code = struct.unpack(">II", body)
            if self._streams.pop(stream & _STREAM_ID, None) is not None:
                events.append(StreamReset(stream & _STREAM_ID, code))
        elif kind == _PING:
            (ping,) = struct.unpack(">I", body)
            if ping % 2 == (0 if self.server else 1):
                events.append(PingAnswered(ping))
            else:
                self._control(_PING, 0, body)
        elif kind == _GOAWAY:
            events.append(GoneAway(struct.unpack_from(">I", body)[0] & _STREAM_ID))
        # SETTINGS and WINDOW_UPDATE speak of windows; what else there may be, the draft says to pass over.

    def _opened(self, flags: int, body: bytes, events: list[Event]) -> None:
        stream = struct.unpack_from(">I", body)[0] & _STREAM_ID
        headers = self._headers(body[10:])
        if self._leaving:
            return
        if stream % 2 != (1 if self.server else 0) or stream <= self._theirs:
            self._streams.pop(stream, None)
            self._reset(stream, PROTOCOL_ERROR)
            return
        self._theirs = stream
        if len(self._streams) >= _MAX_STREAMS:
            self._reset(stream, REFUSED_STREAM)
            return
        fin = bool(flags & _FIN)
        state = _Stream(sending=not flags & _UNIDIRECTIONAL, receiving=not fin)
        self._streams[stream] = state
        events.append(StreamOpened(stream, headers, fin))
        self._forget(stream, state)

    def _headers(self, block: bytes) -> dict[str, str]:
        plain = self._inflate.decompress(block, _MAX_HEADERS)
        if self._inflate.unconsumed_tail:
            raise SpdyError(f"a header block of more than {_MAX_HEADERS} bytes")
        (count,) = struct.unpack_from(">I", plain)
        at = 4
        found: dict[str, str] = {}
        for _ in range(count):
            name, at = _text(plain, at)
            value, at = _text(plain, at)
            found[name.lower()] = value
        return found


def _text(plain: bytes, at: int) -> tuple[str, int]:
    (length,) = struct.unpack_from(">I", plain, at)
    end = at + 4 + length
    if end > len(plain):
        raise SpdyError("a header block that ends too early")
    return plain[at + 4 : end].decode(), end
