"""What a container may use of the machine, as cgroups say it; a Pod's class of service; whom the kernel ends
first when memory runs out. Pure.
"""

from collections.abc import Mapping
from decimal import ROUND_CEILING, Decimal
from typing import Literal

from lightkube.models import core_v1

from podward.kubelet.restart_policy import init_containers, is_sidecar, regular_containers
from podward.kubelet.runtime.base import Resources
from podward.machinery.quantity import parse_quantity

CgroupDriver = Literal["", "cgroupfs", "systemd"]
"""Who makes the engine's cgroups; empty: a runtime that is not told where."""

QUOTA_PERIOD = 100_000
"""Microseconds in which a CPU limit is counted."""
MINIMUM_QUOTA = 1_000
MINIMUM_SHARES, MAXIMUM_SHARES = 2, 262_144
GUARANTEED_SCORE, BEST_EFFORT_SCORE = -997, 1000
_NODE_CRITICAL = 2_000_001_000
"""The priority of `system-node-critical`: such a Pod is ended last, whatever it asks for."""


def cpu_shares(millis: int) -> int:
    """Of a request; who asks for nothing gets the least there is."""
    return min(max(millis * 1024 // 1000, MINIMUM_SHARES), MAXIMUM_SHARES)


def cpu_quota(millis: int) -> int:
    """Of a limit; 0 is no limit, and less than a hundredth of a CPU cannot be had."""
    return max(millis * QUOTA_PERIOD // 1000, MINIMUM_QUOTA) if millis else 0


def container_resources(
    pod: core_v1.Pod, container: core_v1.Container, memory_capacity: int
) -> Resources:
    """`memory_capacity`: the node's, in bytes."""
    limits, requests = _amounts(container, "limits"), _amounts(container, "requests")
    limit = _millis(limits)
    # Who names a limit only asks for as much.
    request = _millis(requests) if "cpu" in requests else limit
    return Resources(
        cpu_shares=cpu_shares(request),
        cpu_quota=cpu_quota(limit),
        cpu_period=QUOTA_PERIOD,
        memory_limit_bytes=_bytes(limits, "memory"),
        oom_score_adj=oom_score_adj(pod, container, memory_capacity),
        hugepage_limits={
            _page_size(name): _bytes(limits, name) for name in limits if name.startswith(_HUGE)
        },
    )


def pod_resources(pod: core_v1.Pod) -> Resources:
    """Of all its containers together: what its own cgroup is given.

    Init containers run one after another before the others, sidecars beside them: the larger need counts. A
    limit holds only where every container has one.
    """
    shares = _pod_amount(pod, "requests", "cpu", 1000)
    quota = _pod_limit(pod, "cpu", 1000)
    return Resources(
        cpu_shares=cpu_shares(shares),
        cpu_quota=cpu_quota(quota),
        cpu_period=QUOTA_PERIOD,
        memory_limit_bytes=_pod_limit(pod, "memory", 1),
    )


def oom_score_adj(pod: core_v1.Pod, container: core_v1.Container, memory_capacity: int) -> int:
    """Whom the kernel ends first: who asked for nothing, then who asked for least of the node's memory."""
    if pod.spec is not None and (pod.spec.priority or 0) >= _NODE_CRITICAL:
        return GUARANTEED_SCORE
    match qos_class(pod):
        case "Guaranteed":
            return GUARANTEED_SCORE
        case "BestEffort":
            return BEST_EFFORT_SCORE
    score = _share_score(_bytes(_amounts(container, "requests"), "memory"), memory_capacity)
    if any(one.name == container.name and is_sidecar(one) for one in init_containers(pod)):
        # A sidecar does not go before those that it serves.
        least = min(_bytes(_amounts(one, "requests"), "memory") for one in regular_containers(pod))
        score = min(score, _share_score(least, memory_capacity))
    if score < BEST_EFFORT_SCORE + GUARANTEED_SCORE:
        return BEST_EFFORT_SCORE + GUARANTEED_SCORE
    return score - 1 if score == BEST_EFFORT_SCORE else score


def _share_score(request: int, capacity: int) -> int:
    return BEST_EFFORT_SCORE - (1000 * request // capacity if capacity else 0)


def qos_class(pod: core_v1.Pod) -> str:
    """Guaranteed, Burstable or BestEffort, from the CPU and memory of all containers; zero is not asked for."""
    guaranteed, any_set = True, False
    for container in (*regular_containers(pod), *init_containers(pod)):
        limits, requests = _amounts(container, "limits"), _amounts(container, "requests")
        for name in ("cpu", "memory"):
            limit = limits.get(name)
            request = requests.get(name, limit)
            any_set = any_set or bool(limit) or bool(request)
            guaranteed = guaranteed and bool(limit) and limit == request
    if not any_set:
        return "BestEffort"
    return "Guaranteed" if guaranteed else "Burstable"


def pod_cgroup(pod: core_v1.Pod, driver: CgroupDriver) -> str:
    """Where its sandbox and containers are, by the names that a kubelet gives.

    systemd's slices say their ancestors in their names, which dashes separate: the UID's become underscores.
    """
    uid = (pod.metadata and pod.metadata.uid) or ""
    of_class = {"Burstable": "burstable", "BestEffort": "besteffort"}.get(qos_class(pod), "")
    match driver:
        case "systemd":
            words = [word for word in ("kubepods", of_class, f"pod{uid.replace('-', '_')}") if word]
            return f"{'-'.join(words)}.slice"
        case "cgroupfs":
            return "/".join(word for word in ("/kubepods", of_class, f"pod{uid}") if word)
        case _:
            return ""


# ---- amounts

_HUGE = "hugepages-"


def _page_size(name: str) -> str:
    """`hugepages-2Mi` as the kernel's controller calls it: 2MB."""
    return name.removeprefix(_HUGE).removesuffix("i") + "B"


def _amounts(
    container: core_v1.Container, group: Literal["limits", "requests"]
) -> Mapping[str, Decimal]:
    held = container.resources
    amounts: Mapping[str, str] = (getattr(held, group) if held is not None else None) or {}
    return {name: parse_quantity(str(text)) for name, text in amounts.items()}


def _scaled(amount: Decimal, factor: int) -> int:
    """Whole units, rounded up, as a quantity is read."""
    return int((amount * factor).to_integral_value(ROUND_CEILING))


def _millis(amounts: Mapping[str, Decimal]) -> int:
    return _scaled(amounts.get("cpu", Decimal(0)), 1000)


def _bytes(amounts: Mapping[str, Decimal], name: str) -> int:
    return _scaled(amounts.get(name, Decimal(0)), 1)


def _pod_amount(
    pod: core_v1.Pod, group: Literal["limits", "requests"], name: str, factor: int
) -> int:
    def of(container: core_v1.Container) -> int:
        amounts = _amounts(container, group)
        if group == "requests" and name not in amounts:
            amounts = _amounts(container, "limits")
        return _scaled(amounts.get(name, Decimal(0)), factor)

    sidecars = largest = 0
    for container in init_containers(pod):
        if is_sidecar(container):
            sidecars += of(container)
            largest = max(largest, sidecars)
        else:
            largest = max(largest, sidecars + of(container))
    together = sidecars + sum(of(container) for container in regular_containers(pod))
    overhead = parse_quantity(str(((pod.spec and pod.spec.overhead) or {}).get(name, "0")))
    return max(together, largest) + _scaled(overhead, factor)


def _pod_limit(pod: core_v1.Pod, name: str, factor: int) -> int:
    everyone = (*regular_containers(pod), *init_containers(pod))
    if not all(_amounts(container, "limits").get(name) for container in everyone):
        return 0
    return _pod_amount(pod, "limits", name, factor)
