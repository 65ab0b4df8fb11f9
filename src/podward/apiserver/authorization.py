"""Who may do what: RBAC as Kubernetes has it (rbac.authorization.k8s.io/v1). Pure.

A request is allowed if a rule allows it that a binding gives to its user; nothing is ever denied by a rule.
What bindings and roles add up to is a `Policy`, made anew only when one of them changes.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from lightkube.models import meta_v1, rbac_v1

from podward.apiserver.attributes import Attributes
from podward.apiserver.identity import Identity
from podward.machinery.gotext import quote
from podward.machinery.selectors import LabelSelector, Operator, Requirement

MASTERS: Final = "system:masters"
"""A group that may everything, whatever rules there are: no rule can lock it out."""
_ACCOUNT: Final = "system:serviceaccount:"
_CLUSTER: Final = ""
"""Of a rule that holds in every namespace and outside of all."""

Rules = Sequence[rbac_v1.PolicyRule]


def allows(rule: rbac_v1.PolicyRule, asked: Attributes) -> bool:
    if not _has(rule.verbs, asked.verb):
        return False
    if asked.path:
        return any(_path_fits(pattern, asked.path) for pattern in rule.nonResourceURLs or ())
    return (
        _has(rule.apiGroups, asked.group)
        and _has_resource(rule.resources or (), asked)
        and (not rule.resourceNames or asked.name in rule.resourceNames)
    )


def _has(given: Sequence[str] | None, wanted: str) -> bool:
    return given is not None and ("*" in given or wanted in given)


def _has_resource(given: Sequence[str], asked: Attributes) -> bool:
    """`*` is all, subresources too; `*/scale` that subresource of all."""
    if "*" in given or asked.full_resource in given:
        return True
    return bool(asked.subresource) and f"*/{asked.subresource}" in given


def _path_fits(pattern: str, path: str) -> bool:
    if pattern in ("*", path):
        return True
    return pattern.endswith("*") and path.startswith(pattern.rstrip("*"))


@dataclass(frozen=True, slots=True)
class _Grant:
    """What one binding gives to one subject."""

    namespace: str
    rules: Rules
    source: str
    """By whom, of what, to whom: a review tells it."""
    missing: str = ""
    """What is wrong with the binding's role: it gives nothing."""


class Policy:
    """All roles and bindings, ordered by whom they are for."""

    def __init__(
        self,
        roles: Iterable[rbac_v1.Role] = (),
        cluster_roles: Iterable[rbac_v1.ClusterRole] = (),
        role_bindings: Iterable[rbac_v1.RoleBinding] = (),
        cluster_role_bindings: Iterable[rbac_v1.ClusterRoleBinding] = (),
    ) -> None:
        everywhere = list(cluster_roles)
        self._roles: dict[tuple[str, str], Rules] = {
            (_namespace(role), _name(role)): role.rules or () for role in roles
        }
        self._roles |= {(_CLUSTER, _name(role)): _gathered(role, everywhere) for role in everywhere}
        self._users: dict[str, list[_Grant]] = {}
        self._groups: dict[str, list[_Grant]] = {}
        for binding in cluster_role_bindings:
            self._bind(binding, f"ClusterRoleBinding {quote(_name(binding))}")
        for local in role_bindings:
            self._bind(local, f"RoleBinding {quote(f'{_name(local)}/{_namespace(local)}')}")

    def _bind(self, binding: rbac_v1.RoleBinding | rbac_v1.ClusterRoleBinding, source: str) -> None:
        namespace, role = _namespace(binding), binding.roleRef
        rules = self.role_rules(role, namespace)
        missing = "" if rules is not None else (
            f'{role.kind.lower()}.rbac.authorization.k8s.io "{role.name}" not found'
        )  # fmt: skip
        for subject in binding.subjects or ():
            name = subject.name
            if subject.kind == "ServiceAccount":
                name = f"{name}/{subject.namespace or namespace}"
            text = f"{source} of {role.kind} {quote(role.name)} to {subject.kind} {quote(name)}"
            self._give(subject, _Grant(namespace, rules or (), text, missing))

    def _give(self, subject: rbac_v1.Subject, grant: _Grant) -> None:
        if subject.kind == "User":
            self._users.setdefault(subject.name, []).append(grant)
        elif subject.kind == "Group":
            self._groups.setdefault(subject.name, []).append(grant)
        elif subject.kind == "ServiceAccount":
            user = f"{_ACCOUNT}{subject.namespace or grant.namespace}:{subject.name}"
            self._users.setdefault(user, []).append(grant)

    def role_rules(self, role: rbac_v1.RoleRef, namespace: str) -> Rules | None:
        """None if there is no such role."""
        return self._roles.get((_CLUSTER if role.kind == "ClusterRole" else namespace, role.name))

    def _grants(self, identity: Identity, namespace: str) -> Iterator[_Grant]:
        """All that holds in a namespace (empty: outside of all)."""
        for grants in (
            self._users.get(identity.name, ()),
            *(self._groups.get(group, ()) for group in identity.groups),
        ):
            for grant in grants:
                if grant.namespace in (_CLUSTER, namespace):
                    yield grant

    def rules_for(self, identity: Identity, namespace: str) -> list[rbac_v1.PolicyRule]:
        return [rule for grant in self._grants(identity, namespace) for rule in grant.rules]

    def authorize(self, identity: Identity, asked: Attributes) -> tuple[bool, str]:
        """Whether it may, and who says so, or why there may be no rule."""
        if MASTERS in identity.groups:
            return True, ""
        missing: dict[str, None] = {}
        for grant in self._grants(identity, asked.namespace):
            if any(allows(rule, asked) for rule in grant.rules):
                return True, f"RBAC: allowed by {grant.source}"
            if grant.missing:
                missing[grant.missing] = None
        if not missing:
            return False, ""
        texts = ", ".join(missing)
        return False, f"RBAC: {texts if len(missing) == 1 else f'[{texts}]'}"

    def lacking(
        self, identity: Identity, namespace: str, wanted: Rules
    ) -> list[rbac_v1.PolicyRule]:
        """What somebody would give who has not got it himself, right by right."""
        if MASTERS in identity.groups:
            return []
        held = self.rules_for(identity, namespace)
        return [
            right
            for rule in wanted
            for right in _rights(rule)
            if not any(_covers(own, right) for own in held)
        ]


def _gathered(
    role: rbac_v1.ClusterRole,
    others: Sequence[rbac_v1.ClusterRole],
    passed: frozenset[str] = frozenset(),
) -> Rules:
    """The rules of an aggregating role are its own and those of the roles that it selects, which may aggregate
    too. `passed`: the roles on the way here."""
    if role.aggregationRule is None:
        return role.rules or ()
    found = list(role.rules or ())
    selectors = [_selector(s) for s in role.aggregationRule.clusterRoleSelectors or ()]
    passed = passed | {_name(role)}
    for other in others:
        labels = (other.metadata and other.metadata.labels) or {}
        if _name(other) not in passed and any(s.matches(labels) for s in selectors):
            found += [r for r in _gathered(other, others, passed) if r not in found]
    return found


def _selector(selector: meta_v1.LabelSelector) -> LabelSelector:
    found = [Requirement(k, "in", frozenset({v})) for k, v in (selector.matchLabels or {}).items()]
    for one in selector.matchExpressions or ():
        found.append(Requirement(one.key, _OPERATORS[one.operator], frozenset(one.values or ())))
    return LabelSelector(tuple(found))


_OPERATORS: Final[dict[str, Operator]] = {
    "In": "in",
    "NotIn": "notin",
    "Exists": "exists",
    "DoesNotExist": "!",
}


def _rights(rule: rbac_v1.PolicyRule) -> Iterator[rbac_v1.PolicyRule]:
    """`rule`, taken apart into rules of one verb on one thing."""
    for verb in rule.verbs:
        for url in rule.nonResourceURLs or ():
            yield rbac_v1.PolicyRule(verbs=[verb], nonResourceURLs=[url])
        for group in rule.apiGroups or ():
            for resource in rule.resources or ():
                for name in rule.resourceNames or (None,):
                    yield rbac_v1.PolicyRule(
                        verbs=[verb], apiGroups=[group], resources=[resource],
                        resourceNames=[name] if name else None,
                    )  # fmt: skip


def _covers(own: rbac_v1.PolicyRule, right: rbac_v1.PolicyRule) -> bool:
    """Whether who has `own` has `right`, a right of one verb on one thing."""
    if not _has(own.verbs, right.verbs[0]):
        return False
    if right.nonResourceURLs:
        return any(_path_fits(p, right.nonResourceURLs[0]) for p in own.nonResourceURLs or ())
    (group,), (resource,) = right.apiGroups or ("",), right.resources or ("",)
    name, _, subresource = resource.partition("/")
    asked = Attributes("", group, name, subresource)
    names = own.resourceNames or ()
    return (
        _has(own.apiGroups, group)
        and _has_resource(own.resources or (), asked)
        and (not names or bool(right.resourceNames and right.resourceNames[0] in names))
    )


def rule_text(rule: rbac_v1.PolicyRule) -> str:
    """A rule as a refusal shows it: `{APIGroups:[""], Resources:["pods"], Verbs:["get"]}`."""
    fields = {
        "APIGroups": rule.apiGroups,
        "Resources": rule.resources,
        "NonResourceURLs": rule.nonResourceURLs,
        "ResourceNames": rule.resourceNames,
        "Verbs": rule.verbs,
    }
    parts = [f"{name}:{quoted(texts)}" for name, texts in fields.items() if texts]
    return "{" + ", ".join(parts) + "}"


def quoted(texts: Iterable[str]) -> str:
    """As Go prints a list of texts."""
    return "[" + " ".join(map(quote, texts)) + "]"


def compact(rights: Iterable[rbac_v1.PolicyRule]) -> list[rbac_v1.PolicyRule]:
    """Rights on the same thing made one again."""
    found: dict[Any, rbac_v1.PolicyRule] = {}
    for right in rights:
        lists = right.apiGroups, right.resources, right.nonResourceURLs, right.resourceNames
        key = tuple(tuple(texts or ()) for texts in lists)
        held = found.get(key)
        if held is None:
            found[key] = msgspec.structs.replace(right, verbs=list(right.verbs))
        else:
            held.verbs += [verb for verb in right.verbs if verb not in held.verbs]
    return list(found.values())


def _name(obj: Any) -> str:
    return (obj.metadata and obj.metadata.name) or ""


def _namespace(obj: Any) -> str:
    return (obj.metadata and obj.metadata.namespace) or ""
