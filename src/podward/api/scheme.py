"""The kind table: one row for each resource the API serves.

A row ties the wire's names to the Struct that holds such an object. Whoever needs to know whether a kind is
namespaced, what its plural is, or which class decodes it, asks here; a new kind is one new row.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
from lightkube.models import (
    admissionregistration_v1,
    authentication_v1,
    authorization_v1,
    coordination_v1,
    core_v1,
    node_v1,
    rbac_v1,
)

from podward.api.kinds import podward_v1alpha1, settings_v1alpha1

VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
QUESTION = ("create",)
"""Of a kind that is answered and never kept."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One row: a resource of the REST API and the kind it serves."""

    group: str
    """Empty for the core group."""
    version: str
    kind: str
    plural: str
    singular: str
    type: type[msgspec.Struct]
    namespaced: bool
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()
    verbs: tuple[str, ...] = VERBS

    @property
    def stored(self) -> bool:
        return "list" in self.verbs

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def group_resource(self) -> str:
        """How error messages name it: `pods`, `leases.coordination.k8s.io`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def base_path(self) -> str:
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """The URL path of the collection, or of one object, or of its subresource."""
        parts = [self.base_path]
        if self.namespaced and namespace:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        parts += [part for part in (name, subresource) if part]
        return "/".join(parts)


RESOURCES: tuple[Resource, ...] = (
    Resource("", "v1", "Pod", "pods", "pod", core_v1.Pod, True, ("po",), ("all",),
             ("status", "binding", "log", "exec", "attach", "portforward",
              "ephemeralcontainers")),
    Resource("", "v1", "Namespace", "namespaces", "namespace", core_v1.Namespace, False, ("ns",),
             (), ("status", "finalize")),
    Resource("", "v1", "Node", "nodes", "node", core_v1.Node, False, ("no",), (), ("status",)),
    Resource("", "v1", "Event", "events", "event", core_v1.Event, True, ("ev",)),
    Resource("", "v1", "ConfigMap", "configmaps", "configmap", core_v1.ConfigMap, True, ("cm",)),
    Resource("", "v1", "Secret", "secrets", "secret", core_v1.Secret, True),
    Resource("", "v1", "ServiceAccount", "serviceaccounts", "serviceaccount",
             core_v1.ServiceAccount, True, ("sa",), (), ("token",)),
    Resource("", "v1", "Service", "services", "service", core_v1.Service, True, ("svc",), ("all",),
             ("status",)),
    Resource("", "v1", "PodTemplate", "podtemplates", "podtemplate", core_v1.PodTemplate, True),
    Resource("node.k8s.io", "v1", "RuntimeClass", "runtimeclasses", "runtimeclass",
             node_v1.RuntimeClass, False),
    Resource("coordination.k8s.io", "v1", "Lease", "leases", "lease", coordination_v1.Lease, True),
    # Two groups have a `podpresets`: kubectl means the first by that name alone, as it always did.
    Resource("settings.k8s.io", "v1alpha1", "PodPreset", "podpresets", "podpreset",
             settings_v1alpha1.PodPreset, True),
    Resource("podward.dev", "v1alpha1", "PodPreset", "podpresets", "podpreset",
             podward_v1alpha1.PodPreset, True, ("pps",), (), ("status",)),
    Resource("podward.dev", "v1alpha1", "ClusterPodPreset", "clusterpodpresets",
             "clusterpodpreset", podward_v1alpha1.ClusterPodPreset, False, ("cpps",), (),
             ("status",)),
    Resource("admissionregistration.k8s.io", "v1", "MutatingWebhookConfiguration",
             "mutatingwebhookconfigurations", "mutatingwebhookconfiguration",
             admissionregistration_v1.MutatingWebhookConfiguration, False),
    Resource("admissionregistration.k8s.io", "v1", "ValidatingWebhookConfiguration",
             "validatingwebhookconfigurations", "validatingwebhookconfiguration",
             admissionregistration_v1.ValidatingWebhookConfiguration, False),
    Resource("rbac.authorization.k8s.io", "v1", "Role", "roles", "role", rbac_v1.Role, True),
    Resource("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings", "rolebinding",
             rbac_v1.RoleBinding, True),
    Resource("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", "clusterrole",
             rbac_v1.ClusterRole, False),
    Resource("rbac.authorization.k8s.io", "v1", "ClusterRoleBinding", "clusterrolebindings",
             "clusterrolebinding", rbac_v1.ClusterRoleBinding, False),
    Resource("authentication.k8s.io", "v1", "TokenReview", "tokenreviews", "tokenreview",
             authentication_v1.TokenReview, False, (), (), (), QUESTION),
    Resource("authentication.k8s.io", "v1", "SelfSubjectReview", "selfsubjectreviews",
             "selfsubjectreview", authentication_v1.SelfSubjectReview, False, (), (), (),
             QUESTION),
    Resource("authorization.k8s.io", "v1", "SubjectAccessReview", "subjectaccessreviews",
             "subjectaccessreview", authorization_v1.SubjectAccessReview, False, (), (), (),
             QUESTION),
    Resource("authorization.k8s.io", "v1", "LocalSubjectAccessReview",
             "localsubjectaccessreviews", "localsubjectaccessreview",
             authorization_v1.LocalSubjectAccessReview, True, (), (), (), QUESTION),
    Resource("authorization.k8s.io", "v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews",
             "selfsubjectaccessreview", authorization_v1.SelfSubjectAccessReview, False, (), (),
             (), QUESTION),
    Resource("authorization.k8s.io", "v1", "SelfSubjectRulesReview", "selfsubjectrulesreviews",
             "selfsubjectrulesreview", authorization_v1.SelfSubjectRulesReview, False, (), (), (),
             QUESTION),
)  # fmt: skip


class Scheme:
    """An index over rows; immutable once made."""

    def __init__(self, resources: tuple[Resource, ...] = RESOURCES) -> None:
        self._resources = resources
        self._by_type = {row.type: row for row in resources}
        self._by_plural = {(row.group, row.version, row.plural): row for row in resources}
        self._by_kind = {(row.api_version, row.kind): row for row in resources}

    def __iter__(self) -> Iterator[Resource]:
        return iter(self._resources)

    def of_type(self, kind: type[Any]) -> Resource:
        return self._by_type[kind]

    def of_plural(self, group: str, version: str, plural: str) -> Resource | None:
        return self._by_plural.get((group, version, plural))

    def of_kind(self, api_version: str, kind: str) -> Resource | None:
        return self._by_kind.get((api_version, kind))


SCHEME = Scheme()
