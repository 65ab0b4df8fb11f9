"""The roles and bindings that every cluster begins with, named and bound as in Kubernetes. Pure.

Of the roles for people (`admin`, `edit`, `view`) those parts are here whose kinds this API serves; whatever is
labelled `rbac.authorization.k8s.io/aggregate-to-view: "true"` is added to `view`, and so on.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from lightkube.models import meta_v1, rbac_v1

GROUP: Final = "rbac.authorization.k8s.io"
_LABELS: Final = {"kubernetes.io/bootstrapping": "rbac-defaults"}
_AUTO_UPDATE: Final = {f"{GROUP}/autoupdate": "true"}
_READ: Final = ("get", "list", "watch")
_WRITE: Final = ("create", "delete", "deletecollection", "patch", "update")


def _rule(verbs: Iterable[str], group: str, *resources: str) -> rbac_v1.PolicyRule:
    return rbac_v1.PolicyRule(verbs=list(verbs), apiGroups=[group], resources=list(resources))


def _urls(*urls: str) -> rbac_v1.PolicyRule:
    return rbac_v1.PolicyRule(verbs=["get"], nonResourceURLs=list(urls))


_HEALTH: Final = ("/healthz", "/livez", "/readyz", "/version", "/version/")
_PRESETS: Final = "podward.dev"

_VIEW: Final = [
    _rule(
        _READ, "", "bindings", "configmaps", "events", "namespaces", "namespaces/status", "pods",
        "pods/log", "pods/status", "serviceaccounts", "services", "services/status",
    ),
    _rule(_READ, "coordination.k8s.io", "leases"),
    _rule(_READ, "settings.k8s.io", "podpresets"),
    _rule(_READ, _PRESETS, "podpresets", "podpresets/status"),
]  # fmt: skip
_EDIT: Final = [
    _rule(["impersonate"], "", "serviceaccounts"),
    _rule(_READ, "", "pods/attach", "pods/exec", "pods/portforward", "secrets"),
    _rule(_WRITE, "", "pods", "pods/attach", "pods/exec", "pods/portforward"),
    _rule(_WRITE, "", "configmaps", "events", "secrets", "serviceaccounts", "services"),
    _rule(["create"], "", "serviceaccounts/token"),
    _rule(_WRITE, "coordination.k8s.io", "leases"),
    _rule(_WRITE, "settings.k8s.io", "podpresets"),
    _rule(_WRITE, _PRESETS, "podpresets"),
]  # fmt: skip
_ADMIN: Final = [
    _rule(["create"], "authorization.k8s.io", "localsubjectaccessreviews"),
    _rule([*_READ, *_WRITE], GROUP, "rolebindings", "roles"),
]


def _role(
    name: str,
    rules: Sequence[rbac_v1.PolicyRule],
    labels: dict[str, str] | None = None,
    gathers: str = "",
) -> rbac_v1.ClusterRole:
    """`gathers`: the label of the roles whose rules it has too."""
    selector = meta_v1.LabelSelector(matchLabels={gathers: "true"})
    return rbac_v1.ClusterRole(
        metadata=meta_v1.ObjectMeta(
            name=name, labels={**_LABELS, **(labels or {})}, annotations=dict(_AUTO_UPDATE)
        ),
        rules=list(rules),
        aggregationRule=rbac_v1.AggregationRule([selector]) if gathers else None,
    )


def _aggregate(name: str) -> str:
    return f"{GROUP}/aggregate-to-{name}"


CLUSTER_ROLES: Final = (
    _role("cluster-admin", [
        _rule(["*"], "*", "*"), rbac_v1.PolicyRule(verbs=["*"], nonResourceURLs=["*"]),
    ]),
    _role("admin", [*_ADMIN, *_EDIT, *_VIEW], gathers=_aggregate("admin")),
    _role("edit", [*_EDIT, *_VIEW], {_aggregate("admin"): "true"}, gathers=_aggregate("edit")),
    _role("view", _VIEW, {_aggregate("edit"): "true"}, gathers=_aggregate("view")),
    _role("system:discovery", [
        _urls("/api", "/api/*", "/apis", "/apis/*", *_HEALTH[:3], "/openapi", "/openapi/*", *_HEALTH[3:]),
    ]),
    _role("system:basic-user", [
        _rule(["create"], "authorization.k8s.io", "selfsubjectaccessreviews", "selfsubjectrulesreviews"),
        _rule(["create"], "authentication.k8s.io", "selfsubjectreviews"),
    ]),
    _role("system:public-info-viewer", [_urls(*_HEALTH)]),
    _role("system:service-account-issuer-discovery", [
        _urls("/.well-known/openid-configuration", "/.well-known/openid-configuration/",
              "/openid/v1/jwks", "/openid/v1/jwks/"),
    ]),
    _role("system:auth-delegator", [
        _rule(["create"], "authentication.k8s.io", "tokenreviews"),
        _rule(["create"], "authorization.k8s.io", "subjectaccessreviews"),
    ]),
    _role("system:monitoring", [
        _urls("/healthz", "/healthz/*", "/livez", "/livez/*", "/metrics", "/readyz", "/readyz/*"),
    ]),
)  # fmt: skip


def _binding(role: str, *groups: str) -> rbac_v1.ClusterRoleBinding:
    return rbac_v1.ClusterRoleBinding(
        metadata=meta_v1.ObjectMeta(
            name=role, labels=dict(_LABELS), annotations=dict(_AUTO_UPDATE)
        ),
        roleRef=rbac_v1.RoleRef(kind="ClusterRole", name=role, apiGroup=GROUP),
        subjects=[rbac_v1.Subject(kind="Group", name=name, apiGroup=GROUP) for name in groups],
    )


CLUSTER_ROLE_BINDINGS: Final = (
    _binding("cluster-admin", "system:masters"),
    _binding("system:discovery", "system:authenticated"),
    _binding("system:basic-user", "system:authenticated"),
    _binding("system:public-info-viewer", "system:authenticated", "system:unauthenticated"),
    _binding("system:service-account-issuer-discovery", "system:serviceaccounts"),
    _binding("system:monitoring", "system:monitoring"),
)


def brought_up_to_date(
    stored: rbac_v1.ClusterRole, ours: rbac_v1.ClusterRole
) -> rbac_v1.ClusterRole:
    """With the rules that a newer Podward has beside those that are there; as it is, if that is forbidden."""
    metadata = stored.metadata or meta_v1.ObjectMeta()
    if (metadata.annotations or {}).get(f"{GROUP}/autoupdate") != "true":
        return stored
    held = stored.rules or []
    missing = [rule for rule in ours.rules or () if rule not in held]
    if not missing:
        return stored
    return rbac_v1.ClusterRole(
        metadata=metadata, rules=[*held, *missing], aggregationRule=stored.aggregationRule
    )
