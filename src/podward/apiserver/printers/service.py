"""A Service's row: what it is, where it would be found, what for."""

from datetime import datetime
from typing import Any

from podward.apiserver.printers.base import AGE, NAME, Cells, Printer, TableColumn, age, name_of

_NONE = "<none>"


def _service(obj: Any, now: datetime) -> Cells:
    spec = obj.spec
    selector = ",".join(f"{key}={value}" for key, value in sorted((spec.selector or {}).items()))
    return [
        name_of(obj),
        spec.type or "",
        (spec.clusterIPs or [spec.clusterIP])[0] or _NONE,
        _external(obj),
        ",".join(map(_port, spec.ports or ())) or _NONE,
        age(obj, now),
        selector or _NONE,
    ]


def _external(obj: Any) -> str:
    spec = obj.spec
    if spec.type == "ExternalName":
        return spec.externalName or ""
    given = list(spec.externalIPs or ())
    if spec.type == "LoadBalancer":
        balancer = obj.status and obj.status.loadBalancer
        ingress = [one.ip or one.hostname for one in (balancer and balancer.ingress) or ()]
        return ",".join([*ingress, *given]) or "<pending>"
    return ",".join(given) or _NONE


def _port(port: Any) -> str:
    node = f":{port.nodePort}" if port.nodePort else ""
    return f"{port.port}{node}/{port.protocol}"


SERVICE_PRINTER = Printer(
    (
        NAME,
        TableColumn("Type", description="Who shall be able to reach it."),
        TableColumn("Cluster-IP", description="Its address in the cluster, if it has one."),
        TableColumn("External-IP", description="Where it is found from outside."),
        TableColumn("Port(s)", description="Where it listens."),
        AGE,
        TableColumn("Selector", priority=1, description="Which Pods stand behind it."),
    ),
    _service,
)
