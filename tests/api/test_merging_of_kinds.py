"""How each kind's lists merge under a strategic patch: facts of the API, reached from the kind."""

from typing import Any

import msgspec
import pytest
from lightkube.models import admissionregistration_v1, core_v1, meta_v1

from podward.api.kinds import podward_v1alpha1, settings_v1alpha1
from podward.api.merge_keys import MERGE_KEYS, merge_schema, schema_of, struct_below
from podward.api.scheme import RESOURCES, SCHEME, Resource
from podward.machinery.patch import MergeSchema, strategic_merge_patch


def key_at(kind: type[Any], path: str) -> str | None:
    """The merge key of the list at the end of `path`; None where a list is replaced whole."""
    schema = merge_schema(SCHEME.of_type(kind))
    *parents, last = path.split(".")
    for name in parents:
        assert name in schema.children, f"{path}: nothing is known below {name}"
        schema = schema.child(name)
    return schema.merge_keys.get(last)


@pytest.mark.parametrize(
    ("kind", "path", "key"),
    [
        (core_v1.Pod, "metadata.finalizers", ""),
        (core_v1.Pod, "metadata.ownerReferences", "uid"),
        (core_v1.Pod, "spec.containers", "name"),
        (core_v1.Pod, "spec.initContainers", "name"),
        (core_v1.Pod, "spec.ephemeralContainers", "name"),
        (core_v1.Pod, "spec.volumes", "name"),
        (core_v1.Pod, "spec.imagePullSecrets", "name"),
        (core_v1.Pod, "spec.hostAliases", "ip"),
        (core_v1.Pod, "spec.schedulingGates", "name"),
        (core_v1.Pod, "spec.resourceClaims", "name"),
        (core_v1.Pod, "spec.topologySpreadConstraints", "topologyKey"),
        (core_v1.Pod, "spec.containers.env", "name"),
        (core_v1.Pod, "spec.containers.ports", "containerPort"),
        (core_v1.Pod, "spec.containers.volumeMounts", "mountPath"),
        (core_v1.Pod, "spec.containers.volumeDevices", "devicePath"),
        (core_v1.Pod, "spec.initContainers.env", "name"),
        (core_v1.Pod, "spec.ephemeralContainers.volumeMounts", "mountPath"),
        (core_v1.Pod, "status.conditions", "type"),
        (core_v1.Pod, "status.podIPs", "ip"),
        (core_v1.Pod, "status.hostIPs", "ip"),
        (core_v1.Node, "metadata.finalizers", ""),
        (core_v1.Node, "spec.podCIDRs", ""),
        (core_v1.Node, "status.conditions", "type"),
        (core_v1.Node, "status.addresses", "type"),
        (core_v1.Namespace, "status.conditions", "type"),
        (core_v1.ServiceAccount, "secrets", "name"),
        (settings_v1alpha1.PodPreset, "spec.env", "name"),
        (settings_v1alpha1.PodPreset, "spec.volumes", "name"),
        (settings_v1alpha1.PodPreset, "spec.volumeMounts", "mountPath"),
        (podward_v1alpha1.ClusterPodPreset, "spec.sidecars", "name"),
    ],
)
def test_this_list_is_merged_by(kind: type[Any], path: str, key: str) -> None:
    assert key_at(kind, path) == key


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        (core_v1.Pod, "spec.tolerations"),
        (core_v1.Pod, "spec.readinessGates"),
        (core_v1.Pod, "spec.containers.args"),
        (core_v1.Pod, "spec.containers.command"),
        (core_v1.Pod, "spec.containers.envFrom"),
        (core_v1.Pod, "spec.containers.livenessProbe.httpGet.httpHeaders"),
        (core_v1.Pod, "spec.containers.restartPolicyRules"),
        (core_v1.Pod, "spec.dnsConfig.nameservers"),
        (core_v1.Pod, "spec.volumes.projected.sources"),
        (core_v1.Pod, "spec.volumes.configMap.items"),
        (core_v1.Pod, "status.containerStatuses"),
        (core_v1.Pod, "metadata.managedFields"),
        (core_v1.Node, "spec.taints"),
        (core_v1.Node, "status.images"),
        (core_v1.Namespace, "spec.finalizers"),
        (core_v1.ServiceAccount, "imagePullSecrets"),
        (settings_v1alpha1.PodPreset, "spec.envFrom"),
        (podward_v1alpha1.PodPreset, "spec.containers"),
        (podward_v1alpha1.PodPreset, "spec.tolerations"),
    ],
)
def test_this_list_is_replaced_whole(kind: type[Any], path: str) -> None:
    assert key_at(kind, path) is None


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda row: row.kind)
def test_every_kind_merges_its_metadata(resource: Resource) -> None:
    metadata = merge_schema(resource).child("metadata")
    assert metadata.merge_keys == {"finalizers": "", "ownerReferences": "uid"}


@pytest.mark.parametrize(("owner", "field"), MERGE_KEYS, ids=".".join)
def test_every_row_names_a_list_of_the_api_and_a_field_of_its_elements(
    owner: str, field: str
) -> None:
    modules = (core_v1, meta_v1, podward_v1alpha1, admissionregistration_v1)
    struct = next(getattr(module, owner) for module in modules if hasattr(module, owner))
    fields = {f.name: f for f in msgspec.structs.fields(struct)}
    assert field in fields
    element = struct_below(fields[field].type)
    key = MERGE_KEYS[owner, field]
    if key:
        assert element is not None
        assert key in {f.encode_name for f in msgspec.structs.fields(element)}
    else:
        assert element is None


def test_a_schema_is_made_once() -> None:
    assert schema_of(core_v1.Pod) is schema_of(core_v1.Pod)


@pytest.mark.parametrize(
    ("hint", "struct"),
    [
        (core_v1.Container, core_v1.Container),
        (core_v1.Container | None, core_v1.Container),
        (list[core_v1.Container], core_v1.Container),
        (list[core_v1.Container] | None, core_v1.Container),
        (dict[str, core_v1.Container], core_v1.Container),
        (str, None),
        (list[str], None),
        (dict[str, str] | None, None),
        (int | str, None),
        (dict, None),
    ],
    ids=str,
)
def test_the_object_below_a_type(hint: Any, struct: type[Any] | None) -> None:
    assert struct_below(hint) is struct


def test_kubectls_own_patch_of_a_pod_is_merged() -> None:
    pod = {
        "metadata": {"annotations": {"a": "1"}},
        "spec": {
            "containers": [
                {"name": "app", "image": "1", "env": [{"name": "A", "value": "1"}]},
                {"name": "side", "image": "1"},
            ],
            "tolerations": [{"key": "a"}],
        },
    }
    patch = {
        "metadata": {"annotations": {"a": "2"}},
        "spec": {
            "$setElementOrder/containers": [{"name": "app"}, {"name": "side"}],
            "containers": [
                {
                    "$setElementOrder/env": [{"name": "A"}],
                    "env": [{"name": "A", "value": "2"}],
                    "name": "app",
                }
            ],
            "tolerations": [{"key": "b"}],
        },
    }
    schema = merge_schema(SCHEME.of_type(core_v1.Pod))
    assert strategic_merge_patch(pod, patch, schema) == {
        "metadata": {"annotations": {"a": "2"}},
        "spec": {
            "containers": [
                {"name": "app", "image": "1", "env": [{"name": "A", "value": "2"}]},
                {"name": "side", "image": "1"},
            ],
            "tolerations": [{"key": "b"}],
        },
    }


def test_what_is_not_named_holds_plain_data() -> None:
    schema = merge_schema(SCHEME.of_type(core_v1.ConfigMap))
    assert schema.child("data") == MergeSchema()
    assert schema.child("no such field") == MergeSchema()
