"""DefaultTolerationSeconds: a Pod stays 300 s on a node that is not ready or cannot be reached."""

from typing import Any

import msgspec
from lightkube.models import core_v1

from podward.admission.base import AdmissionPlugin, AdmissionRequest

TAINTS = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
SECONDS = 300


class DefaultTolerationSeconds(AdmissionPlugin):
    async def mutate(self, request: AdmissionRequest) -> Any:
        pod = request.object
        if not request.is_pod_creation() or pod.spec is None:
            return pod
        given = list(pod.spec.tolerations or ())
        missing = [taint for taint in TAINTS if not any(_covers(t, taint) for t in given)]
        if not missing:
            return pod
        added = [
            core_v1.Toleration(
                key=taint, operator="Exists", effect="NoExecute", tolerationSeconds=SECONDS
            )
            for taint in missing
        ]
        spec = msgspec.structs.replace(pod.spec, tolerations=given + added)
        return msgspec.structs.replace(pod, spec=spec)


def as_it_came(pod: dict[str, Any]) -> dict[str, Any]:
    """A stored Pod's document without the tolerations that were added here, or might have been."""
    spec = pod.get("spec") or {}
    kept = [t for t in spec.get("tolerations") or () if not _default(t)]
    return {**pod, "spec": {**spec, "tolerations": kept}}


def _default(toleration: dict[str, Any]) -> bool:
    return (
        toleration.get("key") in TAINTS
        and toleration.get("operator") == "Exists"
        and toleration.get("effect") == "NoExecute"
        and toleration.get("tolerationSeconds") == SECONDS
    )


def _covers(toleration: core_v1.Toleration, taint: str) -> bool:
    return toleration.key in (taint, None, "") and toleration.effect in ("NoExecute", None, "")
