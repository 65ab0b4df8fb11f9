"""Who may do what: the webhook's own rights, no more than it uses, and roles for people (spec 11.5)."""

from collections.abc import Sequence

from lightkube.models import meta_v1, rbac_v1

from podward.webhook.naming import OVERRIDE_VERB, Installation

_RBAC = "rbac.authorization.k8s.io"
_READ = ("get", "list", "watch")
_WRITE = (*_READ, "create", "update", "patch", "delete", "deletecollection")
PRESETS, CLUSTER_PRESETS = "podpresets", "clusterpodpresets"

Labels = dict[str, str]


def rule(
    group: str, resources: Sequence[str], verbs: Sequence[str], names: Sequence[str] = ()
) -> rbac_v1.PolicyRule:
    return rbac_v1.PolicyRule(
        apiGroups=[group],
        resources=list(resources),
        verbs=list(verbs),
        resourceNames=list(names) or None,
    )


def cluster_rules(
    installation: Installation, *, self_managed: bool, count_pods: bool
) -> list[rbac_v1.PolicyRule]:
    """What the webhook does in the whole cluster. It reads no Secret, and no Pod unless it counts them."""
    rules = [
        rule("podward.dev", (PRESETS, CLUSTER_PRESETS), _READ),
        # Defined or not: without the right it would be told "forbidden", and never that there are none.
        rule("settings.k8s.io", (PRESETS,), _READ),
        rule("podward.dev", (f"{PRESETS}/status", f"{CLUSTER_PRESETS}/status"), ("patch",)),
        rule("", ("namespaces",), _READ),
        rule("", ("events",), ("create", "patch")),
        rule("authorization.k8s.io", ("subjectaccessreviews",), ("create",)),
    ]
    if self_managed:
        # Its own two and no others: `list` and `watch` of one name are asked for by a field selector.
        configurations = ("mutatingwebhookconfigurations", "validatingwebhookconfigurations")
        rules.append(
            rule(
                "admissionregistration.k8s.io",
                configurations,
                (*_READ, "patch"),
                (installation.configuration,),
            )
        )
    if count_pods:
        rules.append(rule("", ("pods",), ("list", "watch")))
    return rules


def own_namespace_rules(
    installation: Installation, *, self_managed: bool
) -> list[rbac_v1.PolicyRule]:
    """What it does in its own namespace. A right to create cannot be limited to a name."""
    leases = "coordination.k8s.io"
    rules = [
        rule(leases, ("leases",), ("create",)),
        rule(leases, ("leases",), ("get", "update"), (installation.lease,)),
    ]
    if self_managed:
        rules += [
            rule("", ("secrets",), ("create",)),
            rule("", ("secrets",), (*_READ, "update"), (installation.managed_secret,)),
        ]
    return rules


def people(installation: Installation, labels: Labels) -> list[rbac_v1.ClusterRole]:
    """view: everybody who may view. The others are bound by hand: who writes a preset writes into Pods that run
    under other accounts than his own."""
    name = installation.name
    aggregated = labels | {f"{_RBAC}/aggregate-to-view": "true"}
    groups = ("podward.dev", "settings.k8s.io")
    return [
        _cluster_role(
            f"{name}-view",
            aggregated,
            [
                rule("podward.dev", (PRESETS, CLUSTER_PRESETS), _READ),
                rule("settings.k8s.io", (PRESETS,), _READ),
            ],
        ),
        _cluster_role(f"{name}-edit", labels, [rule(g, (PRESETS,), _WRITE) for g in groups]),
        _cluster_role(
            f"{name}-edit-cluster", labels, [rule("podward.dev", (CLUSTER_PRESETS,), _WRITE)]
        ),
        _cluster_role(
            f"{name}-override",
            labels,
            [rule("podward.dev", (PRESETS, CLUSTER_PRESETS), (OVERRIDE_VERB,))],
        ),
    ]


def cluster_role(
    installation: Installation, labels: Labels, rules: list[rbac_v1.PolicyRule]
) -> rbac_v1.ClusterRole:
    return _cluster_role(installation.name, labels, rules)


def cluster_binding(installation: Installation, labels: Labels) -> rbac_v1.ClusterRoleBinding:
    return rbac_v1.ClusterRoleBinding(
        metadata=meta_v1.ObjectMeta(name=installation.name, labels=labels),
        roleRef=rbac_v1.RoleRef(apiGroup=_RBAC, kind="ClusterRole", name=installation.name),
        subjects=[_subject(installation)],
    )


def own_role(
    installation: Installation, labels: Labels, rules: list[rbac_v1.PolicyRule]
) -> rbac_v1.Role:
    return rbac_v1.Role(metadata=_meta(installation, labels), rules=rules)


def own_binding(installation: Installation, labels: Labels) -> rbac_v1.RoleBinding:
    return rbac_v1.RoleBinding(
        metadata=_meta(installation, labels),
        roleRef=rbac_v1.RoleRef(apiGroup=_RBAC, kind="Role", name=installation.name),
        subjects=[_subject(installation)],
    )


def _cluster_role(
    name: str, labels: Labels, rules: list[rbac_v1.PolicyRule]
) -> rbac_v1.ClusterRole:
    return rbac_v1.ClusterRole(metadata=meta_v1.ObjectMeta(name=name, labels=labels), rules=rules)


def _subject(installation: Installation) -> rbac_v1.Subject:
    return rbac_v1.Subject(
        kind="ServiceAccount", name=installation.name, namespace=installation.namespace
    )


def _meta(installation: Installation, labels: Labels) -> meta_v1.ObjectMeta:
    return meta_v1.ObjectMeta(
        name=installation.name, namespace=installation.namespace, labels=labels
    )
