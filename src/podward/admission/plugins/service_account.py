"""ServiceAccount: a Pod that names no account gets its namespace's `default` one."""

from typing import Any

import msgspec

from podward.admission.base import AdmissionPlugin, AdmissionRequest


class ServiceAccount(AdmissionPlugin):
    async def mutate(self, request: AdmissionRequest) -> Any:
        pod = request.object
        if not request.is_pod_creation() or pod.spec is None or pod.spec.serviceAccountName:
            return pod
        spec = msgspec.structs.replace(
            pod.spec, serviceAccountName="default", serviceAccount="default"
        )
        return msgspec.structs.replace(pod, spec=spec)
