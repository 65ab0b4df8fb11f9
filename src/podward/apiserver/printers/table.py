"""`meta.k8s.io` Tables out of objects and their printers."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any, Final, Literal

from podward.api.scheme import Resource
from podward.apiserver.printers.base import Printer
from podward.apiserver.printers.event import EVENT_PRINTER
from podward.apiserver.printers.node import NODE_PRINTER
from podward.apiserver.printers.pod import POD_PRINTER
from podward.apiserver.printers.pod_preset import POD_PRESET_PRINTER
from podward.apiserver.printers.service import SERVICE_PRINTER
from podward.apiserver.printers.simple import (
    BINDING_PRINTER,
    CONFIG_MAP_PRINTER,
    GENERIC_PRINTER,
    LEASE_PRINTER,
    NAMESPACE_PRINTER,
    POD_TEMPLATE_PRINTER,
    RUNTIME_CLASS_PRINTER,
    SECRET_PRINTER,
    SERVICE_ACCOUNT_PRINTER,
    WEBHOOK_CONFIGURATION_PRINTER,
)

IncludeObject = Literal["Metadata", "None", "Object"]

_PRINTERS: Final[Mapping[str, Printer]] = {
    "pods": POD_PRINTER,
    "nodes": NODE_PRINTER,
    "events": EVENT_PRINTER,
    "namespaces": NAMESPACE_PRINTER,
    "configmaps": CONFIG_MAP_PRINTER,
    "secrets": SECRET_PRINTER,
    "serviceaccounts": SERVICE_ACCOUNT_PRINTER,
    "services": SERVICE_PRINTER,
    "podtemplates": POD_TEMPLATE_PRINTER,
    "runtimeclasses.node.k8s.io": RUNTIME_CLASS_PRINTER,
    "leases.coordination.k8s.io": LEASE_PRINTER,
    "rolebindings.rbac.authorization.k8s.io": BINDING_PRINTER,
    "clusterrolebindings.rbac.authorization.k8s.io": BINDING_PRINTER,
    "podpresets.podward.dev": POD_PRESET_PRINTER,
    "clusterpodpresets.podward.dev": POD_PRESET_PRINTER,
    "mutatingwebhookconfigurations.admissionregistration.k8s.io": WEBHOOK_CONFIGURATION_PRINTER,
    "validatingwebhookconfigurations.admissionregistration.k8s.io": WEBHOOK_CONFIGURATION_PRINTER,
}


def printer_for(resource: Resource) -> Printer:
    """The printer of a resource; NAME and CREATED AT for one without its own."""
    return _PRINTERS.get(resource.group_resource, GENERIC_PRINTER)


def partial(obj: Any, version: str = "v1") -> dict[str, Any]:
    """An object reduced to its metadata."""
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": f"meta.k8s.io/{version}",
        "metadata": obj.metadata,
    }


def table_of(
    resource: Resource,
    objects: Iterable[Any],
    now: datetime,
    *,
    metadata: Mapping[str, Any],
    include: IncludeObject = "Metadata",
    version: str = "v1",
    columns: bool = True,
) -> dict[str, Any]:
    """A Table. Without `columns` it is a later event of a watch, whose first one had them."""
    printer = printer_for(resource)
    rows = []
    for obj in objects:
        row: dict[str, Any] = {"cells": printer.cells(obj, now)}
        conditions = printer.conditions(obj)
        if conditions:
            row["conditions"] = conditions
        if include != "None":
            row["object"] = obj if include == "Object" else partial(obj, version)
        rows.append(row)
    return {
        "kind": "Table",
        "apiVersion": f"meta.k8s.io/{version}",
        "metadata": dict(metadata),
        "columnDefinitions": [asdict(c) for c in printer.columns] if columns else [],
        "rows": rows,
    }
