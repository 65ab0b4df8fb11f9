"""Presets: what a server of 1.19 refused, what safe mode refuses as well, and the wider kind's rules. Pure.

spec/podpreset.md 1.1 for settings.k8s.io, its order and its odd field paths included; 10.2 for podward.dev.
"""

import re
from collections.abc import Sequence
from typing import Any

from lightkube.models import core_v1, meta_v1

from podward.api.defaults import completed_preset
from podward.api.errors import (
    FieldError,
    field_duplicate,
    field_forbidden,
    field_invalid,
    field_not_supported,
    field_required,
)
from podward.api.kinds import podward_v1alpha1 as own
from podward.api.kinds import settings_v1alpha1 as settings
from podward.api.validation.environment import env_errors, env_from_errors
from podward.api.validation.names import labels_errors, port_name, qualified_name, strict_env_name
from podward.api.validation.pod import (
    PROBES,
    container_errors,
    resources_errors,
    tolerations_errors,
)
from podward.api.validation.probes import handler_errors, probe_errors
from podward.api.validation.selectors import selector_errors, selector_value_errors
from podward.api.validation.volumes import mounts_errors, volumes_errors

AnyPreset = own.PodPreset | own.ClusterPodPreset

MAX_NAME = 53
"""The name becomes part of an annotation's key on the Pod, `podpreset-NAME`, which may have 63 characters."""

ON_CONFLICT = ("KeepPod", "Override", "Reject", "SkipAll", "SkipPreset")
CLASSES = ("app", "init", "sidecar")
WHOLE = ("ifAbsent", "override")
WORD = ("ifDefault", "override")
NUMBER = ("ceiling", "floor", "ifDefault", "override")
AMOUNTS = ("ceiling", "floor", "ifAbsent", "override")

_LISTS = ("volumes", "env", "envFrom", "volumeMounts")
_NOTHING = "must specify at least one"
_SECTIONS = (
    "affinity", "annotations", "containers", "env", "envFrom", "initContainers", "labels", "sidecars",
    "terminationGracePeriodSeconds", "tolerations", "volumeMounts", "volumes",
)  # fmt: skip
_CONTAINER_SECTIONS = (
    "env", "envFrom", "lifecycle", "livenessProbe", "readinessProbe", "resources", "startupProbe",
    "terminationMessagePolicy", "volumeMounts",
)  # fmt: skip
_OUR_ANNOTATIONS = ("podward.dev/presets", "kubernetes.io/config.mirror")
_OUR_PREFIX = "podpreset.admission.kubernetes.io/"


# ---- settings.k8s.io


def settings_errors(obj: settings.PodPreset) -> list[FieldError]:
    """What no server stored, in the order in which it was told. A list that is there but empty will do."""
    spec = obj.spec or settings.PodPresetSpec()
    found = selector_errors(spec.selector or meta_v1.LabelSelector(), "spec.selector")
    if all(getattr(spec, name) is None for name in _LISTS):
        found.append(field_required("spec." + ".".join(_LISTS), _NOTHING))
    wrong, volumes = volumes_errors(spec.volumes or (), "spec.volumes")
    found += wrong
    found += env_errors(spec.env or (), "spec.env", name_rule=strict_env_name)
    found += env_from_errors(spec.envFrom or (), "spec.envFrom", name_rule=strict_env_name)
    return found + mounts_errors(spec.volumeMounts or (), volumes, "spec.volumeMounts")


def settings_update_errors(new: settings.PodPreset, old: settings.PodPreset) -> list[FieldError]:
    """The spec is the stored one by now: a change of it was dropped, not refused."""
    return settings_errors(new)


def settings_problems(obj: settings.PodPreset) -> list[FieldError]:
    """What a server stored and had trouble with afterwards: safe mode refuses it, or leaves the preset out."""
    found = []
    name = (obj.metadata and obj.metadata.name) or ""
    if len(name) > MAX_NAME:
        detail = (
            f"must be no more than {MAX_NAME} characters: the annotation of every Pod that got this preset "
            "carries its name"
        )
        found.append(field_invalid("metadata.name", name, detail))
    spec = obj.spec or settings.PodPresetSpec()
    found += selector_value_errors(spec.selector or meta_v1.LabelSelector(), "spec.selector")
    given = [getattr(spec, name) for name in _LISTS]
    if not any(given) and any(items is not None for items in given):
        found.append(field_required("spec." + ".".join(_LISTS), _NOTHING))
    return found


# ---- podward.dev


def preset_errors(obj: AnyPreset) -> list[FieldError]:
    """Of a PodPreset or a ClusterPodPreset of ours."""
    if obj.spec is None:
        return [field_required("spec")]
    # Probes and containers are judged as they will be in a Pod, where nothing is left out.
    spec = completed_preset(obj).spec or own.PodPresetSpec()
    found = _selection_errors(spec, of_cluster=isinstance(obj, own.ClusterPodPreset))
    if not any(getattr(spec, name) not in (None, [], {}) for name in _SECTIONS):
        found.append(field_required("spec", f"{_NOTHING} of {', '.join(_SECTIONS)}"))
    wrong, volumes = volumes_errors(spec.volumes or (), "spec.volumes")
    found += wrong
    found += _lists_errors(spec, volumes, "spec")
    for index, section in enumerate(spec.containers or ()):
        found += _section_errors(section, volumes, f"spec.containers[{index}]")
    found += _injected_errors(spec, volumes)
    found += _grace_errors(spec.terminationGracePeriodSeconds)
    if spec.affinity is not None:
        found += _moded_errors(spec.affinity, WHOLE, "spec.affinity")
    found += tolerations_errors(spec.tolerations or (), "spec.tolerations")
    found += labels_errors(spec.labels, "spec.labels")
    return found + _annotations_errors(spec.annotations or {})


def preset_update_errors(new: AnyPreset, old: AnyPreset) -> list[FieldError]:
    """Everything may change."""
    return preset_errors(new)


def _selection_errors(spec: own.PodPresetSpec, *, of_cluster: bool) -> list[FieldError]:
    found = []
    if spec.selector is None:
        detail = "must be given: an empty one, {}, selects every Pod"
        found.append(field_required("spec.selector", detail))
    for name in ("selector", "namespaceSelector"):
        selector = getattr(spec, name)
        if selector is not None:
            found += selector_errors(selector, f"spec.{name}")
            found += selector_value_errors(selector, f"spec.{name}")
    if spec.namespaceSelector is not None and not of_cluster:
        detail = (
            "a PodPreset is for the Pods of its namespace; a ClusterPodPreset chooses namespaces"
        )
        found.append(field_forbidden("spec.namespaceSelector", detail))
    if spec.priority is not None and not -(2**31) <= spec.priority < 2**31:
        detail = "must be between -2147483648 and 2147483647, inclusive"
        found.append(field_invalid("spec.priority", spec.priority, detail))
    if spec.onConflict is not None and spec.onConflict not in ON_CONFLICT:
        found.append(field_not_supported("spec.onConflict", spec.onConflict, ON_CONFLICT))
    return found


def _lists_errors(holder: Any, volumes: set[str], path: str) -> list[FieldError]:
    """env, envFrom and volumeMounts, of the whole preset or of one section."""
    found = env_errors(holder.env or (), f"{path}.env")
    names: set[str] = set()
    for index, variable in enumerate(holder.env or ()):
        if variable.name and variable.name in names:
            found.append(field_duplicate(f"{path}.env[{index}].name", variable.name))
        names.add(variable.name)
    found += env_from_errors(holder.envFrom or (), f"{path}.envFrom")
    return found + mounts_errors(holder.volumeMounts or (), volumes, f"{path}.volumeMounts")


def _section_errors(
    section: own.ContainerSection, volumes: set[str], path: str
) -> list[FieldError]:
    found = _match_errors(section.match, f"{path}.match") if section.match is not None else []
    if not any(getattr(section, name) not in (None, []) for name in _CONTAINER_SECTIONS):
        found.append(field_required(path, f"{_NOTHING} of {', '.join(_CONTAINER_SECTIONS)}"))
    found += _lists_errors(section, volumes, path)
    for kind in PROBES:
        preset: own.ProbePreset | None = getattr(section, kind)
        if preset is not None:
            found += _moded_errors(preset, WHOLE, f"{path}.{kind}")
        if preset is not None and preset.value is not None:
            found += probe_errors(preset.value, kind, f"{path}.{kind}.value")
    if section.lifecycle is not None:
        found += _moded_errors(section.lifecycle, WHOLE, f"{path}.lifecycle")
        found += _lifecycle_errors(section.lifecycle.value, f"{path}.lifecycle.value")
    if section.resources is not None:
        found += _moded_errors(section.resources, AMOUNTS, f"{path}.resources")
        found += _amounts_errors(section.resources.value, f"{path}.resources.value")
    policy = section.terminationMessagePolicy
    if policy is not None:
        where = f"{path}.terminationMessagePolicy"
        found += _moded_errors(policy, WORD, where)
        if policy.value is not None and policy.value not in ("File", "FallbackToLogsOnError"):
            detail = "must be 'File' or 'FallbackToLogsOnError'"
            found.append(field_invalid(f"{where}.value", policy.value, detail))
    return found


def _moded_errors(preset: Any, modes: Sequence[str], path: str) -> list[FieldError]:
    found = []
    if preset.mode is not None and preset.mode not in modes:
        found.append(field_not_supported(f"{path}.mode", preset.mode, modes))
    if preset.value is None:
        found.append(field_required(f"{path}.value"))
    return found


def _match_errors(match: own.ContainerMatch, path: str) -> list[FieldError]:
    found = []
    if match.class_ is not None and match.class_ not in CLASSES:
        found.append(field_not_supported(f"{path}.class", match.class_, CLASSES))
    for index, pattern in enumerate(match.images or ()):
        if not pattern or re.search(r"\s", pattern):
            detail = "must be an image, in which * and ? stand for any characters and for any one"
            found.append(field_invalid(f"{path}.images[{index}]", pattern, detail))
    for index, pattern in enumerate(match.names or ()):
        if not re.fullmatch("[-a-z0-9*?]+", pattern):
            detail = "must be a container's name, in which * and ? stand for any characters and for any one"
            found.append(field_invalid(f"{path}.names[{index}]", pattern, detail))
    for index, port in enumerate(match.ports or ()):
        where = f"{path}.ports[{index}]"
        if isinstance(port, str):
            found += [field_invalid(where, port, problem) for problem in port_name(port)]
        elif not 1 <= port <= 65535:
            found.append(field_invalid(where, port, "must be between 1 and 65535, inclusive"))
    return found


def _lifecycle_errors(lifecycle: core_v1.Lifecycle | None, path: str) -> list[FieldError]:
    if lifecycle is None:
        return []
    hooks = {name: getattr(lifecycle, name) for name in ("postStart", "preStop")}
    if not any(hooks.values()):
        return [field_required(path, "must specify postStart or preStop")]
    return [
        error
        for name, hook in hooks.items()
        if hook is not None
        for error in handler_errors(hook, f"{path}.{name}")
    ]


def _amounts_errors(amounts: core_v1.ResourceRequirements | None, path: str) -> list[FieldError]:
    if amounts is None:
        return []
    if not amounts.limits and not amounts.requests:
        return [field_required(path, "must specify limits or requests")]
    return resources_errors(amounts, path)


def _injected_errors(spec: own.PodPresetSpec, volumes: set[str]) -> list[FieldError]:
    found: list[FieldError] = []
    seen: set[str] = set()
    for index, entry in enumerate(spec.initContainers or ()):
        where = f"spec.initContainers[{index}]"
        if entry.position is not None and entry.position not in ("first", "last"):
            positions = ("first", "last")
            found.append(field_not_supported(f"{where}.position", entry.position, positions))
        if entry.container is None:
            found.append(field_required(f"{where}.container"))
            continue
        where += ".container"
        found += _restart_policy_errors(entry.container, where)
        plain = entry.container.restartPolicy != "Always"
        found += container_errors(entry.container, where, volumes, seen, None, plain_init=plain)
    for index, container in enumerate(spec.sidecars or ()):
        where = f"spec.sidecars[{index}]"
        found += _restart_policy_errors(container, where)
        found += container_errors(container, where, volumes, seen, None)
    return found


def _restart_policy_errors(container: core_v1.Container, path: str) -> list[FieldError]:
    if container.restartPolicy in (None, "Always"):
        return []
    return [field_not_supported(f"{path}.restartPolicy", container.restartPolicy, ("Always",))]


def _grace_errors(grace: own.NumberPreset | None) -> list[FieldError]:
    if grace is None:
        return []
    path = "spec.terminationGracePeriodSeconds"
    found = _moded_errors(grace, NUMBER, path)
    if grace.value is not None and grace.value < 0:
        detail = "must be greater than or equal to 0"
        found.append(field_invalid(f"{path}.value", grace.value, detail))
    return found


def _annotations_errors(annotations: dict[str, str]) -> list[FieldError]:
    path = "spec.annotations"
    found = []
    for key in annotations:
        found += [field_invalid(path, key, problem) for problem in qualified_name(key.lower())]
        if key in _OUR_ANNOTATIONS or key.startswith(_OUR_PREFIX):
            detail = "says what admission did, or is to leave alone: a preset may not"
            found.append(field_forbidden(f"{path}[{key}]", detail))
    return found
