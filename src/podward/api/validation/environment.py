"""Variables of containers, and where they come from. Pure."""

from collections.abc import Callable, Sequence

from lightkube.models import core_v1

from podward.api.errors import FieldError, field_invalid, field_not_supported, field_required
from podward.api.validation.names import config_key, env_name

NameRule = Callable[[str], list[str]]
"""What is wrong with a variable's name: `env_name`, or `strict_env_name` for what 1.19 had to accept."""


def env_errors(
    env: Sequence[core_v1.EnvVar], path: str, *, name_rule: NameRule = env_name
) -> list[FieldError]:
    found = []
    for index, variable in enumerate(env):
        where = f"{path}[{index}]"
        if not variable.name:
            found.append(field_required(f"{where}.name"))
        else:
            problems = name_rule(variable.name)
            found += [field_invalid(f"{where}.name", variable.name, p) for p in problems]
        source = variable.valueFrom
        if source is None:
            continue
        given = [n for n in source.__struct_fields__ if getattr(source, n) is not None]
        if not given:
            detail = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`"
            found.append(field_invalid(f"{where}.valueFrom", "", detail))
        elif variable.value:
            detail = "may not be specified when `value` is not empty"
            found.append(field_invalid(f"{where}.valueFrom", "", detail))
        elif len(given) > 1:
            detail = "may not have more than one field specified at a time"
            found.append(field_invalid(f"{where}.valueFrom", "", detail))
        for name in ("configMapKeyRef", "secretKeyRef"):
            reference = getattr(source, name)
            if reference is None:
                continue
            if not reference.name:
                found.append(field_required(f"{where}.valueFrom.{name}.name"))
            if not reference.key:
                found.append(field_required(f"{where}.valueFrom.{name}.key"))
            else:
                problems = config_key(reference.key)
                key_path = f"{where}.valueFrom.{name}.key"
                found += [field_invalid(key_path, reference.key, p) for p in problems]
        if source.fieldRef is not None:
            field = f"{where}.valueFrom.fieldRef.fieldPath"
            found += _field_path_errors(source.fieldRef.fieldPath, field)
        if source.resourceFieldRef is not None and not source.resourceFieldRef.resource:
            found.append(field_required(f"{where}.valueFrom.resourceFieldRef.resource"))
    return found


_FIELDS = (
    "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName",
    "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs",
)  # fmt: skip
_KNOWN = (*_FIELDS, "metadata.annotations", "metadata.labels", "spec.restartPolicy",
          "spec.schedulerName", "status.phase")  # fmt: skip
"""Fields that the downward API has heard of; not all of them can be a variable."""


def _field_path_errors(field: str, path: str) -> list[FieldError]:
    if not field:
        return [field_required(path)]
    whole, bracket, _ = field.partition("['")
    if bracket and field.endswith("']"):
        if whole in ("metadata.annotations", "metadata.labels"):
            return []
        problem = f"field label does not support subscript: {field}"
    elif field in _KNOWN:
        return [] if field in _FIELDS else [field_not_supported(path, field, _FIELDS)]
    else:
        problem = f"field label not supported: {field}"
    return [field_invalid(path, field, f"error converting fieldPath: {problem}")]


def env_from_errors(
    sources: Sequence[core_v1.EnvFromSource], path: str, *, name_rule: NameRule = env_name
) -> list[FieldError]:
    """That there are too many sources, or none, is told of the list: a server leaves the index out."""
    found = []
    for index, source in enumerate(sources):
        where = f"{path}[{index}]"
        if source.prefix:
            problems = name_rule(source.prefix)
            found += [field_invalid(f"{where}.prefix", source.prefix, p) for p in problems]
        given = 0
        for name in ("configMapRef", "secretRef"):
            reference = getattr(source, name)
            if reference is not None:
                given += 1
                if not reference.name:
                    found.append(field_required(f"{where}.{name}.name"))
        if given == 0:
            detail = "must specify one of: `configMapRef` or `secretRef`"
            found.append(field_invalid(path, "", detail))
        elif given > 1:
            detail = "may not have more than one field specified at a time"
            found.append(field_invalid(path, "", detail))
    return found
