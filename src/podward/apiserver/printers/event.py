"""Rows of `kubectl get events` (spec/health.md 8.3)."""

from datetime import datetime
from typing import Any

from lightkube.models import core_v1

from podward.apiserver.printers.base import Cells, Printer, TableColumn, name_of, since


def _cells(event: Any, now: datetime) -> Cells:
    involved = event.involvedObject or core_v1.ObjectReference()
    first = since(event.firstTimestamp or event.eventTime, now)
    last = since(event.lastTimestamp, now) if event.lastTimestamp else first
    count = event.count or 1
    if event.series is not None:
        last = since(event.series.lastObservedTime, now)
        count = event.series.count or count
    kind = (involved.kind or "").lower()
    return [
        last,
        event.type or "",
        event.reason or "",
        f"{kind}/{involved.name}" if involved.name else kind,
        involved.fieldPath or "",
        _source(event),
        (event.message or "").strip(),
        first,
        count,
        name_of(event),
    ]


def _source(event: core_v1.Event) -> str:
    component = (event.source.component if event.source else None) or event.reportingComponent or ""
    host = (event.source.host if event.source else None) or event.reportingInstance or ""
    return f"{component}, {host}" if host else component


EVENT_PRINTER = Printer(
    (
        TableColumn("Last Seen", description="The time since it last happened."),
        TableColumn("Type", description="Normal or Warning."),
        TableColumn("Reason", description="What happened, in one word."),
        TableColumn("Object", description="What it happened to."),
        TableColumn("Subobject", priority=1, description="The part of the object."),
        TableColumn("Source", priority=1, description="Who reports it."),
        TableColumn("Message", description="What happened, for people."),
        TableColumn("First Seen", priority=1, description="The time since it first happened."),
        TableColumn("Count", "integer", priority=1, description="How often it happened."),
        TableColumn("Name", format="name", priority=1, description="The name of the event."),
    ),
    _cells,
)
