"""How each kind's lists merge under a strategic merge patch: facts of the API, in one table.

The schema of a kind is derived by walking its Struct's types; only the merge keys, which the types do not
carry, are written down here.
"""

from functools import cache
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgspec

from podward.api.scheme import Resource
from podward.machinery.patch import MergeSchema

PRIMITIVE = ""

MERGE_KEYS: dict[tuple[str, str], str] = {
    ("ObjectMeta", "finalizers"): PRIMITIVE,
    ("ObjectMeta", "ownerReferences"): "uid",
    ("PodSpec", "containers"): "name",
    ("PodSpec", "initContainers"): "name",
    ("PodSpec", "ephemeralContainers"): "name",
    ("PodSpec", "volumes"): "name",
    ("PodSpec", "imagePullSecrets"): "name",
    ("PodSpec", "hostAliases"): "ip",
    ("PodSpec", "schedulingGates"): "name",
    ("PodSpec", "topologySpreadConstraints"): "topologyKey",
    ("PodSpec", "resourceClaims"): "name",
    ("Container", "env"): "name",
    ("Container", "ports"): "containerPort",
    ("Container", "volumeMounts"): "mountPath",
    ("Container", "volumeDevices"): "devicePath",
    ("EphemeralContainer", "env"): "name",
    ("EphemeralContainer", "ports"): "containerPort",
    ("EphemeralContainer", "volumeMounts"): "mountPath",
    ("EphemeralContainer", "volumeDevices"): "devicePath",
    ("PodStatus", "conditions"): "type",
    ("PodStatus", "podIPs"): "ip",
    ("PodStatus", "hostIPs"): "ip",
    ("PodStatus", "resourceClaimStatuses"): "name",
    ("NodeSpec", "podCIDRs"): PRIMITIVE,
    ("NodeStatus", "conditions"): "type",
    ("NodeStatus", "addresses"): "type",
    ("NamespaceStatus", "conditions"): "type",
    ("ServiceAccount", "secrets"): "name",
    ("ServiceSpec", "ports"): "port",
    ("ServiceStatus", "conditions"): "type",
    ("MutatingWebhookConfiguration", "webhooks"): "name",
    ("MutatingWebhook", "matchConditions"): "name",
    ("ValidatingWebhookConfiguration", "webhooks"): "name",
    ("ValidatingWebhook", "matchConditions"): "name",
    ("PodPresetSpec", "env"): "name",
    ("PodPresetSpec", "sidecars"): "name",
    ("PodPresetSpec", "volumeMounts"): "mountPath",
    ("PodPresetSpec", "volumes"): "name",
    ("ContainerSection", "env"): "name",
    ("ContainerSection", "volumeMounts"): "mountPath",
    ("PodPresetStatus", "conditions"): "type",
}
"""(type, list field) -> the key; lists that are not here are replaced whole.

Those of PodPreset had none in Kubernetes, so that `kubectl apply` took each default in them for a change.
"""


def merge_schema(resource: Resource) -> MergeSchema:
    return schema_of(resource.type)


@cache
def schema_of(struct: type[msgspec.Struct]) -> MergeSchema:
    """Types of the API refer to themselves only in JSON schemas, which no served kind holds."""
    hints = get_type_hints(struct)
    names = {f.name: f.encode_name for f in msgspec.structs.fields(struct)}
    keys: dict[str, str] = {}
    children: dict[str, MergeSchema] = {}
    for field, hint in hints.items():
        if field not in names:
            continue
        key = MERGE_KEYS.get((struct.__name__, field))
        if key is not None:
            keys[names[field]] = key
        below = struct_below(hint)
        if below is not None:
            children[names[field]] = schema_of(below)
    return MergeSchema(keys, children)


def struct_below(hint: Any) -> type[msgspec.Struct] | None:
    """The Struct inside Optional, list or dict-value types; None for plain data."""
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        inner = [arg for arg in get_args(hint) if arg is not type(None)]
        return struct_below(inner[0]) if len(inner) == 1 else None
    if origin in (list, dict) and get_args(hint):
        return struct_below(get_args(hint)[-1])
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return hint
    return None
