"""What is counted of admissions. A preset is named by its id, for three kinds may share a name."""

from podward.admission.plugins.pod_preset.model import Notice
from podward.machinery.metrics import Counter, Family


class PresetMetrics:
    """`namespace` is the Pod's: a cluster preset is counted where it struck."""

    def __init__(self) -> None:
        self.conflicts = Counter(
            "podward_pod_preset_conflicts_total",
            "Clashes of presets with Pods or with each other, by the preset that answers for it.",
            ("namespace", "preset", "list"),
        )
        self.applied = Counter(
            "podward_pod_preset_applied_total",
            "Pods that a preset was applied to when they were created.",
            ("namespace", "preset"),
        )
        self.rejected = Counter(
            "podward_pod_preset_rejected_total",
            "Pods that were refused because a preset says Reject.",
            ("namespace",),
        )
        self.failed = Counter(
            "podward_pod_preset_failed_total",
            "Pods that were refused because presets could not be read (mode compat).",
            ("namespace",),
        )

    def count(self, notice: Notice) -> None:
        result, namespace = notice.result, notice.namespace
        for conflict in result.conflicts:
            answerable = conflict.presets[0] if conflict.presets else ""
            self.conflicts.inc(namespace, answerable, conflict.list)
        if result.rejected:
            self.rejected.inc(namespace)
        elif result.error:
            self.failed.inc(namespace)
        else:
            for preset in result.applied:
                self.applied.inc(namespace, preset.id)

    async def families(self) -> list[Family]:
        counters = (self.conflicts, self.applied, self.rejected, self.failed)
        return [counter.read() for counter in counters]
