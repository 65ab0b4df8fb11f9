"""Requests and limits as cgroups say them, classes of service, and whom the kernel ends first."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.kubelet.pod_support import first, made_pod

from podward.kubelet.resources import (
    container_resources,
    cpu_quota,
    cpu_shares,
    oom_score_adj,
    pod_cgroup,
    pod_resources,
    qos_class,
)
from podward.kubelet.runtime.base import Resources

GIB = 2**30


def limits(**amounts: str) -> dict[str, Any]:
    return {"resources": {"limits": amounts}}


def requests(**amounts: str) -> dict[str, Any]:
    return {"resources": {"requests": amounts}}


@pytest.mark.parametrize(
    ("millis", "shares"), [(0, 2), (1, 2), (2, 2), (100, 102), (1000, 1024), (10**6, 262_144)]
)
def test_shares(millis: int, shares: int) -> None:
    assert cpu_shares(millis) == shares


@pytest.mark.parametrize(
    ("millis", "quota"), [(0, 0), (1, 1000), (10, 1000), (11, 1100), (500, 50_000), (2000, 200_000)]
)
def test_quotas(millis: int, quota: int) -> None:
    assert cpu_quota(millis) == quota


@pytest.mark.parametrize(
    ("container", "expected"),
    [
        ({}, Resources(cpu_shares=2, oom_score_adj=1000)),
        (requests(cpu="100m"), Resources(cpu_shares=102, oom_score_adj=999)),
        (
            limits(cpu="500m", memory="1Gi"),
            Resources(cpu_shares=512, cpu_quota=50_000, memory_limit_bytes=GIB, oom_score_adj=-997),
        ),
        (
            {"resources": {"limits": {"cpu": "1"}, "requests": {"cpu": "0"}}},
            Resources(cpu_shares=2, cpu_quota=100_000, oom_score_adj=999),
        ),
        (
            limits(**{"hugepages-2Mi": "4Mi", "memory": "0.5"}),
            Resources(
                cpu_shares=2,
                memory_limit_bytes=1,
                oom_score_adj=999,
                hugepage_limits={"2MB": 4 * 2**20},
            ),
        ),
    ],
)
def test_a_containers_resources(container: dict[str, Any], expected: Resources) -> None:
    pod = made_pod(container)
    assert container_resources(pod, first(pod), 10 * GIB) == Resources(
        **{f: getattr(expected, f) for f in Resources.__struct_fields__} | {"cpu_period": 100_000}
    )


@pytest.mark.parametrize(
    ("containers", "spec", "expected"),
    [
        ([{}], {}, "BestEffort"),
        ([requests(cpu="0", memory="0")], {}, "BestEffort"),
        ([requests(**{"ephemeral-storage": "1Gi"})], {}, "BestEffort"),
        ([requests(cpu="1")], {}, "Burstable"),
        ([limits(cpu="1", memory="1")], {}, "Guaranteed"),
        ([limits(cpu="1", memory="1"), {}], {}, "Burstable"),
        (
            [{"resources": {"limits": {"cpu": "1", "memory": "1"}, "requests": {"cpu": "1000m"}}}],
            {},
            "Guaranteed",
        ),
        (
            [limits(cpu="1", memory="1")],
            {"initContainers": [{"name": "i", "image": "x"}]},
            "Burstable",
        ),
    ],
)
def test_classes_of_service(
    containers: list[dict[str, Any]], spec: dict[str, Any], expected: str
) -> None:
    assert qos_class(made_pod(*containers, **spec)) == expected


@pytest.mark.parametrize(
    ("request_", "score"),
    [("0", 999), ("1", 999), ("1Gi", 900), ("9990Mi", 25), ("10Gi", 3), ("20Gi", 3)],
)
def test_who_asked_for_more_memory_is_ended_later(request_: str, score: int) -> None:
    pod = made_pod(requests(memory=request_, cpu="1"))
    assert oom_score_adj(pod, first(pod), 10 * GIB) == score


def test_a_sidecar_is_not_ended_before_those_it_serves() -> None:
    sidecar = {"name": "s", "image": "x", "restartPolicy": "Always", **requests(memory="1Mi")}
    pod = made_pod(requests(memory="5Gi"), requests(memory="2Gi"), initContainers=[sidecar])
    assert pod.spec is not None
    [found] = pod.spec.initContainers or []
    assert oom_score_adj(pod, found, 10 * GIB) == 800
    plain = made_pod(
        requests(memory="5Gi"),
        initContainers=[{"name": "s", "image": "x", **requests(memory="1Gi")}],
    )
    assert plain.spec is not None
    [found] = plain.spec.initContainers or []
    assert oom_score_adj(plain, found, 10 * GIB) == 900


def test_what_the_node_cannot_do_without_is_ended_last() -> None:
    pod = made_pod({}, priority=2_000_001_000)
    assert oom_score_adj(pod, first(pod), 10 * GIB) == -997


@given(st.integers(0, 2**40), st.integers(1, 2**40))
def test_a_burstable_score_stays_between_the_other_classes(request_: int, capacity: int) -> None:
    pod = made_pod(requests(memory=str(request_), cpu="1"))
    assert 3 <= oom_score_adj(pod, first(pod), capacity) <= 999


@pytest.mark.parametrize(
    ("container", "driver", "expected"),
    [
        (limits(cpu="1", memory="1"), "cgroupfs", "/kubepods/pod1-2-3"),
        (requests(cpu="1"), "cgroupfs", "/kubepods/burstable/pod1-2-3"),
        ({}, "cgroupfs", "/kubepods/besteffort/pod1-2-3"),
        (limits(cpu="1", memory="1"), "systemd", "kubepods-pod1_2_3.slice"),
        (requests(cpu="1"), "systemd", "kubepods-burstable-pod1_2_3.slice"),
        ({}, "systemd", "kubepods-besteffort-pod1_2_3.slice"),
        ({}, "", ""),
    ],
)
def test_where_a_pods_cgroup_is(container: dict[str, Any], driver: Any, expected: str) -> None:
    assert pod_cgroup(made_pod(container), driver) == expected


def test_a_pod_needs_what_its_containers_need_together_or_its_largest_init_container() -> None:
    both = made_pod(requests(cpu="100m"), limits(cpu="200m"), overhead={"cpu": "10m"})
    assert pod_resources(both).cpu_shares == cpu_shares(310)
    init = {"name": "i", "image": "x", **requests(cpu="1")}
    sidecar = {"name": "s", "image": "x", "restartPolicy": "Always", **requests(cpu="50m")}
    assert pod_resources(
        made_pod(requests(cpu="100m"), initContainers=[sidecar, init])
    ).cpu_shares == cpu_shares(1050)
    assert pod_resources(
        made_pod(requests(cpu="100m"), initContainers=[sidecar])
    ).cpu_shares == cpu_shares(150)


def test_a_pod_is_limited_if_each_of_its_containers_is() -> None:
    limited = pod_resources(made_pod(limits(cpu="1", memory="10"), limits(cpu="1", memory="20")))
    assert (limited.cpu_quota, limited.memory_limit_bytes) == (200_000, 30)
    free = pod_resources(made_pod(limits(cpu="1", memory="10"), {}))
    assert (free.cpu_quota, free.memory_limit_bytes) == (0, 0)
