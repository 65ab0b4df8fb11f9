"""SPDY/3.1: what one end writes the other reads, whatever the chunks; and what no peer may do."""

import struct
import zlib
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podward.machinery import spdy
from podward.machinery.spdy import (
    Connection,
    DataReceived,
    Event,
    GoneAway,
    PingAnswered,
    SpdyError,
    StreamOpened,
    StreamReplied,
    StreamReset,
)

NAMES = st.text("abcdefghij-", min_size=1, max_size=12)
HEADERS = st.dictionaries(NAMES, st.text(max_size=40), max_size=5)
CHUNKS = st.lists(st.integers(1, 40), min_size=1, max_size=30)


def heard(end: Connection, data: bytes, sizes: Sequence[int] = (1 << 30,)) -> list[Event]:
    """What `end` makes of the bytes, cut into pieces of these sizes, over and over."""
    events: list[Event] = []
    at = number = 0
    while at < len(data):
        size = sizes[number % len(sizes)]
        events += end.receive(data[at : at + size])
        at, number = at + size, number + 1
    return events


def pair() -> tuple[Connection, Connection]:
    return Connection(server=False), Connection(server=True)


def joined(events: list[Event]) -> list[Event]:
    """Pieces of one stream that follow each other as one, for chunks decide where they are cut."""
    out: list[Event] = []
    for event in events:
        last = out[-1] if out else None
        if (
            isinstance(event, DataReceived)
            and isinstance(last, DataReceived)
            and last.stream == event.stream
        ):
            out[-1] = DataReceived(event.stream, last.data + event.data, event.fin)
        else:
            out.append(event)
    return out


@given(HEADERS, HEADERS, st.binary(max_size=300), CHUNKS)
@settings(max_examples=60, deadline=None)
def test_what_one_end_writes_the_other_reads_whatever_the_chunks(
    first: dict[str, str], second: dict[str, str], data: bytes, sizes: list[int]
) -> None:
    client, server = pair()
    one = client.open_stream(first)
    two = client.open_stream(second, fin=True)
    client.send(one, data)
    client.send(one, data, fin=True)
    ping = client.ping()
    client.go_away()
    events = joined(heard(server, client.take(), sizes))
    assert events == [
        StreamOpened(one, first),
        StreamOpened(two, second, True),
        DataReceived(one, data + data, True),
        GoneAway(0),
    ]
    server.reply(one, second)
    server.send(one, data)
    server.reply(two, first, fin=True)
    server.reset(one, spdy.CANCEL)
    assert [
        e for e in joined(heard(client, server.take(), sizes)) if e != DataReceived(one, b"")
    ] == [
        PingAnswered(ping),
        StreamReplied(one, second),
        *([DataReceived(one, data)] if data else []),
        StreamReplied(two, first, True),
        StreamReset(one, spdy.CANCEL),
    ]


def test_the_dictionary_is_version_threes() -> None:
    """Its checksum is what every zlib stream of the protocol begins with."""
    assert zlib.adler32(spdy.DICTIONARY) == 0xE3C6A7C2


def test_a_frame_that_another_implementation_wrote_is_read() -> None:
    """The header block of a stream `streamtype: error`, deflated by hand with Go's level and dictionary."""
    plain = struct.pack(">I", 1) + b"\0\0\0\x0astreamtype\0\0\0\x05error"
    deflate = zlib.compressobj(9, zdict=spdy.DICTIONARY)
    block = deflate.compress(plain) + deflate.flush(zlib.Z_SYNC_FLUSH)
    frame = struct.pack(">HHIIIBB", 0x8003, 1, len(block) + 10, 1, 0, 0, 0) + block
    assert heard(Connection(server=True), frame) == [StreamOpened(1, {"streamtype": "error"})]


def test_a_ping_is_answered_as_it_came() -> None:
    client, server = pair()
    client.ping()
    asked = client.take()
    assert server.receive(asked) == []
    assert server.take() == asked


def test_data_of_a_large_frame_comes_before_the_frame_is_whole() -> None:
    client, server = pair()
    stream = client.open_stream({})
    client.send(stream, b"x" * 1_000_000, fin=True)
    whole = client.take()
    events = server.receive(whole[:500_000])
    assert isinstance(events[-1], DataReceived)
    assert len(events[-1].data) > 400_000
    assert not events[-1].fin
    rest = server.receive(whole[500_000:])
    assert isinstance(rest[-1], DataReceived)
    assert rest[-1].fin


def test_more_data_than_a_frame_holds_is_several_frames() -> None:
    client, server = pair()
    stream = client.open_stream({})
    client.send(stream, b"x" * (spdy.MAX_FRAME + 1), fin=True)
    events = [e for e in server.receive(client.take()) if isinstance(e, DataReceived)]
    assert [len(e.data) for e in events] == [spdy.MAX_FRAME, 1]
    assert [e.fin for e in events] == [False, True]


def test_each_side_ends_a_stream_for_itself() -> None:
    client, server = pair()
    stream = client.open_stream({}, fin=True)
    server.receive(client.take())
    server.reply(stream)
    server.send(stream, b"still here", fin=True)
    events = client.receive(server.take())
    assert events[-1] == DataReceived(stream, b"still here", True)
    server.send(stream, b"too late")
    assert server.take() == b""


def test_data_of_a_stream_that_is_over_is_passed_over() -> None:
    client, server = pair()
    stream = client.open_stream({})
    server.receive(client.take())
    server.reset(stream)
    server.take()
    client.send(stream, b"on its way already", fin=True)
    assert server.receive(client.take()) == []
    assert server.take() == b""


def test_data_of_a_stream_that_never_was_is_refused() -> None:
    server = Connection(server=True)
    assert server.receive(struct.pack(">II", 7, 2) + b"ab") == []
    assert server.take() == struct.pack(">HHIII", 0x8003, 3, 8, 7, spdy.INVALID_STREAM)


@pytest.mark.parametrize("again", [1, 2])
def test_a_stream_number_that_cannot_be_is_refused(again: int) -> None:
    """One that was there already, and one that is the server's to give."""
    client, server = pair()
    client.open_stream({})
    server.receive(client.take())
    client.open_stream({})
    frame = bytearray(client.take())
    frame[8:12] = struct.pack(">I", again)
    assert server.receive(bytes(frame)) == []
    assert server.take() == struct.pack(">HHIII", 0x8003, 3, 8, again, spdy.PROTOCOL_ERROR)


def test_streams_without_end_are_refused() -> None:
    client, server = pair()
    for _ in range(1001):
        client.open_stream({})
    assert len(server.receive(client.take())) == 1000
    assert server.take()[-4:] == struct.pack(">I", spdy.REFUSED_STREAM)


def test_streams_that_are_over_count_no_more() -> None:
    client, server = pair()
    for _ in range(1500):
        stream = client.open_stream({}, fin=True)
        assert server.receive(client.take()) == [StreamOpened(stream, {}, True)]
        server.reply(stream, fin=True)
        client.receive(server.take())


def test_after_goodbye_no_stream_is_looked_at() -> None:
    client, server = pair()
    server.go_away()
    client.open_stream({"a": "b"})
    assert server.receive(client.take()) == []


def test_windows_and_settings_are_passed_over() -> None:
    server = Connection(server=True)
    frames = struct.pack(">HHIII", 0x8003, 9, 8, 0, 65536) + struct.pack(">HHII", 0x8003, 4, 4, 0)
    assert server.receive(frames) == []
    assert server.take() == b""


@pytest.mark.parametrize(
    "junk",
    [
        b"\xff" * 20,
        struct.pack(">HHI", 0x8002, 1, 0),
        struct.pack(">HHI", 0x8003, 1, 0xFFFFFF),
        struct.pack(">HHI", 0x8003, 1, 12) + b"\0\0\0\1" + b"\xff" * 8,
        struct.pack(">HHI", 0x8003, 3, 1) + b"x",
    ],
)  # fmt: skip
def test_what_is_not_spdy_is_an_error_and_a_goodbye(junk: bytes) -> None:
    server = Connection(server=True)
    if junk.startswith(
        b"GET"
    ):  # reads as data of a stream that never was, until its frames run wild
        junk = junk[:4] + struct.pack(">I", 0) + struct.pack(">HHI", 0x8001, 9, 0)
    with pytest.raises(SpdyError):
        server.receive(junk)
    assert server.take()[-12:] == struct.pack(">II", 8, 0) + struct.pack(">I", 1)


def test_a_block_that_inflates_without_end_is_an_error() -> None:
    client, server = pair()
    client.open_stream({"a": "x" * 1_000_000})
    with pytest.raises(SpdyError, match="header block"):
        server.receive(client.take())


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_no_bytes_do_worse_than_a_spdy_error(data: bytes) -> None:
    try:
        Connection(server=True).receive(data)
    except SpdyError:
        pass
