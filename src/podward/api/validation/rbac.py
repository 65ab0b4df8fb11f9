"""Roles and bindings. Pure; the words are a Kubernetes API server's."""

from collections.abc import Sequence

from lightkube.models import rbac_v1

from podward.api.errors import FieldError, field_invalid, field_not_supported, field_required
from podward.api.validation.names import dns_subdomain, path_segment

_GROUP = "rbac.authorization.k8s.io"
_SUBJECTS = ("ServiceAccount", "User", "Group")


def role_errors(role: rbac_v1.Role) -> list[FieldError]:
    return _rules_errors(role.rules or (), namespaced=True)


def cluster_role_errors(role: rbac_v1.ClusterRole) -> list[FieldError]:
    found = _rules_errors(role.rules or (), namespaced=False)
    if role.aggregationRule is not None and not role.aggregationRule.clusterRoleSelectors:
        detail = "at least one clusterRoleSelector required if aggregationRule is non-nil"
        found.append(field_required("aggregationRule.clusterRoleSelectors", detail))
    return found


def _rules_errors(rules: Sequence[rbac_v1.PolicyRule], *, namespaced: bool) -> list[FieldError]:
    return [
        error
        for index, rule in enumerate(rules)
        for error in _rule_errors(rule, f"rules[{index}]", namespaced)
    ]


def _rule_errors(rule: rbac_v1.PolicyRule, path: str, namespaced: bool) -> list[FieldError]:
    found = []
    if not rule.verbs:
        found.append(field_required(f"{path}.verbs", "verbs must contain at least one value"))
    urls = rule.nonResourceURLs
    if urls:
        where = f"{path}.nonResourceURLs"
        if namespaced:
            detail = "namespaced rules cannot apply to non-resource URLs"
            found.append(field_invalid(where, urls, detail))
        if rule.apiGroups or rule.resources or rule.resourceNames:
            detail = "rules cannot apply to both regular resources and non-resource URLs"
            found.append(field_invalid(where, urls, detail))
        return found
    if not rule.apiGroups:
        detail = "resource rules must supply at least one api group"
        found.append(field_required(f"{path}.apiGroups", detail))
    if not rule.resources:
        detail = "resource rules must supply at least one resource"
        found.append(field_required(f"{path}.resources", detail))
    return found


def role_binding_errors(binding: rbac_v1.RoleBinding) -> list[FieldError]:
    return _binding_errors(binding, ("Role", "ClusterRole"), namespaced=True)


def cluster_role_binding_errors(binding: rbac_v1.ClusterRoleBinding) -> list[FieldError]:
    return _binding_errors(binding, ("ClusterRole",), namespaced=False)


def _binding_errors(
    binding: rbac_v1.RoleBinding | rbac_v1.ClusterRoleBinding,
    kinds: Sequence[str],
    *,
    namespaced: bool,
) -> list[FieldError]:
    role = binding.roleRef
    found = []
    if role.apiGroup != _GROUP:
        found.append(field_not_supported("roleRef.apiGroup", role.apiGroup or "", [_GROUP]))
    if role.kind not in kinds:
        found.append(field_not_supported("roleRef.kind", role.kind, kinds))
    if not role.name:
        found.append(field_required("roleRef.name"))
    found += [field_invalid("roleRef.name", role.name, p) for p in path_segment(role.name)]
    for index, subject in enumerate(binding.subjects or ()):
        found += _subject_errors(subject, f"subjects[{index}]", namespaced)
    return found


def _subject_errors(subject: rbac_v1.Subject, path: str, namespaced: bool) -> list[FieldError]:
    found = [] if subject.name else [field_required(f"{path}.name")]
    group = subject.apiGroup or ""
    if subject.kind == "ServiceAccount":
        if subject.name:
            problems = dns_subdomain(subject.name)
            found += [field_invalid(f"{path}.name", subject.name, p) for p in problems]
        if group:
            found.append(field_not_supported(f"{path}.apiGroup", group, [""]))
        if not namespaced and not subject.namespace:
            found.append(field_required(f"{path}.namespace"))
    elif subject.kind in ("User", "Group"):
        if group != _GROUP:
            found.append(field_not_supported(f"{path}.apiGroup", group, [_GROUP]))
    else:
        found.append(field_not_supported(f"{path}.kind", subject.kind, _SUBJECTS))
    return found


def role_binding_update_errors(
    new: rbac_v1.RoleBinding, old: rbac_v1.RoleBinding
) -> list[FieldError]:
    return _fixed_role(new, old) + role_binding_errors(new)


def cluster_role_binding_update_errors(
    new: rbac_v1.ClusterRoleBinding, old: rbac_v1.ClusterRoleBinding
) -> list[FieldError]:
    return _fixed_role(new, old) + cluster_role_binding_errors(new)


def _fixed_role(
    new: rbac_v1.RoleBinding | rbac_v1.ClusterRoleBinding,
    old: rbac_v1.RoleBinding | rbac_v1.ClusterRoleBinding,
) -> list[FieldError]:
    if new.roleRef == old.roleRef:
        return []
    role = new.roleRef
    shown = {"APIGroup": role.apiGroup or "", "Kind": role.kind, "Name": role.name}
    return [field_invalid("roleRef", shown, "cannot change roleRef")]
