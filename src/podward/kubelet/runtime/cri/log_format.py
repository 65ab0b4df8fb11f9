"""CRI's log format: a record a line, `2016-10-06T00:17:09.669794202Z stdout F text`. Pure.

An engine cuts what a container writes into records: `F` ends a line, `P` is a part of one, as is what a
container left unfinished at its end. What is no record (cut off by a crash, or somebody else's) is left out.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from podward.kubelet.runtime.base import LogOptions

_HEAD = re.compile(
    rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d) std(?:out|err) ([^ \n]{1,32}) "
)
"""(second, fraction, zone, tags). Tags are parted by colons; only the first has a meaning so far."""
_HEAD_BYTES = 128
_RECORD_BYTES = 256 * 1024
"""A longer record is given out before it has ended."""
_BLOCK = 64 * 1024
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class LogDecoder:
    """From the bytes of a log, in pieces of any size, to what `kubectl logs` shows."""

    def __init__(self, options: LogOptions) -> None:
        self._stamped = options.timestamps
        self._since = None if options.since is None else _nanoseconds_of(options.since)
        self._left = options.limit_bytes
        self._held = b""
        """Of a record that has not ended."""
        self._inside: bool | None = None
        """Within a record of which a part was given out already: whether the rest of it is text."""
        self._at_start = True
        self._wanted = True
        """Whether the line is shown that we are in: its first part says how old it is."""
        self._ends_line = True

    @property
    def full(self) -> bool:
        """All that was asked for has been given."""
        return self._left == 0

    def feed(self, data: bytes) -> bytes:
        *records, self._held = (self._held + data).split(b"\n")
        shown = [self._record(record, ended=True) for record in records]
        if len(self._held) > _RECORD_BYTES:
            shown.append(self._record(self._held, ended=False))
            self._held = b""
        return self._limited(b"".join(shown))

    def end_of_file(self) -> bytes:
        """What a record says that will not be finished. Another file may go on with the line."""
        held, self._held = self._held, b""
        shown = self._record(held, ended=False) if held else b""
        self._inside = None
        return self._limited(shown)

    def _record(self, record: bytes, *, ended: bool) -> bytes:
        if self._inside is not None:
            text = record if self._inside else b""
        else:
            head = _HEAD.match(record)
            if head is None or _seconds(head[1], head[3]) is None:
                self._inside = None if ended else False
                return b""
            text = record[head.end() :]
            self._ends_line = not is_part(head)
            if self._at_start:
                self._wanted = self._since is None or _time(head) >= self._since
                if self._stamped:
                    text = _stamp(head) + text
            self._at_start = self._ends_line
            self._inside = True
        finishes = ended and self._inside and self._ends_line
        if ended:
            self._inside = None
        if not self._wanted:
            return b""
        return text + b"\n" if finishes else text

    def _limited(self, shown: bytes) -> bytes:
        if self._left is None:
            return shown
        shown = shown[: self._left]
        self._left -= len(shown)
        return shown


def tail_start(read_at: Callable[[int, int], bytes], size: int, count: int) -> int:
    """Where the last `count` lines of a log of `size` bytes begin; `read_at(offset, length)` reads of it.

    From the end, block after block: what stands before is not looked at.
    """
    if count <= 0:
        return size
    lines, position, following = 0, size, b""
    after = size  # where the record ends that is looked at
    finished = bool(size) and read_at(size - 1, 1) == b"\n"
    while position > 0:
        length = min(_BLOCK, position)
        position -= length
        block = read_at(position, length)
        data = block + following
        starts = [at + 1 for at in _newlines(block)]
        if position == 0:
            starts.insert(0, 0)
        for start in reversed(starts):
            if position + start == size:
                continue  # nothing follows the last newline
            head = _HEAD.match(data, start, start + _HEAD_BYTES)
            if head is not None and _seconds(head[1], head[3]) is not None:
                ends_line = finished and not is_part(head)
                if ends_line or lines == 0:
                    if lines == count:
                        return after
                    lines += 1
            finished, after = True, position + start
        following = data[:_HEAD_BYTES]
    return 0


def _newlines(block: bytes) -> list[int]:
    return [found.start() for found in re.finditer(b"\n", block)]


def is_part(head: "re.Match[bytes]") -> bool:
    return head[4].split(b":", 1)[0] == b"P"


def _time(head: "re.Match[bytes]") -> int:
    """In nanoseconds since 1970."""
    return (_seconds(head[1], head[3]) or 0) * 1_000_000_000 + int((head[2] or b"").ljust(9, b"0"))


@lru_cache(maxsize=64)
def _seconds(second: bytes, zone: bytes) -> int | None:
    """Since 1970; None for a 31st of February."""
    try:
        moment = datetime.fromisoformat((second + zone).decode())
    except ValueError:
        return None
    return (moment - _EPOCH) // timedelta(seconds=1)


def _nanoseconds_of(moment: datetime) -> int:
    return (moment.astimezone(UTC) - _EPOCH) // timedelta(microseconds=1) * 1000


def _stamp(head: "re.Match[bytes]") -> bytes:
    """As a kubelet shows it: nine digits, in the engine's own zone."""
    zone = b"Z" if head[3] in (b"+00:00", b"-00:00") else head[3]
    return head[1] + b"." + (head[2] or b"").ljust(9, b"0") + zone + b" "
