"""RuntimeClass: a Pod that names a class gets what its containers cost beyond themselves (`overhead`), and goes
where the class can be had."""

from typing import Any

import msgspec
from lightkube.models import core_v1, node_v1

from podward.admission.base import AdmissionPlugin, AdmissionRequest
from podward.api.errors import ApiStatusError, forbidden
from podward.machinery.quantity import parse_quantity


class RuntimeClass(AdmissionPlugin):
    async def mutate(self, request: AdmissionRequest) -> Any:
        pod = request.object
        if not request.is_pod_creation() or pod.spec is None or not pod.spec.runtimeClassName:
            return pod
        found = await _class_of(request, pod.spec)
        spec = pod.spec
        if found.overhead is not None and found.overhead.podFixed:
            if spec.overhead and not _same(spec.overhead, found.overhead.podFixed):
                text = "Pod's Overhead doesn't match RuntimeClass's defined Overhead"
                raise _refused(request, f"pod rejected: {text}")
            spec = msgspec.structs.replace(spec, overhead=dict(found.overhead.podFixed))
        if found.scheduling is not None:
            spec = _scheduled(request, spec, found.scheduling)
        return pod if spec is pod.spec else msgspec.structs.replace(pod, spec=spec)

    async def validate(self, request: AdmissionRequest) -> None:
        pod = request.object
        if not request.is_pod_creation() or pod.spec is None or not pod.spec.overhead:
            return
        name = pod.spec.runtimeClassName
        found = await _class_of(request, pod.spec) if name else None
        if found is None or found.overhead is None:
            text = "Pod Overhead set without corresponding RuntimeClass defined Overhead"
            raise _refused(request, f"pod rejected: {text}")


async def _class_of(request: AdmissionRequest, spec: core_v1.PodSpec) -> node_v1.RuntimeClass:
    name = spec.runtimeClassName or ""
    found = await request.objects.get(node_v1.RuntimeClass, name)
    if found is None:
        raise _refused(request, f'pod rejected: RuntimeClass "{name}" not found')
    return found


def _scheduled(
    request: AdmissionRequest, spec: core_v1.PodSpec, scheduling: node_v1.Scheduling
) -> core_v1.PodSpec:
    selector = dict(spec.nodeSelector or {})
    for key, value in (scheduling.nodeSelector or {}).items():
        own = selector.setdefault(key, value)
        if own != value:
            raise _refused(
                request,
                f"conflict: runtimeClass.scheduling.nodeSelector[{key}] = {value}; "
                f"pod.spec.nodeSelector[{key}] = {own}",
            )
    tolerations = list(spec.tolerations or ())
    tolerations += [one for one in scheduling.tolerations or () if one not in tolerations]
    return msgspec.structs.replace(
        spec, nodeSelector=selector or None, tolerations=tolerations or None
    )


def _same(one: dict[str, str], other: dict[str, str]) -> bool:
    def amounts(given: dict[str, str]) -> dict[str, Any]:
        return {name: parse_quantity(str(text)) for name, text in given.items()}

    return amounts(one) == amounts(other)


def _refused(request: AdmissionRequest, why: str) -> ApiStatusError:
    meta = request.object.metadata
    return forbidden(request.resource, (meta and meta.name) or request.name, why)
