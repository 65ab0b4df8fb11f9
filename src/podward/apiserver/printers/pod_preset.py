"""Rows of podward.dev presets; those of settings.k8s.io have NAME and CREATED AT, as they always had."""

from datetime import datetime
from typing import Any

from podward.api.kinds.podward_v1alpha1 import PodPresetSpec, PodPresetStatus
from podward.apiserver.printers.base import AGE, NAME, Cells, Printer, TableColumn, age, name_of


def _cells(preset: Any, now: datetime) -> Cells:
    spec = preset.spec or PodPresetSpec()
    status = preset.status or PodPresetStatus()
    valid = {c.type: c.status for c in status.conditions or ()}.get("Valid", "")
    return [
        name_of(preset),
        spec.priority or 0,
        spec.onConflict or "SkipAll",
        valid,
        *(_count(n) for n in (status.matchedPods, status.currentPods, status.stalePods)),
        age(preset, now),
    ]


def _count(number: int | None) -> str:
    """Empty until somebody has counted: that is not the same as none."""
    return "" if number is None else str(number)


POD_PRESET_PRINTER = Printer(
    (
        NAME,
        TableColumn("Priority", "integer", description="Presets are merged from the highest down."),
        TableColumn("On-Conflict", description="What a clash leads to."),
        TableColumn("Valid", description="Whether it can be used."),
        TableColumn("Matched", description="Pods that its selectors choose."),
        TableColumn("Current", description="Pods that carry it as it is now."),
        TableColumn("Stale", description="Pods that carry an earlier form of it, or never got it."),
        AGE,
    ),
    _cells,
)
