"""What a server completes in presets: settings.k8s.io ones are stored so, podward.dev ones as written."""

from typing import Any

import msgspec
import pytest
from tests.api.support import made

from podward.api.defaults import completed_preset, set_defaults
from podward.api.kinds import podward_v1alpha1, settings_v1alpha1

FIELD = {"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
FIELD_V1 = {
    "name": "A",
    "valueFrom": {"fieldRef": {"fieldPath": "metadata.name", "apiVersion": "v1"}},
}


def settings(**spec: Any) -> dict[str, Any]:
    found = msgspec.to_builtins(made(settings_v1alpha1.PodPreset, {"spec": spec}))["spec"]
    assert isinstance(found, dict)
    return found


def own(**spec: Any) -> podward_v1alpha1.PodPreset:
    found = made(podward_v1alpha1.PodPreset, {"spec": {"selector": {}, **spec}})
    assert isinstance(found, podward_v1alpha1.PodPreset)
    return found


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ({}, {"emptyDir": {}}),
        ({"secret": {"secretName": "s"}}, {"secret": {"secretName": "s", "defaultMode": 420}}),
        ({"configMap": {"name": "m"}}, {"configMap": {"name": "m", "defaultMode": 420}}),
        ({"downwardAPI": {}}, {"downwardAPI": {"defaultMode": 420}}),
        ({"hostPath": {"path": "/p"}}, {"hostPath": {"path": "/p", "type": ""}}),
        (
            {"projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}},
            {
                "projected": {
                    "defaultMode": 420,
                    "sources": [{"serviceAccountToken": {"path": "t", "expirationSeconds": 3600}}],
                }
            },
        ),
        (
            {"iscsi": {"iqn": "q", "targetPortal": "p"}},
            {"iscsi": {"iqn": "q", "targetPortal": "p", "lun": 0, "iscsiInterface": "default"}},
        ),
        (
            {"rbd": {"image": "i", "monitors": ["m"], "user": "u"}},
            {
                "rbd": {
                    "image": "i",
                    "monitors": ["m"],
                    "pool": "rbd",
                    "user": "u",
                    "keyring": "/etc/ceph/keyring",
                }
            },
        ),
        (
            {"azureDisk": {"diskName": "d", "diskURI": "u"}},
            {
                "azureDisk": {
                    "diskName": "d",
                    "diskURI": "u",
                    "cachingMode": "ReadWrite",
                    "kind": "Shared",
                    "fsType": "ext4",
                    "readOnly": False,
                }
            },
        ),
        (
            {"scaleIO": {"gateway": "g", "system": "s", "secretRef": {"name": "n"}}},
            {
                "scaleIO": {
                    "gateway": "g",
                    "system": "s",
                    "secretRef": {"name": "n"},
                    "storageMode": "ThinProvisioned",
                    "fsType": "xfs",
                }
            },
        ),
        (
            {"ephemeral": {"volumeClaimTemplate": {"spec": {}}}},
            {"ephemeral": {"volumeClaimTemplate": {"spec": {"volumeMode": "Filesystem"}}}},
        ),
    ],
    ids=lambda value: next(iter(value), "no source") if isinstance(value, dict) else "",
)
def test_a_volume_is_completed_as_in_a_pod(
    source: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert settings(volumes=[{"name": "v", **source}])["volumes"] == [{"name": "v", **expected}]


def test_variables_are_completed_and_nothing_else_is() -> None:
    mount = {"name": "v", "mountPath": "/p"}
    source = {"secretRef": {"name": "s"}}
    assert settings(env=[FIELD], envFrom=[source], volumeMounts=[mount]) == {
        "env": [FIELD_V1],
        "envFrom": [source],
        "volumeMounts": [mount],
        "selector": {},
    }


def test_a_preset_without_a_spec_selects_everything_and_has_nothing() -> None:
    obj = made(settings_v1alpha1.PodPreset, {})
    assert msgspec.to_builtins(obj.spec) == {"selector": {}}


def test_completing_twice_is_completing_once() -> None:
    obj = made(settings_v1alpha1.PodPreset, {"spec": {"env": [FIELD], "volumes": [{"name": "v"}]}})
    once = msgspec.json.encode(obj)
    assert msgspec.json.encode(set_defaults(obj)) == once


WIDE: dict[str, Any] = {
    "env": [FIELD],
    "volumes": [{"name": "v"}],
    "initContainers": [{"container": {"name": "i", "image": "i:1"}}],
    "sidecars": [{"name": "s", "image": "s"}],
    "containers": [
        {
            "env": [FIELD],
            "livenessProbe": {"value": {"httpGet": {"port": 80}}},
            "lifecycle": {"value": {"preStop": {"httpGet": {"port": 80}}}},
            "resources": {"mode": "floor", "value": {"limits": {"cpu": "1"}}},
        }
    ],
}


def test_a_preset_of_ours_is_stored_as_it_was_written() -> None:
    assert msgspec.to_builtins(own(**WIDE).spec) == {"selector": {}, **WIDE}


def test_it_is_compared_and_checked_as_it_will_be_in_a_pod() -> None:
    obj = own(**WIDE)
    spec = msgspec.to_builtins(completed_preset(obj).spec)
    assert msgspec.to_builtins(obj.spec) == {"selector": {}, **WIDE}, (
        "the stored one is not touched"
    )
    assert spec["env"] == [FIELD_V1]
    assert spec["volumes"] == [{"name": "v", "emptyDir": {}}]
    (section,) = spec["containers"]
    assert section["env"] == [FIELD_V1]
    assert section["livenessProbe"]["value"] == {
        "httpGet": {"port": 80, "path": "/", "scheme": "HTTP"},
        "timeoutSeconds": 1,
        "periodSeconds": 10,
        "successThreshold": 1,
        "failureThreshold": 3,
    }
    hook = section["lifecycle"]["value"]["preStop"]
    assert hook == {"httpGet": {"port": 80, "path": "/", "scheme": "HTTP"}}
    # A floor of a limit is no floor of a request.
    assert section["resources"]["value"] == {"limits": {"cpu": "1"}}
    assert spec["initContainers"][0]["container"]["imagePullPolicy"] == "IfNotPresent"
    assert spec["sidecars"][0]["imagePullPolicy"] == "Always"
