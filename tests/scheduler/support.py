"""Nodes, Pods and how the stock scheduler words a refusal."""

import re
from typing import Any

from lightkube.models import core_v1, meta_v1

from podward.scheduler.filters import Decision, decide

READY = [core_v1.NodeCondition(type="Ready", status="True")]


def node(
    name: str = "n1",
    *,
    labels: dict[str, str] | None = None,
    taints: list[core_v1.Taint] | None = None,
    **allocatable: str,
) -> core_v1.Node:
    return core_v1.Node(
        metadata=meta_v1.ObjectMeta(name=name, labels=labels),
        spec=core_v1.NodeSpec(taints=taints),
        status=core_v1.NodeStatus(
            conditions=READY,
            allocatable={"cpu": "2", "memory": "1Gi", "pods": "110", **allocatable},
        ),
    )


def container(
    name: str = "c", *, sidecar: bool = False, ports: Any = None, **requests: Any
) -> core_v1.Container:
    return core_v1.Container(
        name=name,
        image="busybox",
        resources=core_v1.ResourceRequirements(requests=requests),
        restartPolicy="Always" if sidecar else None,
        ports=ports,
    )


def pod(*containers: core_v1.Container, **spec: Any) -> core_v1.Pod:
    return core_v1.Pod(spec=core_v1.PodSpec(containers=list(containers) or [container()], **spec))


def refusals(message: str, nodes: int = 1) -> str:
    """The reasons in a FailedScheduling message.

    Which taint it was is left out, as Kubernetes does since 1.35 (kubernetes/kubernetes#134740).
    """
    head = f"0/{nodes} nodes are available: "
    assert message.startswith(head)
    reasons, found, _ = message.removeprefix(head).partition(". ")
    assert found
    return re.sub(r"untolerated taint(\(s\)| \{.*?\})", "untolerated taint", reasons)


def assert_fits(
    wanted: core_v1.Pod, offered: core_v1.Node, reason: str | None, *occupants: core_v1.Pod
) -> None:
    decision = decide(wanted, [offered], {"n1": list(occupants)})
    if reason is None:
        assert decision == Decision("n1")
    else:
        assert decision.node is None
        assert refusals(decision.message) == f"1 {reason}"
