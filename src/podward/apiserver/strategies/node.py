"""Nodes."""

from typing import Any

from podward.apiserver.strategy import Strategy


class NodeStrategy(Strategy):
    selectable = ("spec.unschedulable",)

    def fields(self, obj: Any) -> dict[str, str]:
        unschedulable = bool(obj.spec and obj.spec.unschedulable)
        return {"spec.unschedulable": "true" if unschedulable else "false"}
