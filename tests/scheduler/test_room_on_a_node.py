"""Room: what Pods ask for, what a node has left; ports; and the words when there is none."""

from typing import Any

import pytest
from lightkube.models import core_v1
from tests.scheduler.support import assert_fits, container, node, pod, refusals

from podward.scheduler.filters import decide

CPU, MEMORY = "Insufficient cpu", "Insufficient memory"
TAINT = core_v1.Taint(key="gpu", value="yes", effect="NoSchedule")


@pytest.mark.parametrize(
    ("wanted", "used", "reason"),
    [
        ({"cpu": "2"}, {}, None),
        ({"cpu": "2001m"}, {}, CPU),
        ({"cpu": "0.5"}, {"cpu": "1500m"}, None),
        ({"cpu": "501m"}, {"cpu": "1.5"}, CPU),
        ({"memory": "1Gi"}, {}, None),
        ({"memory": "1Gi"}, {"memory": "1"}, MEMORY),
        ({"memory": "512Mi"}, {"memory": "512Mi"}, None),
        ({"memory": "600M"}, {"memory": "512Mi"}, MEMORY),
        ({"cpu": "1", "memory": "2Gi"}, {}, MEMORY),
        ({}, {"cpu": "2", "memory": "1Gi"}, None),
        ({"memory": "1Mi"}, {"cpu": "3"}, None),
    ],
    ids=["all of it", "a thousandth too much", "the rest", "more than the rest", "all the memory",
         "a byte too much", "two halves", "decimal and binary units", "cpu but no memory",
         "nothing, on a full node", "memory, where only cpu is overdrawn"],
)  # fmt: skip
def test_what_is_asked_for_must_be_left(
    wanted: dict[str, Any], used: dict[str, Any], reason: str | None
) -> None:
    assert_fits(pod(container(**wanted)), node(), reason, pod(container(**used)))


@pytest.mark.parametrize(
    ("containers", "init", "room", "too_little"),
    [
        (["500m", "700m"], [], "1200m", "1199m"),
        (["500m"], [("1", False), ("800m", False)], "1", "999m"),
        (["500m", "700m"], [("1", False)], "1200m", "1199m"),
        (["500m"], [("300m", True)], "800m", "799m"),
        (["500m"], [("300m", True), ("200m", True)], "1", "999m"),
        (["500m"], [("900m", False), ("300m", True)], "900m", "899m"),
    ],
    ids=["containers add up", "the dearest init container", "cheap init containers", "a sidecar lasts",
         "sidecars add up", "an init container before the sidecar"],
)  # fmt: skip
def test_how_containers_add_up(
    containers: list[str], init: list[tuple[str, bool]], room: str, too_little: str
) -> None:
    wanted = pod(
        *(container(f"c{i}", cpu=cpu) for i, cpu in enumerate(containers)),
        initContainers=[
            container(f"i{i}", sidecar=sidecar, cpu=cpu) for i, (cpu, sidecar) in enumerate(init)
        ],
    )
    assert_fits(wanted, node(cpu=room), None)
    assert_fits(wanted, node(cpu=too_little), CPU)


def test_a_node_runs_only_so_many_pods() -> None:
    assert_fits(pod(), node(pods="2"), None, pod())
    assert_fits(pod(), node(pods="2"), "Too many pods", pod(), pod())


def serving(port: int | None, protocol: str | None = None, container_port: int = 80) -> core_v1.Pod:
    ports = [core_v1.ContainerPort(containerPort=container_port, hostPort=port, protocol=protocol)]
    return pod(container(ports=ports))


TAKEN = "node(s) didn't have free ports for the requested pod ports"


@pytest.mark.parametrize(
    ("wanted", "there", "reason"),
    [
        (serving(8080), serving(8080), TAKEN),
        (serving(8080), serving(8080, "TCP"), TAKEN),
        (serving(8080), serving(8080, "UDP"), None),
        (serving(8080), serving(8081), None),
        (serving(None), serving(None), None),
        (serving(8080), serving(None, container_port=8080), None),
    ],
    ids=["the same", "TCP is the default", "another protocol", "another port", "no host port",
         "a container's port is its own"],
)  # fmt: skip
def test_a_host_port_is_given_once(
    wanted: core_v1.Pod, there: core_v1.Pod, reason: str | None
) -> None:
    assert_fits(wanted, node(), reason, there)


@pytest.mark.parametrize(
    ("wanted", "there", "reason"),
    [
        ("127.0.0.1", "127.0.0.1", TAKEN),
        ("127.0.0.1", "10.0.0.1", None),
        ("127.0.0.1", None, TAKEN),
        (None, "127.0.0.1", TAKEN),
        ("0.0.0.0", "127.0.0.1", TAKEN),
    ],
)
def test_of_one_address_or_of_all(
    wanted: str | None, there: str | None, reason: str | None
) -> None:
    def at(address: str | None) -> core_v1.Pod:
        ports = [core_v1.ContainerPort(containerPort=80, hostPort=8080, hostIP=address)]
        return pod(container(ports=ports))

    assert_fits(at(wanted), node(), reason, at(there))


def test_an_overhead_is_asked_for_too() -> None:
    wanted = pod(container(cpu="500m"), overhead={"cpu": "250m"})
    assert_fits(wanted, node(cpu="750m"), None)
    assert_fits(wanted, node(cpu="749m"), CPU)


def closed(name: str) -> core_v1.Node:
    made = node(name)
    assert made.spec is not None
    made.spec.unschedulable = True
    return made


def test_a_node_is_asked_in_the_stock_order_and_names_its_first_objection() -> None:
    """NodeUnschedulable, TaintToleration, NodeAffinity, NodePorts, NodeResourcesFit."""
    wanted = serving(80)
    assert wanted.spec is not None
    wanted.spec.nodeSelector = {"zone": "b"}
    wanted.spec.containers[0].resources = core_v1.ResourceRequirements(requests={"cpu": "9"})
    offered = closed("n1")
    assert offered.spec is not None
    offered.spec.taints = [TAINT]
    assert_fits(wanted, offered, "node(s) were unschedulable", serving(80))
    offered.spec.unschedulable = None
    assert_fits(wanted, offered, "node(s) had untolerated taint", serving(80))
    offered.spec.taints = None
    no_match = "node(s) didn't match Pod's node affinity/selector"
    assert_fits(wanted, offered, no_match, serving(80))
    wanted.spec.nodeSelector = None
    assert_fits(wanted, offered, TAKEN, serving(80))
    assert_fits(wanted, offered, CPU, serving(81))


def test_reasons_are_sorted_as_text() -> None:
    """As FitError.Error does: 10 comes before 2."""
    nodes = [node(f"t{i}", taints=[TAINT]) for i in range(10)] + [closed("x"), closed("y")]
    assert refusals(decide(pod(), nodes, {}).message, 12) == (
        "10 node(s) had untolerated taint, 2 node(s) were unschedulable"
    )


def test_nodes_with_the_same_objection_are_counted_together() -> None:
    nodes = [node("a", taints=[TAINT]), node("b", cpu="1"), node("c", taints=[TAINT]), closed("d")]
    assert refusals(decide(pod(container(cpu="1500m")), nodes, {}).message, 4) == (
        "1 Insufficient cpu, 1 node(s) were unschedulable, 2 node(s) had untolerated taint"
    )


def test_one_node_that_fits_is_enough() -> None:
    nodes = [node("a", taints=[TAINT]), closed("b"), node("c"), node("d", cpu="1")]
    assert decide(pod(container(cpu="2")), nodes, {}).node == "c"
