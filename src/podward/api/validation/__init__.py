"""What the API server refuses, and with which words. Pure: objects in, errors out.

`validate_*` raise the one 422 that carries everything wrong with an object; the tables below say which rules
belong to which kind.
"""

from collections.abc import Callable
from typing import Any

from lightkube.models import admissionregistration_v1, core_v1, meta_v1, node_v1, rbac_v1

from podward.api.errors import FieldError, invalid
from podward.api.kinds import podward_v1alpha1, settings_v1alpha1
from podward.api.scheme import Resource
from podward.api.validation import ephemeral_containers
from podward.api.validation.admission_registration import configuration_errors
from podward.api.validation.config import (
    config_map_errors,
    config_map_update_errors,
    secret_errors,
    secret_update_errors,
)
from podward.api.validation.names import (
    dns_label,
    dns_label_1035,
    dns_subdomain,
    metadata_errors,
    path_segment,
)
from podward.api.validation.pod import pod_errors, pod_template_errors, pod_update_errors
from podward.api.validation.pod_preset import (
    preset_errors,
    preset_update_errors,
    settings_errors,
    settings_update_errors,
)
from podward.api.validation.rbac import (
    cluster_role_binding_errors,
    cluster_role_binding_update_errors,
    cluster_role_errors,
    role_binding_errors,
    role_binding_update_errors,
    role_errors,
)
from podward.api.validation.runtime_class import (
    runtime_class_errors,
    runtime_class_update_errors,
)
from podward.api.validation.service import service_errors, service_update_errors

_NAMES: dict[type[Any], Callable[[str], list[str]]] = {
    core_v1.Namespace: dns_label,
    core_v1.Service: dns_label_1035,
    rbac_v1.Role: path_segment,
    rbac_v1.RoleBinding: path_segment,
    rbac_v1.ClusterRole: path_segment,
    rbac_v1.ClusterRoleBinding: path_segment,
}
"""What may be in a name, of kinds whose names are no DNS subdomains."""

_SPEC_RULES: dict[type[Any], Callable[[Any], list[FieldError]]] = {
    core_v1.Pod: pod_errors,
    core_v1.ConfigMap: config_map_errors,
    core_v1.Secret: secret_errors,
    core_v1.PodTemplate: pod_template_errors,
    core_v1.Service: service_errors,
    node_v1.RuntimeClass: runtime_class_errors,
    settings_v1alpha1.PodPreset: settings_errors,
    podward_v1alpha1.PodPreset: preset_errors,
    podward_v1alpha1.ClusterPodPreset: preset_errors,
    admissionregistration_v1.MutatingWebhookConfiguration: configuration_errors,
    admissionregistration_v1.ValidatingWebhookConfiguration: configuration_errors,
    rbac_v1.Role: role_errors,
    rbac_v1.RoleBinding: role_binding_errors,
    rbac_v1.ClusterRole: cluster_role_errors,
    rbac_v1.ClusterRoleBinding: cluster_role_binding_errors,
}

_UPDATE_RULES: dict[type[Any], Callable[[Any, Any], list[FieldError]]] = {
    core_v1.Pod: pod_update_errors,
    core_v1.ConfigMap: config_map_update_errors,
    core_v1.Secret: secret_update_errors,
    core_v1.PodTemplate: lambda new, old: pod_template_errors(new),
    core_v1.Service: service_update_errors,
    node_v1.RuntimeClass: runtime_class_update_errors,
    settings_v1alpha1.PodPreset: settings_update_errors,
    podward_v1alpha1.PodPreset: preset_update_errors,
    podward_v1alpha1.ClusterPodPreset: preset_update_errors,
    admissionregistration_v1.MutatingWebhookConfiguration: lambda new, old: configuration_errors(
        new
    ),
    admissionregistration_v1.ValidatingWebhookConfiguration: lambda new, old: configuration_errors(
        new
    ),
    rbac_v1.Role: lambda new, old: role_errors(new),
    rbac_v1.RoleBinding: role_binding_update_errors,
    rbac_v1.ClusterRole: lambda new, old: cluster_role_errors(new),
    rbac_v1.ClusterRoleBinding: cluster_role_binding_update_errors,
}


def validate_create(obj: Any, resource: Resource) -> None:
    """Raises `ApiStatusError` 422 with every error of a new object."""
    found = creation_errors(obj, resource)
    if isinstance(obj, core_v1.Pod):
        found += ephemeral_containers.creation_errors(obj)
    _raise(resource, obj, found)


def creation_errors(obj: Any, resource: Resource) -> list[FieldError]:
    found = _metadata_errors(obj, resource)
    rules = _SPEC_RULES.get(type(obj))
    return found + rules(obj) if rules is not None else found


def validate_update(new: Any, old: Any, resource: Resource) -> None:
    """Raises 422 for what is wrong in `new`, or may not be changed from `old`."""
    found = _new_metadata_errors(new, old, resource)
    rules = _UPDATE_RULES.get(type(new))
    if rules is not None:
        found += rules(new, old)
    _raise(resource, new, found)


def validate_status_update(new: Any, old: Any, resource: Resource) -> None:
    """A status is the word of a component that knows; only the metadata around it is checked."""
    _raise(resource, new, _new_metadata_errors(new, old, resource))


def validate_ephemeral_containers(new: Any, old: Any, resource: Resource) -> None:
    """Of a Pod: containers may be added, none may be changed or go."""
    _raise(resource, new, ephemeral_containers.update_errors(new, old))


def _metadata_errors(obj: Any, resource: Resource) -> list[FieldError]:
    check = _NAMES.get(type(obj), dns_subdomain)
    return metadata_errors(obj.metadata, namespaced=resource.namespaced, check=check)


def _new_metadata_errors(new: Any, old: Any, resource: Resource) -> list[FieldError]:
    """What was found good when it was stored is not looked at again."""
    return [] if new.metadata == old.metadata else _metadata_errors(new, resource)


def _raise(resource: Resource, obj: Any, errors: list[FieldError]) -> None:
    if errors:
        meta: meta_v1.ObjectMeta = obj.metadata or meta_v1.ObjectMeta()
        raise invalid(resource, meta.name or "", errors)
