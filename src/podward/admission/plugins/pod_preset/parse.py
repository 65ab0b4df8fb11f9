"""A document becomes a preset."""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from podward.admission.plugins.pod_preset.model import InvalidPreset, Origin, Preset
from podward.admission.plugins.pod_preset.normalise import with_unknown
from podward.api.codec import decode_builtins
from podward.api.defaults import completed_preset, set_defaults
from podward.api.errors import ApiStatusError, invalid
from podward.api.kinds import podward_v1alpha1, settings_v1alpha1
from podward.api.scheme import SCHEME, Resource
from podward.api.validation import creation_errors
from podward.api.validation.names import label_value, qualified_name
from podward.api.validation.pod_preset import settings_problems
from podward.machinery.gotext import quote
from podward.machinery.selectors import LabelSelector, Operator, Requirement

_ORIGINS: dict[type[Any], Origin] = {
    settings_v1alpha1.PodPreset: "settings",
    podward_v1alpha1.PodPreset: "namespaced",
    podward_v1alpha1.ClusterPodPreset: "cluster",
}


def preset_of(document: Mapping[str, Any], *, namespace: str = "") -> Preset:
    """The preset in `document` (apiVersion and kind say which); `namespace` if it names none.

    Raises `InvalidPreset` for what no API server would have stored.
    """
    resource = SCHEME.of_kind(str(document.get("apiVersion")), str(document.get("kind")))
    if resource is None or resource.type not in _ORIGINS:
        given = f"{document.get('kind')} in version {document.get('apiVersion')}"
        raise InvalidPreset("", (), f"{given} is no preset")
    document = _in_namespace(document, namespace if resource.namespaced else "")
    obj = _checked(document, resource)
    origin = _ORIGINS[resource.type]
    meta = document["metadata"]
    spec = document.get("spec") or {}
    selector, selector_error = _selector(spec.get("selector") or {})
    return Preset(
        origin=origin,
        name=meta.get("name") or "",
        namespace=meta.get("namespace") or "",
        uid=meta.get("uid") or "",
        resource_version=str(meta.get("resourceVersion") or ""),
        generation=meta.get("generation") or 0,
        created=_moment(meta.get("creationTimestamp")),
        priority=(spec.get("priority") or 0) if origin != "settings" else 0,
        on_conflict=(spec.get("onConflict") or "SkipAll") if origin != "settings" else "SkipAll",
        selector=selector,
        selector_error=selector_error,
        namespace_selector=_selector(spec.get("namespaceSelector") or {})[0] or LabelSelector(),
        spec=spec,
        spec_hash=_hash(obj, spec),
        problems=tuple(settings_problems(obj)) if origin == "settings" else (),
    )


def _in_namespace(document: Mapping[str, Any], namespace: str) -> dict[str, Any]:
    meta = document.get("metadata")
    meta = dict(meta) if isinstance(meta, Mapping) else {}
    if not meta.get("namespace") and namespace:
        meta["namespace"] = namespace
    return {**document, "metadata": meta}


def _checked(document: dict[str, Any], resource: Resource) -> Any:
    """The Struct, completed. Unknown fields are a newer server's: they stay in the document."""
    name = document["metadata"].get("name")
    name = name if isinstance(name, str) else ""
    try:
        obj, _ = decode_builtins(document, resource, "Ignore")
    except ApiStatusError as error:
        raise InvalidPreset(name, (), str(error)) from None
    obj = set_defaults(obj)
    errors = creation_errors(obj, resource)
    if errors:
        raise InvalidPreset(name, tuple(errors), str(invalid(resource, name, errors)))
    return obj


def _moment(value: Any) -> str:
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%SZ")
    return str(value or "")


def _hash(obj: Any, spec: Mapping[str, Any]) -> str:
    """Of the completed spec: what was filled in, or could have been, is the same preset."""
    if not isinstance(obj, settings_v1alpha1.PodPreset):
        obj = completed_preset(obj)
    full = with_unknown(msgspec.to_builtins(obj.spec) if obj.spec is not None else {}, spec)
    text = json.dumps(full, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


# ---- selectors

_OPERATORS: dict[str, Operator] = {
    "In": "in",
    "NotIn": "notin",
    "Exists": "exists",
    "DoesNotExist": "!",
}


def _selector(selector: Mapping[str, Any]) -> tuple[LabelSelector | None, str]:
    """The selector, or why a server of old could not evaluate what it had stored (spec rows V13, F05)."""
    found = []
    for key, value in (selector.get("matchLabels") or {}).items():
        found.append(Requirement(key, "in", frozenset({value or ""})))
    for expression in selector.get("matchExpressions") or ():
        operator = _OPERATORS[expression["operator"]]
        values = expression.get("values") or ()
        found.append(Requirement(expression["key"], operator, frozenset(values)))
    for requirement in found:
        wrong = [("key", requirement.key, problem) for problem in qualified_name(requirement.key)]
        for value in sorted(requirement.values):
            wrong += [("value", value, problem) for problem in label_value(value)]
        for what, text, problem in wrong:
            why = f"invalid label {what}: {quote(text)}: {problem}"
            return None, f"label selector conversion failed for selector: {why}"
    return LabelSelector(tuple(found)), ""
