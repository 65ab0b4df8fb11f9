"""Presets: a small stand-in for the rules of spec/podpreset.md 1.1 until the whole of them is merged."""

from typing import Any

from podward.api.errors import (
    FieldError,
    field_forbidden,
    field_invalid,
    field_not_supported,
    field_required,
)
from podward.api.validation import pod as pods
from podward.api.validation.names import env_name, label_value, labels_errors, qualified_name

_LISTS = ("volumes", "env", "envFrom", "volumeMounts")
_OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")


def settings_errors(obj: Any) -> list[FieldError]:
    spec = obj.spec
    selector = spec.selector if spec is not None else None
    found = labels_errors(selector.matchLabels if selector else None, "spec.selector.matchLabels")
    for index, e in enumerate((selector and selector.matchExpressions) or ()):
        where = f"spec.selector.matchExpressions[{index}]"
        found += [field_invalid(f"{where}.key", e.key, p) for p in qualified_name(e.key)]
        if e.operator not in _OPERATORS:
            found.append(
                field_invalid(f"{where}.operator", e.operator, "not a valid selector operator")
            )
        elif e.operator in ("In", "NotIn") and not e.values:
            found.append(field_required(f"{where}.values", "must be specified"))
        elif e.operator not in ("In", "NotIn") and e.values:
            found.append(field_forbidden(f"{where}.values", "may not be specified"))
    if spec is None or all(getattr(spec, name) is None for name in _LISTS):
        found.append(field_required("spec." + ".".join(_LISTS), "must specify at least one"))
        return found
    found += pods._volumes_errors(spec.volumes or (), "spec.volumes")
    found += pods._env_errors(spec.env or (), "spec.env")
    for index, variable in enumerate(spec.env or ()):
        if variable.name[:1].isdigit() and not env_name(variable.name):
            found.append(
                field_invalid(f"spec.env[{index}].name", variable.name, "must not start so")
            )
    found += pods._env_from_errors(spec.envFrom or (), "spec.envFrom")
    names = {volume.name for volume in spec.volumes or ()}
    return found + pods._mounts_errors(spec.volumeMounts or (), names, "spec.volumeMounts")


def settings_update_errors(new: Any, old: Any) -> list[FieldError]:
    return settings_errors(new)


def settings_problems(obj: Any) -> list[FieldError]:
    found = []
    if len(obj.metadata.name) > 53:
        detail = "must be no more than 53 characters"
        found.append(field_invalid("metadata.name", obj.metadata.name, detail))
    selector = obj.spec.selector
    for index, e in enumerate((selector and selector.matchExpressions) or ()):
        where = f"spec.selector.matchExpressions[{index}].values[0]"
        found += [field_invalid(where, v, p) for v in e.values or () for p in label_value(v)]
    if not any(getattr(obj.spec, name) for name in _LISTS):
        found.append(field_required("spec." + ".".join(_LISTS), "must specify at least one"))
    return found


def preset_errors(obj: Any) -> list[FieldError]:
    if obj.spec is None or obj.spec.selector is None:
        return [field_required("spec.selector")]
    strategies = ("KeepPod", "Override", "Reject", "SkipAll", "SkipPreset")
    if obj.spec.onConflict not in (None, *strategies):
        return [field_not_supported("spec.onConflict", obj.spec.onConflict, strategies)]
    return []


def preset_update_errors(new: Any, old: Any) -> list[FieldError]:
    return preset_errors(new)
