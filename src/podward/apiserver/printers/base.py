"""The words all printers share."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

Cell = str | int
Cells = list[Cell]


@dataclass(frozen=True, slots=True)
class TableColumn:
    name: str
    type: str = "string"
    format: str = ""
    priority: int = 0
    """0: always shown; 1: with `-o wide`."""
    description: str = ""


@dataclass(frozen=True, slots=True)
class Printer:
    columns: tuple[TableColumn, ...]
    cells: Callable[[Any, datetime], Cells]
    """One cell for each column, in their order."""
    conditions: Callable[[Any], list[dict[str, str]]] = field(default=lambda obj: [])


NAME = TableColumn("Name", format="name", description="The name, unique within its namespace.")
AGE = TableColumn("Age", description="The time since the object was created.")


def human_duration(seconds: float) -> str:
    """A duration as kubectl shows ages (spec/health.md 8.1)."""
    s = int(seconds)
    if s < -1:
        return "<invalid>"
    if s < 0:
        return "0s"
    m, h, d = s // 60, s // 3600, s // 86400
    if s < 120:
        return f"{s}s"
    if m < 10:
        return _two(m, "m", s % 60, "s")
    if m < 180:
        return f"{m}m"
    if h < 8:
        return _two(h, "h", m % 60, "m")
    if h < 48:
        return f"{h}h"
    if h < 192:
        return _two(d, "d", h % 24, "h")
    if h < 17520:
        return f"{d}d"
    if h < 70080:
        return _two(d // 365, "y", d % 365, "d")
    return f"{d // 365}y"


def _two(big: int, unit: str, small: int, small_unit: str) -> str:
    return f"{big}{unit}{small}{small_unit}" if small else f"{big}{unit}"


def since(moment: datetime | None, now: datetime) -> str:
    return "<unknown>" if moment is None else human_duration((now - moment).total_seconds())


def age(obj: Any, now: datetime) -> str:
    return since(obj.metadata.creationTimestamp if obj.metadata else None, now)


def name_of(obj: Any) -> str:
    return (obj.metadata.name if obj.metadata else "") or ""
