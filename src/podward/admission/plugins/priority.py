"""Priority: without priority classes every Pod has priority 0 and may preempt."""

from typing import Any

import msgspec

from podward.admission.base import AdmissionPlugin, AdmissionRequest


class Priority(AdmissionPlugin):
    async def mutate(self, request: AdmissionRequest) -> Any:
        pod = request.object
        if not request.is_pod_creation() or pod.spec is None:
            return pod
        spec = msgspec.structs.replace(
            pod.spec,
            priority=0 if pod.spec.priority is None else pod.spec.priority,
            preemptionPolicy=pod.spec.preemptionPolicy or "PreemptLowerPriority",
        )
        return msgspec.structs.replace(pod, spec=spec)
