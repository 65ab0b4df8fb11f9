"""Text in aligned cells, as Go's tabwriter lays it out for kubectl, and what all describers share."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

from podward.machinery.gotext import human_duration

PADDING = 2
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_WIDEST_ANNOTATION = 140

Json = Mapping[str, Any]


class Layout:
    """Lines of tab-separated cells, indented by level; `text` aligns them."""

    def __init__(self) -> None:
        self._parts: list[str] = []

    def line(self, level: int, text: str) -> None:
        self._parts.append("  " * level + text + "\n")

    def pairs(self, title: str, pairs: Sequence[str]) -> None:
        """A title and its values, one a line."""
        first, *rest = pairs or ["<none>"]
        self.line(0, f"{title}:\t{first}")
        for value in rest:
            self.line(0, f"\t{value}")

    def text(self) -> str:
        return align("".join(self._parts))


def align(text: str) -> str:
    """Cells that end in a tab and stand above each other without a gap get the width of the widest.

    The last cell of a line ends no column, so a line without a tab separates what is above it from what is
    below (the rule of Go's text/tabwriter).
    """
    lines = [line.split("\t") for line in text.split("\n")]
    out: list[str] = []
    _format(lines, 0, len(lines), [], out)
    return "\n".join(out)


def _format(
    lines: Sequence[Sequence[str]], start: int, end: int, widths: list[int], out: list[str]
) -> None:
    column = len(widths)
    here = start
    while here < end:
        if column >= len(lines[here]) - 1:
            here += 1
            continue
        out.extend(_padded(lines[i], widths) for i in range(start, here))
        start, width = here, 0
        while here < end and column < len(lines[here]) - 1:
            width = max(width, len(lines[here][column]) + PADDING)
            here += 1
        _format(lines, start, here, [*widths, width], out)
        start = here
    out.extend(_padded(lines[i], widths) for i in range(start, end))


def _padded(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "".join(cell.ljust(w) for cell, w in zip(cells, widths, strict=False)) + "".join(
        cells[len(widths) :]
    )


def labels(given: Json | None) -> list[str]:
    return [f"{key}={value}" for key, value in sorted((given or {}).items())]


def annotations(given: Json | None) -> list[str]:
    """One line each; those of many lines, or long ones, in a block of their own below their key."""
    out: list[str] = []
    for key, value in sorted((given or {}).items()):
        if key == LAST_APPLIED:
            continue
        value = value.removesuffix("\n")
        if len(value) + len(key) + 2 <= _WIDEST_ANNOTATION and "\n" not in value:
            out.append(f"{key}: {value}")
            continue
        out.append(f"{key}:")
        out.extend("  " + _shortened(part) for part in value.split("\n"))
    return out


def _shortened(text: str) -> str:
    limit = _WIDEST_ANNOTATION - 2
    return text if len(text) <= limit else text[:limit] + "..."


def head(out: Layout, metadata: Json) -> None:
    """What most describers begin with."""
    out.line(0, f"Name:\t{metadata.get('name', '')}")
    out.line(0, f"Namespace:\t{metadata.get('namespace', '')}")
    out.pairs("Labels", labels(metadata.get("labels")))
    out.pairs("Annotations", annotations(metadata.get("annotations")))


def events(out: Layout, given: Iterable[Json], now: datetime) -> None:
    """The Events section; `out` must end with it, for its columns are its own."""
    rows = sorted(given, key=lambda event: event.get("lastTimestamp") or "")
    if not rows:
        out.line(0, "Events:\t<none>")
        return
    out.line(0, "Events:")
    out.line(1, "Type\tReason\tAge\tFrom\tMessage")
    out.line(1, "----\t------\t----\t----\t-------")
    for event in rows:
        source = (event.get("source") or {}).get("component") or event.get("reportingComponent")
        cells = [event.get("type", ""), event.get("reason", ""), _interval(event, now)]
        out.line(1, "\t".join([*cells, source or "", event.get("message", "").strip()]))


def _interval(event: Json, now: datetime) -> str:
    first = age(event.get("eventTime") or event.get("firstTimestamp"), now)
    series = event.get("series")
    if series:
        return f"{age(series.get('lastObservedTime'), now)} (x{series.get('count')} over {first})"
    if event.get("count", 0) > 1:
        return f"{age(event.get('lastTimestamp'), now)} (x{event['count']} over {first})"
    return first


def parsed(stamp: str) -> datetime:
    return datetime.fromisoformat(stamp)


def age(stamp: str | None, now: datetime) -> str:
    return human_duration((now - parsed(stamp)).total_seconds()) if stamp else "<unknown>"


def rfc1123z(stamp: str | None) -> str:
    """`Mon, 02 Jan 2006 15:04:05 -0700`, in the reader's time zone; the zero time if there is none."""
    if not stamp:
        return "Mon, 01 Jan 0001 00:00:00 +0000"
    # RFC 5322's date is the same, in English whatever the locale.
    return format_datetime(parsed(stamp).astimezone())


def utc_now() -> datetime:
    return datetime.now(UTC)
