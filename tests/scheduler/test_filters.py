"""May this Pod run on that node, and if not, in which words?"""

from typing import Any

import pytest
from lightkube.models import core_v1, meta_v1

from podward.scheduler.filters import Decision, decide


def node(name: str = "n1", *, taints: Any = None, unschedulable: bool = False, ready: str = "True",
         **allocatable: str) -> core_v1.Node:  # fmt: skip
    return core_v1.Node(
        metadata=meta_v1.ObjectMeta(name=name, labels={"zone": "a", "size": "3"}),
        spec=core_v1.NodeSpec(
            unschedulable=unschedulable, taints=[core_v1.Taint(**t) for t in taints or ()]
        ),
        status=core_v1.NodeStatus(
            conditions=[core_v1.NodeCondition(type="Ready", status=ready)],
            allocatable={"cpu": "2", "memory": "1Gi", "pods": "3", **allocatable},
        ),
    )


def pod(*, cpu: str = "0", port: int | None = None, **spec: Any) -> core_v1.Pod:
    container = core_v1.Container(
        name="c",
        resources=core_v1.ResourceRequirements(requests={"cpu": cpu}),
        ports=[core_v1.ContainerPort(containerPort=1, hostPort=port)] if port else None,
    )
    return core_v1.Pod(spec=core_v1.PodSpec(containers=[container], **spec))


def affinity(key: str, operator: str, *values: str) -> core_v1.Affinity:
    requirement = core_v1.NodeSelectorRequirement(key=key, operator=operator, values=list(values))
    term = core_v1.NodeSelectorTerm(matchExpressions=[requirement])
    selector = core_v1.NodeSelector(nodeSelectorTerms=[term])
    return core_v1.Affinity(
        nodeAffinity=core_v1.NodeAffinity(requiredDuringSchedulingIgnoredDuringExecution=selector)
    )


TAINT = {"key": "gpu", "value": "yes", "effect": "NoSchedule"}
MISMATCH = "1 node(s) didn't match Pod's node affinity/selector"


@pytest.mark.parametrize(
    ("wanted", "offered", "occupants", "reason"),
    [
        (pod(), node(), [], None),
        (pod(), node(unschedulable=True), [], "1 node(s) were unschedulable"),
        (pod(), node(ready="False"), [],
         "1 node(s) had untolerated taint {node.kubernetes.io/not-ready: }"),
        (pod(), node(taints=[TAINT]), [], "1 node(s) had untolerated taint {gpu: yes}"),
        (pod(), node(taints=[{**TAINT, "effect": "PreferNoSchedule"}]), [], None),
        (pod(tolerations=[core_v1.Toleration(operator="Exists")]), node(taints=[TAINT]), [], None),
        (pod(tolerations=[core_v1.Toleration(key="gpu", value="yes")]), node(taints=[TAINT]), [], None),
        (pod(tolerations=[core_v1.Toleration(key="gpu", value="no")]), node(taints=[TAINT]), [],
         "1 node(s) had untolerated taint {gpu: yes}"),
        (pod(nodeSelector={"zone": "a"}), node(), [], None),
        (pod(nodeSelector={"zone": "b"}), node(), [], MISMATCH),
        (pod(affinity=affinity("zone", "In", "a", "b")), node(), [], None),
        (pod(affinity=affinity("zone", "NotIn", "a")), node(), [], MISMATCH),
        (pod(affinity=affinity("size", "Gt", "2")), node(), [], None),
        (pod(affinity=affinity("size", "Lt", "2")), node(), [], MISMATCH),
        (pod(affinity=affinity("none", "DoesNotExist")), node(), [], None),
        (pod(cpu="2"), node(), [], None),
        (pod(cpu="1500m"), node(), [pod(cpu="600m")], "1 Insufficient cpu"),
        (pod(), node(), [pod(), pod(), pod()], "1 Too many pods"),
        (pod(port=80), node(), [pod(port=80)],
         "1 node(s) didn't have free ports for the requested pod ports"),
        (pod(port=80), node(), [pod(port=81)], None),
    ],
)  # fmt: skip
def test_what_a_node_objects_to(
    wanted: core_v1.Pod, offered: core_v1.Node, occupants: list[core_v1.Pod], reason: str | None
) -> None:
    decision = decide(wanted, [offered], {"n1": occupants})
    if reason is None:
        assert decision == Decision("n1")
    else:
        assert decision.node is None
        assert decision.message.startswith(f"0/1 nodes are available: {reason}. preemption: ")


def test_objections_are_counted() -> None:
    nodes = [node("a", taints=[TAINT]), node("b", taints=[TAINT]), node("c", unschedulable=True)]
    assert decide(pod(), nodes, {}).message.startswith(
        "0/3 nodes are available: 1 node(s) were unschedulable, 2 node(s) had untolerated taint {gpu: yes}."
    )


def test_the_emptiest_node_gets_it_the_first_by_name_among_equals() -> None:
    nodes = [node("b"), node("a"), node("c")]
    assert decide(pod(), nodes, {"a": [pod()]}).node == "b"


def test_without_nodes_there_is_nothing_to_count() -> None:
    assert decide(pod(), [], {}).message == "no nodes available to schedule pods"
