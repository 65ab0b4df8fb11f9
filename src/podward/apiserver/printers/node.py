"""Rows of `kubectl get nodes`."""

from datetime import datetime
from typing import Any, Final

from lightkube.models import core_v1

from podward.apiserver.printers.base import AGE, NAME, Cells, Printer, TableColumn, age, name_of

_ROLE_PREFIX: Final = "node-role.kubernetes.io/"
_ROLE_LABEL: Final = "kubernetes.io/role"


def _cells(node: Any, now: datetime) -> Cells:
    info = node.status.nodeInfo if node.status else None
    return [
        name_of(node),
        _status(node),
        ",".join(_roles(node)) or "<none>",
        age(node, now),
        (info.kubeletVersion if info else "") or "",
        _address(node, "InternalIP"),
        _address(node, "ExternalIP"),
        (info.osImage if info else "") or "<unknown>",
        (info.kernelVersion if info else "") or "<unknown>",
        (info.containerRuntimeVersion if info else "") or "<unknown>",
    ]


def _status(node: core_v1.Node) -> str:
    words = ["Unknown"]
    for condition in (node.status.conditions if node.status else None) or ():
        if condition.type == "Ready":
            words = ["Ready" if condition.status == "True" else "NotReady"]
    if node.spec and node.spec.unschedulable:
        words.append("SchedulingDisabled")
    return ",".join(words)


def _roles(node: core_v1.Node) -> list[str]:
    labels = (node.metadata.labels if node.metadata else None) or {}
    roles = {key.removeprefix(_ROLE_PREFIX) for key in labels if key.startswith(_ROLE_PREFIX)}
    roles |= {labels[_ROLE_LABEL]} if labels.get(_ROLE_LABEL) else set()
    return sorted(role for role in roles if role)


def _address(node: core_v1.Node, kind: str) -> str:
    for address in (node.status.addresses if node.status else None) or ():
        if address.type == kind:
            return address.address
    return "<none>"


NODE_PRINTER = Printer(
    (
        NAME,
        TableColumn("Status", description="Whether the node is ready for Pods."),
        TableColumn("Roles", description="The roles that its labels give it."),
        AGE,
        TableColumn("Version", description="The version of its kubelet."),
        TableColumn("Internal-IP", priority=1, description="Its address inside the cluster."),
        TableColumn("External-IP", priority=1, description="Its address from outside."),
        TableColumn("OS-Image", priority=1, description="Its operating system."),
        TableColumn("Kernel-Version", priority=1, description="Its kernel."),
        TableColumn("Container-Runtime", priority=1, description="What runs its containers."),
    ),
    _cells,
)
