"""CRI's log format, read forwards and from the end."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podward.kubelet.runtime.base import LogOptions
from podward.kubelet.runtime.cri.log_format import LogDecoder, tail_start

T = "2026-01-02T03:04:05.000000006Z"


def record(text: str, tag: str = "F", stamp: str = T, stream: str = "stdout") -> bytes:
    return f"{stamp} {stream} {tag} {text}\n".encode()


ALL = LogOptions()


def decoded(data: bytes, options: LogOptions = ALL, step: int = 1 << 20) -> bytes:
    decoder = LogDecoder(options)
    pieces = [decoder.feed(data[at : at + step]) for at in range(0, len(data), step)]
    return b"".join(pieces) + decoder.end_of_file()


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b"", b""),
        (record("one") + record("two", stream="stderr"), b"one\ntwo\n"),
        (record(""), b"\n"),
        (record("a", "P") + record("b", "P") + record("c"), b"abc\n"),
        (record("x") + record("left unfinished", "P"), b"x\nleft unfinished"),
        (record("tags to come", "F:later:more"), b"tags to come\n"),
        (record("a", "P:later") + record("b"), b"ab\n"),
        (record("a  b ") + record(" c"), b"a  b \n c\n"),
        (record("whole seconds", stamp="2026-01-02T03:04:05Z"), b"whole seconds\n"),
        (record("elsewhere", stamp="2026-01-02T03:04:05.1+02:00"), b"elsewhere\n"),
        (record("carriage\rreturn\x0b"), b"carriage\rreturn\x0b\n"),
        (b"no record at all\n" + record("one"), b"one\n"),
        (b"\n\n" + record("one"), b"one\n"),
        (record("x", stream="stdlog") + record("one"), b"one\n"),
        (record("no such day", stamp="2026-02-31T03:04:05Z") + record("one"), b"one\n"),
        (b"2026-01-02T03:04:05Z stdout F\n" + record("one"), b"one\n"),
        (record("a", "P") + b"rubbish within\n" + record("b"), b"ab\n"),
        (record("one")[20:] + record("two"), b"two\n"),
        (record("one") + record("cut off")[:-4], b"one\ncut "),
        (record("one") + record("two")[:20], b"one\n"),
    ],
)
def test_records_become_the_lines_that_were_written(data: bytes, shown: bytes) -> None:
    assert decoded(data) == shown
    assert decoded(data, step=1) == shown


@pytest.mark.parametrize(
    ("stamp", "shown"),
    [
        ("2026-01-02T03:04:05.000000006Z", "2026-01-02T03:04:05.000000006Z"),
        ("2026-01-02T03:04:05.5Z", "2026-01-02T03:04:05.500000000Z"),
        ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05.000000000Z"),
        ("2026-01-02T03:04:05.12+02:00", "2026-01-02T03:04:05.120000000+02:00"),
        ("2026-01-02T03:04:05.12+00:00", "2026-01-02T03:04:05.120000000Z"),
    ],
)
def test_a_stamp_is_the_lines_own(stamp: str, shown: str) -> None:
    assert decoded(record("x", stamp=stamp), LogOptions(timestamps=True)) == f"{shown} x\n".encode()


def test_a_line_of_parts_has_the_stamp_of_its_first() -> None:
    data = record("a", "P") + record("b", stamp="2026-01-02T03:04:09Z") + record("c")
    shown = decoded(data, LogOptions(timestamps=True))
    assert shown == f"{T} ab\n{T} c\n".encode()


@pytest.mark.parametrize(
    ("stamp", "wanted"),
    [
        ("2026-01-02T03:04:04.999999999Z", False),
        ("2026-01-02T03:04:05.000000999Z", False),
        ("2026-01-02T03:04:05.000001Z", True),
        ("2026-01-02T04:04:05.000001+01:00", True),
        ("2026-01-02T03:04:05.000001+01:00", False),
        ("2026-01-02T03:04:06Z", True),
    ],
)
def test_since_goes_by_the_lines_own_time_to_the_nanosecond(stamp: str, wanted: bool) -> None:
    since = datetime(2026, 1, 2, 3, 4, 5, 1, tzinfo=UTC)
    data = record("a", "P", stamp=stamp) + record("b")
    assert decoded(data, LogOptions(since=since)) == (b"ab\n" if wanted else b"")


def test_bytes_are_counted_as_they_are_shown() -> None:
    decoder = LogDecoder(LogOptions(limit_bytes=6))
    assert decoder.feed(record("one")) == b"one\n"
    assert not decoder.full
    assert decoder.feed(record("two")) == b"tw"
    assert decoder.full


def test_a_gigantic_record_is_given_out_as_it_comes() -> None:
    decoder = LogDecoder(LogOptions())
    text = "x" * 1_000_000
    pieces = [decoder.feed(f"{T} stdout F {text}".encode()), decoder.feed(b"yy")]
    assert len(pieces[0]) == 1_000_000
    pieces += [decoder.feed(b"\n" + record("next"))]
    assert b"".join(pieces) == f"{text}yy\nnext\n".encode()


def test_gigantic_rubbish_is_left_out() -> None:
    decoder = LogDecoder(LogOptions())
    assert decoder.feed(b"x" * 1_000_000) == b""
    assert decoder.feed(record("looks like one, and belongs to it") + record("one")) == b"one\n"


def test_a_line_goes_on_in_the_next_file() -> None:
    decoder = LogDecoder(LogOptions(timestamps=True))
    shown = decoder.feed(record("a", "P")) + decoder.end_of_file() + decoder.feed(record("b"))
    assert shown == f"{T} ab\n".encode()


def test_a_head_that_lies_in_two_blocks_is_read_from_the_end() -> None:
    for length in range(65_400, 65_600):
        last = record("z" * length)
        data = record("first") + last

        def read_at(at: int, size: int, data: bytes = data) -> bytes:
            return data[at : at + size]

        assert tail_start(read_at, len(data), 1) == len(data) - len(last)


RECORD = st.one_of(
    st.builds(
        record,
        st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=60),
        st.sampled_from(["F", "P", "F:x"]),
        stream=st.sampled_from(["stdout", "stderr"]),
    ),
    st.binary(max_size=40).map(lambda raw: raw.replace(b"\n", b" ") + b"\n"),
)
# As long as a block from the end and longer, so that records begin in one and end in another.
GIANT = st.integers(65_400, 65_700).map(lambda length: record("z" * length, "P"))
RECORDS = st.lists(RECORD, max_size=12)


@given(RECORDS, st.integers(1, 200))
def test_pieces_make_no_difference(parts: list[bytes], step: int) -> None:
    data = b"".join(parts)
    assert decoded(data, step=step) == decoded(data)


@given(st.lists(RECORD | GIANT, max_size=12), st.integers(0, 30), st.integers(0, 8))
def test_the_tail_is_the_last_of_the_lines(parts: list[bytes], cut: int, count: int) -> None:
    data = b"".join(parts)
    data = data[: len(data) - cut]
    lines = decoded(data).split(b"\n")
    whole = [line + b"\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])
    start = tail_start(lambda at, length: data[at : at + length], len(data), count)
    shown = decoded(data[start:])
    if shown == b"" and count:  # a last line of which nothing is there but its head
        assert whole == [] or _ends_without_text(data)
    else:
        expected = whole[-count:] if count else []
        if _ends_without_text(data):
            expected = expected[1:] if len(expected) == count else expected
        assert shown == b"".join(expected)


def _ends_without_text(data: bytes) -> bool:
    """Whether an empty part stands at the end: it is a line, and shows nothing."""
    decoder = LogDecoder(LogOptions(timestamps=True))
    shown = decoder.feed(data) + decoder.end_of_file()
    plain = decoded(data)
    return bool(shown) and not shown.endswith(b"\n") and (not plain or plain.endswith(b"\n"))
