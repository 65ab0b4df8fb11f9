"""Rows of the kinds that need no thought."""

from datetime import UTC, datetime
from typing import Any

from podward.apiserver.printers.base import AGE, NAME, Cells, Printer, TableColumn, age, name_of


def _namespace(obj: Any, now: datetime) -> Cells:
    return [name_of(obj), (obj.status.phase if obj.status else "") or "", age(obj, now)]


def _config_map(obj: Any, now: datetime) -> Cells:
    return [name_of(obj), len(obj.data or {}) + len(obj.binaryData or {}), age(obj, now)]


def _secret(obj: Any, now: datetime) -> Cells:
    return [name_of(obj), obj.type or "", len(obj.data or {}), age(obj, now)]


def _service_account(obj: Any, now: datetime) -> Cells:
    return [name_of(obj), age(obj, now)]


def _lease(obj: Any, now: datetime) -> Cells:
    return [name_of(obj), (obj.spec.holderIdentity if obj.spec else "") or "", age(obj, now)]


def _pod_template(obj: Any, now: datetime) -> Cells:
    template = obj.template
    containers = (template.spec.containers if template and template.spec else None) or ()
    labels = (template.metadata.labels if template and template.metadata else None) or {}
    shown = ",".join(f"{key}={value}" for key, value in sorted(labels.items())) or "<none>"
    names = ",".join(container.name for container in containers)
    return [name_of(obj), names, ",".join(c.image or "" for c in containers), shown]


def _runtime_class(obj: Any, now: datetime) -> Cells:
    return [name_of(obj), obj.handler, age(obj, now)]


def _webhook_configuration(obj: Any, now: datetime) -> Cells:
    return [name_of(obj), len(obj.webhooks or ()), age(obj, now)]


def _binding(obj: Any, now: datetime) -> Cells:
    subjects = obj.subjects or ()
    accounts = [f"{s.namespace or ''}/{s.name}" for s in subjects if s.kind == "ServiceAccount"]
    return [
        name_of(obj),
        f"{obj.roleRef.kind}/{obj.roleRef.name}",
        age(obj, now),
        *(", ".join(s.name for s in subjects if s.kind == kind) for kind in ("User", "Group")),
        ", ".join(accounts),
    ]


def _generic(obj: Any, now: datetime) -> Cells:
    created = obj.metadata.creationTimestamp if obj.metadata else None
    text = created.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if created else "<unknown>"
    return [name_of(obj), text]


NAMESPACE_PRINTER = Printer(
    (NAME, TableColumn("Status", description="Active or Terminating."), AGE), _namespace
)
CONFIG_MAP_PRINTER = Printer(
    (NAME, TableColumn("Data", "integer", description="How many keys it has."), AGE), _config_map
)
SECRET_PRINTER = Printer(
    (
        NAME,
        TableColumn("Type", description="What it is for."),
        TableColumn("Data", "integer", description="How many keys it has."),
        AGE,
    ),
    _secret,
)
SERVICE_ACCOUNT_PRINTER = Printer((NAME, AGE), _service_account)
LEASE_PRINTER = Printer((NAME, TableColumn("Holder", description="Who holds it."), AGE), _lease)
POD_TEMPLATE_PRINTER = Printer(
    (
        NAME,
        TableColumn("Containers", description="Their names."),
        TableColumn("Images", description="What they run."),
        TableColumn("Pod Labels", description="What its Pods are labelled with."),
    ),
    _pod_template,
)
RUNTIME_CLASS_PRINTER = Printer(
    (NAME, TableColumn("Handler", description="What the engine calls it."), AGE), _runtime_class
)
WEBHOOK_CONFIGURATION_PRINTER = Printer(
    (NAME, TableColumn("Webhooks", "integer", description="How many it names."), AGE),
    _webhook_configuration,
)
BINDING_PRINTER = Printer(
    (
        NAME,
        TableColumn("Role", description="What it gives."),
        AGE,
        TableColumn("Users", priority=1, description="To which users."),
        TableColumn("Groups", priority=1, description="To which groups."),
        TableColumn("ServiceAccounts", priority=1, description="To which service accounts."),
    ),
    _binding,
)
GENERIC_PRINTER = Printer(
    (
        NAME,
        TableColumn(
            "Created At", "date", description="When the server stored it for the first time."
        ),
    ),
    _generic,
)
