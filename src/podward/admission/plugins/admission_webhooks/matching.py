"""Whether a webhook is to be asked. Pure.

`matchPolicy` has nothing to decide: every kind is served under one name, so that an equivalent one is the
same one.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from podward.admission.base import AdmissionRequest
from podward.admission.plugins.admission_webhooks.model import Rule, Webhook
from podward.api.scheme import Resource
from podward.machinery.cel import CelError, Expression
from podward.machinery.selectors import LabelSelector

_NAMESPACES = "namespaces"


def is_exempt(resource: Resource) -> bool:
    """Configurations of webhooks are never sent to webhooks: a broken one could not be removed."""
    return resource.group == "admissionregistration.k8s.io"


def any_rule_matches(
    webhook: Webhook, operation: str, resource: Resource, subresource: str
) -> bool:
    return any(rule_matches(rule, operation, resource, subresource) for rule in webhook.rules)


def rule_matches(rule: Rule, operation: str, resource: Resource, subresource: str) -> bool:
    return (
        _listed(rule.operations, operation)
        and _listed(rule.groups, resource.group)
        and _listed(rule.versions, resource.version)
        and _names(rule, resource.plural, subresource)
        and _scope_matches(rule.scope, resource)
    )


def _listed(values: frozenset[str], value: str) -> bool:
    return value in values or "*" in values


def _names(rule: Rule, plural: str, subresource: str) -> bool:
    """`pods` is Pods alone, `pods/*` all that is below them as well as they; `*` is every resource alone."""
    return any(main in ("*", plural) and sub in ("*", subresource) for main, sub in rule.resources)


def _scope_matches(scope: str, resource: Resource) -> bool:
    """A Namespace is an object of the cluster, whatever is in it."""
    return scope == "*" or (scope == "Namespaced") is resource.namespaced


def namespace_in_question(request: AdmissionRequest) -> str:
    """Whose labels a namespaceSelector looks at: of a Namespace object it is that one. Empty: of none."""
    if _is_namespace(request):
        return request.name or _name(request.object)
    return request.namespace


def brings_its_namespace(request: AdmissionRequest) -> bool:
    """Whether the namespace's labels are in the request itself: it is not stored yet, or changes just now."""
    return (
        _is_namespace(request)
        and not request.subresource
        and request.operation in ("CREATE", "UPDATE")
    )


def _is_namespace(request: AdmissionRequest) -> bool:
    return request.resource.group_resource == _NAMESPACES


def labels_of(obj: Any) -> Mapping[str, str] | None:
    """None if there is no object, or one that cannot have labels."""
    metadata = getattr(obj, "metadata", None)
    if metadata is None:
        return None
    return metadata.labels or {}


def _name(obj: Any) -> str:
    metadata = getattr(obj, "metadata", None)
    return (metadata.name if metadata is not None else "") or ""


def object_matches(selector: LabelSelector, request: AdmissionRequest) -> bool:
    """Either form of the object will do: nobody escapes by taking the label off."""
    if not selector:
        return True
    forms = (labels_of(request.object), labels_of(request.old_object))
    return any(labels is not None and selector.matches(labels) for labels in forms)


class ConditionsError(Exception):
    """A condition has no value, and none is false."""


def conditions_match(conditions: Sequence[Expression], variables: Mapping[str, Any]) -> bool:
    """One that is false is enough not to ask. Raises `ConditionsError`."""
    problems = []
    for condition in conditions:
        try:
            value = condition.evaluate(variables)
        except CelError as error:
            problems.append(f"expression '{condition.source}' resulted in error: {error}")
            continue
        if value is False:
            return False
        if value is not True:
            problems.append(f"expression '{condition.source}' resulted in error: not a bool")
    if problems:
        unique = list(dict.fromkeys(problems))
        raise ConditionsError(unique[0] if len(unique) == 1 else f"[{', '.join(unique)}]")
    return True
