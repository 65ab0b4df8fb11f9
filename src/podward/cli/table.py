"""Tables as kubectl prints them: three spaces between columns, nothing after the last."""

from collections.abc import Sequence
from typing import Any

PADDING = 3


class Table:
    """Rows of one listing; when they arrive bit by bit, columns only grow wider, as kubectl's do."""

    def __init__(self, columns: Sequence[dict[str, Any]], *, wide: bool, namespaces: bool) -> None:
        self._shown = [i for i, c in enumerate(columns) if wide or not c.get("priority")]
        self._namespaces = namespaces
        self.header = [columns[i]["name"].upper() for i in self._shown]
        if namespaces:
            self.header.insert(0, "NAMESPACE")
        self._widths = [0] * len(self.header)

    def row(self, row: dict[str, Any]) -> list[str]:
        cells = [_text(row["cells"][i]) for i in self._shown]
        if self._namespaces:
            cells.insert(0, row["object"]["metadata"].get("namespace") or "")
        return cells

    def lines(self, rows: Sequence[Sequence[str]]) -> list[str]:
        for cells in rows:
            self._widths = [max(w, len(c)) for w, c in zip(self._widths, cells, strict=True)]
        return [self._line(cells) for cells in rows]

    def _line(self, cells: Sequence[str]) -> str:
        padded = [c.ljust(w + PADDING) for c, w in zip(cells[:-1], self._widths, strict=False)]
        return "".join(padded) + cells[-1]


def _text(value: Any) -> str:
    return "<none>" if value is None else str(value)
