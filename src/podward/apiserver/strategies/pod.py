"""Pods: born Pending, deleted gracefully (spec/health.md 6.1)."""

from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from lightkube.models import core_v1

from podward.apiserver.strategy import (
    Marked,
    Removed,
    Strategy,
    mark_deleted,
    metadata_of,
    with_metadata,
)
from podward.machinery.clock import whole_seconds

_DEFAULT_GRACE: Final = 30
_TERMINAL: Final = ("Succeeded", "Failed")


class PodStrategy(Strategy):
    tracks_generation = True
    returns_deleted = True
    selectable = (
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "spec.hostNetwork",
        "status.phase",
        "status.podIP",
        "status.nominatedNodeName",
    )

    def prepare_for_create(self, obj: Any) -> Any:
        status = core_v1.PodStatus(phase="Pending", qosClass=qos_class(obj))
        return msgspec.structs.replace(obj, status=status)

    def prepare_for_status_update(self, new: Any, old: Any) -> Any:
        status = new.status or core_v1.PodStatus()
        qos = old.status.qosClass if old.status else None
        if status.qosClass != qos and qos:
            status = msgspec.structs.replace(status, qosClass=qos)
        new = msgspec.structs.replace(new, status=status)
        return super().prepare_for_status_update(new, old)

    def delete(self, obj: Any, grace: int | None, now: datetime) -> Removed | Marked:
        period = _grace_period(obj, grace)
        metadata = metadata_of(obj)
        if metadata.deletionTimestamp is None:
            if period == 0 and not metadata.finalizers:
                return Removed()
            return Marked(mark_deleted(obj, now, period))
        held = metadata.deletionGracePeriodSeconds or 0
        if period == 0:
            if not metadata.finalizers:
                return Removed()
            return Marked(with_metadata(obj, deletionGracePeriodSeconds=0))
        if period >= held:
            return Marked(obj)
        return Marked(_sooner(obj, period, held, now))

    def is_finished(self, obj: Any) -> bool:
        return super().is_finished(obj) and not metadata_of(obj).deletionGracePeriodSeconds

    def fields(self, obj: Any) -> dict[str, str]:
        spec, status = obj.spec, obj.status or core_v1.PodStatus()
        return {
            "spec.nodeName": spec.nodeName or "",
            "spec.restartPolicy": spec.restartPolicy or "",
            "spec.schedulerName": spec.schedulerName or "",
            "spec.serviceAccountName": spec.serviceAccountName or "",
            "spec.hostNetwork": "true" if spec.hostNetwork else "false",
            "status.phase": status.phase or "",
            "status.podIP": status.podIP or "",
            "status.nominatedNodeName": status.nominatedNodeName or "",
        }


def _grace_period(pod: Any, asked: int | None) -> int:
    """Seconds the Pod may take to end."""
    phase = pod.status.phase if pod.status else None
    if not pod.spec.nodeName or phase in _TERMINAL:
        return 0
    period = asked if asked is not None else pod.spec.terminationGracePeriodSeconds
    if period is None:
        period = _DEFAULT_GRACE
    return 1 if period < 0 else period


def _sooner(pod: Any, period: int, held: int, now: datetime) -> Any:
    """A repeated DELETE with a shorter period: counted from the first one, yet never into the past."""
    marked: datetime = pod.metadata.deletionTimestamp
    due = marked - timedelta(seconds=held - period)
    now = whole_seconds(now)
    if due < now:
        due, period = now + timedelta(seconds=1), 1
    return with_metadata(pod, deletionTimestamp=due, deletionGracePeriodSeconds=period)


def qos_class(pod: Any) -> str:
    """Guaranteed, Burstable or BestEffort, from cpu and memory of all containers."""
    containers = [*(pod.spec.initContainers or ()), *(pod.spec.containers or ())]
    claims = [_compute(container) for container in containers]
    if not any(requests or limits for requests, limits in claims):
        return "BestEffort"
    guaranteed = all(
        set(limits) == {"cpu", "memory"} and all(requests.get(k, v) == v for k, v in limits.items())
        for requests, limits in claims
    )
    return "Guaranteed" if guaranteed else "Burstable"


def _compute(container: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    resources = container.resources or core_v1.ResourceRequirements()

    def compute(amounts: Any) -> dict[str, Any]:
        return {
            k: v
            for k, v in (amounts or {}).items()
            if k in ("cpu", "memory") and str(v).strip("0.") != ""
        }

    return compute(resources.requests), compute(resources.limits)
