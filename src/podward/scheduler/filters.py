"""May this Pod run on that node? Pure: one function a rule, one row in `FILTERS`.

A filter answers with the reason it objects, in the words of the stock scheduler, or None. `occupants` are the
Pods already bound to the node that have not ended.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from lightkube.models import core_v1

from podward.machinery.quantity import QuantityError, parse_quantity

Filter = Callable[[core_v1.Pod, core_v1.Node, Sequence[core_v1.Pod]], str | None]


def _spec(pod: core_v1.Pod) -> core_v1.PodSpec:
    if pod.spec is None:
        raise ValueError("a stored Pod has a spec")
    return pod.spec


def unschedulable(
    pod: core_v1.Pod, node: core_v1.Node, occupants: Sequence[core_v1.Pod]
) -> str | None:
    if node.spec is not None and node.spec.unschedulable:
        return "node(s) were unschedulable"
    return None


def not_ready(pod: core_v1.Pod, node: core_v1.Node, occupants: Sequence[core_v1.Pod]) -> str | None:
    """In a cluster a controller taints such a node; here its condition is read directly."""
    conditions = (node.status and node.status.conditions) or []
    if any(c.type == "Ready" and c.status == "True" for c in conditions):
        return None
    return "node(s) had untolerated taint {node.kubernetes.io/not-ready: }"


def taint_toleration(
    pod: core_v1.Pod, node: core_v1.Node, occupants: Sequence[core_v1.Pod]
) -> str | None:
    for taint in (node.spec and node.spec.taints) or []:
        if taint.effect == "PreferNoSchedule":
            continue
        if not any(tolerates(t, taint) for t in _spec(pod).tolerations or []):
            return f"node(s) had untolerated taint {{{taint.key}: {taint.value or ''}}}"
    return None


def tolerates(toleration: core_v1.Toleration, taint: core_v1.Taint) -> bool:
    """An empty key with Exists tolerates every taint; an empty effect every effect."""
    if toleration.effect and toleration.effect != taint.effect:
        return False
    if toleration.key and toleration.key != taint.key:
        return False
    if toleration.operator == "Exists":
        return True
    return bool(toleration.key) and (toleration.value or "") == (taint.value or "")


def node_selector(
    pod: core_v1.Pod, node: core_v1.Node, occupants: Sequence[core_v1.Pod]
) -> str | None:
    spec = _spec(pod)
    labels = (node.metadata and node.metadata.labels) or {}
    wanted = spec.nodeSelector or {}
    matches = all(labels.get(key) == value for key, value in wanted.items())
    affinity = spec.affinity and spec.affinity.nodeAffinity
    required = affinity and affinity.requiredDuringSchedulingIgnoredDuringExecution
    if required:
        matches = matches and any(
            _term_matches(term, node, labels) for term in required.nodeSelectorTerms
        )
    return None if matches else "node(s) didn't match Pod's node affinity/selector"


def _term_matches(
    term: core_v1.NodeSelectorTerm, node: core_v1.Node, labels: dict[str, str]
) -> bool:
    if not term.matchExpressions and not term.matchFields:
        return False  # an empty term selects nothing, by the API's definition
    fields = {"metadata.name": (node.metadata and node.metadata.name) or ""}
    return all(_requirement_holds(r, labels) for r in term.matchExpressions or []) and all(
        _requirement_holds(r, fields) for r in term.matchFields or []
    )


def _requirement_holds(
    requirement: core_v1.NodeSelectorRequirement, values: dict[str, str]
) -> bool:
    value = values.get(requirement.key)
    wanted = requirement.values or []
    match requirement.operator:
        case "In":
            return value in wanted
        case "NotIn":
            return value not in wanted
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt" | "Lt":
            if value is None or len(wanted) != 1:
                return False
            try:
                left, right = int(value), int(wanted[0])
            except ValueError:
                return False
            return left > right if requirement.operator == "Gt" else left < right
    return False


def _amount(text: object) -> Decimal:
    """What cannot be read is nothing: one bad object must not stop the scheduling of all others."""
    try:
        return parse_quantity(str(text))
    except QuantityError:
        return Decimal(0)


def node_resources_fit(
    pod: core_v1.Pod, node: core_v1.Node, occupants: Sequence[core_v1.Pod]
) -> str | None:
    allocatable = (node.status and node.status.allocatable) or {}
    if "pods" in allocatable and len(occupants) + 1 > _amount(allocatable["pods"]):
        return "Too many pods"
    for resource in ("cpu", "memory"):
        wanted = requested(pod, resource)
        if not wanted or resource not in allocatable:
            continue
        used = sum((requested(other, resource) for other in occupants), Decimal(0))
        if used + wanted > _amount(allocatable[resource]):
            return f"Insufficient {resource}"
    return None


def requested(pod: core_v1.Pod, resource: str) -> Decimal:
    """What the Pod reserves: its containers together, or its dearest init container, and its overhead."""

    def of(container: core_v1.Container) -> Decimal:
        requests = (container.resources and container.resources.requests) or {}
        return _amount(requests.get(resource, "0"))

    spec = _spec(pod)
    sidecars = [c for c in spec.initContainers or [] if c.restartPolicy == "Always"]
    plain = [c for c in spec.initContainers or [] if c.restartPolicy != "Always"]
    lasting = sum((of(c) for c in [*spec.containers, *sidecars]), Decimal(0))
    overhead = _amount(str((spec.overhead or {}).get(resource, "0")))
    return max([lasting, *(of(c) for c in plain)]) + overhead


def node_ports(
    pod: core_v1.Pod, node: core_v1.Node, occupants: Sequence[core_v1.Pod]
) -> str | None:
    taken: dict[tuple[str, int], set[str]] = {}
    for other in occupants:
        for port, address in _host_ports(other):
            taken.setdefault(port, set()).add(address)
    for port, address in _host_ports(pod):
        held = taken.get(port, set())
        if held and (address in held or _EVERY_ADDRESS in {address, *held}):
            return "node(s) didn't have free ports for the requested pod ports"
    return None


_EVERY_ADDRESS = "0.0.0.0"


def _host_ports(pod: core_v1.Pod) -> Iterator[tuple[tuple[str, int], str]]:
    """((protocol, port), the node's address on which it is opened)."""
    for container in _spec(pod).containers:
        for port in container.ports or []:
            if port.hostPort:
                yield (port.protocol or "TCP", port.hostPort), port.hostIP or _EVERY_ADDRESS


FILTERS: tuple[Filter, ...] = (
    unschedulable,
    not_ready,
    taint_toleration,
    node_selector,
    node_ports,
    node_resources_fit,
)


@dataclass(frozen=True, slots=True)
class Decision:
    """`node` is where the Pod goes; if None, `message` says why it goes nowhere."""

    node: str | None
    message: str = ""


def decide(
    pod: core_v1.Pod, nodes: Sequence[core_v1.Node], occupants: dict[str, list[core_v1.Pod]]
) -> Decision:
    """The emptiest node that no filter objects to; by name among equals, so that it can be replayed."""
    fitting: list[tuple[int, str]] = []
    objections: dict[str, int] = {}
    for node in nodes:
        name = (node.metadata and node.metadata.name) or ""
        here = occupants.get(name, [])
        reason = next((r for f in FILTERS if (r := f(pod, node, here))), None)
        if reason is None:
            fitting.append((len(here), name))
        else:
            objections[reason] = objections.get(reason, 0) + 1
    if fitting:
        return Decision(min(fitting)[1])
    if not nodes:
        return Decision(None, "no nodes available to schedule pods")
    counted = ", ".join(sorted(f"{count} {reason}" for reason, count in objections.items()))
    return Decision(
        None,
        f"0/{len(nodes)} nodes are available: {counted}. preemption: 0/{len(nodes)} nodes are "
        f"available: {len(nodes)} Preemption is not helpful for scheduling.",
    )
