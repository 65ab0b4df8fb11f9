"""The CustomResourceDefinitions of presets, drawn from the very classes that Podward's own API server serves.

Structural schemas (spec/podpreset.md 11.4): what is Podward's own is spelt out field by field; what a Pod has
too (`env`, `volumes`, a probe ...) is checked for its identity and otherwise left open, so that a cluster's
newer fields pass. What a schema cannot say, the validating webhook does.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from types import UnionType
from typing import Any, Final, Union, get_args, get_origin, get_type_hints

import msgspec
from lightkube.models import apiextensions_v1 as ext
from lightkube.models import core_v1, meta_v1

from podward.api.kinds import podward_v1alpha1 as presets
from podward.api.kinds import settings_v1alpha1 as settings
from podward.api.scheme import SCHEME, Resource
from podward.apiserver.openapi.schemas import closure, type_name

Schema = ext.JSONSchemaProps

LEGACY_APPROVAL: Final = "unapproved, legacy PodPreset compatibility"
_APPROVAL_ANNOTATION: Final = "api-approved.kubernetes.io"
_LIST_LIMIT: Final = 256
_NAME_LIMIT: Final = 53
"""An applied preset is named in an annotation's key: `podpreset-` and 53 letters make the 63 it may have."""

_WORDS: Final[Mapping[tuple[str, str], Sequence[str]]] = {
    ("ProbePreset", "mode"): ("ifAbsent", "override"),
    ("LifecyclePreset", "mode"): ("ifAbsent", "override"),
    ("AffinityPreset", "mode"): ("ifAbsent", "override"),
    ("ResourcesPreset", "mode"): ("ifAbsent", "override", "floor", "ceiling"),
    ("TextPreset", "mode"): ("ifDefault", "override"),
    ("TextPreset", "value"): ("File", "FallbackToLogsOnError"),
    ("NumberPreset", "mode"): ("ifDefault", "override", "floor", "ceiling"),
    ("ContainerMatch", "class"): ("app", "init", "sidecar"),
    ("InjectedInitContainer", "position"): ("first", "last"),
    ("PodPresetSpec", "onConflict"): ("SkipAll", "SkipPreset", "KeepPod", "Override", "Reject"),
    ("PresetCondition", "status"): ("True", "False", "Unknown"),
}
"""(type, field) -> the words that it may have."""

_REQUIRED: Final[Mapping[str, Sequence[str]]] = {
    "ProbePreset": ("value",),
    "LifecyclePreset": ("value",),
    "AffinityPreset": ("value",),
    "ResourcesPreset": ("value",),
    "TextPreset": ("value",),
    "NumberPreset": ("value",),
    "InjectedInitContainer": ("container",),
    "PresetCondition": ("type", "status"),
    "podward_v1alpha1.PodPresetSpec": ("selector",),
}

_SECTIONS: Final = tuple(
    name
    for name in presets.PodPresetSpec.__struct_fields__
    if name not in ("includeJobs", "namespaceSelector", "onConflict", "priority", "selector")
)
"""Fields of a preset's spec that put something into a Pod."""


def definitions() -> list[ext.CustomResourceDefinition]:
    """podpresets.podward.dev and clusterpodpresets.podward.dev."""
    return [_definition(_row(presets.PodPreset)), _definition(_row(presets.ClusterPodPreset))]


def legacy_definition() -> ext.CustomResourceDefinition:
    """podpresets.settings.k8s.io: a protected group, which has to be asked for with an annotation."""
    return _definition(
        _row(settings.PodPreset), annotations={_APPROVAL_ANNOTATION: LEGACY_APPROVAL}
    )


def _row(kind: type[Any]) -> Resource:
    return SCHEME.of_type(kind)


def _definition(
    row: Resource, annotations: dict[str, str] | None = None
) -> ext.CustomResourceDefinition:
    version = ext.CustomResourceDefinitionVersion(
        name=row.version,
        served=True,
        storage=True,
        schema=ext.CustomResourceValidation(openAPIV3Schema=_root(row)),
        additionalPrinterColumns=_columns() if row.subresources else None,
        subresources=ext.CustomResourceSubresources(status={}) if row.subresources else None,
    )
    return ext.CustomResourceDefinition(
        metadata=meta_v1.ObjectMeta(name=row.group_resource, annotations=annotations),
        spec=ext.CustomResourceDefinitionSpec(
            group=row.group,
            names=ext.CustomResourceDefinitionNames(
                kind=row.kind,
                listKind=f"{row.kind}List",
                plural=row.plural,
                singular=row.singular,
                shortNames=list(row.short_names) or None,
            ),
            scope="Namespaced" if row.namespaced else "Cluster",
            versions=[version],
        ),
    )


def _columns() -> list[ext.CustomResourceColumnDefinition]:
    """As Podward's own API server has them."""

    def column(name: str, kind: str, path: str, text: str) -> ext.CustomResourceColumnDefinition:
        return ext.CustomResourceColumnDefinition(
            name=name, type=kind, jsonPath=path, description=text
        )

    valid = '.status.conditions[?(@.type=="Valid")].status'
    return [
        column(
            "Priority", "integer", ".spec.priority", "Presets are merged from the highest down."
        ),
        column("On-Conflict", "string", ".spec.onConflict", "What a clash leads to."),
        column("Valid", "string", valid, "Whether it can be used."),
        column("Matched", "integer", ".status.matchedPods", "Pods that its selectors choose."),
        column("Current", "integer", ".status.currentPods", "Pods that carry it as it is now."),
        column(
            "Stale",
            "integer",
            ".status.stalePods",
            "Pods that carry an earlier form of it, or never got it.",
        ),
        column("Age", "date", ".metadata.creationTimestamp", "How long it exists."),
    ]


def _root(row: Resource) -> Schema:
    schema = _of_struct(row.type, row)
    assert schema.properties is not None
    schema.required = ["spec"]
    spec = schema.properties["spec"]
    if row.type is settings.PodPreset:
        lists = ("env", "envFrom", "volumes", "volumeMounts")
        spec.x_kubernetes_validations = [_rule(_any_of(lists), "give at least one list")]
        schema.x_kubernetes_validations = [
            _rule(
                f"size(self.metadata.name) <= {_NAME_LIMIT}",
                f"a name longer than {_NAME_LIMIT} makes every Pod that gets the preset invalid",
            )
        ]
        return schema
    spec.x_kubernetes_validations = [_rule(_any_of(_SECTIONS), "give at least one thing to preset")]
    if row.namespaced:
        spec.x_kubernetes_validations.append(
            _rule("!has(self.namespaceSelector)", "only a ClusterPodPreset chooses namespaces")
        )
    return schema


def _rule(rule: str, message: str) -> ext.ValidationRule:
    return ext.ValidationRule(rule=rule, message=message)


def _any_of(names: Sequence[str]) -> str:
    return f"[{', '.join(f'has(self.{name})' for name in names)}].exists(x, x)"


def _one_of(names: Sequence[str]) -> str:
    return f"[{', '.join(f'has(self.{name})' for name in names)}].exists_one(x, x)"


# ---- from classes to schemas


@cache
def _documentation(group: str, version: str) -> Mapping[str, Any]:
    """Of every type: what Podward's own OpenAPI says of it."""
    return closure(SCHEME, group, version)


def _of_struct(struct: type[msgspec.Struct], row: Resource) -> Schema:
    documented = _documentation(row.group, row.version)[type_name(struct)]
    hints = get_type_hints(struct)
    properties = {}
    for field in msgspec.structs.fields(struct):
        name = field.encode_name
        schema = _of(hints[field.name], row)
        words = _WORDS.get((struct.__name__, name))
        schema.enum = list(words) if words else None
        if hints[field.name] != meta_v1.ObjectMeta | None:
            # A description of metadata is refused: the API server has rules of its own for it, and no others.
            schema.description = documented["properties"][name].get("description")
        properties[name] = schema
    module = struct.__module__.rpartition(".")[2]
    required = _REQUIRED.get(struct.__name__) or _REQUIRED.get(f"{module}.{struct.__name__}")
    if struct is presets.PodPresetStatus:
        conditions = properties["conditions"]
        conditions.x_kubernetes_list_type, conditions.x_kubernetes_list_map_keys = "map", ["type"]
    return Schema(
        type="object",
        description=documented.get("description"),
        properties=properties,
        required=list(required) if required else None,
    )


def _of(hint: Any, row: Resource) -> Schema:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        inner = [arg for arg in arguments if arg is not type(None)]
        if set(inner) == {int, str}:
            return Schema(x_kubernetes_int_or_string=True)
        return _of(inner[0], row)
    if origin is list:
        return Schema(
            type="array",
            items=_of(arguments[0], row),
            maxItems=_LIST_LIMIT,
            x_kubernetes_list_type="atomic",
        )
    if origin is dict:
        return Schema(type="object", additionalProperties=_of(arguments[1], row))
    if hint is datetime:
        return Schema(type="string", format="date-time")
    if hint is meta_v1.LabelSelector:
        return _label_selector()
    if hint is meta_v1.ObjectMeta:
        return Schema(type="object")
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return _open(hint) if hint.__module__ == core_v1.__name__ else _of_struct(hint, row)
    plain = {str: "string", bool: "boolean", int: "integer"}
    return Schema(type=plain[hint], format="int64" if hint is int else None)


def _label_selector() -> Schema:
    text = Schema(type="string")
    expression = Schema(
        type="object",
        required=["key", "operator"],
        properties={
            "key": text,
            "operator": Schema(type="string", enum=["In", "NotIn", "Exists", "DoesNotExist"]),
            "values": Schema(type="array", items=text, x_kubernetes_list_type="atomic"),
        },
    )
    return Schema(
        type="object",
        properties={
            "matchExpressions": Schema(
                type="array", items=expression, x_kubernetes_list_type="atomic"
            ),
            "matchLabels": Schema(type="object", additionalProperties=text),
        },
        x_kubernetes_map_type="atomic",
    )


_HANDLERS: Final = ("exec", "grpc", "httpGet", "tcpSocket")


def _open(struct: type[msgspec.Struct]) -> Schema:
    """What Pods have too: the least that makes it one, and whatever else its cluster knows."""
    schema = Schema(type="object", x_kubernetes_preserve_unknown_fields=True)
    texts: Mapping[type[Any], Sequence[str]] = {
        core_v1.EnvVar: ("name",),
        core_v1.Volume: ("name",),
        core_v1.VolumeMount: ("name", "mountPath"),
        core_v1.Container: ("name",),
    }
    if struct in texts:
        schema.properties = {name: Schema(type="string", minLength=1) for name in texts[struct]}
        schema.required = list(texts[struct])
    elif struct is core_v1.Probe:
        schema.properties = {name: _open(core_v1.ExecAction) for name in _HANDLERS}
        message = f"give exactly one of {', '.join(_HANDLERS)}"
        schema.x_kubernetes_validations = [_rule(_one_of(_HANDLERS), message)]
    elif struct is core_v1.EnvFromSource:
        sources = ("configMapRef", "secretRef")
        schema.properties = {name: _open(core_v1.ConfigMapEnvSource) for name in sources}
        message = f"give exactly one of {', '.join(sources)}"
        rule = " != ".join(
            f"has(self.{name})" for name in sources
        )  # cheaper: it may run 256 x 256 times
        schema.x_kubernetes_validations = [_rule(rule, message)]
    return schema
