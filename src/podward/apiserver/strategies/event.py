"""Events: nothing about them is prepared, everything is selectable."""

from typing import Any

from lightkube.models import core_v1

from podward.apiserver.strategy import Strategy

_INVOLVED = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")


class EventStrategy(Strategy):
    selectable = (
        *(f"involvedObject.{field}" for field in _INVOLVED),
        "reason",
        "reportingComponent",
        "source",
        "type",
    )

    def fields(self, obj: Any) -> dict[str, str]:
        involved = obj.involvedObject or core_v1.ObjectReference()
        source = (obj.source.component if obj.source else "") or obj.reportingComponent or ""
        return {f"involvedObject.{f}": getattr(involved, f) or "" for f in _INVOLVED} | {
            "reason": obj.reason or "",
            "reportingComponent": obj.reportingComponent or "",
            "source": source,
            "type": obj.type or "",
        }
